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
    above = np.maximum(u, -1.0)
    direct = np.log(np.exp(-0.5 * above**2 - _LOG_SQRT_2PI) + above * np.exp(log_ndtr(above)))
    # h(u) = phi(u) (1 - |u| sqrt(pi/2) erfcx(|u| / sqrt(2))) for u < 0.
    below = np.clip(u, _FAR, -1.0)
    tail = np.log1p(_SQRT_HALF_PI * below * erfcx(-below / np.sqrt(2.0)))
    tail = tail - 0.5 * below**2 - _LOG_SQRT_2PI
    far = np.minimum(u, _FAR)
    asymptote = -0.5 * far**2 - _LOG_SQRT_2PI - 2 * np.log(-far)
    return np.asarray(np.where(u > -1, direct, np.where(u > _FAR, tail, asymptote)))
