"""Bayesian linear regression with a Gaussian prior: posterior and predictive distribution.

Notation: n rows, q coefficients (the first is the intercept), k noise levels. Z (n, q) are rows
with a leading 1, y (n,) targets, w (n,) weights. Coefficients are drawn from N(m, L L'), targets
from N(Z b, sigma^2). The logarithm of a task's noise is normal over tasks, on a grid of k levels,
so predictions are mixtures of k normal distributions.

All functions take one task and have no branches on values, so `torch.func.vmap` and
`torch.func.grad` can transform them.

References: Bishop (2006), Pattern Recognition and Machine Learning, section 3.3; Harrison, Sharma
and Pavone (2018), Meta-learning priors for efficient online Bayesian regression, section 3.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

N_NOISE_LEVELS = 13
_FURTHEST_LEVEL = 3.0
_N_BISECTIONS = 60


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


def with_intercept(features: Tensor) -> Tensor:
    """Put a leading 1 before features (n, d)."""
    return torch.cat([torch.ones_like(features[:, :1]), features], 1)


def regression_posterior(
    z: Tensor, y: Tensor, w: Tensor, mean: Tensor, factor: Tensor, noise: Tensor, log_weight: Tensor
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

    Returns
    -------
    Posterior
        Coefficients are m + L u. The prior of u is N(0, I), and the precision of its posterior is
        M = I + L' Z' W Z L / sigma^2.
    """
    zl = z @ factor
    residual = y - z @ mean
    gram = zl.T @ (w[:, None] * zl)
    shift = zl.T @ (w * residual)
    variance = noise**2
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    root = torch.linalg.cholesky(eye + gram / variance[:, None, None])
    # M^-1 L' Z' W r / sigma^2.
    half = torch.linalg.solve_triangular(root, (shift / variance[:, None])[:, :, None], upper=False)
    u = torch.linalg.solve_triangular(root.mT, half, upper=True)[..., 0]
    after = torch.linalg.solve_triangular(root, factor.T.expand_as(root), upper=False).mT
    log_det = 2 * torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)
    misfit = (w * residual**2).sum() / variance - (half[..., 0] ** 2).sum(-1)
    log_evidence = -0.5 * (misfit + log_det) - w.sum() * torch.log(noise)
    return Posterior(
        mean + u @ factor.T, after, noise, torch.log_softmax(log_weight + log_evidence, 0)
    )


def predictive(posterior: Posterior, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and variances (k, n) of the targets of rows (n, q), for each noise level."""
    spread = z @ posterior.factor
    return posterior.mean @ z.T, (spread**2).sum(-1) + posterior.noise[:, None] ** 2


def mixture_moments(mean: Tensor, variance: Tensor, log_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (n,) of mixtures of normals, given (k, n), (k, n) and (k,)."""
    weight = log_weight.exp()[:, None]
    centre = (weight * mean).sum(0)
    return centre, (weight * (variance + (mean - centre) ** 2)).sum(0)


def mixture_log_density(mean: Tensor, variance: Tensor, log_weight: Tensor, y: Tensor) -> Tensor:
    """Return the log density (n,) of targets (n,) under mixtures of k normal distributions."""
    each = -0.5 * ((y - mean) ** 2 / variance + torch.log(2 * math.pi * variance))
    density: Tensor = torch.logsumexp(log_weight[:, None] + each, 0)
    return density


def mixture_quantiles(mean: Tensor, variance: Tensor, log_weight: Tensor, levels: Tensor) -> Tensor:
    """Compute quantiles of mixtures of normal distributions by bisection.

    Parameters
    ----------
    mean, variance : Tensor of shape (k, n)
        Means and variances of the components.
    log_weight : Tensor of shape (k,)
        Logarithms of the components' probabilities.
    levels : Tensor of shape (l,)
        Between 0 and 1, both excluded.

    Returns
    -------
    Tensor of shape (n, l)
        The quantiles.
    """
    scale, weight = variance.sqrt()[:, :, None], log_weight.exp()[:, None, None]
    # A quantile of a mixture lies between those of its components.
    of_each = mean[:, :, None] + scale * torch.special.ndtri(levels)
    low, high = of_each.min(0).values, of_each.max(0).values
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2
        below = (weight * torch.special.ndtr((middle - mean[:, :, None]) / scale)).sum(0)
        low = torch.where(below < levels, middle, low)
        high = torch.where(below < levels, high, middle)
    found: Tensor = (low + high) / 2
    return found
