"""Weights of a mixture of predictions, by what was held out. Its distributions.

Weights are not negative and sum to 1. The best ones on a few rows would be too extreme. So weights
on a grid are averaged, each weighted by its posterior probability: the likelihood of what the
mixture predicts of held-out rows (stacking), times a Dirichlet distribution around prior weights.

Prior weights of members of a grouped table are beliefs (what earlier tables say of the members)
over the squared loss: no member that is far behind is kept to make up for the errors of others.
Errors within a group are correlated, so it counts as a few rows. Errors of later rows of groups in
time are correlated between groups, too: their weights are beliefs over a power of the loss.

Notation: m predictions, g grid points, n rows.

References: Breiman (1996), Stacked regressions; Yao, Vehtari, Simpson and Gelman (2018), Using
stacking to average Bayesian predictive distributions; Efron (1981), Nonparametric standard errors
and confidence intervals (exponential tilting); Efron and Tibshirani (1993), An introduction to the
bootstrap, chapter 11 (jackknife); Ranjan and Gneiting (2010), Combining probability forecasts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri, softmax
from scipy.stats import t as student

from skmeta._tabular._member import PROBABILITIES, HeldOut, Level, Outputs, width_of_few
from skmeta._tabular._population import MIN_PROBABILITY, losses_of
from skmeta._tabular._table import Table

# The smallest mean squared error that is distinguishable from zero.
_MIN_ERROR = 1e-300
# Losses of members below this are equal.
_MIN_LOSS = 1e-12
# Steps of weights from 0 to 1, by the largest number of predictions. The prior of a weight of 0 is
# that of this share of a step.
_N_STEPS, _SHARE_OF_STEP = {3: 20, 4: 10, 5: 8, 99: 5}, 0.25
# Prior of the slope of probabilities: its centre, and the deviation of its logarithm. Chosen on
# three development tables and 90 made ones of benchmarks/measure/calibration.py.
_SLOPE, _SLOPE_DEVIATION = 1.05, 0.1
# Levels of the quantiles that describe a distribution: those of 4.5 standard deviations of a normal
# distribution on either side. In such units, the largest tilt and the narrowest part.
LEVELS = ndtr(np.linspace(-4.5, 4.5, 201))
_LARGEST_TILT, _NARROWEST = 60.0, 1e-3
# Rows of a group are dependent, and count like this number of rows in all. Prior weights count
# as so many rows, and fall with this power of the loss. These, and the beliefs, were chosen on
# development tables of benchmarks/measure/published_models.py, grouped.py, targets.py.
_N_INDEPENDENT, _N_OF_PRIOR, _POWER = 10.0, 10.0, 2.0
# Weights below this are 0.
_MIN_WEIGHT = 0.02
# Of several columns: in quantiles of residuals, a normal distribution counts as so many groups.
_N_NORMAL = 20.0
_NORMAL = ndtri(PROBABILITIES)
# A level of few rows that is near the number of rows of known groups is left out.
_NEAR = 1.5
# Of the interval of the gain: its coverage, groups that it needs, and blocks at most.
_COVERAGE, _MIN_OF_GAIN, _MAX_BLOCKS = 0.95, 4, 30

# Rows of held-out groups, numbers of known rows by case, and the outputs of each member.
HeldOutCase = tuple[Table, np.ndarray, list[Outputs]]


class TimeRule(NamedTuple):
    """How later rows of groups in time count: errors are divided by scales of rows of fit (n,).

    Prior weights fall with this power of the loss.
    """

    scales: np.ndarray
    power: float = 1.0


@cache
def weight_grid(m: int) -> np.ndarray:
    """Return the weights (g, m) whose entries are multiples of a step."""
    n_steps = next(n for most, n in _N_STEPS.items() if m <= most)
    steps = itertools.product(range(n_steps + 1), repeat=m - 1)
    grid = [(*first, n_steps - sum(first)) for first in steps if sum(first) <= n_steps]
    return np.array(grid) / n_steps


def average_weights(
    losses: np.ndarray,
    grid: np.ndarray,
    n_rows: float,
    *,
    squared: bool = False,
    prior: np.ndarray | None = None,
    n_of_prior: float = 0.0,
) -> np.ndarray:
    """Return the mean (m,) of the weights of a grid (g, m), given the mean loss (g,) of each.

    Losses are negative log likelihoods or, if `squared`, squared errors, of what counts as `n_rows`
    rows; of several cases, they are (k, g). The prior weights (m,) count as `n_of_prior` rows.
    """
    losses = 0.5 * np.log(np.maximum(losses, _MIN_ERROR)) if squared else losses
    log_posterior = -n_rows * losses
    if prior is not None:
        least = _SHARE_OF_STEP * grid[grid > 0].min()
        log_posterior = log_posterior + n_of_prior * (np.log(np.maximum(grid, least)) @ prior)
    return np.asarray(softmax(log_posterior, axis=-1) @ grid)


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

    Means of calibrated probabilities are too close to equal ones (Ranjan and Gneiting, 2010).
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


def _without_small(weights: np.ndarray) -> np.ndarray:
    """Return weights (m,) without those that are near 0."""
    weights = np.where(weights < _MIN_WEIGHT, 0.0, weights)
    return np.asarray(weights / weights.sum())


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


# --------------------------------------------- levels: some rows of a held-out group are known


def join_levels(
    by_level: dict[float, list[HeldOutCase]],
    used: tuple[np.ndarray, np.ndarray],
    beliefs: np.ndarray,
    n_classes: int,
    factor: int,
    least_rows: int,
    in_time: TimeRule | None = None,
    is_later: bool = False,
) -> list[Level]:
    """Return the levels of a regime, whose groups are those of a column of groups.

    `used` are members (m,) where few rows are known, and where most are.
    """
    levels = []
    for value, parts in sorted(by_level.items()):
        at, counts, means, stds = join_cases(parts)
        if len(at.y) < least_rows:
            continue
        at = at._replace(codes=at.codes[:, [factor]])
        n_known = float(np.expm1(np.mean(np.log1p(counts))))
        members = used[int(value == np.inf)]
        given = at, n_known, members, beliefs, in_time, is_later
        levels.append(find_level(means, None if n_classes else stds, *given))
    fixed, last = levels[:-1], levels[-1:]
    return [level for level in fixed if level.n_known < last[0].n_known / _NEAR] + last


def near_normal(level: Level, n_new: int | None) -> Level:
    """Return a level whose quantiles are near those of a normal distribution, if groups are few.

    A new group is one of `n_new`; None if groups are known.
    """
    if level.held_out is None:
        return level
    n_units = len(np.unique(level.held_out.group)) * (1 + min(level.n_known, 1e3))
    share = n_units / (n_units + _N_NORMAL)
    normal = _NORMAL * width_of_few(float(n_new)) if n_new and not level.n_known else _NORMAL
    return level._replace(quantiles=share * level.quantiles + (1 - share) * normal)


def join_cases(parts: Sequence[HeldOutCase]) -> tuple[Table, np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of divisions, numbers of known rows, means (m, n[, c]) and deviations (m, n)."""
    tables, counts, outputs = zip(*parts, strict=True)
    return Table.join(*tables), np.concatenate(counts), *_join_outputs(outputs)


def _join_outputs(outputs: Sequence[list[Outputs]]) -> tuple[np.ndarray, np.ndarray]:
    """Return means (m, n) or (m, n, c) and deviations (m, n) of folds of rows."""
    members = list(zip(*outputs, strict=True))
    means = np.stack([np.concatenate([part.mean for part in of]) for of in members])
    return means, np.stack([np.concatenate([part.std for part in of]) for of in members])


def find_level(
    means: np.ndarray,
    stds: np.ndarray | None,
    at: Table,
    n_known: float,
    used: np.ndarray,
    beliefs: np.ndarray,
    in_time: TimeRule | None = None,
    is_later: bool = False,
) -> Level:
    """Weigh the used members (m,) on rows, given predictions (m, n) or (m, n, c)."""
    losses, weights = np.full(len(used) + 1, np.nan), np.zeros(len(used))
    groups = np.unique(at.group, return_inverse=True)[1]
    total, n = np.bincount(groups, at.weight), len(at.y)
    # Each group counts alike, whatever the number of its rows.
    shares = at.weight / total[groups] / len(total)
    each = np.array([losses_of(at.y, one) for one in means[used]])
    losses[:-1][used] = each @ at.weight / at.weight.sum()
    if in_time is not None and is_later:
        shares = shares / in_time.scales[at.place] ** 2
    error = np.maximum(each @ shares, _MIN_LOSS)
    power = in_time.power if in_time is not None and is_later else _POWER
    prior = _without_small(softmax(np.log(beliefs[used]) - power * np.log(error)))
    kept = np.flatnonzero(used)[prior > 0]
    n_independent = 0.0 if is_later else min(_N_INDEPENDENT * len(total), n)
    grid = weight_grid(len(kept))
    if stds is None:
        chosen = means[kept][:, np.arange(n), at.y.astype(int)]
        grid_losses = -np.log(grid @ np.maximum(chosen, MIN_PROBABILITY)) @ shares
    else:
        errors = means[kept] - at.y
        grid_losses = ((grid @ ((errors * shares) @ errors.T)) * grid).sum(1) + _MIN_LOSS
    mean_weights = average_weights(
        grid_losses,
        grid,
        n_independent,
        squared=stds is not None,
        prior=prior[prior > 0],
        n_of_prior=_N_OF_PRIOR,
    )
    weights[kept] = _without_small(mean_weights)
    mixture = mix(means, weights)
    losses[-1] = np.average(losses_of(at.y, mixture), weights=at.weight)
    level = Level(n_known, weights, losses, np.zeros(0))
    if stds is None:
        return level._replace(slope=find_slope(mixture, at.y, at.weight, n_independent))
    std = mix(stds, weights) if in_time is None else mix_deviations(means, stds, weights)[1]
    held_out = HeldOut(mixture, std, at.y, at.weight, at.group, at.place)
    quantiles = held_out.quantiles(is_symmetric=in_time is not None)
    return level._replace(quantiles=quantiles, held_out=held_out)


def gain_of_known_rows(
    parts: Sequence[HeldOutCase], as_new: Sequence[list[Outputs]], new: Level, known: Level
) -> np.ndarray | None:
    """Return by what share known rows of a group change the loss, with its 95 % interval (3,).

    The error is that of the jackknife over blocks of groups.
    """
    if not parts:
        return None
    at = Table.join(*(part[0] for part in parts))
    groups = np.unique(at.group, return_inverse=True)[1]
    if groups.max() + 1 < _MIN_OF_GAIN:
        return None
    losses = []
    for level, outputs in ((new, as_new), (known, [part[2] for part in parts])):
        mixture = mix(_join_outputs(outputs)[0], level.weights)
        losses.append(np.bincount(groups, at.weight * losses_of(at.y, mixture)))
    if losses[0].sum() <= 0:
        return None
    blocks = np.array_split(np.arange(len(losses[0])), min(len(losses[0]), _MAX_BLOCKS))
    ratio, *without = (
        np.delete(losses[1], left_out).sum() / max(np.delete(losses[0], left_out).sum(), 1e-300)
        for left_out in (np.empty(0, int), *blocks)
    )
    b = len(without)
    error = np.sqrt((b - 1) * np.var(without))
    width = student.ppf((1 + _COVERAGE) / 2, b - 1) * error
    return np.asarray(ratio - 1 + width * np.array([0.0, -1.0, 1.0]))
