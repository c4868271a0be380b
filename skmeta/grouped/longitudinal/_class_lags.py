"""Trees for classes in time, with the earlier classes of the group as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from skmeta.grouped.longitudinal._rows import TimedRows, first_rows, rows_before
from skmeta.grouped.members import FitSettings, Outputs, Population, Table, fit_population

# Rows to predict that the trees are fitted to, at most.
_MOST_CASES = 4000
# Shares of earlier classes fade by this factor from row to row.
_FADE = 0.7


@dataclass(frozen=True)
class ClassLags:
    """Trees over groups that know the last classes of the group; a member of the mixture.

    Attributes
    ----------
    population : Population
        The trees, cross-fitted over groups.
    n_classes : int
        Number of classes.
    """

    population: Population
    n_classes: int

    known_only: ClassVar[bool] = False

    def without(self, kept: Table) -> ClassLags:
        """Return itself: it is cross-fitted."""
        return self

    def condition(self, known: Table) -> ConditionedLags:
        """Take the known rows of groups."""
        return ConditionedLags(self, _rows(known))


class ConditionedLags(NamedTuple):
    """Trees that know the last classes, given known rows."""

    member: ClassLags
    known: TimedRows

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups."""
        columns = lag_columns(self.known, _rows(at), self.member.n_classes)
        return Outputs(self.member.population.predict(columns, at.fold), np.zeros(len(columns)))


def fit_class_lags(table: Table, settings: FitSettings, n_classes: int) -> ClassLags:
    """Fit trees to later rows of groups, of which the first rows are known.

    Parameters
    ----------
    table : Table
        Rows of all groups, with times.
    settings : FitSettings
        How trees are fitted.
    n_classes : int
        Number of classes.
    """
    cases = first_rows(_rows(table), _MOST_CASES)
    query = cases.query
    columns = lag_columns(cases.known, query, n_classes)
    fold = np.unique(query.fold, return_inverse=True)[1]
    population, _ = fit_population(
        settings, columns, query.y, query.weight, fold, n_classes, beside=True
    )
    return ClassLags(population, n_classes)


def _rows(table: Table) -> TimedRows:
    codes, times = table.group, table.times.astype(float)
    return TimedRows(table.X, times, table.y, codes, table.weight, table.X, table.fold)


def lag_columns(known: TimedRows, at: TimedRows, n_classes: int) -> np.ndarray:
    """Return columns (n, q) of rows to predict.

    They are the columns of the table, the last class before the row, the shares of the classes
    before it (first with equal weights, then with weights that fade), the number of known rows
    before it, and the time since the last one. Lags without known rows are NaN.
    """
    before = rows_before(known, at)
    first, n = before.first, before.n
    is_class = (known.y[before.order, None] == np.arange(n_classes)).astype(float)
    sums = np.vstack([np.zeros(n_classes), np.cumsum(is_class, 0)])
    fading, codes = np.zeros((len(is_class) + 1, n_classes)), known.codes[before.order]
    for k, row in enumerate(is_class):
        same = k > 0 and codes[k] == codes[k - 1]
        fading[k + 1] = row * (1 - _FADE) + (_FADE * fading[k] if same else 0.0)
    has_rows, last = n > 0, np.where(n > 0, first + n, 0)
    shares = (sums[last] - sums[np.where(has_rows, first, 0)]) / np.maximum(n, 1)[:, None]
    faded = fading[last] / np.maximum(fading[last].sum(1, keepdims=True), 1e-300)
    last_class = np.vstack([np.zeros(n_classes), is_class])[last]
    lags = np.where(has_rows[:, None], np.hstack([last_class, shares, faded]), np.nan)
    since = np.where(has_rows, at.times - np.append(known.times, 0.0)[before.last], np.nan)
    return np.column_stack([at.columns, lags, n, since])
