"""Recorded searches as parquet, which is a tenth of the size of a history.

Each candidate has one row: the columns of its search, and its own. The texts are those of a
history, but NaN is null in them, and the parameters that all candidates of a search share are in a
column of their own. Parameters have five significant digits, seconds two, and a candidate is told
by the first digits of its key (`short_key`).
"""

import json
import re

import pandas as pd

from skmeta.search import SearchHistory
from skmeta.search.history import _codec
from skmeta.search.space import candidate_key

SEARCH = [*_codec.SEARCH_FIELDS, "details", "started"]
CANDIDATE = [*_codec.CANDIDATE_FIELDS, "candidate_details"]
LONG = re.compile(r"-?\d+\.\d{4,}(?:e-?\d+)?")
NUMBERS = {'{"float":"nan"}': "NaN", '"Infinity"': "Infinity", '"-Infinity"': "-Infinity"}


def short_key(candidate):
    """Return what tells a candidate from others of its search."""
    return candidate_key(candidate)[:8]


def open_history(path):
    """Return a history in memory with the searches of a parquet file, if there is one."""
    history = SearchHistory()
    if path.exists():
        add_file(history, path)
    return history


def add_file(history, path):
    """Add the searches of a parquet file to a history."""
    for _, rows in pd.read_parquet(path).groupby("fingerprint", sort=False):
        search, *_ = rows.to_dict("records")
        number, candidates = history._begin(_codec.row_to_search(search)), []
        for row in rows[rows["key"].notna()].to_dict("records"):
            for name in ("scores", "candidate_details"):
                row[name] = re.sub(r"\bnull\b", "NaN", row[name])
            items = filter(None, (row[name][1:-1] for name in ("shared", "configuration")))
            row["configuration"] = f"{{{','.join(items)}}}"
            for text, value in NUMBERS.items():
                row |= {name: row[name].replace(text, value) for name in CANDIDATE[1:]}
            details = {"details": row["candidate_details"]}
            candidates.append(_codec.row_to_candidate(row | details))
        history._record(number, *candidates)


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
    write_frame(pd.DataFrame(rows, columns=[*SEARCH, *CANDIDATE]), path)


def write_frame(frame, path):
    """Write rows of candidates, with what all configurations of a search share in one column."""
    searches = [share(part) for _, part in frame.groupby("fingerprint", sort=False)]
    pd.concat(searches).to_parquet(
        path,
        index=False,
        compression="zstd",
        compression_level=19,
        use_dictionary=[*SEARCH[:-1], "shared"],
        data_page_size=2**27,  # one page, so that equal texts are found
    )


def share(part):
    """Take the items that all configurations of a search have out of each."""
    texts = part["configuration"]
    items = [json.loads(text) for text in texts.dropna()]
    shared = {
        n: v
        for n, v in items[0].items()
        if all(n in other and dump(other[n]) == dump(v) for other in items[1:])
    }
    own = iter({n: v for n, v in one.items() if n not in shared} for one in items)
    left = [LONG.sub(shorten, dump(next(own))) if isinstance(t, str) else t for t in texts]
    return part.assign(shared=dump(shared), configuration=left)


def dump(value):
    return json.dumps(value, separators=(",", ":"))


def shorten(number):
    return min(f"{float(number[0]):.5g}", number[0], key=len)
