"""Recorded searches as parquet, which is a tenth of the size of a history.

Each candidate has one row: the columns of its search, and its own. The texts are those of a
history, but NaN is null in them.
"""

import re
from pathlib import Path

import pandas as pd

from skmeta.search import SearchHistory
from skmeta.search.history import _codec

SEARCH = [*_codec.SEARCH_FIELDS, "details", "started"]
CANDIDATE = [*_codec.CANDIDATE_FIELDS, "candidate_details"]
NUMBERS = {'{"float":"nan"}': "NaN", '"Infinity"': "Infinity", '"-Infinity"': "-Infinity"}


def open_history(path):
    """Return a history: that of a path, or one in memory with the searches of a parquet file."""
    if Path(path).suffix != ".parquet":
        return SearchHistory(path)
    history = SearchHistory()
    add_file(history, path)
    return history


def add_file(history, path):
    """Add the searches of a parquet file to a history."""
    for _, rows in pd.read_parquet(path).groupby("fingerprint", sort=False):
        search, *_ = rows.to_dict("records")
        number = history.begin(_codec.row_to_search(search))
        for row in rows[rows["key"].notna()].to_dict("records"):
            for name in ("scores", "candidate_details"):
                row[name] = re.sub(r"\bnull\b", "NaN", row[name])
            for text, value in NUMBERS.items():
                row |= {name: row[name].replace(text, value) for name in CANDIDATE[1:]}
            details = {"details": row["candidate_details"]}
            history.record(number, _codec.row_to_candidate(row | details))


def write_file(history, path):
    """Write the searches of a history to a parquet file."""
    rows = []
    for one in history:
        search = _codec.search_to_row(one.record)
        search |= {"started": one.started}
        for candidate in one.candidates:
            row = _codec.candidate_to_row(candidate)
            rows.append({**search, **row, "details": search["details"]})
            rows[-1]["candidate_details"] = row["details"]
    frame = pd.DataFrame(rows, columns=[*SEARCH, *CANDIDATE])
    frame.to_parquet(path, compression="zstd", index=False)
