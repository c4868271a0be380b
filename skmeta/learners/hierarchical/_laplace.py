"""Bayesian logistic and softmax regression with a Gaussian prior, by Laplace's approximation.

Notation: n rows, q coefficients (the first is the intercept), j linear predictors, c classes.
Z (n, q) are rows with a leading 1, P (n, c) indicators of the classes, w (n,) weights. The
coefficients of each predictor are drawn from N(m_j, L_j L_j'). Logits are Z B C', with coefficients
B (q, j) and a code matrix C (c, j). Two classes share one predictor, with codes -1/2 and +1/2. With
more classes, each has its own predictor.

The posterior of the coefficients is approximated by a normal distribution around its mode, which
Newton's method finds, and the coefficients are integrated out. The derivative of the mode with
respect to the prior is that of one more Newton step (implicit differentiation), so meta-training
can differentiate through it.

References: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 3.4;
Tierney and Kadane (1986), Accurate approximations for posterior moments and marginal densities.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

N_NEWTON_STEPS = 25
# Newton steps from the mode of the support set to the mode with a query row.
_N_QUERY_STEPS = 4
# Number of query rows computed at once, to bound the memory.
_CHUNK = 64
# Where the likelihood is almost flat, Newton steps are far too long.
STEP_SIZES = (1.0, 0.5, 0.2, 0.05, 0.01, 2e-3, 0.0)


class ClassTask(NamedTuple):
    """Rows of a task, and the prior of its coefficients.

    Attributes
    ----------
    z : Tensor of shape (..., n, q)
        Rows with a leading 1.
    p : Tensor of shape (..., n, c)
        Indicators of the classes.
    w : Tensor of shape (..., n)
        Weights.
    mean : Tensor of shape (q, j)
        m.
    factor : Tensor of shape (j, q, q)
        L.
    codes : Tensor of shape (c, j)
        C.
    """

    z: Tensor
    p: Tensor
    w: Tensor
    mean: Tensor
    factor: Tensor
    codes: Tensor

    def logits(self, u: Tensor) -> Tensor:
        """Return the logits (..., n, c) of the rows at whitened coefficients (..., j, q)."""
        return self.z @ (self.mean + times_factor(u, self.factor)) @ self.codes.T


def class_codes(n_classes: int, like: Tensor) -> Tensor:
    """Return the code matrix (c, j) of the classes."""
    if n_classes == 2:
        return torch.tensor([[-0.5], [0.5]], dtype=like.dtype, device=like.device)
    return torch.eye(n_classes, dtype=like.dtype, device=like.device)


def times_factor(u: Tensor, factor: Tensor) -> Tensor:
    """Convert whitened coefficients (..., j, q) to deviations (..., q, j) from the mean."""
    return torch.einsum("jpq,...jq->...pj", factor, u)


def log_joint(u: Tensor, task: ClassTask) -> Tensor:
    """Return log likelihood plus log prior of whitened coefficients, up to a constant.

    Parameters
    ----------
    u : Tensor of shape (..., j, q)
        Whitened coefficients: B_j = m_j + L_j u_j.
    task : ClassTask
        The rows and the prior.

    Returns
    -------
    Tensor of shape (...)
        The values.
    """
    return _log_joint(task.logits(u), u, task)


def _log_joint(logits: Tensor, u: Tensor, task: ClassTask) -> Tensor:
    row_part = (task.p * logits).sum(-1) - torch.logsumexp(logits, -1)
    return (task.w * row_part).sum(-1) - 0.5 * (u**2).sum((-2, -1))


def newton_parts(u: Tensor, task: ClassTask) -> tuple[Tensor, Tensor]:
    """Return gradient and negative Hessian of :func:`log_joint` in whitened coefficients.

    Returns
    -------
    gradient : Tensor of shape (..., j * q)
        The gradient, sorted by predictor, then by coefficient.
    precision : Tensor of shape (..., j * q, j * q)
        The negative Hessian. No eigenvalue is below 1.
    """
    z, p, w, mean, factor, codes = task
    coefficients = mean + times_factor(u, factor)
    gradient, row_part = information(coefficients, z, p, w, codes)
    j, q = factor.shape[:2]
    u_gradient = torch.einsum("jpq,...pj->...jq", factor, gradient) - u
    # L' A L, with one block per pair of predictors.
    blocks = torch.einsum("apu,...apbr,brv->...aubv", factor, row_part, factor)
    precision = blocks.reshape(*blocks.shape[:-4], j * q, j * q)
    precision = precision + torch.eye(j * q, dtype=u.dtype, device=u.device)
    return u_gradient.flatten(-2), precision


def information(
    coefficients: Tensor, z: Tensor, p: Tensor, w: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return gradient (..., q, j) and information A (..., j, q, j, q) of the log likelihood."""
    if codes.shape == (2, 1):
        sign = codes[1] - codes[0]
        second = torch.sigmoid((z @ coefficients) * sign)
        gradient = z.mT @ (w[..., None] * (p[..., 1:] - second) * sign)
        weighted = (w[..., None] * second * (1 - second)) * z
        return gradient, (z.mT @ weighted)[..., None, :, None, :]
    proba = torch.softmax(z @ coefficients @ codes.T, -1)
    gradient = z.mT @ (w[..., None] * ((p - proba) @ codes))
    centred = codes - (proba @ codes)[..., None, :]
    # Covariance of the codes under the predicted probabilities, (..., n, j, j).
    curvature = torch.einsum("...nc,...nca,...ncb->...nab", proba, centred, centred)
    weighted = (w[..., None, None] * curvature)[..., None] * z[..., None, None, :]
    j, q = codes.shape[1], z.shape[-1]
    hessian = z.mT @ weighted.flatten(-3)
    # (..., q, j, j, q) to (..., j, q, j, q).
    return gradient, hessian.unflatten(-1, (j, j, q)).transpose(-4, -3)


def find_mode(
    task: ClassTask,
    *,
    start: Tensor | None = None,
    n_steps: int = N_NEWTON_STEPS,
    tolerance: float | None = None,
) -> Tensor:
    """Find the mode (..., j, q) of the whitened coefficients, without a derivative.

    Each Newton step takes the best of a few step sizes. One of them is 0, so no step lowers the
    density. With a tolerance, iteration ends when all steps are shorter. Without one, there is no
    branch on values.
    """
    task = ClassTask(*(value.detach() for value in task))
    j, q = task.factor.shape[:2]
    u = task.z.new_zeros(*task.z.shape[:-2], j, q) if start is None else start
    sizes = torch.tensor(STEP_SIZES, dtype=u.dtype, device=u.device)
    logits = task.logits(u)
    for _ in range(n_steps):
        gradient, precision = newton_parts(u, task)
        step = _solve(precision, gradient).unflatten(-1, (j, q))
        if tolerance is not None and float(step.abs().max()) < tolerance:
            break
        change = task.logits(u + step) - logits
        values = torch.stack(
            [_log_joint(logits + size * change, u + size * step, task) for size in STEP_SIZES]
        )
        best = sizes[values.argmax(0)][..., None, None]
        u, logits = u + best * step, logits + best * change
    return u


def _solve(precision: Tensor, gradient: Tensor) -> Tensor:
    root = torch.linalg.cholesky(precision)
    return torch.cholesky_solve(gradient[..., None], root)[..., 0]


def mode_with_derivative(u: Tensor, task: ClassTask) -> Tensor:
    """Return the mode with its derivative with respect to the prior and the rows."""
    u = u.detach()
    gradient, precision = newton_parts(u, task)
    step: Tensor = _solve(precision, gradient).unflatten(-1, tuple(u.shape[-2:]))
    return u + step


def class_log_proba(mode: Tensor, task: ClassTask, at: Tensor) -> Tensor:
    """Return log probabilities of the classes of query rows, coefficients integrated out.

    The probability of a class is the marginal likelihood of the support set with the query row,
    divided by that of the support set alone. Laplace's approximation computes each at its own
    mode. This is far more exact than an average over the normal approximation of the posterior,
    because the errors of the two approximations cancel (Tierney and Kadane 1986).

    Parameters
    ----------
    mode : Tensor of shape (j, q)
        Mode of the whitened coefficients after the support set.
    task : ClassTask
        The support set and the prior, without further axes.
    at : Tensor of shape (m, q)
        Query rows with a leading 1.

    Returns
    -------
    Tensor of shape (m, c)
        The log probabilities, normalised over the classes.
    """
    return torch.cat([_log_proba_of_part(mode, task, part) for part in at.split(_CHUNK)])


def _log_proba_of_part(mode: Tensor, task: ClassTask, at: Tensor) -> Tensor:
    z, p, w = task.z, task.p, task.w
    m, c = len(at), len(task.codes)
    each_class = torch.eye(c, dtype=z.dtype, device=z.device)
    both = task._replace(
        z=torch.cat([z.expand(m, c, *z.shape), at[:, None, None].expand(m, c, 1, -1)], 2),
        p=torch.cat([p.expand(m, c, *p.shape), each_class[:, None].expand(m, c, 1, c)], 2),
        w=torch.cat([w, torch.ones_like(w[:1].sum())[None]]).expand(m, c, -1),
    )
    start = mode.expand(m, c, *mode.shape)
    u = mode_with_derivative(find_mode(both, start=start, n_steps=_N_QUERY_STEPS), both)
    _, precision = newton_parts(u, both)
    root = torch.linalg.cholesky(precision)
    log_det = torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)
    return torch.log_softmax(log_joint(u, both) - log_det, 1)
