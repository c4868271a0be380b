"""Losses of priors, and of plain models of scikit-learn, on held-out tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta.backend import State, to_numpy
from skmeta.learners._core import LEARNERS, Session, read_prior
from skmeta.learners.auto._candidates import Entry
from skmeta.learners.auto._tasks import Design
from skmeta.priors import MetaPrior
from skmeta.tasks import Task

POOLED, OWN = "pooled rows (plain)", "own rows (plain)"
TREES = "boosted trees on pooled rows (plain)"
# Probabilities are raised to this value, as one query row must not decide a comparison.
_LEAST_PROBABILITY = 1e-3


def losses_of_prior(prior: MetaPrior, design: Design, fold: int, device: Any) -> np.ndarray:
    """Return the loss of each task of a fold, learned with a prior: see :func:`_losses`."""

    @cache
    def open_session(n_outputs: int) -> tuple[Session, State]:
        return read_prior(
            prior,
            LEARNERS[prior.learner],
            classes=range(n_outputs),
            device=device,
            precision="float32" if design.is_image else "float64",
            # A transformer takes most of its time for a precision that makes no difference.
            learner_precision="float32" if prior.learner == "InContextLearner" else None,
            input_shape=design.input_shape,
        )

    def predict(task: Task) -> np.ndarray:
        x, y, x_query, _ = task.take(design.X)
        known = np.arange(task.n_classes or 1)
        if task.classes is not None and prior.classes is not None:
            # The rows to learn from may have lacked a class of the others.
            known = np.flatnonzero(np.isin(task.classes, prior.classes))
            kept = np.isin(y, known)
            x, y = x[kept], np.array(np.searchsorted(known, y[kept]))
        session, state = open_session(len(known))
        adapter = session.adapter
        support = adapter.rows(adapter.upload(x), y, np.ones(len(y)))
        with torch.no_grad():
            adapted = session.learner.adapt(session.context, state, support)
            query = adapter.inputs(adapter.upload(x_query))
            outputs = session.learner.forward(session.context, adapted, query)
        if task.classes is None:
            return adapter.targets(outputs[:, 0].double())
        return _in_columns(softmax(to_numpy(outputs).astype(np.float64), axis=1), known, task)

    return _losses(predict, design, fold)


def plain_entries(design: Design) -> list[Entry]:
    """Compare plain models on the held-out tasks.

    Parameters
    ----------
    design : Design
        The rows and the tasks.

    Returns
    -------
    list of Entry
        A ridge or logistic regression on the rows of the task (``OWN``); for groups also one on
        the rows of all tasks (``POOLED``), and gradient-boosted trees on these (``TREES``).
    """
    if design.kind == "regression":
        models = {OWN: _linear(Ridge()), POOLED: _linear(RidgeCV(np.logspace(-2, 4, 13)))}
        models[TREES] = HistGradientBoostingRegressor(random_state=0)
    else:
        line = _linear(LogisticRegression(max_iter=500))
        models = {OWN: line, POOLED: line, TREES: HistGradientBoostingClassifier(random_state=0)}
    entries = []
    for name in (OWN,) if design.groups is None else (OWN, POOLED, TREES):
        entry, began = Entry(name, status="plain"), time.perf_counter()
        folds = range(len(design.train_rows))
        entry.loss = np.concatenate([_plain(models[name], design, k, name != OWN) for k in folds])
        entry.seconds = time.perf_counter() - began
        entries.append(entry)
    return entries


def _linear(model: Any) -> Any:
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def _plain(model: Any, design: Design, fold: int, is_pooled: bool) -> np.ndarray:
    def fit(X: np.ndarray, y: np.ndarray) -> Any:
        is_constant = design.kind == "classification" and len(np.unique(y)) < 2
        return clone(DummyClassifier() if is_constant else model).fit(X, y)

    rows, targets = design.train_rows[fold], design.y
    if design.kind == "classification":
        targets = np.unique(targets, return_inverse=True)[1]
    pooled = fit(design.X[rows], targets[rows]) if is_pooled else None

    def predict(task: Task) -> np.ndarray:
        x, y, x_query, _ = task.take(design.X)
        fitted = pooled or fit(x, y)
        if task.classes is None:
            return np.asarray(fitted.predict(x_query))
        return _in_columns(fitted.predict_proba(x_query), fitted.classes_, task)

    return _losses(predict, design, fold)


def _in_columns(proba: np.ndarray, positions: np.ndarray, task: Task) -> np.ndarray:
    """Return probabilities of all classes of a task; those without a prediction have 0."""
    columns = np.zeros((len(proba), task.n_classes or 0))
    columns[:, positions] = proba
    return columns


def _losses(predict: Callable[[Task], np.ndarray], design: Design, fold: int) -> np.ndarray:
    """Return the loss of each task of a fold.

    It is the log loss, or the squared error over the variance of all targets, as the mean over the
    draws; infinite if a prediction is not finite.
    """

    def loss(task: Task) -> float:
        y, predicted = task.take(design.X)[3], predict(task)
        if not np.isfinite(predicted).all():
            return np.inf
        if task.classes is None:
            with np.errstate(over="ignore"):
                return float(np.mean((predicted - y) ** 2) / max(design.y.var(), 1e-300))
        p = np.clip(predicted, _LEAST_PROBABILITY, None)
        return float(-np.log(p[np.arange(len(y)), y] / p.sum(1)).mean())

    positions = np.flatnonzero(design.fold == fold)
    return np.array([np.mean([loss(task) for task in design.tasks[k]]) for k in positions])


def mean_and_error(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the weighted mean of tasks and its standard error.

    Parameters
    ----------
    values : ndarray of shape (n_known,)
        Losses of the first tasks, or differences of losses.
    weights : ndarray of shape (n_tasks,)
        Weights of all tasks.

    Returns
    -------
    mean, standard_error : float
        The error is infinite for a single task, or a loss that is not finite.
    """
    n = len(values)
    weights = weights[:n]
    mean = float(np.average(values, weights=weights)) if n else np.nan
    if n < 2 or not np.isfinite(values).all():
        return mean, np.inf
    spread = (weights**2 * (values - mean) ** 2).sum() * n / (n - 1)
    return mean, float(np.sqrt(spread) / weights.sum())
