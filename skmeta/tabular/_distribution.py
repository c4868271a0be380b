"""Give predicted distributions the means and the spread of a mixture.

Reference: Efron (1981), Nonparametric standard errors and confidence intervals (exponential
tilting).

Notation: n rows, q levels.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, softmax

# Levels of the quantiles that describe a distribution: those of 4.5 standard deviations of a normal
# distribution on either side. In such units, the largest tilt and the narrowest part.
LEVELS = ndtr(np.linspace(-4.5, 4.5, 201))
_LARGEST_TILT, _NARROWEST = 60.0, 1e-3


def reshape_distributions(
    quantiles: np.ndarray, mean: np.ndarray, spread: float, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give distributions other means and another spread.

    Densities are raised to the power 1 / spread^2 and multiplied by exp(t y), where t gives the
    mean (exponential tilting). A normal distribution moves and becomes narrower, but a value that
    many targets have, such as 0, stays where it is.

    Parameters
    ----------
    quantiles : ndarray of shape (n, 201)
        The quantiles at ``LEVELS``.
    mean : ndarray of shape (n,)
        The means to be.
    spread : float
        Factor of the standard deviation of a normal distribution.
    levels : ndarray of shape (q,)
        Levels of the returned quantiles.

    Returns
    -------
    std : ndarray of shape (n,)
        Standard deviations.
    quantiles : ndarray of shape (n, q)
        Quantiles at `levels`.
    """
    centre = quantiles.mean(1, keepdims=True)
    # Not the standard deviation: squares of extreme targets overflow.
    unit = (quantiles[:, -1:] - quantiles[:, :1]) / 9
    unit[unit == 0] = 1.0
    at, target = (quantiles - centre) / unit, (mean[:, None] - centre) / unit
    width, middle = np.diff(at, axis=1), (at[:, 1:] + at[:, :-1]) / 2
    log_width = np.log(np.maximum(width, _NARROWEST))
    log_share = log_width + spread**-2 * (np.log(np.diff(LEVELS)) - log_width)
    high = np.full_like(target, _LARGEST_TILT * spread**-2)
    low = -high
    for _ in range(40):  # bisection
        tilt = (low + high) / 2
        share = softmax(log_share + tilt * middle, axis=1)
        is_above = (share * middle).sum(1, keepdims=True) > target
        low, high = np.where(is_above, low, tilt), np.where(is_above, tilt, high)
    # A mean beyond all quantiles cannot be reached by a tilt.
    at, middle = (v + target - (share * middle).sum(1, keepdims=True) for v in (at, middle))
    variance = (share * ((middle - target) ** 2 + width**2 / 12)).sum(1)
    below = np.pad(share.cumsum(1), ((0, 0), (1, 0)))
    standardised = [np.interp(levels, p, v) for p, v in zip(below, at, strict=True)]
    return unit[:, 0] * np.sqrt(variance), centre + unit * np.array(standardised)
