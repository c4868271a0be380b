"""Logarithm of the expected improvement, which still ranks candidates if the latter underflows.

Notation: u = (mean - best) / std; phi and Phi are the standard normal density and distribution.
EI = std * h(u), with h(u) = phi(u) + u Phi(u).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

Array = NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)
_SQRT_HALF_PI = np.sqrt(np.pi / 2)
_FAR = -25.0  # below it, h(u) is phi(u) / u^2 to three digits


def log_expected_improvement(mean: Array, std: Array, best: float) -> Array:
    """Logarithm of the expected improvement of a Gaussian over the best score so far.

    Follows Ament et al. (2023), "Unexpected improvements to expected improvement", eq. 9.

    Parameters
    ----------
    mean, std : ndarray of shape (n,)
        Mean and standard deviation of each candidate's score; `std` is positive.
    best : float
        The best score so far.

    Returns
    -------
    ndarray of shape (n,)
    """
    u = (mean - best) / std
    return np.asarray(np.log(std) + _log_h(u))


def _log_h(u: Array) -> Array:
    """Return log h(u), with a formula that does not underflow for each range of u."""
    found = np.empty_like(u)
    is_direct, is_far = u > -1.0, u < _FAR
    direct = u[is_direct]
    density = np.exp(-0.5 * direct**2 - _LOG_SQRT_2PI)
    found[is_direct] = np.log(density + direct * np.exp(log_ndtr(direct)))
    # h(u) = phi(u) (1 - |u| sqrt(pi/2) erfcx(|u| / sqrt(2))) for u < 0.
    is_below = ~(is_direct | is_far)
    below = u[is_below]
    tail = np.log1p(_SQRT_HALF_PI * below * erfcx(-below / np.sqrt(2.0)))
    found[is_below] = tail - 0.5 * below**2 - _LOG_SQRT_2PI
    far = u[is_far]
    found[is_far] = -0.5 * far**2 - _LOG_SQRT_2PI - 2 * np.log(-far)
    return found
