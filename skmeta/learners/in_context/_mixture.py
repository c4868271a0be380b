"""A mixed-effects model of the family beside the transformer, and the mixture of the two.

The model is that of :class:`~skmeta.learners.HierarchicalLinear`, estimated from the rows of all
tasks. Meta-training does not change it. A prediction is a mixture: of K support rows, the model has
the weight c / (K + c) and the transformer the rest, so that the transformer counts more with more
rows. Before that, the transformer's density is raised to the power 1 / T, because it may be too
sure of itself in a family unlike the tables it has learned from. c and T are estimated on tasks
that the model has not seen, and meta-training continues from there.

A mixture gives a probability to a class that the support set lacks, and one of its parts alone
cannot do much harm. (A product of probabilities does neither.)

Notation: n support rows, m query rows, b bins, k noise levels, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from skmeta.backend import Rows, State
from skmeta.learners._core import Context
from skmeta.learners.hierarchical import (
    condition_mixed_model,
    predict_classes,
    predict_targets,
    with_intercept,
)
from skmeta.learners.in_context._binned import bin_edges

_MODEL, _TASK = "mixed.", "task."
_SHARE, _TEMPERATURE, _LOG_ROWS = "mixed.share", "mixed.temperature", "task.log_rows"
# A step of meta-training changes log c and log T by this many times its step size.
_STEP_SCALE = 20.0
# Temperatures that are tried before meta-training.
TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
# Bounds of log c.
_LOG_BOUNDS = (-5.0, 8.0)


def name_mixed_model(model: Mapping[str, Tensor], c: float, temperature: float) -> State:
    """Return a model, c and T under their names in a state."""
    named = {_MODEL + name: value for name, value in model.items()}
    log_c, log_t = torch.log(torch.tensor([c, temperature], dtype=torch.float64)) / _STEP_SCALE
    return named | {_SHARE: log_c, _TEMPERATURE: log_t}


def mixed_model(state: Mapping[str, Tensor]) -> State:
    """Return the model of a state, which gradients do not reach."""
    return {
        n.removeprefix(_MODEL): v.detach()
        for n, v in state.items()
        if n.startswith(_MODEL) and n not in (_SHARE, _TEMPERATURE)
    }


def condition(context: Context, state: Mapping[str, Tensor], rows: Rows) -> State:
    """Condition the model on a support set.

    Parameters
    ----------
    context : Context
        Kind and classes of the task.
    state : mapping of str to Tensor
        The prior.
    rows : Rows
        The support set.

    Returns
    -------
    dict of Tensor
        Tensors that :func:`mix_classes` and :func:`mix_bins` need; none without a model, or if
        the task has a class that the model does not know.
    """
    if _MODEL + "weight" not in state:  # without a mixed-effects model
        return {}
    classes = context.classes if context.kind == "classification" else None
    if classes is not None and bool((classes < 0).any()):
        return {}
    of_task = condition_mixed_model(mixed_model(state), _design(rows.x), rows.y, rows.w, classes)
    kept = {_TASK + n: v.to(rows.x.dtype) for n, v in of_task.items()}
    return kept | {_LOG_ROWS: torch.log(rows.w.sum())}


def is_conditioned(adapted: Mapping[str, Tensor]) -> bool:
    """Return whether an adapted state holds what :func:`condition` returned."""
    return _LOG_ROWS in adapted


def _design(x: Tensor) -> Tensor:
    """Return rows (m, ...) with a leading 1; a missing value is the mean of the family."""
    return with_intercept(torch.nan_to_num(x.flatten(1)))


def _of_task(adapted: Mapping[str, Tensor]) -> State:
    return {n.removeprefix(_TASK): v.double() for n, v in adapted.items() if n.startswith(_TASK)}


def log_weights(adapted: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the logarithms of the weights of the transformer and of the model."""
    odds = _STEP_SCALE * adapted[_SHARE] - adapted[_LOG_ROWS]
    return F.logsigmoid(-odds), F.logsigmoid(odds)


def temper_classes(own: Tensor, temperature: float | Tensor) -> Tensor:
    """Raise probabilities (m, c) of classes, given as logarithms, to the power 1 / T."""
    return F.log_softmax(own / temperature, 1)


def temper_bins(own: Tensor, temperature: float | Tensor) -> Tensor:
    """Raise a density, given as log probabilities (m, b) of bins, to the power 1 / T."""
    log_width = torch.log(F.pad(bin_edges().diff(), (1, 1), value=1.0)).to(own)
    return F.log_softmax(own / temperature + (1 - 1 / temperature) * log_width, 1)


def learned_temperature(adapted: Mapping[str, Tensor]) -> Tensor:
    """Return T."""
    return torch.exp(_STEP_SCALE * adapted[_TEMPERATURE])


def mixed_class_log_probability(
    context: Context, adapted: Mapping[str, Tensor], x: Tensor
) -> Tensor:
    """Return the model's log probabilities (m, c) of the classes of rows (m, ...)."""
    model, of_task = mixed_model(adapted), _of_task(adapted)
    return predict_classes(model, of_task, _design(x), context.classes)


def mix_classes(context: Context, adapted: Mapping[str, Tensor], x: Tensor, own: Tensor) -> Tensor:
    """Mix the transformer's log probabilities (m, c) of rows (m, ...) with the model's."""
    of_model = mixed_class_log_probability(context, adapted, x).to(own.dtype)
    for_own, for_model = (weight.to(own.dtype) for weight in log_weights(adapted))
    own = temper_classes(own, learned_temperature(adapted).to(own.dtype))
    return torch.logaddexp(own + for_own, of_model + for_model)


def mixed_bin_log_probability(
    adapted: Mapping[str, Tensor], x: Tensor, origin: Tensor, scale: Tensor
) -> Tensor:
    """Return the model's log probabilities (m, b) of the bins of rows (m, ...).

    Parameters
    ----------
    adapted : mapping of str to Tensor
        The adapted state.
    x : Tensor of shape (m, ...)
        Rows.
    origin : Tensor of shape (m,)
        Target at the middle of the bins.
    scale : Tensor of shape ()
        Unit of the bins.

    Returns
    -------
    Tensor of shape (m, b)
        In double precision.
    """
    mean, variance, log_weight = predict_targets(_of_task(adapted), _design(x).double())
    edges = bin_edges().to(mean) * scale.double() + origin.double()[:, None]
    at = (edges - mean[:, :, None]) / variance.sqrt()[:, :, None]
    below = (log_weight.exp()[:, None, None] * torch.special.ndtr(at)).sum(0)
    bins = F.pad(F.pad(below, (1, 0)), (0, 1), value=1.0).diff()
    return torch.log(bins.clamp_min(torch.finfo(torch.float32).tiny))


def mix_bins(
    adapted: Mapping[str, Tensor], x: Tensor, origin: Tensor, scale: Tensor, own: Tensor
) -> Tensor:
    """Mix the transformer's log probabilities (m, b) of bins, tempered, with the model's."""
    of_model = mixed_bin_log_probability(adapted, x, origin, scale).to(own.dtype)
    for_own, for_model = (weight.to(own.dtype) for weight in log_weights(adapted))
    return torch.logaddexp(own + for_own, of_model + for_model)


def mix_means(adapted: Mapping[str, Tensor], x: Tensor, own: Tensor) -> Tensor:
    """Mix the transformer's means (m, 1) of the targets of rows with the model's."""
    mean, _, log_weight = predict_targets(_of_task(adapted), _design(x).double())
    of_model = (log_weight.exp()[:, None] * mean).sum(0)[:, None].to(own.dtype)
    for_own, for_model = (weight.exp().to(own.dtype) for weight in log_weights(adapted))
    return for_own * own + for_model * of_model


def estimate_weight(
    own: np.ndarray, of_model: np.ndarray, log_rows: np.ndarray, w: np.ndarray
) -> tuple[float, float]:
    """Estimate c and T by maximum likelihood.

    Parameters
    ----------
    own : ndarray of shape (m, n_temperatures)
        Log probability, or density, of held-out targets by the transformer at each temperature.
    of_model : ndarray of shape (m,)
        The same by the model.
    log_rows : ndarray of shape (m,)
        log K of each.
    w : ndarray of shape (m,)
        Weights of the targets.

    Returns
    -------
    c, temperature : float
        The estimates; the temperature is one of those given.
    """

    def risk(log_c: float, at: np.ndarray) -> float:
        odds = log_c - log_rows
        for_own, for_model = -np.logaddexp(0.0, odds), -np.logaddexp(0.0, -odds)
        return float(-np.average(np.logaddexp(at + for_own, of_model + for_model), weights=w))

    found = [
        minimize_scalar(risk, bounds=_LOG_BOUNDS, method="bounded", args=(at,)) for at in own.T
    ]
    best = int(np.argmin([each.fun for each in found]))
    return float(np.exp(found[best].x)), TEMPERATURES[best]
