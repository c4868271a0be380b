"""Predictive densities of many small episodes, computed in function space.

An episode has far fewer support rows than a design has columns times classes. So values of the
linear predictors at the rows take the place of coefficients: they are a Gaussian process with the
kernel Z S Z'. The predictions are the same.

Notation: e episodes, s support rows, m query rows, q coefficients, j linear predictors, c classes,
k noise levels. Padding rows have weight 0.

References: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, algorithms 2.1
and 3.1 to 3.4; MacKay (1992), The evidence framework applied to classification networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from skmeta.learners.hierarchical._structure import Episodes

# Newton's method stops when no value of a predictor changes by more than this.
_TOLERANCE = 1e-3
_MOST_STEPS = 25
_STEP_SIZES = (1.0, 0.5, 0.2, 0.05, 0.0)


def target_log_densities(
    episodes: Episodes, mean: Tensor, covariance: Tensor, noise: Tensor, log_weight: Tensor
) -> Tensor:
    """Return the log predictive densities (e, m) of the targets of query rows.

    Parameters
    ----------
    episodes : Episodes
        Support and query rows.
    mean : Tensor of shape (q,)
        Mean of the coefficients.
    covariance : Tensor of shape (q, q)
        Their covariance.
    noise, log_weight : Tensor of shape (k,)
        Noise levels and their log probabilities before any row is seen.
    """
    z, at, root_w = episodes.z, episodes.query_z, episodes.w.sqrt()
    zs = root_w[..., None] * (z @ covariance)
    values, vectors = torch.linalg.eigh(zs @ (root_w[..., None] * z).mT)
    values = values.clamp_min(0.0)
    residual = (vectors.mT @ (root_w * (episodes.y - z @ mean))[..., None])[..., 0]
    cross = at @ zs.mT @ vectors
    square = noise**2
    each = 1 / (values[:, None] + square[:, None])  # (e, k, s)
    log_det = torch.log1p(values[:, None] / square[:, None]).sum(-1)
    log_det = log_det + episodes.w.sum(1)[:, None] * torch.log(square)
    misfit = (each * residual[:, None] ** 2).sum(-1)
    log_p = torch.log_softmax(log_weight - 0.5 * (log_det + misfit), 1)
    centre = (at @ mean)[:, None] + (each * residual[:, None]) @ cross.mT
    own = ((at @ covariance) * at).sum(-1)
    variance = own[:, None] - each @ (cross**2).mT + square[:, None]
    gap = episodes.query_y[:, None] - centre
    log_density = -0.5 * (gap**2 / variance + torch.log(2 * math.pi * variance))
    found: Tensor = torch.logsumexp(log_p[..., None] + log_density, 1)
    return found


def class_log_probabilities(episodes: Episodes, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return the log probabilities (e, m) of the classes of query rows, by Laplace's method.

    Uncertain logits are integrated out by MacKay's approximation, which is good enough for a
    comparison.

    Parameters
    ----------
    episodes : Episodes
        Support and query rows; ``y`` are positions of the classes.
    mean : Tensor of shape (q, j)
        Mean of the coefficients of each predictor; a single one for two classes.
    covariance : Tensor of shape (j, q, q)
        Their covariances.
    """
    z, at = episodes.z[:, None], episodes.query_z[:, None]
    zs = z @ covariance  # (e, j, s, q)
    kernel, cross = zs @ z.mT, at @ zs.mT
    own = ((at @ covariance) * at).sum(-1)
    offset, centre = (episodes.z @ mean).mT, (episodes.query_z @ mean).mT
    find = _two_classes if mean.shape[1] == 1 else _many_classes
    shift, gain = find(episodes, kernel, cross, offset)
    logits, variance = centre + shift, own - gain  # (e, j, m)
    scaled = logits / torch.sqrt(1 + math.pi * variance.clamp_min(0.0) / 8)
    if mean.shape[1] == 1:
        scaled = torch.cat([torch.zeros_like(scaled), scaled], 1)
    log_p = torch.log_softmax(scaled, 1)
    found: Tensor = log_p.gather(1, episodes.query_y[:, None])[:, 0]
    return found


def _two_classes(
    episodes: Episodes, kernel: Tensor, cross: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """Return shifts of the logits of query rows, and what their variances lose, (e, 1, m)."""
    kernel, cross, offset = kernel[:, 0], cross[:, 0], offset[:, 0]
    y, w = episodes.y.to(kernel.dtype), episodes.w
    eye = torch.eye(kernel.shape[-1], dtype=kernel.dtype)

    def log_likelihood(f: Tensor) -> Tensor:
        found: Tensor = (w * (y * f - torch.nn.functional.softplus(f))).sum(-1)
        return found

    def newton(f: Tensor) -> Tensor:
        root, half = curvature(f)
        b = half**2 * (f - offset) + w * (y - torch.sigmoid(f))
        right = half * (kernel @ b[..., None])[..., 0]
        return b - half * torch.cholesky_solve(right[..., None], root)[..., 0]

    def curvature(f: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.sigmoid(f)
        half = (w * p * (1 - p)).sqrt()
        return torch.linalg.cholesky(eye + half[..., None] * kernel * half[:, None]), half

    a, f = _iterate(newton, log_likelihood, kernel, offset)
    root, half = curvature(f)
    lost = torch.linalg.solve_triangular(root, (cross * half[:, None]).mT, upper=False)
    shift = (cross @ a[..., None])[..., 0]
    return shift[:, None], (lost**2).sum(1)[:, None]


def _many_classes(
    episodes: Episodes, kernel: Tensor, cross: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """Return shifts of the logits of query rows, and what their variances lose, (e, c, m)."""
    w = episodes.w[:, None]
    eye = torch.eye(kernel.shape[-1], dtype=kernel.dtype)
    is_class = torch.nn.functional.one_hot(episodes.y, kernel.shape[1]).mT.to(kernel.dtype)

    def log_likelihood(f: Tensor) -> Tensor:
        found: Tensor = (w * is_class * torch.log_softmax(f, 1)).sum((1, 2))
        return found

    def curvature(f: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return p, the matrices E_c, and the Cholesky factor of their sum."""
        p = torch.softmax(f, 1)
        half = (w * p).sqrt()
        root = torch.linalg.cholesky(eye + half[..., None] * kernel * half[:, :, None])
        inner = torch.linalg.solve_triangular(root, torch.diag_embed(half), upper=False)
        each = inner.mT @ inner
        # A padding row has no entry in E.
        padding = torch.diag_embed(1 - episodes.w)
        return p, each, torch.linalg.cholesky(each.sum(1) + padding)

    def newton(f: Tensor) -> Tensor:
        p, each, whole = curvature(f)
        centred = f - offset
        b = w * p * (centred - (p * centred).sum(1, keepdim=True)) + w * (is_class - p)
        c = (each @ (kernel @ b[..., None]))[..., 0]
        common = torch.cholesky_solve(c.sum(1)[..., None], whole)
        return b - c + (each @ common[:, None])[..., 0]

    a, f = _iterate(newton, log_likelihood, kernel, offset)
    _, each, whole = curvature(f)
    ahead = cross @ each  # (e, c, m, s)
    lost = (ahead * cross).sum(-1)
    shared = torch.linalg.solve_triangular(whole[:, None], ahead.mT, upper=False)
    return (cross @ a[..., None])[..., 0], lost - (shared**2).sum(-2)


def _iterate(
    newton: Callable[[Tensor], Tensor],
    log_likelihood: Callable[[Tensor], Tensor],
    kernel: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return a and the values f = offset + K a of the predictors at the mode."""

    def values(a: Tensor) -> Tensor:
        found: Tensor = (kernel @ a[..., None])[..., 0]
        return found

    a, f = torch.zeros_like(offset), offset
    for _ in range(_MOST_STEPS):
        step = newton(f) - a
        change = values(step)
        tried = []
        for tried_size in _STEP_SIZES:
            at, deviation = a + tried_size * step, f - offset + tried_size * change
            penalty = 0.5 * (at * deviation).flatten(1).sum(1)
            tried.append(log_likelihood(offset + deviation) - penalty)
        size = torch.tensor(_STEP_SIZES, dtype=f.dtype)[torch.stack(tried).argmax(0)]
        size = size.reshape(-1, *[1] * (f.ndim - 1))
        a, f = a + size * step, f + size * change
        if float((size * change).abs().max()) < _TOLERANCE:
            break
    return a, f
