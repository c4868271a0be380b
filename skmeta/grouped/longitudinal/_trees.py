"""Trees with the earlier rows of the group as columns, fitted to changes since the last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skmeta._sklearn_compat import cut_rounds
from skmeta._tabular import (
    Table,
    TreeEnsemble,
    trees_to_arrays,
)
from skmeta.grouped.longitudinal._rows import Cases, rows_before

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
