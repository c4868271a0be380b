"""Weights of several predictions, by the number of known rows, and their calibration.

Groups are held out, and of each of them some rows are known. The weights of the predictions follow
from the losses in these groups, as in :mod:`skmeta._stacking`.

Notation: m predictions, g grid points, n rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skmeta._stacking import average_weights, mix, weight_grid
from skmeta.grouped._population import losses_of

# Steps of the grid from 0 to 1.
_N_STEPS = 6
# Rows of a group are dependent, and count like this number of rows in all.
_N_INDEPENDENT = 10.0
# Draws of the bootstrap.
_N_DRAWS = 100
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
    grid = weight_grid(len(outputs), _N_STEPS)
    groups = np.unique(codes, return_inverse=True)[1]
    totals = np.bincount(groups, row_weights)
    # Each group counts alike, whatever the number of its rows.
    by_group = np.array(
        [
            np.bincount(groups, row_weights * losses_of(y, mix(outputs, weights))) / totals
            for weights in grid
        ]
    )
    weights = average_weights(
        by_group,
        grid,
        n_independent=min(_N_INDEPENDENT * len(totals), len(y)),
        squared=stds is not None,
        n_draws=_N_DRAWS,
    )
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
