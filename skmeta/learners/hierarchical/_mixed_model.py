"""A mixed-effects model as tensors, which gradients can pass: condition it on a task, predict.

:mod:`skmeta._mixed` estimates it.

Notation: n rows, q coefficients (the first is the intercept), j linear predictors, c classes, m
query rows. A model is a dict of tensors:

- ``weight`` (c, q - 1) and ``bias`` (c,), the mean of the coefficients; c is 1 for regressions;
- ``factor`` (j, q, q), the Cholesky factor of their covariance;
- ``log_noise`` (), the logarithm of the standard deviation of the noise, for regressions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skmeta._backend import State
from skmeta._mixed import Classes, MixedModel, Normal
from skmeta.learners.hierarchical._task_posterior import (
    ClassRows,
    class_posterior,
    find_mode,
    mean_probabilities,
    predict_targets,
    target_posterior,
)

# Newton steps to the modes of the coefficients, and the least probability of a class.
_N_NEWTON_STEPS, _MIN_PROBABILITY = 25, 1e-12


def model_state(model: MixedModel) -> State:
    """Return the tensors of a fitted model, in double precision."""
    mean = torch.from_numpy(model.mean)
    # Two classes share one linear predictor, the logit of the second.
    coefficients = torch.cat([-mean, mean]) / 2 if model.family == Classes(2) else mean
    state = {
        "weight": coefficients[:, 1:],
        "bias": coefficients[:, 0],
        "factor": torch.from_numpy(model.factor),
    }
    if isinstance(model.family, Normal):
        state["log_noise"] = torch.log(mean.new_tensor(model.noise))
    return state


def condition_mixed_model(
    model: State, z: Tensor, y: Tensor, w: Tensor, classes: Tensor | None
) -> State:
    """Condition the model on the rows z (n, q) of a task, with targets or class positions y (n,).

    `w` (n,) are numbers of repetitions; `classes` (c,) the positions in the model of the task's
    classes, None for a regression. The result has the ``mean`` (j q,) of the coefficients, a
    ``root`` (j q, j q) of their covariance, and the ``noise`` of a regression, in double precision.
    There are no branches on values, so `torch.func.vmap` and `torch.func.grad` can transform it.
    """
    z, w, head = z.double(), w.double(), _head(model)
    if classes is None:
        factor, noise = model["factor"].double()[0], model["log_noise"].double().exp()
        mean, root = target_posterior(z, y.double(), w, head[0], factor, noise)
        return {"mean": mean, "root": root, "noise": noise}
    is_single = len(model["factor"]) == 1
    p = _indicators(classes[y], 2) if is_single else _indicators(y, len(classes))
    rows, (mean, factor) = ClassRows(z, p, w), _class_prior(head, model["factor"], classes)
    with torch.no_grad():
        u = find_mode(rows, mean, factor, torch.zeros_like(mean), _N_NEWTON_STEPS)
    # The derivative of the mode is that of one more step (implicit differentiation).
    u = find_mode(rows, mean, factor, u, 1)
    coefficients, root = class_posterior(rows, mean, factor, u)
    return {"mean": coefficients, "root": root}


def target_moments(given: State, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and variances (m,) of the targets of rows (m, q), in double precision."""
    mean, root, noise = (given[name].double() for name in ("mean", "root", "noise"))
    return predict_targets(z.double(), mean, root, noise)


def predict_classes(given: State, z: Tensor, classes: Tensor) -> Tensor:
    """Return log probabilities (m, c) of the classes of rows (m, q), in double precision."""
    z, mean, root = z.double(), given["mean"].double(), given["root"].double()
    proba = mean_probabilities(z, mean, root)
    if len(mean) == z.shape[1]:
        proba = proba[:, classes]
    return torch.log(proba.clamp_min(_MIN_PROBABILITY)).log_softmax(1)


def _head(model: State) -> Tensor:
    """Return the means (c, q) of the coefficients of each output."""
    return torch.cat([model["bias"][:, None], model["weight"]], 1).double()


def _class_prior(head: Tensor, factor: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (j q,) of the coefficients for a task, and a factor of their covariance."""
    factor = factor.double()
    if len(factor) == 1:
        mean = head[1:] - head[:1]
    else:
        # Only the predictors of the classes of the task have an effect.
        mean, factor = head[classes], factor[classes]
    blocks = factor[:, :, None] * torch.eye(len(mean)).to(factor)[:, None, :, None]
    return mean.flatten(), blocks.reshape(mean.numel(), mean.numel())


def _indicators(y: Tensor, n_classes: int) -> Tensor:
    # Not F.one_hot, which looks at values, which vmap does not allow.
    return (y[:, None] == torch.arange(n_classes, device=y.device)).double()
