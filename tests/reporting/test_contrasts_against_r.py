"""Contrasts against those of lme4, glmmTMB and emmeans; `data/contrasts.R` has made both files."""

import contextlib
import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from skmeta._reporting import ContrastMixin, Rows
from skmeta._reporting._contrast import Column

DATA = Path(__file__).parent / "data"


class Known(ContrastMixin):
    """The columns of a table, without an estimator."""

    def __init__(self, name, target, group, kind, numbers=()):
        with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        columns = []
        for column in rows[0]:
            values = [row[column] for row in rows]
            if column not in (target, group):
                labels = None if column in numbers else tuple(dict.fromkeys(values))
                if labels is not None:
                    values = [labels.index(value) for value in values]
                columns.append(Column(column, np.array(values, float), labels))
        y = np.array([float(row[target]) for row in rows])
        labels = list(dict.fromkeys(row[group] for row in rows))
        codes = np.array([[labels.index(row[group])] for row in rows])
        ones = np.ones(len(y))
        classes = [0, 1] if kind == "classes" else None
        factors = [(group, {label: k for k, label in enumerate(labels)})]
        self.rows = Rows(columns, codes, y, ones, ones, factors, kind, classes)

    def _rows_to_report(self, X):
        return self.rows


TABLES = {
    "sleepstudy": ("Reaction", "Subject", "real", ["Days"]),
    "Orthodont": ("distance", "Subject", "real", ["age"]),
    "BodyWeight": ("weight", "Rat", "real", ["Time"]),
    "cake": ("angle", "pair", "real"),
    "cbpp": ("sick", "herd", "classes"),
    "epil2": ("y", "subject", "count", ["Base", "Age", "Visit"]),
    "grouseticks": ("TICKS", "BROOD", "count", ["cHEIGHT"]),
    "flat": ("y", "clinic", "real", ["x"]),
}
with (DATA / "contrasts.csv").open() as file:
    FOUND = list(csv.DictReader(file))


# Shares of a standard error, and of a width. Likelihoods are restricted here, and are not in glmer
# and glmmTMB: with REML = TRUE, widths of cbpp are within 3 % (differences) and 10 % (ratios).
CLOSE = dict.fromkeys(TABLES, (1e-3, 0.005)) | {
    "cbpp": (0.2, 0.15),
    "epil2": (0.1, 0.1),
    "grouseticks": (0.1, 0.1),
}


@pytest.mark.parametrize("row", FOUND, ids=lambda row: f"{row['table']} {row['contrast']}")
def test_estimates_and_intervals_are_those_of_r(row):
    column, *ends = row["contrast"].split()
    target, group, kind, *numbers = TABLES[row["table"]]
    model = Known(row["table"], target, group, kind, *numbers)
    if any(column in names for names in numbers):
        ends = [float(end) for end in ends]
    # Whole patients are treated, whose age and number of seizures before are columns.
    is_warned = row["table"] == "epil2" and column == "trt"
    with pytest.warns(match="59 groups") if is_warned else contextlib.nullcontext():
        (ours,) = model.contrast(column, *ends).to_dict("records")
    estimate, low, high = (float(row[name]) for name in ("estimate", "lower", "upper"))
    value, lower, upper = (ours[name] for name in ("estimate", "lower", "upper"))
    if row["kind"] == "ratio":
        estimate, low, high = np.log([estimate, low, high])
        value, lower, upper = (np.log(ours[f"ratio{end}"]) for end in ("", "_lower", "_upper"))
    near, as_wide = CLOSE[row["table"]]
    assert abs(value - estimate) < near * (high - low) / 4
    assert (upper - lower) / (high - low) == pytest.approx(1, abs=as_wide)
