"""Probabilities of query rows in function space, for tasks of few rows.

A task has far fewer support rows than a design has columns times classes. So values of the linear
predictors at the rows take the place of coefficients: they are a Gaussian process with the kernel
Z S Z'. The predictions are the same.

Notation: n support rows, m query rows, q coefficients, j linear predictors, c classes, e = m c
problems.

Reference: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, algorithms 3.1 to
3.4.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from skmeta.learners.hierarchical._laplace import STEP_SIZES, ClassTask

# Newton steps from the mode of the support set to the mode with a query row.
_N_QUERY_STEPS = 4
# Number of query rows computed at once, to bound the memory.
_CHUNK = 64


def query_log_proba(mode: Tensor, task: ClassTask, at: Tensor) -> Tensor:
    """Return what :func:`~skmeta.learners.hierarchical._laplace.class_log_proba` returns.

    The marginal likelihood of the support set with each query row, of each class, is computed in
    function space. It costs less if there are fewer rows than coefficients.

    Parameters
    ----------
    mode, task, at
        As for :func:`~skmeta.learners.hierarchical._laplace.class_log_proba`.

    Returns
    -------
    Tensor of shape (m, c)
        The log probabilities, normalised over the classes.
    """
    # At the mode, a is the gradient of the log likelihood.
    gap = task.p - torch.softmax(task.logits(mode), 1)
    start = (task.w[:, None] * (gap @ task.codes)).T
    if task.codes.shape[1] > 1:
        # Only the predictors of the classes of the task have an effect.
        used = task.codes.argmax(1)
        task = task._replace(mean=task.mean[:, used], factor=task.factor[used])
        start = start[used]
    return torch.cat([_of_queries(start, task, part) for part in at.split(_CHUNK)])


def _of_queries(start: Tensor, task: ClassTask, at: Tensor) -> Tensor:
    z, p, w, mean, factor, codes = task
    m, c, n, j = len(at), len(codes), len(z), mean.shape[1]
    zl, atl = z @ factor, at @ factor  # (j, n, q), (j, m, q)
    cross = (atl @ zl.mT).transpose(0, 1)  # (m, j, n)
    own = (atl**2).sum(-1).T[..., None, None]
    upper = torch.cat([(zl @ zl.mT).expand(m, j, n, n), cross[..., None]], -1)
    kernel = torch.cat([upper, torch.cat([cross[:, :, None], own], -1)], -2)
    offset = torch.cat([(z @ mean).T.expand(m, j, n), (at @ mean)[..., None]], -1)
    if j == 1:
        is_second = (codes[:, 0] > 0).to(z.dtype)
        known, asked = (p @ is_second)[None], is_second[:, None, None]
    else:
        known, asked = p.T, torch.eye(c, dtype=z.dtype, device=z.device)[..., None]
    y = torch.cat([known.expand(m, c, j, n), asked.expand(m, c, j, 1)], -1).flatten(0, 1)
    weight = torch.cat([w, torch.ones_like(w[:1].sum())[None]]).expand(m * c, n + 1)
    kernel, offset = (v.repeat_interleave(c, 0) for v in (kernel, offset))
    a = torch.cat([start, start.new_zeros(j, 1)], 1).expand(m * c, j, n + 1)
    posterior = (_TwoClasses if j == 1 else _ManyClasses)(kernel, offset, y, weight)
    with torch.no_grad():
        f = _find_mode(posterior, a)
    # A last step of full length: so near the mode, rounding decides which step size is best. The
    # derivative of the mode is that of this step (implicit differentiation).
    a = posterior.newton(f)
    f = offset + (kernel @ a[..., None])[..., 0]
    evidence = posterior.log_likelihood(f) - 0.5 * (a * (f - offset)).flatten(1).sum(1)
    found: Tensor = torch.log_softmax((evidence - 0.5 * posterior.log_det(f)).reshape(m, c), 1)
    return found


class _Posterior(Protocol):
    """Values f (e, j, s) of the predictors at rows, given their labels."""

    kernel: Tensor  # (e, j, s, s)
    offset: Tensor  # prior mean (e, j, s)

    def log_likelihood(self, f: Tensor) -> Tensor:
        """Return the log likelihood (e,)."""

    def newton(self, f: Tensor) -> Tensor:
        """Return a with f = offset + K a after a Newton step from f."""

    def log_det(self, f: Tensor) -> Tensor:
        """Return log det(I + K W) (e,), with the curvature W at f."""


class _TwoClasses:
    """One predictor, the logit of the second class. ``y`` (e, 1, s) is its indicator."""

    def __init__(self, kernel: Tensor, offset: Tensor, y: Tensor, w: Tensor) -> None:
        self.kernel, self.offset, self.y, self.w = kernel, offset, y, w[:, None]
        self._eye = torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)

    def log_likelihood(self, f: Tensor) -> Tensor:
        row_values = self.w * (self.y * f - torch.nn.functional.softplus(f))
        found: Tensor = row_values.sum((1, 2))
        return found

    def _curvature(self, f: Tensor) -> tuple[Tensor, Tensor]:
        # Roots of w and of p apart, so that a weight of 0 has a derivative.
        log_p = torch.nn.functional.logsigmoid(f) + torch.nn.functional.logsigmoid(-f)
        half = self.w.sqrt() * torch.exp(0.5 * log_p)
        inner = self._eye + half[..., None] * self.kernel * half[..., None, :]
        return torch.linalg.cholesky(inner), half

    def newton(self, f: Tensor) -> Tensor:
        root, half = self._curvature(f)
        b = half**2 * (f - self.offset) + self.w * (self.y - torch.sigmoid(f))
        right = half[..., None] * (self.kernel @ b[..., None])
        return b - half * torch.cholesky_solve(right, root)[..., 0]

    def log_det(self, f: Tensor) -> Tensor:
        return 2 * _log_diagonal(self._curvature(f)[0]).sum((1, 2))


class _ManyClasses:
    """One predictor for each class. ``y`` (e, c, s) are indicators."""

    def __init__(self, kernel: Tensor, offset: Tensor, y: Tensor, w: Tensor) -> None:
        self.kernel, self.offset, self.y, self.w = kernel, offset, y, w[:, None]
        self._eye = torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
        # A row of weight 0 has no entry in E. It gets one, so that E has an inverse.
        self._padding = torch.diag_embed((w == 0).to(kernel.dtype))

    def log_likelihood(self, f: Tensor) -> Tensor:
        found: Tensor = (self.w * self.y * torch.log_softmax(f, 1)).sum((1, 2))
        return found

    def _curvature(self, f: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return p, the matrices E_c, the Cholesky factor of their sum, and those of B_c."""
        log_p = torch.log_softmax(f, 1)
        p, half = log_p.exp(), self.w.sqrt() * torch.exp(0.5 * log_p)
        root = torch.linalg.cholesky(self._eye + half[..., None] * self.kernel * half[:, :, None])
        inner = torch.linalg.solve_triangular(root, torch.diag_embed(half), upper=False)
        each = inner.mT @ inner
        return p, each, torch.linalg.cholesky(each.sum(1) + self._padding), root

    def newton(self, f: Tensor) -> Tensor:
        p, each, whole, _ = self._curvature(f)
        centred = f - self.offset
        b = self.w * (p * (centred - (p * centred).sum(1, keepdim=True)) + self.y - p)
        c = (each @ (self.kernel @ b[..., None]))[..., 0]
        common = torch.cholesky_solve(c.sum(1)[..., None], whole)
        return b - c + (each @ common[:, None])[..., 0]

    def log_det(self, f: Tensor) -> Tensor:
        _, _, whole, root = self._curvature(f)
        w = self.w[:, 0]
        weight_part = torch.log(torch.where(w == 0, 1.0, w)).sum(1)
        log_dets = _log_diagonal(root).sum((1, 2)) + _log_diagonal(whole).sum(1)
        return 2 * log_dets - weight_part


def _find_mode(posterior: _Posterior, a: Tensor) -> Tensor:
    """Return the values f = offset + K a of the predictors near the mode.

    Each Newton step takes the best of a few step sizes. There is no branch on values.
    """
    kernel, offset = posterior.kernel, posterior.offset
    f = offset + (kernel @ a[..., None])[..., 0]
    sizes = torch.tensor(STEP_SIZES, dtype=f.dtype, device=f.device)
    for _ in range(_N_QUERY_STEPS):
        step = posterior.newton(f) - a
        change = (kernel @ step[..., None])[..., 0]
        tried = []
        for size in STEP_SIZES:
            at, deviation = a + size * step, f - offset + size * change
            penalty = 0.5 * (at * deviation).flatten(1).sum(1)
            tried.append(posterior.log_likelihood(offset + deviation) - penalty)
        best = sizes[torch.stack(tried).argmax(0)][:, None, None]
        a, f = a + best * step, f + best * change
    return f


def _log_diagonal(root: Tensor) -> Tensor:
    found: Tensor = torch.log(torch.diagonal(root, dim1=-2, dim2=-1))
    return found
