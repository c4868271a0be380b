"""Weights of several predictions, by the number of known rows, and their calibration.

Groups are held out, and of each of them some rows are known. Weights that are not negative and sum
to 1 are tried on a grid. Their mean is taken, each counted by its likelihood on the groups held
out: a few groups leave much uncertain, and the best weights on them would be too extreme. Rows of a
group err alike, above all if none of them is known. So the groups are drawn anew many times, by the
Bayesian bootstrap, and the weights are means over these draws.

Notation: m predictions, g grid points, n rows.

References: Rubin (1981), The Bayesian bootstrap; Breiman (1996), Stacked regressions; Yao,
Vehtari, Simpson and Gelman (2018), Using stacking to average Bayesian predictive distributions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from skmeta.grouped._population import losses_of

# Steps of the grid from 0 to 1.
_N_STEPS = 6
# Rows of a group are dependent, and count like this number of rows in all.
_N_INDEPENDENT = 10.0
# Draws of the bootstrap, from a fixed seed.
_N_DRAWS, _SEED = 100, 0
# Probabilities of the quantiles of standardised residuals that are kept.
PROBABILITIES = np.linspace(0.0025, 0.9975, 200)


class Level(NamedTuple):
    """What was found with a number of known rows.

    Attributes
    ----------
    n_known : float
        Number of known rows.
    weights : ndarray of shape (m,)
        Weights of the predictions.
    losses : ndarray of shape (m + 1,)
        Mean loss of each prediction, and of their mixture.
    quantiles : ndarray of shape (len(PROBABILITIES),)
        Quantiles of the residuals over the predicted standard deviation; of a regression.
    """

    n_known: float
    weights: np.ndarray
    losses: np.ndarray
    quantiles: np.ndarray


def weight_grid(m: int) -> np.ndarray:
    """Return weights (g, m) that are not negative and sum to 1."""
    steps = itertools.product(range(_N_STEPS + 1), repeat=m - 1)
    grid = [(*first, _N_STEPS - sum(first)) for first in steps if sum(first) <= _N_STEPS]
    return np.array(grid) / _N_STEPS


def mix(outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of outputs (m, n) or (m, n, c), with weights (m,) or (m, n)."""
    if weights.ndim == 2 and outputs.ndim == 3:
        weights = weights[:, :, None]
    elif weights.ndim == 1:
        weights = weights.reshape(-1, *[1] * (outputs.ndim - 1))
    return np.asarray((weights * outputs).sum(0))


def weigh(
    outputs: np.ndarray,
    stds: np.ndarray | None,
    y: np.ndarray,
    row_weights: np.ndarray,
    codes: np.ndarray,
    n_known: float,
) -> Level:
    """Find the weights of predictions of rows of groups that were held out.

    Parameters
    ----------
    outputs : ndarray of shape (m, n) or (m, n, c)
        Predictions or probabilities, from the simplest on.
    stds : ndarray of shape (m, n) or None
        Standard deviations of predictions.
    y : ndarray of shape (n,)
        Targets or class codes.
    row_weights : ndarray of shape (n,)
        Weights of the rows.
    codes : ndarray of shape (n,), int64
        Groups of the rows.
    n_known : float
        Number of known rows.

    Returns
    -------
    Level
        Weights, losses and the calibration.
    """
    grid = weight_grid(len(outputs))
    groups = np.unique(codes, return_inverse=True)[1]
    totals = np.bincount(groups, row_weights)
    # Each group counts alike, whatever the number of its rows.
    by_group = np.array(
        [
            np.bincount(groups, row_weights * losses_of(y, mix(outputs, weights))) / totals
            for weights in grid
        ]
    )
    draws = np.random.default_rng(_SEED).dirichlet(np.ones(len(totals)), _N_DRAWS)
    losses = draws @ by_group.T
    least = losses.min(1, keepdims=True)
    n_independent = min(_N_INDEPENDENT * len(totals), len(y))
    # Of normal distributions with the variance that is the least loss.
    scale = 1.0 if stds is None else 2 * np.maximum(least, 1e-300)
    weights = softmax(-n_independent * (losses - least) / scale, axis=1).mean(0) @ grid
    of_each = [float(np.average(losses_of(y, each), weights=row_weights)) for each in outputs]
    mixture = mix(outputs, weights)
    of_each.append(float(np.average(losses_of(y, mixture), weights=row_weights)))
    quantiles = np.zeros(0)
    if stds is not None:
        ratio = (y - mixture) / np.maximum(mix(stds, weights), 1e-300)
        quantiles = _weighted_quantiles(ratio, row_weights)
    return Level(n_known, weights, np.array(of_each), quantiles)


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    at = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    return np.asarray(np.interp(PROBABILITIES, at, values))


def interpolate(levels: Sequence[Level], n_known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate weights and quantiles between levels, linearly in the log of 1 + rows.

    Parameters
    ----------
    levels : sequence of Level
        By number of known rows, in ascending order.
    n_known : ndarray of shape (n,)
        Number of known rows of the group of each row.

    Returns
    -------
    weights : ndarray of shape (m, n)
        Weights of the predictions.
    quantiles : ndarray of shape (n, len(PROBABILITIES))
        Quantiles of standardised residuals; without columns for a classification.
    """
    distinct, inverse = np.unique(n_known, return_inverse=True)
    at = np.log1p([level.n_known for level in levels])
    shares = np.stack([np.interp(np.log1p(distinct), at, row) for row in np.eye(len(at))])
    weights = np.stack([level.weights for level in levels])
    quantiles = np.stack([level.quantiles for level in levels])
    return (weights.T @ shares)[:, inverse], (shares.T @ quantiles)[inverse]
