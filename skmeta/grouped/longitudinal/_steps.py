"""Trees on changes since the last value, with the earlier rows of the group as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from skmeta._sklearn_compat import cut_rounds
from skmeta.grouped.longitudinal._rows import Cases, TimedRows, rows_before

_MOST_ROUNDS = 80
_SETTINGS = {
    "learning_rate": 0.1,
    "max_leaf_nodes": 12,
    "max_bins": 127,
    "early_stopping": False,
    "random_state": 0,
}
# Trees need so many rows.
_LEAST_ROWS = 60


def step_columns(known: TimedRows, at: TimedRows) -> np.ndarray:
    """Return columns of rows to predict.

    Parameters
    ----------
    known, at : TimedRows
        Known rows of groups, and rows to predict.

    Returns
    -------
    ndarray of shape (n, q)
        The columns; the last target, its last change, the mean, the slope and the number of known
        rows before, the time since, the time, and changes of the columns. NaN without known rows.
    """
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
    X_last = np.vstack([known.X, np.full((1, at.X.shape[1]), np.nan)])[before.last]
    parts = [last, last - previous, mean, rise, since, n, at.times, at.X, at.X - X_last]
    return np.column_stack(parts)


class Steps(NamedTuple):
    """Trees that correct the last value.

    Attributes
    ----------
    models : sequence of estimator
        Fitted on different groups; their mean is taken. Without models, it stays.
    n_rounds : int
        Rounds of each.
    """

    models: Sequence[Any]
    n_rounds: int

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Return corrections (n,) from columns (n, q)."""
        if not self.models:
            return np.zeros(len(columns))
        return np.asarray(np.mean([model.predict(columns) for model in self.models], axis=0))


def _weights(cases: Cases) -> np.ndarray:
    """Return weights of rows: a case with many rows counts more, but not as many times."""
    codes = np.unique(cases.query.codes, return_inverse=True)[1]
    return np.asarray(cases.query.weight / np.sqrt(np.bincount(codes))[codes])


def cross_fit_steps(
    columns: np.ndarray, left: np.ndarray, cases: Cases, folds: np.ndarray
) -> tuple[Steps, np.ndarray]:
    """Fit trees in folds of groups, with the number of rounds that is best in the others.

    Parameters
    ----------
    columns : ndarray of shape (n, q)
        Columns.
    left : ndarray of shape (n,)
        Targets minus the last values.
    cases : Cases
        The n rows to predict.
    folds : ndarray of shape (n,), int64
        Fold of each row's group.

    Returns
    -------
    steps : Steps
        The trees.
    unseen : ndarray of shape (n,)
        Corrections of each row by trees that have not seen its group.
    """
    weight, models, unseen = _weights(cases), [], np.zeros((_MOST_ROUNDS, len(left)))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(outside) < _LEAST_ROWS:
            return Steps([], 0), np.zeros(len(left))
        model = _fit(columns[outside], left[outside], weight[outside], _MOST_ROUNDS)
        unseen[:, inside] = list(model.staged_predict(columns[inside]))
        models.append(model)
    losses = (left - unseen) ** 2 @ weight
    best = int(np.argmin(losses))
    if losses[best] >= left**2 @ weight:
        return Steps([], 0), np.zeros(len(left))
    for model in models:
        cut_rounds(model.set_params(max_iter=best + 1), best + 1)
    return Steps(models, best + 1), unseen[best]


def fit_steps(columns: np.ndarray, left: np.ndarray, cases: Cases, n_rounds: int) -> Steps:
    """Fit trees with a given number of rounds; see :func:`cross_fit_steps`."""
    if not n_rounds or len(left) < _LEAST_ROWS:
        return Steps([], 0)
    return Steps([_fit(columns, left, _weights(cases), n_rounds)], n_rounds)


def _fit(columns: np.ndarray, left: np.ndarray, weight: np.ndarray, n_rounds: int) -> Any:
    # Trees need a value in each column.
    columns = np.where(np.isnan(columns).all(0), 0.0, columns)
    # Rows are drawn by their weights: with weights, binning takes ten times as long.
    drawn = np.random.default_rng(0).choice(len(left), len(left), p=weight / weight.sum())
    model = HistGradientBoostingRegressor(max_iter=n_rounds, **_SETTINGS)
    return model.fit(columns[drawn], left[drawn])
