"""Trees with the earlier rows of the group as columns.

Numbers: they are fitted to changes since the last value. Classes: they are a member of the mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skmeta._sklearn_compat import cut_rounds
from skmeta._tabular import (
    FitSettings,
    Member,
    Outputs,
    Population,
    Table,
    TreeEnsemble,
    fit_population,
    trees_to_arrays,
)
from skmeta.grouped.longitudinal._rows import Cases, first_rows, rows_before

_MAX_ROUNDS = 80
_SETTINGS = {
    "learning_rate": 0.1,
    "max_leaf_nodes": 12,
    "max_bins": 127,
    "early_stopping": False,
    "random_state": 0,
}
# Trees need this many rows.
_MIN_ROWS = 60
# Rows to predict that trees for classes are fitted to, at most.
_MAX_CASES = 4000
# Shares of earlier classes fade by this factor from row to row.
_FADE = 0.7


def step_columns(known: Table, at: Table) -> np.ndarray:
    """Return columns (n, q) of rows to predict; NaN without known rows."""
    before = rows_before(known, at)
    y, t = known.y[before.order], known.times[before.order]
    first, n = before.first, before.n

    def row(place: np.ndarray, least: int, values: np.ndarray) -> np.ndarray:
        padded = np.append(values, np.nan)
        return np.asarray(padded[np.where(n >= least, place, len(values))])

    last, previous = row(first + n - 1, 1, y), row(first + n - 2, 2, y)
    sums = np.append(0.0, np.cumsum(y))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums[first + n] - sums[first]) / n
        rise = (last - row(first, 2, y)) / (row(first + n - 1, 2, t) - row(first, 2, t))
    since = at.times - row(first + n - 1, 1, t)
    rise = np.where(np.isfinite(rise), rise, np.nan)
    X = at.features
    X_last = np.vstack([known.features, np.full((1, X.shape[1]), np.nan)])[before.last]
    parts = [last, last - previous, mean, rise, since, n, at.times, X, X - X_last]
    return np.column_stack(parts)


class Steps(NamedTuple):
    """Trees that correct the last value, fitted on different groups and averaged; none keep it."""

    models: Sequence[TreeEnsemble]
    n_rounds: int

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Return corrections (n,) from columns (n, q)."""
        if not self.models:
            return np.zeros(len(columns))
        return np.asarray(np.mean([model.predict(columns) for model in self.models], axis=0))


def _weights(cases: Cases) -> np.ndarray:
    """Return weights of rows: a case with many rows counts more, but not as many times."""
    codes = np.unique(cases.query.group, return_inverse=True)[1]
    return np.asarray(cases.query.weight / np.sqrt(np.bincount(codes))[codes])


def cross_fit_steps(
    columns: np.ndarray, left: np.ndarray, cases: Cases, folds: np.ndarray
) -> tuple[Steps, np.ndarray]:
    """Fit trees in folds of groups to what is `left` (n,) of targets after the last values.

    Return them, with the best number of rounds, and corrections (n,) by trees without the group.
    """
    weight, models, unseen = _weights(cases), [], np.zeros((_MAX_ROUNDS, len(left)))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(outside) < _MIN_ROWS:
            return Steps([], 0), np.zeros(len(left))
        model = _fit(columns[outside], left[outside], weight[outside], _MAX_ROUNDS)
        unseen[:, inside] = list(model.staged_predict(columns[inside]))
        models.append(model)
    losses = (left - unseen) ** 2 @ weight
    best = int(np.argmin(losses))
    if losses[best] >= left**2 @ weight:
        return Steps([], 0), np.zeros(len(left))
    for model in models:
        cut_rounds(model, best + 1)
    return Steps([trees_to_arrays(model) for model in models], best + 1), unseen[best]


def fit_steps(columns: np.ndarray, left: np.ndarray, cases: Cases, n_rounds: int) -> Steps:
    """Fit trees with a given number of rounds; see :func:`cross_fit_steps`."""
    if not n_rounds or len(left) < _MIN_ROWS:
        return Steps([], 0)
    return Steps([trees_to_arrays(_fit(columns, left, _weights(cases), n_rounds))], n_rounds)


def _fit(columns: np.ndarray, left: np.ndarray, weight: np.ndarray, n_rounds: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    # Trees need a value in each column.
    columns = np.where(np.isnan(columns).all(0), 0.0, columns)
    # Rows are drawn by their weights: with weights, binning takes ten times as long.
    drawn = np.random.default_rng(0).choice(len(left), len(left), p=weight / weight.sum())
    model = HistGradientBoostingRegressor(max_iter=n_rounds, **_SETTINGS)
    return model.fit(columns[drawn], left[drawn])


@dataclass(frozen=True)
class ClassLags(Member):
    """Trees over groups, cross-fitted, that know the last classes of the group; a member."""

    population: Population
    n_classes: int

    def condition(self, known: Table) -> ConditionedLags:
        """Take the known rows of groups."""
        return ConditionedLags(self, known)


class ConditionedLags(NamedTuple):
    """Trees that know the last classes, given known rows."""

    member: ClassLags
    known: Table

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups."""
        columns = lag_columns(self.known, at, self.member.n_classes)
        return Outputs(self.member.population.predict(columns, at.fold), np.zeros(len(columns)))


def fit_class_lags(table: Table, settings: FitSettings, n_classes: int) -> ClassLags:
    """Fit trees to later rows of groups, given the first rows of each."""
    cases = first_rows(table, _MAX_CASES)
    query = cases.query
    columns = lag_columns(cases.known, query, n_classes)
    fold = np.unique(query.fold, return_inverse=True)[1]
    population, _ = fit_population(
        settings, columns, query.y, query.weight, fold, n_classes, corrects_base=True
    )
    return ClassLags(population, n_classes)


def lag_columns(known: Table, at: Table, n_classes: int) -> np.ndarray:
    """Return columns (n, q) of rows to predict: those of the table, and earlier classes.

    These are the last one, shares with equal and with fading weights, their number and the time
    since.
    """
    before = rows_before(known, at)
    first, n = before.first, before.n
    is_class = (known.y[before.order, None] == np.arange(n_classes)).astype(float)
    sums = np.vstack([np.zeros(n_classes), np.cumsum(is_class, 0)])
    fading, codes = np.zeros((len(is_class) + 1, n_classes)), known.group[before.order]
    for k, row in enumerate(is_class):
        same = k > 0 and codes[k] == codes[k - 1]
        fading[k + 1] = row * (1 - _FADE) + (_FADE * fading[k] if same else 0.0)
    has_rows, last = n > 0, np.where(n > 0, first + n, 0)
    shares = (sums[last] - sums[np.where(has_rows, first, 0)]) / np.maximum(n, 1)[:, None]
    faded = fading[last] / np.maximum(fading[last].sum(1, keepdims=True), 1e-300)
    last_class = np.vstack([np.zeros(n_classes), is_class])[last]
    lags = np.where(has_rows[:, None], np.hstack([last_class, shares, faded]), np.nan)
    since = np.where(has_rows, at.times - np.append(known.times, 0.0)[before.last], np.nan)
    return np.column_stack([at.X, lags, n, since])
