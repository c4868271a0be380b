"""Tables of R packages with two columns of groups, for `grouped.py --factors`."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lib.group_tables import half_of, read_list
from benchmarks.lib.r_tables import read_raw

__all__ = ["half_of", "load", "table_names"]

TABLES = read_list("factor_tables")
MAX_ROWS = 1500


class Table(NamedTuple):
    """A regression with columns of groups: codes (n, n_factors)."""

    name: str
    X: pd.DataFrame
    y: np.ndarray
    codes: np.ndarray
    task: str = "regression"


def load(name: str) -> Table:
    source = TABLES[name]
    factors, target = source["factors"].split(), source["target"]
    frame = read_raw(*name.split("::"))
    if name == "dslabs::us_contagious_diseases":
        frame = frame[(frame["weeks_reporting"] > 0) & (frame["year"] % 5 == 0)]
        frame = frame.assign(rate=np.log1p(1e5 * frame["count"] / frame["population"]))
    if name == "nlme::Wafer":
        frame = frame.assign(Site=frame["Wafer"].astype(str) + "/" + frame["Site"].astype(str))
    frame = frame.dropna(subset=[target, *factors])
    # Whole groups of the first column.
    rng, first = np.random.default_rng(0), frame[factors[0]].astype(str)
    order = pd.Series(rng.permutation(first.nunique()), index=sorted(first.unique()))
    rank = first.map(order).to_numpy()
    counts = np.cumsum(np.bincount(rank))
    frame = frame[rank <= max(int(np.searchsorted(counts, MAX_ROWS)), 10)]
    if len(frame) > 2 * MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    X = frame[source["features"].split()].reset_index(drop=True)
    X = X.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype(object))
    labels = [np.unique(frame[f].astype(str), return_inverse=True)[1] for f in factors]
    return Table(name, X, frame[target].to_numpy(float), np.column_stack(labels))


def table_names() -> list[str]:
    return [*TABLES]
