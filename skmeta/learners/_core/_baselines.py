"""Plain baselines without meta-learning, to compare a prior with on its validation tasks.

Notation: n rows, d features, k outputs (classes, or 1 for a regression).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skmeta._warnings import warn_caller
from skmeta.backend import Scaler
from skmeta.exceptions import BaselineWarning
from skmeta.learners._core._inputs import fit_scaler
from skmeta.learners._core._task_source import TaskSource
from skmeta.tasks import GroupEpisodes, Task

# Penalty of the ridge regressions, for standardised features.
_PENALTY = 1.0
# The comparison must cost little: beyond these sizes, rows are left out, or ridge regressions are.
_MOST_ROWS = 10_000
_MOST_FEATURES = 1_000
# Tasks drawn to choose the scale of columns.
_N_TASKS = 50
# With fewer tasks, a standard error is too uncertain.
LEAST_TASKS = 10

NAMES = {
    "nearest_mean": "the nearest class mean of each support set",
    "nearest_neighbour": "the nearest neighbour in each support set",
    "logistic_regression": "a logistic regression on each support set",
    "task_ridge": "a ridge regression on each support set",
    "pooled_ridge": "one ridge regression on all rows of the meta-training",
}


def baseline_scores(
    train: TaskSource,
    tasks: Sequence[Task],
    X: np.ndarray,
    kind: str,
    scaler: Scaler,
    *,
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
    scaler : Scaler
        The learner's standardisation. If it leaves features as they are, those of a table are
        standardised by the rows of the meta-training.
    is_image : bool, default=False
        Whether rows are images, which are not standardised.

    Returns
    -------
    dict of str to ndarray of shape (n_tasks,)
        Accuracy, or minus the mean squared error of standardised targets, by the names of
        ``NAMES``: for classifications ``"nearest_mean"``, ``"nearest_neighbour"`` and, of up to
        1,000 features, ``"logistic_regression"``; for regressions ``"task_ridge"``; for tables
        whose tasks are groups ``"pooled_ridge"``.
    """
    is_small = X.shape[1] <= _MOST_FEATURES
    has_ridge = is_small and not is_image
    y_mean, y_scale = float(scaler.y_mean), float(scaler.y_scale)
    if not np.any(scaler.x_scale != 1):
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
            known = support, y_support, task.w_support
            predicted["nearest_mean"] = nearest_mean(*known, k, query)
            predicted["nearest_neighbour"] = nearest_neighbour(*known, k, query)
            if is_small:
                predicted["logistic_regression"] = logistic_regression(*known, k, query)
        else:
            y_support, y_query = ((y - y_mean) / y_scale for y in (y_support, y_query))
        if has_ridge and kind == "regression":
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


def nearest_neighbour(
    support: np.ndarray, y: np.ndarray, w: np.ndarray, k: int, query: np.ndarray
) -> np.ndarray:
    """Minus the squared distances (m, k) of query rows (m, d) to the nearest row of each class."""
    distance = (query**2).sum(1, keepdims=True) - 2 * query @ support.T + (support**2).sum(1)
    outputs = np.full((len(query), k), -np.inf)
    for label in np.unique(y[w > 0]):
        outputs[:, label] = -distance[:, (y == label) & (w > 0)].min(1)
    return outputs


def logistic_regression(
    support: np.ndarray, y: np.ndarray, w: np.ndarray, k: int, query: np.ndarray
) -> np.ndarray:
    """Probabilities (m, k) of scikit-learn's logistic regression.

    Its coefficients lie in the span of the rows, so that n coordinates do for d features.
    """
    outputs = np.zeros((len(query), k))
    present = np.unique(y[w > 0])
    if len(present) == 1:
        outputs[:, present] = 1.0
        return outputs
    basis = np.linalg.qr(support.T)[0] if support.shape[1] > len(support) else None
    rows, asked = (v if basis is None else v @ basis for v in (support, query))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # With one row of each class, scikit-learn takes labels for targets of a regression.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model = LogisticRegression().fit(rows, y, sample_weight=w)
    outputs[:, model.classes_] = model.predict_proba(asked)
    return outputs


def choose_scale(scaler: Scaler, source: TaskSource) -> Scaler:
    """Choose between one scale per column and one scale for all, which suits columns of one unit.

    Parameters
    ----------
    scaler : Scaler
        With the standard deviation of each column.
    source : TaskSource
        Classification tasks of the meta-training.

    Returns
    -------
    Scaler
        With one scale if the nearest class mean is better with it on 50 tasks, by more than two
        standard errors; else the same.
    """
    common = np.full_like(scaler.x_scale, np.sqrt(np.mean(scaler.x_scale**2)))
    rng, k = np.random.default_rng(0), source.n_outputs
    gains = []
    for task in (source.sampler.sample(rng) for _ in range(_N_TASKS)):
        rows = [np.nan_to_num(source.X[at] - scaler.x_mean) for at in (task.support, task.query)]
        scores = []
        for scale in (scaler.x_scale, common):
            support, query = (v / scale for v in rows)
            outputs = nearest_mean(support, task.y_support, task.w_support, k, query)
            scores.append(_score("classification", outputs, task.y_query, task.w_query))
        gains.append(scores[1] - scores[0])
    is_better = np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(_N_TASKS)
    return scaler._replace(x_scale=common) if is_better else scaler


def summarise(learner: str, history: Mapping[str, Sequence[float]]) -> str:
    """Say how a prior and plain models score on the validation tasks.

    Parameters
    ----------
    learner : str
        Name of the learner.
    history : mapping of str to sequence
        The learning curve.

    Returns
    -------
    str
        A sentence or two.
    """
    if "validation_score" not in history:
        return f"{learner} was not compared: there were no validation tasks."
    own = max(history["validation_score"])
    others = {
        text: history[f"{n}_score"][-1] for n, text in NAMES.items() if f"{n}_score" in history
    }
    listed = "; ".join(f"{text} {score:.3g}" for text, score in others.items())
    best = max(others.values(), default=-np.inf)
    ahead = (
        f"{learner} is ahead" if own > best else f"{max(others, key=others.__getitem__)} is ahead"
    )
    return (
        f"On validation tasks, {learner} scores {own:.3g}; {listed}. {ahead[0].upper()}{ahead[1:]}."
    )


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
