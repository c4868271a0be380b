"""Weights of a mixture of predictions, by losses on held-out rows: two rules.

Stacking: weights that are not negative and sum to 1 are tried on a grid. Their mean is taken, each
weighted by the likelihood of what was held out: a few rows leave much uncertain, and the best
weights on them would be too extreme. With shrinkage, the mean moves towards given weights. Errors
within a group are correlated, so groups can be drawn anew many times (the Bayesian bootstrap), and
the weights are means over these draws. Powers: the weight of a prediction is its loss to a negative
power.

Notation: m predictions, g grid points, u units that were held out (rows, groups or episodes).

References: Breiman (1996), Stacked regressions; Yao, Vehtari, Simpson and Gelman (2018), Using
stacking to average Bayesian predictive distributions; Rubin (1981), The Bayesian bootstrap; Bates
and Granger (1969), The combination of forecasts; Timmermann (2006), Forecast combinations.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import softmax

_SEED = 0
# The least mean squared error that is told from 0.
_LEAST_ERROR = 1e-300
# Losses below this are equal.
_LEAST_LOSS = 1e-12


def weight_grid(m: int, n_steps: int) -> np.ndarray:
    """Return the weights (g, m) whose entries are multiples of ``1 / n_steps``.

    Parameters
    ----------
    m : int
        Number of predictions.
    n_steps : int
        Number of steps from 0 to 1.
    """
    steps = itertools.product(range(n_steps + 1), repeat=m - 1)
    grid = [(*first, n_steps - sum(first)) for first in steps if sum(first) <= n_steps]
    return np.array(grid) / n_steps


def mix(outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of predictions.

    Parameters
    ----------
    outputs : ndarray of shape (m, n) or (m, n, c)
        Predictions, or probabilities of classes.
    weights : ndarray of shape (m,) or (m, n)
        Weights; the same for all rows, or those of each.
    """
    extra = outputs.ndim - weights.ndim
    return np.asarray((weights.reshape(*weights.shape, *[1] * extra) * outputs).sum(0))


def mix_deviations(
    means: np.ndarray, stds: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations (n,) of a mixture of distributions (m, n)."""
    mean = mix(means, weights)
    return mean, np.sqrt(mix(stds**2 + (means - mean) ** 2, weights))


def power_weights(losses: np.ndarray, power: float) -> np.ndarray:
    """Return weights (..., m) in proportion to losses (..., m) to minus a power.

    So no prediction decides alone where few rows, or one cut in time, are held out (Bates and
    Granger, 1969; Timmermann, 2006, section 2.4).
    """
    return np.asarray(softmax(-power * np.log(np.maximum(losses, _LEAST_LOSS)), axis=-1))


def average_weights(
    losses: np.ndarray,
    grid: np.ndarray,
    *,
    n_independent: float,
    squared: bool = False,
    n_draws: int = 0,
    shrinkage: float = 0.0,
    towards: np.ndarray | None = None,
) -> np.ndarray:
    """Average the weights of a grid, each by the likelihood of what was held out.

    Parameters
    ----------
    losses : ndarray of shape (g, u)
        Loss of each grid point in each unit. Units count alike.
    grid : ndarray of shape (g, m)
        Weights that were tried.
    n_independent : float
        Number of independent rows that all units count as.
    squared : bool, default=False
        Whether losses are squared errors of normal distributions, whose variance is that of the
        errors, or minus log likelihoods.
    n_draws : int, default=0
        Number of draws of the Bayesian bootstrap over units, from a fixed seed. 0 takes all units
        once.
    shrinkage : float, default=0.0
        Strength of a normal prior of the weights around ``towards``, in rows: a squared distance
        of 1 costs as much as so many rows with a log loss that is higher by 1.
    towards : ndarray of shape (m,), optional
        Weights of the prior; by default equal weights.

    Returns
    -------
    ndarray of shape (m,)
        Weights that are not negative and sum to 1.
    """
    n_units = losses.shape[1]
    shares = np.full((1, n_units), 1 / n_units)
    if n_draws:
        shares = np.random.default_rng(_SEED).dirichlet(np.ones(n_units), n_draws)
    mean = shares @ losses.T
    loss = 0.5 * np.log(np.maximum(mean, _LEAST_ERROR)) if squared else mean
    centre = np.full(grid.shape[1], 1 / grid.shape[1]) if towards is None else towards
    penalty = shrinkage * ((grid - centre) ** 2).sum(1)
    chance = softmax(-n_independent * loss - penalty, axis=1).mean(0)
    return np.asarray(chance @ grid)
