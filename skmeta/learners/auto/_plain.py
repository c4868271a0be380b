"""Plain models, which learners are compared with.

Notation: n rows, d features with a leading 1, c classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV

from skmeta.learners._core import fit_scaler
from skmeta.learners.auto._losses import loss_of_task
from skmeta.learners.auto._tasks import Design, HeldOutTask

POOLED, OWN, BOTH = "pooled rows (plain)", "own rows (plain)", "pooled and own rows (plain)"
NEAREST, TREES = "nearest class mean (plain)", "boosted trees on pooled rows (plain)"

_PENALTIES = np.logspace(-2, 4, 13)
# Penalties of the difference between the coefficients of a task and those of all rows.
_PULLS = (1.0, 10.0, 100.0)
# More features would take long and help no plain model.
_MOST_FEATURES = 500

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def plain_losses(design: Design) -> dict[str, tuple[np.ndarray, float]]:
    """Compare plain models on the held-out tasks.

    Parameters
    ----------
    design : Design
        The rows and the tasks.

    Returns
    -------
    dict of str to tuple of ndarray of shape (n_tasks,) and float
        Loss of each task, and seconds. For groups, a ridge or logistic regression on the rows of
        all tasks (``POOLED``), on those of the task (``OWN``), and on both (``BOTH``):
        coefficients of the task are pulled towards those of all rows, as strongly as is best on
        these tasks; and gradient-boosted trees on the rows of all tasks (``TREES``). For tasks
        drawn from classes, ``OWN`` (with up to 500 features) and the nearest class mean
        (``NEAREST``).
    """
    found: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    for fold, train in enumerate(design.folds):
        positions = design.of_fold(fold)
        scaler, models = fit_scaler(True, design.X[train], None, design.input_shape), {}
        X = np.nan_to_num((design.X - scaler.x_mean) / scaler.x_scale)
        if design.groups is not None:
            models = _grouped_models(design, X, train) | _pooled_trees(design, X, train)
        elif X.shape[1] <= _MOST_FEATURES:
            models[OWN] = _own_classifier
        if design.groups is None:
            models[NEAREST] = _nearest_mean
        for name, predict in models.items():
            began = time.perf_counter()
            of = found.setdefault(name, np.full(len(design.tasks), np.nan))
            for k in positions:
                of[k] = _loss(design, X, design.tasks[k], predict)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
    return _best_pull(found, seconds, design.weights)


def _best_pull(
    found: dict[str, np.ndarray], seconds: dict[str, float], weights: np.ndarray
) -> dict[str, tuple[np.ndarray, float]]:
    pulls = {n: v for n, v in found.items() if n.startswith(BOTH)}
    kept = {n: (v, seconds[n]) for n, v in found.items() if n not in pulls}
    if pulls:
        best = min(pulls.values(), key=lambda v: float(np.average(v, weights=weights)))
        kept[BOTH] = best, sum(seconds[name] for name in pulls)
    return kept


def _loss(design: Design, X: np.ndarray, task: HeldOutTask, predict: Predict) -> float:
    labels = None
    if design.kind == "classification":
        labels = design.labels if task.labels is None else task.labels
    values = []
    for support in task.supports:
        y = design.y[support]
        targets = y if labels is None else (y[:, None] == labels).astype(np.float64)
        predicted = predict(X[support], targets, X[task.query])
        values.append(loss_of_task(design, task, labels, predicted))
    return float(np.mean(values))


def _grouped_models(design: Design, X: np.ndarray, train: np.ndarray) -> dict[str, Predict]:
    if design.kind == "regression":
        ridge = RidgeCV(_PENALTIES).fit(X[train], design.y[train])
        coefficients = np.r_[ridge.intercept_, ridge.coef_][:, None]
        scale = max(float(design.y[train].std()), 1e-300)
        models: dict[str, Predict] = {
            POOLED: lambda _x, _y, query: _line(query, coefficients)[:, 0],
            OWN: lambda x, y, query: RidgeCV(_PENALTIES).fit(x, y).predict(query)
            if len(y) > 1
            else np.full(len(query), y.mean()),
        }
        for pull in _PULLS:
            models[f"{BOTH} {pull}"] = _pulled_line(coefficients / scale, pull, scale)
        return models
    logits = _pooled_logits(X[train], design.y[train], design.labels)
    models = {
        POOLED: lambda _x, _y, query: softmax(_line(query, logits), axis=1),
        OWN: _own_classifier,
    }
    for pull in _PULLS:
        models[f"{BOTH} {pull}"] = _pulled_classes(logits, pull)
    return models


def _pooled_trees(design: Design, X: np.ndarray, train: np.ndarray) -> dict[str, Predict]:
    if design.kind == "regression":
        regressor = HistGradientBoostingRegressor(random_state=0).fit(X[train], design.y[train])
        return {TREES: lambda _x, _y, query: np.asarray(regressor.predict(query))}
    present = np.flatnonzero(np.isin(design.labels, design.y[train]))
    if len(present) < 2:
        return {}
    classifier = HistGradientBoostingClassifier(random_state=0).fit(X[train], design.y[train])

    def predict(_x: np.ndarray, _y: np.ndarray, query: np.ndarray) -> np.ndarray:
        proba = np.zeros((len(query), len(design.labels)))
        proba[:, present] = classifier.predict_proba(query)
        return proba

    return {TREES: predict}


def _line(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return np.asarray(coefficients[0] + x @ coefficients[1:])


def _pooled_logits(X: np.ndarray, y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return coefficients (d, c) of a logistic regression; those of absent classes are low."""
    logits = np.zeros((X.shape[1] + 1, len(labels)))
    present = np.isin(labels, y)
    logits[0, ~present] = -10.0
    if present.sum() > 1:
        model = LogisticRegression(max_iter=500).fit(X, y)
        coefficients = np.c_[model.intercept_, model.coef_].T
        if coefficients.shape[1] == 1:
            coefficients = np.c_[np.zeros_like(coefficients), coefficients]
        logits[:, present] = coefficients
    return logits


def _pulled_line(coefficients: np.ndarray, pull: float, scale: float) -> Predict:
    def predict(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
        z = np.c_[np.ones(len(x)), x]
        residual = y[:, None] / scale - _line(x, coefficients)
        change = z.T @ np.linalg.solve(z @ z.T + pull * np.eye(len(z)), residual)
        return np.asarray(scale * _line(query, coefficients + change)[:, 0])

    return predict


def _pulled_classes(logits: np.ndarray, pull: float) -> Predict:
    def predict(x: np.ndarray, targets: np.ndarray, query: np.ndarray) -> np.ndarray:
        return np.asarray(softmax(_line(query, logits + _change(x, targets, logits, pull)), axis=1))

    return predict


def _change(x: np.ndarray, targets: np.ndarray, logits: np.ndarray, pull: float) -> np.ndarray:
    """Return the change (d, c) of coefficients: a penalised logistic regression."""
    z, offset = np.c_[np.ones(len(x)), x], _line(x, logits)
    gram, shape = z @ z.T, targets.shape

    # The change is z.T @ a, with as many rows of a as there are rows.
    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        a = flat.reshape(shape)
        outputs = offset + gram @ a
        value = -(targets * log_softmax(outputs, axis=1)).sum() + pull / 2 * (a * (gram @ a)).sum()
        return value, (gram @ (softmax(outputs, axis=1) - targets + pull * a)).ravel()

    options = {"maxiter": 50}
    found = minimize(
        objective, np.zeros(targets.size), jac=True, method="L-BFGS-B", options=options
    )
    return np.asarray(z.T @ found.x.reshape(shape))


def _own_classifier(x: np.ndarray, targets: np.ndarray, query: np.ndarray) -> np.ndarray:
    """A logistic regression on the rows of the task; shares of the classes if it has one class."""
    counts = targets.sum(0)
    if (counts > 0).sum() < 2:
        return np.tile((counts + 0.5) / (counts + 0.5).sum(), (len(query), 1))
    start = np.zeros((x.shape[1] + 1, targets.shape[1]))
    start[0] = np.log(counts + 0.5)
    return np.asarray(softmax(_line(query, start + _change(x, targets, start, 1.0)), axis=1))


def _nearest_mean(x: np.ndarray, targets: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Classes by their means, with the spread of the rows around them as temperature."""
    means = targets.T @ x / targets.sum(0)[:, None]
    spread = max(float(((x - targets @ means) ** 2).mean()), 1e-3)
    distance = ((query[:, None] - means) ** 2).sum(2)
    return np.asarray(softmax(-distance / (2 * spread * max(1.0, np.sqrt(x.shape[1]))), axis=1))
