"""Losses of priors on held-out tasks."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import softmax

from skmeta.backend import to_numpy
from skmeta.learners._core import LEARNERS, Session, read_prior
from skmeta.learners.auto._tasks import Design, HeldOutTask
from skmeta.priors import MetaPrior

# Probabilities are raised to this value, as one query row must not decide a comparison.
LEAST_PROBABILITY = 1e-3
# Tasks that a prior is measured on, however long it takes.
_FEWEST_TASKS = 10


def losses_of_prior(
    prior: MetaPrior,
    design: Design,
    tasks: Sequence[HeldOutTask],
    device: str | torch.device,
    limit: float | None = None,
) -> np.ndarray:
    """Learn tasks with a prior, and measure its predictions.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    design : Design
        The rows.
    tasks : sequence of HeldOutTask
        The tasks.
    device : str or torch.device
        Where to compute.
    limit : float, optional
        Seconds after which the other tasks are left out.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Log loss, or squared error over the variance of all targets; infinite if a prediction is
        not finite, and NaN for tasks that were left out.
    """
    began = time.perf_counter()
    sessions: dict[tuple[int, ...], tuple[Session, dict[str, torch.Tensor]]] = {}
    found = np.full(len(tasks), np.nan)
    for k, task in enumerate(tasks):
        if limit is not None and k >= _FEWEST_TASKS and time.perf_counter() - began > limit:
            break
        labels = _labels_of(prior, design, task)
        classes = tuple(range(1 if labels is None else len(labels)))
        if classes not in sessions:
            sessions[classes] = read_prior(
                prior,
                LEARNERS[prior.learner],
                classes=classes,
                device=device,
                precision="float32" if design.is_image else "float64",
                # A transformer takes most of its time for a precision that makes no difference.
                learner_precision="float32" if prior.learner == "InContextLearner" else None,
                input_shape=design.input_shape,
            )
        session, state = sessions[classes]
        outputs = [_predict(session, state, design, s, task.query, labels) for s in task.supports]
        found[k] = np.mean([loss_of_task(design, task, labels, out) for out in outputs])
    return found


def _labels_of(prior: MetaPrior, design: Design, task: HeldOutTask) -> np.ndarray | None:
    """Return the labels of a prior's outputs; None for a regression."""
    if design.kind == "regression":
        return None
    if task.labels is not None:
        return task.labels
    return design.labels if prior.classes is None else np.sort(prior.classes)


def _predict(
    session: Session,
    state: dict[str, torch.Tensor],
    design: Design,
    support: np.ndarray,
    query: np.ndarray,
    labels: np.ndarray | None,
) -> np.ndarray:
    """Return targets (m,), or probabilities (m, n_labels)."""
    adapter, y = session.adapter, design.y[support]
    if labels is not None:
        # The rows to learn from may have lacked a class of the others.
        support = support[np.isin(y, labels)]
        y = np.searchsorted(labels, design.y[support])
    rows = adapter.rows(adapter.upload(design.X[support]), y, np.ones(len(support)))
    x = adapter.inputs(adapter.upload(design.X[query]))
    with torch.no_grad():
        adapted = session.learner.adapt(session.context, state, rows)
        outputs = session.learner.forward(session.context, adapted, x)
    if labels is None:
        return adapter.targets(outputs[:, 0].double())
    return np.asarray(softmax(to_numpy(outputs).astype(np.float64), axis=1))


def loss_of_task(
    design: Design, task: HeldOutTask, labels: np.ndarray | None, predicted: np.ndarray
) -> float:
    """Compute the mean loss of the query rows of a task.

    Parameters
    ----------
    design : Design
        The rows.
    task : HeldOutTask
        The task.
    labels : ndarray of shape (n_labels,) or None
        Sorted labels of the predicted probabilities; None for a regression.
    predicted : ndarray of shape (n_query,) or (n_query, n_labels)
        Targets, or probabilities.

    Returns
    -------
    float
        Log loss, or squared error over the variance of all targets.
    """
    y = design.y[task.query]
    if not np.isfinite(predicted).all():
        return np.inf
    if labels is None:
        with np.errstate(over="ignore"):
            return float(np.mean((predicted - y) ** 2) / max(design.y.var(), 1e-300))
    at = np.searchsorted(labels, y).clip(max=len(labels) - 1)
    p = np.clip(predicted, LEAST_PROBABILITY, None)
    p = p / p.sum(1, keepdims=True)
    of_truth = np.where(labels[at] == y, p[np.arange(len(y)), at], LEAST_PROBABILITY)
    return float(-np.log(of_truth).mean())


def mean_and_error(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the weighted mean of tasks and its standard error.

    Parameters
    ----------
    values : ndarray of shape (n_tasks,)
        Losses, or differences of losses.
    weights : ndarray of shape (n_tasks,)
        Weights.

    Returns
    -------
    mean, standard_error : float
        The error is infinite for a single task, or a loss that is not finite.
    """
    n, total = len(values), weights.sum()
    mean = float(np.average(values, weights=weights)) if n else np.nan
    if n < 2 or not np.isfinite(values).all():
        return mean, np.inf
    spread = (weights**2 * (values - mean) ** 2).sum() * n / (n - 1)
    return mean, float(np.sqrt(spread) / total)
