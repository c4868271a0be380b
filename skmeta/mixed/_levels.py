"""Grids over the noise of a group, and over the scale of its effects.

The logarithms of the noise sigma of a group and of the scale s of its effects are normal over
groups, on even grids of k levels and of l scales.

Reference: West (1987), On scale mixtures of normal distributions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import log_softmax

N_NOISE_LEVELS, N_SCALES = 13, 7
_FURTHEST_LEVEL, FURTHEST_SCALE = 3.0, 2.5


@lru_cache
def noise_grid(n_levels: int = N_NOISE_LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Return an even grid over a standard normal distribution, and log probabilities, (k,)."""
    nodes = np.linspace(-_FURTHEST_LEVEL, _FURTHEST_LEVEL, n_levels)
    return nodes, log_softmax(-0.5 * nodes**2)


def noise_levels(
    log_noise: float, log_spread: float | None, n_levels: int = N_NOISE_LEVELS
) -> tuple[np.ndarray, np.ndarray]:
    """Return standard deviations of the noise and their log probabilities, (k,).

    Parameters
    ----------
    log_noise : float
        Mean over groups of log sigma.
    log_spread : float or None
        Logarithm of the standard deviation of log sigma over groups; None for the same noise in
        all groups, a single level.
    n_levels : int
        k.
    """
    if log_spread is None:
        return np.exp([log_noise]), np.zeros(1)
    nodes, log_weight = noise_grid(n_levels)
    return np.exp(log_noise + np.exp(log_spread) * nodes), log_weight


def effect_scales(
    log_spread: float | None, n_scales: int = N_SCALES
) -> tuple[np.ndarray, np.ndarray]:
    """Return scales of the effects and their log probabilities, (l,).

    Parameters
    ----------
    log_spread : float or None
        Logarithm of the standard deviation of log s over groups; None for the same scale, 1.
    n_scales : int
        l.
    """
    if log_spread is None:
        return np.ones(1), np.zeros(1)
    nodes = np.linspace(-FURTHEST_SCALE, FURTHEST_SCALE, n_scales)
    return np.exp(np.exp(log_spread) * nodes), log_softmax(-0.5 * nodes**2)
