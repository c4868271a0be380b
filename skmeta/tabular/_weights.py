"""Weights of a mixture of predictions, by losses on held-out rows: two rules. Its distributions.

Stacking: weights that are not negative and sum to 1 are tried on a grid. Their mean is taken, each
weighted by the likelihood of what was held out: a few rows leave much uncertain, and the best
weights on them would be too extreme. With shrinkage, the mean moves towards given weights. Errors
within a group are correlated, so groups can be drawn anew many times (the Bayesian bootstrap), and
the weights are means over these draws. Powers: the weight of a prediction is its loss to a negative
power.

Notation: m predictions, g grid points, u units that were held out (rows, groups or episodes).

References: Breiman (1996), Stacked regressions; Yao, Vehtari, Simpson and Gelman (2018), Using
stacking to average Bayesian predictive distributions; Rubin (1981), The Bayesian bootstrap; Bates
and Granger (1969), The combination of forecasts; Timmermann (2006), Forecast combinations; Efron
(1981), Nonparametric standard errors and confidence intervals (exponential tilting); Ranjan and
Gneiting (2010), Combining probability forecasts.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, softmax

_SEED = 0
# The smallest mean squared error that is distinguishable from zero.
_MIN_ERROR = 1e-300
# Losses below this are equal.
_MIN_LOSS = 1e-12
# Prior of the slope of probabilities: its centre, and the deviation of its logarithm. Chosen on
# three development tables of benchmarks/measure/calibration.py, and 90 made ones of verdicts.py.
_SLOPE, _SLOPE_DEVIATION = 1.05, 0.1
# Levels of the quantiles that describe a distribution: those of 4.5 standard deviations of a normal
# distribution on either side. In such units, the largest tilt and the narrowest part.
LEVELS = ndtr(np.linspace(-4.5, 4.5, 201))
_LARGEST_TILT, _NARROWEST = 60.0, 1e-3


@cache
def weight_grid(m: int, n_steps: int) -> np.ndarray:
    """Return the weights (g, m) whose entries are multiples of ``1 / n_steps``."""
    steps = itertools.product(range(n_steps + 1), repeat=m - 1)
    grid = [(*first, n_steps - sum(first)) for first in steps if sum(first) <= n_steps]
    return np.array(grid) / n_steps


def mix(outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of predictions (m, n) or (m, n, c), weighted by (m,) or, by row, (m, n)."""
    extra = outputs.ndim - weights.ndim
    return np.asarray((weights.reshape(*weights.shape, *[1] * extra) * outputs).sum(0))


def sharpen(proba: np.ndarray, slope: np.ndarray | float) -> np.ndarray:
    """Raise probabilities (n, c) to the power of a slope, or of one per row (n,)."""
    powers = proba ** np.reshape(slope, (-1, 1))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def find_slope(
    proba: np.ndarray, y: np.ndarray, row_weights: np.ndarray, n_independent: float
) -> float:
    """Return the power that probabilities (n, c) are best raised to: the slope of their logarithms.

    A mean of calibrated probabilities is too close to equal ones (Ranjan and Gneiting, 2010), so
    the prior of the slope is a little above 1.
    """
    # No probability is 0 in the loss.
    kept = np.clip(proba, 1e-3, None)
    rows, centre = np.arange(len(y)), np.log(_SLOPE)

    def loss(log_slope: float) -> float:
        chosen = sharpen(kept, float(np.exp(log_slope)))[rows, y.astype(np.int64)]
        prior = (log_slope - centre) ** 2 / (2 * _SLOPE_DEVIATION**2)
        return float(prior - n_independent * np.average(np.log(chosen), weights=row_weights))

    return float(np.exp(minimize_scalar(loss, bounds=(-0.5, 0.5), method="bounded").x))


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
    return np.asarray(softmax(-power * np.log(np.maximum(losses, _MIN_LOSS)), axis=-1))


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
    """Average the weights (g, m) of a grid, each by the likelihood of its losses (g, u).

    Units count equally, and all of them as `n_independent` rows. Losses are negative log
    likelihoods or, if `squared`, squared errors of normal distributions whose variance is that of
    the errors. `n_draws` is the number of draws of the Bayesian bootstrap over units, from a fixed
    seed; 0 takes all units once. `shrinkage` is the strength of a normal prior around `towards` (by
    default equal weights) in rows: a squared distance of 1 costs as much as so many rows with a log
    loss that is higher by 1.
    """
    n_units = losses.shape[1]
    shares = np.full((1, n_units), 1 / n_units)
    if n_draws:
        shares = np.random.default_rng(_SEED).dirichlet(np.ones(n_units), n_draws)
    mean = shares @ losses.T
    loss = 0.5 * np.log(np.maximum(mean, _MIN_ERROR)) if squared else mean
    centre = np.full(grid.shape[1], 1 / grid.shape[1]) if towards is None else towards
    penalty = shrinkage * ((grid - centre) ** 2).sum(1)
    chance = softmax(-n_independent * loss - penalty, axis=1).mean(0)
    return np.asarray(chance @ grid)


def reshape_distributions(
    quantiles: np.ndarray, mean: np.ndarray, spread: float, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give distributions other means (n,) and another spread.

    Densities are raised to the power 1 / spread^2 and multiplied by exp(t y), where t gives the
    mean (exponential tilting). A normal distribution moves and becomes narrower, but a value that
    many targets have, such as 0, stays where it is. `quantiles` (n, 201) are those at ``LEVELS``.
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
