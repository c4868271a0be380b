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
from skmeta.learners.hierarchical._gaussian import (
    Posterior,
    effect_scales,
    noise_levels,
    predictive,
    regression_posterior,
)
from skmeta.mixed import ClassRows, MixedModel, find_mode, mean_probabilities, moments

# Newton steps to the modes of the coefficients, and the least probability of a class.
_N_NEWTON_STEPS, _LEAST_PROBABILITY = 25, 1e-12


def model_state(model: MixedModel) -> State:
    """Return the tensors of a fitted model, in double precision."""
    mean = torch.from_numpy(model.prior.mean)
    # Two classes share one linear predictor, the logit of the second.
    coefficients = torch.cat([-mean, mean], 1).T / 2 if model.n_classes == 2 else mean.T
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
    mean, factor = _class_prior(model, classes)
    is_single = len(model["factor"]) == 1
    p = _indicators(classes[y], 2) if is_single else _indicators(y, len(classes))
    with torch.no_grad():
        start = torch.zeros_like(mean)
        start = find_mode(ClassRows(z, p, w), mean, factor, start, max_steps=_N_NEWTON_STEPS).u
    # The derivative of the mode is that of one more step (implicit differentiation).
    u = find_mode(ClassRows(z, p, w), mean, factor, start, max_steps=1).u
    coefficients, root = moments(ClassRows(z, p, w), mean, factor, u)
    return {"mean": coefficients, "root": root}


def predict_targets(given: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return means and variances (k, m) of targets of rows (m, q), and log weights (k,)."""
    posterior = Posterior(*(given[name] for name in Posterior._fields))
    mean, variance = predictive(posterior, z)
    return mean, variance, posterior.log_weight


def predict_classes(given: Mapping[str, Tensor], z: Tensor, classes: Tensor) -> Tensor:
    """Return log probabilities (m, c) of the classes of rows (m, q), in double precision."""
    z, mean, root = z.double(), given["mean"].double(), given["root"].double()
    proba = mean_probabilities(z, mean, root)
    if len(mean) == z.shape[1]:
        proba = proba[:, classes]
    return torch.log(proba.clamp_min(_LEAST_PROBABILITY)).log_softmax(1)


def _double(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.double()


def _regression_prior(model: Mapping[str, Tensor], like: Tensor) -> tuple[Tensor, ...]:
    """Return m, L, and noise levels and scales with their log probabilities."""
    levels = noise_levels(model["log_noise"].double(), _double(model.get("log_spread")))
    scales = effect_scales(_double(model.get("log_scale_spread")), like=like)
    return (_head(model)[0], model["factor"].double()[0], *levels, *scales)


def _class_prior(model: Mapping[str, Tensor], classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (j q,) of the coefficients for a task, and a factor of their covariance."""
    mean, factor = _head(model), model["factor"].double()
    if len(factor) == 1:
        mean = mean[1:] - mean[:1]
    else:
        # Only the predictors of the classes of the task have an effect.
        mean, factor = mean[classes], factor[classes]
    blocks = factor[:, :, None] * torch.eye(len(mean)).to(factor)[:, None, :, None]
    return mean.flatten(), blocks.reshape(mean.numel(), mean.numel())


def _indicators(y: Tensor, n_classes: int) -> Tensor:
    # Not F.one_hot, which looks at values, which vmap does not allow.
    return (y[:, None] == torch.arange(n_classes, device=y.device)).double()


def _head(model: Mapping[str, Tensor]) -> Tensor:
    """Return the means (c, q) of the coefficients of each output."""
    return torch.cat([model["bias"][:, None], model["weight"]], 1).double()
