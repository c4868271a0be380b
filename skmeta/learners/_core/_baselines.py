"""Plain baselines without meta-learning, to compare a prior with on its validation tasks.

Notation: n rows, d features, k outputs (classes, or 1 for a regression).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import BaselineWarning
from skmeta.learners._core._inputs import fit_scaler
from skmeta.learners._core._task_source import TaskSource
from skmeta.tasks import GroupEpisodes, Task

# Penalty of the ridge regressions, for standardised features.
_PENALTY = 1.0
# The comparison must cost little: beyond these sizes, rows are left out, or ridge regressions are.
_MOST_ROWS = 10_000
_MOST_FEATURES = 1_000
# With fewer tasks, a standard error says little.
LEAST_TASKS = 10

NAMES = {
    "nearest_mean": "the nearest class mean of each support set",
    "task_ridge": "a ridge regression on each support set",
    "pooled_ridge": "one ridge regression on all rows of the meta-training",
}


def baseline_scores(
    train: TaskSource,
    tasks: Sequence[Task],
    X: np.ndarray,
    kind: str,
    *,
    y_mean: float = 0.0,
    y_scale: float = 1.0,
    is_image: bool = False,
) -> dict[str, np.ndarray]:
    """Score plain models on tasks.

    Parameters
    ----------
    train : TaskSource
        The meta-training, for the model that is fitted to all of its rows at once.
    tasks : sequence of Task
        The tasks to score on, as positions of rows in ``X``.
    X : ndarray of shape (n, d)
        The rows of these tasks; NaN is a missing value.
    kind : {"classification", "regression"}
        What the tasks are.
    y_mean, y_scale : float, default=0.0 and 1.0
        Standardisation of the targets of a regression.
    is_image : bool, default=False
        Whether rows are images, for which a ridge regression is no sensible baseline.

    Returns
    -------
    dict of str to ndarray of shape (n_tasks,)
        Accuracy, or minus the mean squared error of standardised targets, by the names of
        ``NAMES``: ``"nearest_mean"`` for classifications, ``"task_ridge"`` for tables (on one-hot
        classes), ``"pooled_ridge"`` for tables whose tasks are groups.
    """
    has_ridge = not is_image and X.shape[1] <= _MOST_FEATURES
    scaler = fit_scaler(not is_image, train.X, None, train.X.shape[1:])

    def standardise(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.nan_to_num((rows - scaler.x_mean) / scaler.x_scale))

    k = train.n_outputs
    pooled = None
    if has_ridge and isinstance(train.sampler, GroupEpisodes):
        step = -(-len(train.X) // _MOST_ROWS)
        rows, y = standardise(train.X[::step]), train.y[::step]
        if train.sampler.classes is not None:
            y = np.searchsorted(train.sampler.classes, y)
        else:
            y = (y - y_mean) / y_scale
        pooled = fit_ridge(rows, _outputs(y, kind, k), np.ones(len(rows)))
    scores: dict[str, list[float]] = {}
    for task in tasks:
        support, query = standardise(X[task.support]), standardise(X[task.query])
        y_support, y_query = task.y_support, task.y_query
        predicted = {}
        if kind == "classification":
            predicted["nearest_mean"] = nearest_mean(support, y_support, task.w_support, k, query)
        else:
            y_support, y_query = ((y - y_mean) / y_scale for y in (y_support, y_query))
        if has_ridge:
            model = fit_ridge(support, _outputs(y_support, kind, k), task.w_support)
            predicted["task_ridge"] = model(query)
        if pooled is not None:
            predicted["pooled_ridge"] = pooled(query)
        for name, outputs in predicted.items():
            value = _score(kind, outputs, y_query, task.w_query)
            scores.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in scores.items()}


def warn_if_beaten(learner: str, own: np.ndarray, baselines: Mapping[str, np.ndarray]) -> None:
    """Warn if a baseline is better than a prior by more than one standard error.

    Parameters
    ----------
    learner : str
        Name of the learner.
    own : ndarray of shape (n_tasks,)
        Score of the prior on each task; greater is better.
    baselines : mapping of str to ndarray of shape (n_tasks,)
        Those of the baselines on the same tasks.

    Warns
    -----
    BaselineWarning
        If one is.
    """
    if not baselines:
        return
    best = max(baselines, key=lambda name: baselines[name].mean())
    gain = baselines[best] - own
    if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
        warn_caller(
            f"The prior of {learner} scores {own.mean():.3g} on its {len(own)} validation tasks, "
            f"but {NAMES[best]}, without meta-learning, scores {baselines[best].mean():.3g} "
            "(history_ has both). Train for longer, on more tasks or with another learner or "
            "backbone, or use the plain model.",
            BaselineWarning,
        )


def nearest_mean(
    support: np.ndarray, y: np.ndarray, w: np.ndarray, k: int, query: np.ndarray
) -> np.ndarray:
    """Minus the squared distances (m, k) of query rows (m, d) to the class means."""
    member = (y[:, None] == np.arange(k)) * w[:, None]
    weight = member.sum(0)
    means = member.T @ support / np.maximum(weight, 1e-12)[:, None]
    distance = (query**2).sum(1, keepdims=True) - 2 * query @ means.T + (means**2).sum(1)
    return np.asarray(np.where(weight > 0, -distance, -np.inf))


def fit_ridge(
    x: np.ndarray, targets: np.ndarray, w: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a weighted ridge regression with an intercept; return its prediction function.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Rows.
    targets : ndarray of shape (n, k)
        Their targets.
    w : ndarray of shape (n,)
        Their weights.

    Returns
    -------
    callable
        Maps rows (m, d) to predictions (m, k).
    """
    x_mean, t_mean = (np.average(values, axis=0, weights=w) for values in (x, targets))
    root = np.sqrt(w)[:, None]
    a, b = root * (x - x_mean), root * (targets - t_mean)
    n, d = a.shape
    # The smaller of the two systems of equations, primal or dual.
    if d <= n:
        coefficients = np.linalg.solve(a.T @ a + _PENALTY * np.eye(d), a.T @ b)
    else:
        coefficients = a.T @ np.linalg.solve(a @ a.T + _PENALTY * np.eye(n), b)
    return lambda rows: (rows - x_mean) @ coefficients + t_mean


def _outputs(y: np.ndarray, kind: str, k: int) -> np.ndarray:
    if kind == "classification":
        return np.asarray(y[:, None] == np.arange(k), dtype=np.float64)
    return np.asarray(y, dtype=np.float64)[:, None]


def _score(kind: str, outputs: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    if kind == "classification":
        return float(np.average(outputs.argmax(1) == y, weights=w))
    return -float(np.average((outputs[:, 0] - y) ** 2, weights=w))
