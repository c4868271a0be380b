"""Logarithm of the expected improvement, which still ranks candidates if the latter underflows.

Notation: u = (mean - best) / std; phi and Phi are the standard normal density and distribution.
EI = std * h(u), with h(u) = phi(u) + u Phi(u).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

Array = NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)
_SQRT_2PI = np.sqrt(2 * np.pi)
_SQRT_HALF_PI = np.sqrt(np.pi / 2)
_N_FIRST = 16  # candidates whose acquisition is computed first
_TINY = 1e-290
_MARGIN = 0.01  # for the error of log h, which has three digits far below the best score
_FAR = -25.0  # below it, h(u) is phi(u) / u^2 to three digits


def most_promising(
    predictions: Sequence[tuple[Array, Array]],
    weights: Array,
    best: float,
    log_cost: Array,
    is_available: NDArray[np.bool_],
) -> int:
    """Return the available candidate with the largest expected improvement per cost.

    The expected improvement is computed only of candidates that may have the largest one. An upper
    bound, which costs less, excludes the others: h(u) <= max(u, 0) + phi(u) / (1 + u^2), as
    Phi(u) >= phi(u) |u| / (1 + u^2) for u < 0 (Gordon, 1941).

    Parameters
    ----------
    predictions : sequence of (mean, std)
        Of each model, for all candidates; arrays of shape (n,).
    weights : ndarray of shape (n_models,)
        Weights of the models; they are positive and sum to 1.
    best : float
        The best score so far.
    log_cost : ndarray of shape (n,)
        Logarithm of each candidate's cost.
    is_available : ndarray of bool of shape (n,)
        Which candidates can be chosen; at least one.
    """
    bound = _log_upper_bound(predictions, weights, best) - log_cost
    rows = np.flatnonzero(is_available)

    def exact(rows: NDArray[np.intp]) -> Array:
        means, stds = (np.array([one[rows] for one in p]) for p in zip(*predictions, strict=True))
        improvement = log_expected_improvement(means, stds, best) + np.log(weights)[:, None]
        return np.asarray(np.logaddexp.reduce(improvement) - log_cost[rows])

    if len(rows) > _N_FIRST:
        first = rows[np.argpartition(bound[rows], -_N_FIRST)[-_N_FIRST:]]
        rows = rows[bound[rows] >= exact(first).max() - _MARGIN]
    return int(rows[exact(rows).argmax()])


def _log_upper_bound(
    predictions: Sequence[tuple[Array, Array]], weights: Array, best: float
) -> Array:
    """Return an upper bound of the logarithm of the mixture's expected improvement, (n,)."""
    bound = np.full(len(predictions[0][0]), _TINY)
    for (mean, std), weight in zip(predictions, weights, strict=True):
        difference = mean - best
        squared = difference / std
        squared *= squared
        term = np.exp(-0.5 * squared)
        squared += 1
        term /= squared
        term *= std
        term *= weight / _SQRT_2PI
        np.maximum(difference, 0, out=difference)
        difference *= weight
        bound += term
        bound += difference
    # Where the density underflows, nothing is excluded.
    return np.where(bound > 2 * _TINY, np.log(bound), np.inf)


def log_expected_improvement(mean: Array, std: Array, best: float) -> Array:
    """Logarithm of the expected improvement of a Gaussian over the best score so far.

    Follows Ament et al. (2023), "Unexpected improvements to expected improvement", eq. 9.

    Parameters
    ----------
    mean, std : ndarray
        Mean and standard deviation of each candidate's score; `std` is positive.
    best : float
        The best score so far.

    Returns
    -------
    ndarray of the shape of `mean`
    """
    u = (mean - best) / std
    return np.asarray(np.log(std) + _log_h(u))


def _log_h(u: Array) -> Array:
    """Return log h(u), with a formula that does not underflow for each range of u."""
    log_h = np.empty_like(u)
    is_direct, is_far = u > -1.0, u < _FAR
    direct = u[is_direct]
    density = np.exp(-0.5 * direct**2 - _LOG_SQRT_2PI)
    log_h[is_direct] = np.log(density + direct * np.exp(log_ndtr(direct)))
    # h(u) = phi(u) (1 - |u| sqrt(pi/2) erfcx(|u| / sqrt(2))) for u < 0.
    is_below = ~(is_direct | is_far)
    below = u[is_below]
    tail = np.log1p(_SQRT_HALF_PI * below * erfcx(-below / np.sqrt(2.0)))
    log_h[is_below] = tail - 0.5 * below**2 - _LOG_SQRT_2PI
    far = u[is_far]
    log_h[is_far] = -0.5 * far**2 - _LOG_SQRT_2PI - 2 * np.log(-far)
    return log_h
