"""Bayesian linear regression with a Gaussian prior: posterior and predictive distribution.

Notation: n rows, q coefficients (the first is the intercept), k noise levels, l scales. Z (n, q)
are rows with a leading 1, y (n,) targets, w (n,) weights. Coefficients are drawn from
N(m, s^2 L L'), targets from N(Z b, sigma^2). The logarithms of a task's noise sigma and of the
scale s of its effects are normal over tasks, on grids of k levels and of l scales. Predictions are
mixtures of k normal distributions: for each noise level, the mixture over scales is replaced by a
normal distribution with its mean and covariance.

All functions take one task and have no branches on values, so `torch.func.vmap` and
`torch.func.grad` can transform them.

References: Bishop (2006), Pattern Recognition and Machine Learning, section 3.3; Harrison, Sharma
and Pavone (2018), Meta-learning priors for efficient online Bayesian regression, section 3; West
(1987), On scale mixtures of normal distributions; Pinheiro, Liu and Wu (2001), Efficient algorithms
for robust estimation in linear mixed-effects models using the multivariate t distribution.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

N_NOISE_LEVELS = 13
_FURTHEST_LEVEL = 3.0
_N_SCALES, _FURTHEST_SCALE = 7, 2.5
# Bisections of an interval around a quantile, and Newton steps after them.
_N_BISECTIONS, _N_NEWTON_STEPS = 20, 3


class Posterior(NamedTuple):
    """Posterior of a task's coefficients, for each noise level.

    Attributes
    ----------
    mean : Tensor of shape (k, q)
        Mean of the coefficients.
    factor : Tensor of shape (k, q, q)
        F, where F F' is their covariance.
    noise : Tensor of shape (k,)
        Standard deviation of the noise.
    log_weight : Tensor of shape (k,)
        Logarithm of the probability of the level.
    """

    mean: Tensor
    factor: Tensor
    noise: Tensor
    log_weight: Tensor


@lru_cache
def noise_grid(n_levels: int = N_NOISE_LEVELS) -> tuple[Tensor, Tensor]:
    """Return an even grid over a standard normal distribution, and log probabilities, (k,)."""
    nodes = torch.linspace(-_FURTHEST_LEVEL, _FURTHEST_LEVEL, n_levels, dtype=torch.float64)
    return nodes, torch.log_softmax(-0.5 * nodes**2, 0)


def noise_levels(log_noise: Tensor, log_spread: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return standard deviations of the noise and their log probabilities.

    Parameters
    ----------
    log_noise : Tensor of shape ()
        Mean over tasks of the logarithm of the noise's standard deviation.
    log_spread : Tensor of shape () or None
        Logarithm of the standard deviation of log noise over tasks; None for the same noise in
        all tasks.

    Returns
    -------
    noise, log_weight : Tensor of shape (k,)
        The levels; a single one for the same noise in all tasks.
    """
    if log_spread is None:
        return torch.exp(log_noise)[None], torch.zeros_like(log_noise)[None]
    nodes, log_weight = (part.to(log_noise) for part in noise_grid())
    return torch.exp(log_noise + torch.exp(log_spread) * nodes), log_weight


def effect_scales(log_spread: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return scales of the effects of a task and their log probabilities.

    Parameters
    ----------
    log_spread : Tensor of shape () or None
        Logarithm of the standard deviation over tasks of the log scale; None for the same scale in
        all tasks.
    like : Tensor
        Has the data type and the device of the results.

    Returns
    -------
    scale, log_weight : Tensor of shape (l,)
        The scales; a single one, 1, for the same scale in all tasks.
    """
    if log_spread is None:
        return like.new_ones(1), like.new_zeros(1)
    reach = _FURTHEST_SCALE
    nodes = torch.linspace(-reach, reach, _N_SCALES, dtype=like.dtype, device=like.device)
    return torch.exp(torch.exp(log_spread) * nodes), torch.log_softmax(-0.5 * nodes**2, 0)


def with_intercept(features: Tensor) -> Tensor:
    """Put a leading 1 before features (n, d)."""
    return torch.cat([torch.ones_like(features[:, :1]), features], 1)


def regression_posterior(
    z: Tensor,
    y: Tensor,
    w: Tensor,
    mean: Tensor,
    factor: Tensor,
    noise: Tensor,
    log_weight: Tensor,
    scale: Tensor | None = None,
    log_share: Tensor | None = None,
) -> Posterior:
    """Condition the prior on the rows of a task.

    Parameters
    ----------
    z : Tensor of shape (n, q)
        Rows with a leading 1.
    y, w : Tensor of shape (n,)
        Targets, and weights as numbers of repetitions.
    mean : Tensor of shape (q,)
        m.
    factor : Tensor of shape (q, q)
        L.
    noise, log_weight : Tensor of shape (k,)
        Noise levels and their log probabilities before any row is seen.
    scale, log_share : Tensor of shape (l,), optional
        Scales of the effects and their log probabilities; by default the scale is 1.

    Returns
    -------
    Posterior
        Coefficients are m + s L u. The prior of u is N(0, I), and the precision of its posterior is
        M = I + s^2 L' Z' W Z L / sigma^2.
    """
    if scale is None or log_share is None:
        scale, log_share = effect_scales(None, noise)
    zl = z @ factor
    residual = y - z @ mean
    gram = zl.T @ (w[:, None] * zl)
    shift = zl.T @ (w * residual)
    variance = noise[:, None] ** 2
    ratio = scale / variance  # (k, l)
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    root = torch.linalg.cholesky(eye + (scale * ratio)[..., None, None] * gram)
    # s M^-1 L' Z' W r / sigma^2.
    half = torch.linalg.solve_triangular(root, (ratio[..., None] * shift)[..., None], upper=False)
    u = torch.linalg.solve_triangular(root.mT, half, upper=True)[..., 0]
    log_det = 2 * torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)
    misfit = (w * residual**2).sum() / variance - (half[..., 0] ** 2).sum(-1)
    log_joint = log_share - 0.5 * (misfit + log_det) - w.sum() * torch.log(noise[:, None])
    log_evidence = torch.logsumexp(log_joint, 1)
    # Moments of s u, given the noise level.
    share = torch.softmax(log_joint, 1)[..., None]
    moved = scale[:, None] * u
    centre = (share * moved).sum(1)
    if len(scale) == 1:
        right = (scale * factor.T).expand_as(root[:, 0])
        after = torch.linalg.solve_triangular(root[:, 0], right, upper=False).mT
    else:
        inverse = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False)
        apart = moved - centre[:, None]
        each = scale[:, None, None] ** 2 * inverse.mT @ inverse
        covariance = (share[..., None] * each).sum(1) + (share * apart).mT @ apart
        after = factor @ torch.linalg.cholesky(covariance)
    return Posterior(
        mean + centre @ factor.T, after, noise, torch.log_softmax(log_weight + log_evidence, 0)
    )


def predictive(posterior: Posterior, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and variances (k, n) of the targets of rows (n, q), for each noise level."""
    spread = z @ posterior.factor
    return posterior.mean @ z.T, (spread**2).sum(-1) + posterior.noise[:, None] ** 2


def mixture_moments(mean: Tensor, variance: Tensor, log_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (n,) of mixtures of normals, given (k, n), (k, n) and weights.

    Log weights are the same for all mixtures, (k,), or those of each, (k, n).
    """
    weight = log_weight.exp().reshape(len(mean), -1)
    centre = (weight * mean).sum(0)
    return centre, (weight * (variance + (mean - centre) ** 2)).sum(0)


def mixture_log_density(mean: Tensor, variance: Tensor, log_weight: Tensor, y: Tensor) -> Tensor:
    """Return the log density (n,) of targets (n,) under mixtures of k normal distributions."""
    each = -0.5 * ((y - mean) ** 2 / variance + torch.log(2 * math.pi * variance))
    density: Tensor = torch.logsumexp(log_weight[:, None] + each, 0)
    return density


def mixture_quantiles(mean: Tensor, variance: Tensor, log_weight: Tensor, levels: Tensor) -> Tensor:
    """Compute quantiles of mixtures of normal distributions by bisection and Newton's method.

    Parameters
    ----------
    mean, variance : Tensor of shape (k, n)
        Means and variances of the components.
    log_weight : Tensor of shape (k,) or (k, n)
        Logarithms of the components' probabilities.
    levels : Tensor of shape (l,)
        Between 0 and 1, both excluded.

    Returns
    -------
    Tensor of shape (n, l)
        The quantiles.
    """
    scale, weight = variance.sqrt()[:, :, None], log_weight.exp().reshape(len(mean), -1, 1)
    # A quantile of a mixture lies between those of its components.
    component_quantiles = mean[:, :, None] + scale * torch.special.ndtri(levels)
    low, high = component_quantiles.min(0).values, component_quantiles.max(0).values
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2
        below = (weight * torch.special.ndtr((middle - mean[:, :, None]) / scale)).sum(0)
        low = torch.where(below < levels, middle, low)
        high = torch.where(below < levels, high, middle)
    quantiles: Tensor = (low + high) / 2
    for _ in range(_N_NEWTON_STEPS):
        u = (quantiles - mean[:, :, None]) / scale
        gap = (weight * torch.special.ndtr(u)).sum(0) - levels
        density = (weight / scale * torch.exp(-0.5 * u**2)).sum(0) / math.sqrt(2 * math.pi)
        step = gap / density.clamp_min(torch.finfo(density.dtype).tiny)
        quantiles = torch.minimum(torch.maximum(quantiles - step, low), high)
    return quantiles
