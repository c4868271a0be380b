"""Levels of the mixture: weights of the members where some rows of a held-out group are known.

The weights follow from the losses in held-out groups, as in :func:`average_weights`.

Notation: m predictions, g grid points, n rows, G groups, b blocks of groups.

References: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 11 (jackknife).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from skmeta.tabular._member import HeldOut, Level, Outputs
from skmeta.tabular._population import losses_of
from skmeta.tabular._table import Table
from skmeta.tabular._weights import average_weights, find_slope, mix, weight_grid

# Steps of the grid from 0 to 1.
_N_STEPS = 6
# Rows of a group are dependent, and count like this number of rows in all.
_N_INDEPENDENT = 10.0
# Draws of the bootstrap.
_N_DRAWS = 100
# Weights below this are 0.
_MIN_WEIGHT = 0.02
# Unsure members fall back on the population, unless the held-out loss is higher by this share.
_MAX_LOSS = 0.04
# A level of few rows that is near the number of rows of known groups is left out.
_NEAR = 1.5
# Of the interval of the gain: its coverage, groups that it needs, and blocks of a half at most.
_COVERAGE, _MIN_OF_GAIN, _MAX_BLOCKS = 0.95, 4, 15

# Rows of held-out groups, numbers of known rows by case, and the outputs of each member.
Found = tuple[Table, np.ndarray, list[Outputs]]


def weigh(
    outputs: np.ndarray,
    stds: np.ndarray | None,
    y: np.ndarray,
    row_weights: np.ndarray,
    codes: np.ndarray,
    n_known: float,
) -> Level:
    """Estimate weights of predictions (m, n) or (m, n, c) in held-out groups, simplest first."""
    by_group, grid = _losses_on_grid(outputs, y, row_weights, codes)
    weights = _average(by_group, grid, len(y), stds is not None)
    member_losses = [float(np.average(losses_of(y, each), weights=row_weights)) for each in outputs]
    mixture = mix(outputs, weights)
    member_losses.append(float(np.average(losses_of(y, mixture), weights=row_weights)))
    level = Level(n_known, weights, np.array(member_losses), np.zeros(0))
    if stds is None:
        n_independent = min(_N_INDEPENDENT * by_group.shape[1], len(y))
        return level._replace(slope=find_slope(mixture, y, row_weights, n_independent))
    held_out = HeldOut(mixture, mix(stds, weights), y, row_weights, codes, np.arange(len(y)))
    return level._replace(quantiles=held_out.quantiles(), held_out=held_out)


def _without_small(weights: np.ndarray) -> np.ndarray:
    weights = np.where(weights < _MIN_WEIGHT, 0.0, weights)
    return np.asarray(weights / weights.sum())


def _losses_on_grid(
    outputs: np.ndarray, y: np.ndarray, row_weights: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean losses (g, G) of groups for the weights (g, m) of a grid, and these."""
    grid = weight_grid(len(outputs), _N_STEPS)
    groups = np.unique(codes, return_inverse=True)[1]
    totals = np.bincount(groups, row_weights)
    losses = (row_weights * losses_of(y, mix(outputs, weights)) for weights in grid)
    # Each group counts alike, whatever the number of its rows.
    return np.array([np.bincount(groups, each) / totals for each in losses]), grid


def _average(by_group: np.ndarray, grid: np.ndarray, n_rows: int, squared: bool) -> np.ndarray:
    """Return the mean weights (m,), given the losses (g, G) of groups and their number of rows."""
    n_independent = min(_N_INDEPENDENT * by_group.shape[1], n_rows)
    return average_weights(
        by_group, grid, n_independent=n_independent, squared=squared, n_draws=_N_DRAWS
    )


def fall_back(means: np.ndarray, stds: np.ndarray, precision: np.ndarray | float) -> np.ndarray:
    """Move means (m, n) towards the first, of the population, where their deviations are large.

    The known rows of a group may say nothing about others of its rows: those of small cars do not
    tell how a maker's sports cars differ. The predicted deviation shows where that is so.
    """
    share = 1 / np.maximum(precision * stds**2, 1.0)
    return np.asarray(means[0] + share * (means - means[0]))


def join_levels(
    by_level: dict[float, list[Found]],
    used: np.ndarray,
    used_at_most: np.ndarray,
    n_classes: int,
    least_rows: int,
    is_new: bool,
) -> list[Level]:
    """Return levels with members (m,) that are used, and those used where most rows are known."""
    joined = (
        _join_folds(parts, used_at_most if value == np.inf else used, n_classes, least_rows, is_new)
        for value, parts in sorted(by_level.items())
    )
    levels = [level for level in joined if level is not None]
    fixed, last = levels[:-1], levels[-1:]
    return [level for level in fixed if level.n_known < last[0].n_known / _NEAR] + last


def _join_folds(
    parts: list[Found], used: np.ndarray, n_classes: int, least_rows: int, is_new: bool
) -> Level | None:
    tables, counts, outputs = zip(*parts, strict=True)
    at = _join_tables(tables)
    if len(at.y) < least_rows:
        return None
    n_known = float(np.expm1(np.mean(np.log1p(np.concatenate(counts)))))
    means, stds = _join_outputs(outputs)
    return find_level(means, None if n_classes else stds, at, n_known, used, is_new)


def _join_tables(tables: Sequence[Table]) -> Table:
    return Table(*(np.concatenate(of) for of in zip(*tables, strict=True)))


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
    falls_back: bool = False,
) -> Level:
    """Estimate weights of the used members from means (m, n) or (m, n, c); others have weight 0.

    With `falls_back`, unsure members may fall back on the first one, the population.
    """
    used_stds = None if stds is None else stds[used]
    rows = at.y, at.weight, at.group, n_known
    level = weigh(means[used], used_stds, *rows)
    if falls_back and stds is not None and used.sum() > 1:
        error = np.average((means[0] - at.y) ** 2, weights=at.weight)
        precision = 1 / max(error, 1e-300)
        careful = weigh(fall_back(means, stds, precision)[used], used_stds, *rows)
        if careful.losses[-1] <= (1 + _MAX_LOSS) * level.losses[-1]:
            level = careful._replace(precision=precision)
    weights, losses = np.zeros(len(used)), np.full(len(used) + 1, np.nan)
    weights[used] = level.weights
    losses[np.append(used, True)] = level.losses
    if level.held_out is not None:
        level = level._replace(held_out=level.held_out._replace(place=at.place))
    return level._replace(weights=_without_small(weights), losses=losses)


def gain_of_known_rows(
    parts: Sequence[Found], as_new: Sequence[list[Outputs]], new: Level, known: Level
) -> np.ndarray | None:
    """Return by what share known rows of a group change the loss, with its 95 % interval (3,).

    The same rows are predicted as those of new groups and of known ones. Weights that are chosen
    on a row would make its loss too low: those of each half of the groups are chosen on the other
    half. The interval is Student's, with the jackknife's error over groups: weights are chosen
    again without each block of groups.
    """
    if not parts:
        return None
    at = _join_tables([part[0] for part in parts])
    groups = np.unique(at.group, return_inverse=True)[1]
    if groups.max() + 1 < _MIN_OF_GAIN:
        return None
    losses = []
    for level, outputs in ((new, as_new), (known, [part[2] for part in parts])):
        means, stds = _join_outputs(outputs)
        means = fall_back(means, stds, level.precision) if level.precision else means
        used = ~np.isnan(level.losses[:-1])
        losses.append(_cross_fitted_losses(means[used], at, groups, known.held_out is not None))
    before, after = losses
    if before.min() <= 0:
        return None
    ratio, *without = after / before
    b = len(without)
    error = np.sqrt((b - 1) * np.var(without))
    width = student.ppf((1 + _COVERAGE) / 2, b - 1) * error
    return np.asarray(ratio - 1 + width * np.array([0.0, -1.0, 1.0]))


def _cross_fitted_losses(
    means: np.ndarray, at: Table, groups: np.ndarray, squared: bool
) -> np.ndarray:
    """Return the sum of the losses (1 + b,) of all groups, and without each block of them."""
    by_group, grid = _losses_on_grid(means, at.y, at.weight, groups)
    counts = np.bincount(groups)
    halves = [np.arange(len(counts)) % 2 == part for part in (0, 1)]

    def losses(kept: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Return the losses of the groups of a half, by weights that the kept groups chose."""
        rows = np.flatnonzero(half[groups])
        weights = _average(by_group[:, kept], grid, int(counts[kept].sum()), squared)
        predicted = mix(means[:, rows], _without_small(weights))
        each = at.weight[rows] * losses_of(at.y[rows], predicted)
        return np.bincount(groups[rows], each, len(counts))

    by_half = [losses(np.flatnonzero(~half), half) for half in halves]
    without = []
    for own, half in zip(by_half, halves, strict=True):
        members = np.flatnonzero(half)
        for block in np.array_split(members, min(len(members), _MAX_BLOCKS)):
            others = losses(np.setdiff1d(members, block), ~half).sum()
            without.append(own.sum() - own[block].sum() + others)
    return np.array([sum(own.sum() for own in by_half), *without])
