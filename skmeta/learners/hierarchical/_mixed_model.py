"""A mixed-effects model as pure functions of tensors, which gradients can pass: condition, predict.

:mod:`skmeta.mixed` estimates it, and conditions it on many groups without gradients.

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

from collections.abc import Mapping

import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.learners.hierarchical._function_space import query_log_proba
from skmeta.learners.hierarchical._gaussian import (
    Posterior,
    effect_scales,
    noise_levels,
    predictive,
    regression_posterior,
)
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_codes,
    class_log_proba,
    find_mode,
    mode_with_derivative,
)
from skmeta.mixed import MixedModel


def model_state(model: MixedModel) -> State:
    """Return the tensors of a fitted model, in double precision."""
    mean = torch.from_numpy(model.prior.mean)
    codes = class_codes(model.n_classes, mean) if model.n_classes else mean.new_ones(1, 1)
    coefficients = codes @ mean.T
    state = {
        "weight": coefficients[:, 1:],
        "bias": coefficients[:, 0],
        "factor": torch.from_numpy(model.factor),
    }
    if not model.n_classes:
        names = ("log_noise", "log_spread", "log_scale_spread")
        numbers = {name: getattr(model.prior, name) for name in names}
        state |= {n: mean.new_tensor(v) for n, v in numbers.items() if v is not None}
    return state


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


def predict_targets(given: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return means and variances (k, m) of targets of rows (m, q), and log weights (k,)."""
    posterior = Posterior(*(given[name] for name in Posterior._fields))
    mean, variance = predictive(posterior, z)
    return mean, variance, posterior.log_weight


def predict_classes(
    model: Mapping[str, Tensor], given: Mapping[str, Tensor], z: Tensor, classes: Tensor
) -> Tensor:
    """Return log probabilities (m, c) of the classes of rows (m, q), in double precision."""
    mode, rows, p, w = (given[n].double() for n in ("mode", "rows", "classes", "weights"))
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
