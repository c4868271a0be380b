"""A mixed-effects model as pure functions of tensors: estimate it, condition it, predict.

HierarchicalLinear is such a model. Other learners can have one beside their network.

Notation: n rows, q coefficients (the first is the intercept), j linear predictors, c classes, k
noise levels, m query rows. A model is a dict of tensors:

- ``weight`` (c, q - 1) and ``bias`` (c,), the mean of the coefficients; c is 1 for regressions;
- ``factor`` (j, q, q), the Cholesky factor of their covariance;
- ``log_noise`` and ``log_spread`` (), mean and log standard deviation over tasks of the logarithm
  of the noise, for regressions; without ``log_spread`` the noise is the same in all tasks;
- ``log_scale_spread`` (), log standard deviation over tasks of the logarithm of the scale of a
  task's effects, for regressions; without it the scale is 1 in all tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.learners.hierarchical._classification import estimate_class_structures
from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._function_space import query_log_proba
from skmeta.learners.hierarchical._gaussian import (
    Posterior,
    effect_scales,
    noise_levels,
    predictive,
    regression_posterior,
)
from skmeta.learners.hierarchical._groups import (
    GroupPosterior,
    group_log_proba,
    group_modes,
    group_posteriors,
    group_predictive,
)
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_codes,
    class_log_proba,
    find_mode,
    mode_with_derivative,
)
from skmeta.learners.hierarchical._regression import estimate_structures
from skmeta.learners.hierarchical._structure import candidate_shapes, content_order

# A column is constant within tasks if less than this share of its variance is within tasks.
_CONSTANT = 1e-8
# Added to the diagonal of a covariance before its Cholesky factor is computed.
_JITTER = 1e-10


def estimate_mixed_model(
    z: np.ndarray,
    y: np.ndarray,
    tasks: np.ndarray,
    n_classes: int = 0,
    *,
    effects: str = "auto",
    rank: int = 2,
    shrinkage: float = 1.0,
    varied_noise: bool = True,
    heavy_tails: bool = True,
    is_over: Callable[[], bool] | None = None,
) -> State:
    """Estimate the distribution of coefficients over tasks by marginal likelihood.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Standardised targets, or class positions.
    tasks : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    n_classes : int, default=0
        c; 0 for a regression.
    effects, rank, shrinkage, varied_noise, heavy_tails
        As for :class:`~skmeta.learners.HierarchicalLinear`.
    is_over : callable, optional
        Tells whether the time is over. Then the estimates so far are returned.

    Returns
    -------
    dict of Tensor
        The model, in double precision.
    """
    order = content_order(z, y, tasks)
    z, y, tasks = z[order], y[order], tasks[order]
    # Tasks are numbered in this order, too.
    tasks = np.cumsum(np.diff(tasks, prepend=tasks[:1]) != 0)
    codes = class_codes(n_classes, torch.from_numpy(z)) if n_classes else None
    n_predictors = 1 if codes is None else codes.shape[1]
    shape = CovarianceShape(_varies(z, tasks), n_predictors, rank, shrinkage)
    shapes = candidate_shapes(shape, effects)
    if codes is not None:
        of_classes = estimate_class_structures(z, y, tasks, shapes, n_classes, is_over)
        logits = codes @ of_classes.mean.T
        factor = _root(of_classes.covariance + of_classes.mean_covariance)
        return {"weight": logits[:, 1:], "bias": logits[:, 0], "factor": factor}
    varied = {"varied_noise": varied_noise, "heavy_tails": heavy_tails}
    found = estimate_structures(z, y, tasks, shapes, **varied, is_over=is_over)
    model = {
        "weight": found.mean[None, 1:],
        "bias": found.mean[:1],
        "factor": _root(found.covariance + found.mean_covariance)[None],
        "log_noise": torch.tensor(found.log_noise),
    }
    if varied_noise:
        model["log_spread"] = torch.tensor(found.log_spread)
    if heavy_tails:
        model["log_scale_spread"] = torch.tensor(found.log_scale_spread)
    return model


def _varies(z: np.ndarray, tasks: np.ndarray) -> Tensor:
    """Return which coefficients may differ: those of columns that vary within tasks."""
    sizes = np.bincount(tasks)
    within = np.empty(z.shape[1])
    for k, column in enumerate(z.T):
        means = np.bincount(tasks, column) / sizes
        within[k] = np.mean((column - means[tasks]) ** 2)
    varies = within > _CONSTANT * np.maximum(z.var(0), 1e-12)
    varies[0] = True
    return torch.from_numpy(varies)


def condition_mixed_model(
    model: Mapping[str, Tensor], z: Tensor, y: Tensor, w: Tensor, classes: Tensor | None
) -> State:
    """Condition the model on the rows of a task.

    It has no branches on values, so `torch.func.vmap` and `torch.func.grad` can transform it.
    It computes in double precision, whatever that of the model.

    Parameters
    ----------
    model : mapping of str to Tensor
        The model.
    z : Tensor of shape (n, q)
        Rows with a leading 1.
    y : Tensor of shape (n,)
        Targets, or positions of the classes in the task.
    w : Tensor of shape (n,)
        Weights as numbers of repetitions.
    classes : Tensor of shape (c,) or None
        Positions in the model of the classes of the task; None for a regression.

    Returns
    -------
    dict of Tensor
        What :func:`predict_targets` or :func:`predict_classes` needs.
    """
    z, w = z.double(), w.double()
    if classes is None:
        return regression_posterior(z, y.double(), w, *_regression_prior(model, z))._asdict()
    task = ClassTask(z, _indicators(y, classes), w, *_class_prior(model, classes))
    mode = mode_with_derivative(find_mode(task), task)
    return {"mode": mode, "rows": z, "classes": task.p, "weights": w}


def condition_groups(
    model: Mapping[str, Tensor],
    z: Tensor,
    y: Tensor,
    w: Tensor,
    classes: Tensor | None,
    codes: Tensor,
    n_groups: int,
) -> State:
    """Condition the model on the rows of each of many groups, which may have none.

    Parameters
    ----------
    model, z, y, w, classes
        As :func:`condition_mixed_model` takes them, with the rows of all groups.
    codes : Tensor of shape (n,), int64
        Group of each row, from 0 on.
    n_groups : int
        Number of groups.

    Returns
    -------
    dict of Tensor
        What :func:`predict_group_targets` or :func:`predict_group_classes` needs.
    """
    z, w = z.double(), w.double()
    if classes is None:
        prior = _regression_prior(model, z)
        return group_posteriors(z, y.double(), w, codes, n_groups, *prior)._asdict()
    task = ClassTask(z, _indicators(y, classes), w, *_class_prior(model, classes))
    mode = group_modes(task, codes, n_groups)
    return {"mode": mode, "rows": z, "classes": task.p, "weights": w, "codes": codes}


def predict_group_targets(
    of_groups: Mapping[str, Tensor], z: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return means, variances and log weights (k, m) of the targets of rows (m, q) of groups."""
    posterior = GroupPosterior(*(of_groups[name] for name in GroupPosterior._fields))
    return group_predictive(posterior, z.double(), codes)


def predict_group_classes(
    model: Mapping[str, Tensor],
    of_groups: Mapping[str, Tensor],
    z: Tensor,
    classes: Tensor,
    codes: Tensor,
) -> Tensor:
    """Return log probabilities (m, c) of the classes of rows (m, q) of groups."""
    mode, rows, p, w = (of_groups[n] for n in ("mode", "rows", "classes", "weights"))
    task = ClassTask(rows, p, w, *_class_prior(model, classes))
    return group_log_proba(mode, task, of_groups["codes"], z.double(), codes)


def predict_targets(of_task: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return means and variances (k, m) of targets of rows (m, q), and log weights (k,)."""
    posterior = Posterior(*(of_task[name] for name in Posterior._fields))
    mean, variance = predictive(posterior, z)
    return mean, variance, posterior.log_weight


def predict_classes(
    model: Mapping[str, Tensor], of_task: Mapping[str, Tensor], z: Tensor, classes: Tensor
) -> Tensor:
    """Return log probabilities (m, c) of the classes of rows (m, q), in double precision."""
    mode, rows, p, w = (of_task[n].double() for n in ("mode", "rows", "classes", "weights"))
    task = ClassTask(rows, p, w, *_class_prior(model, classes))
    # Costs of a Newton step, per query row, with one matrix for each class or one for all.
    is_cheaper = len(classes) * len(rows) ** 3 < (task.factor.shape[0] * task.factor.shape[1]) ** 3
    return (query_log_proba if is_cheaper else class_log_proba)(mode, task, z.double())


def _double(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.double()


def _regression_prior(model: Mapping[str, Tensor], like: Tensor) -> tuple[Tensor, ...]:
    """Return m, L, and noise levels and scales with their log probabilities."""
    levels = noise_levels(model["log_noise"].double(), _double(model.get("log_spread")))
    scales = effect_scales(_double(model.get("log_scale_spread")), like=like)
    return (_mean_of(model, False)[:, 0], model["factor"].double()[0], *levels, *scales)


def _class_prior(model: Mapping[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean, the factor, and the codes of the classes of a task."""
    weight = model["weight"].double()
    codes = class_codes(len(weight), weight)[classes]
    return _mean_of(model, True), model["factor"].double(), codes


def _indicators(y: Tensor, classes: Tensor) -> Tensor:
    # Not F.one_hot, which looks at values, which vmap does not allow.
    return (y[:, None] == torch.arange(len(classes), device=y.device)).double()


def _mean_of(model: Mapping[str, Tensor], has_classes: bool) -> Tensor:
    """Return the mean (q, j) of the coefficients of each linear predictor."""
    head = torch.cat([model["bias"][:, None], model["weight"]], 1).double()
    if has_classes and len(head) == 2:
        return (head[1] - head[0])[:, None]
    return head.T


def _root(covariance: Tensor) -> Tensor:
    """Return the Cholesky factors (..., q, q) of covariances."""
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    root: Tensor = torch.linalg.cholesky(covariance + _JITTER * eye)
    return root
