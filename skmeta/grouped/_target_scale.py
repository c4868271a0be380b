"""The units of a target of a grouped table: its kind, and the scale that predicts best.

A scale is compared with others by a ridge regression with a shrunken intercept for each group. On
each scale it predicts groups that are held out, of which no row, five rows or all other rows are
known. The scale with the least quantile loss, on the target's own units, is taken.

Notation: n rows, d columns, z targets on a scale, standardised.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from skmeta._tabular import (
    DECILES,
    Scale,
    Standardiser,
    TargetUnits,
    at_most,
    deal_groups,
    deal_rows,
    fill,
    places_in_groups,
    quantile_loss,
    recognise_target,
    scales_of,
    varying,
    weighted_quantiles,
)
from skmeta.grouped._model import Settings

# Standard deviation of the logarithms of group means from which series count alike.
_MIN_SPREAD = 0.7
# Means of panels on the scale of logarithms are between the quantiles at this level and at 1 minus
# it: tails estimated from few series would dominate the mean (benchmarks/measure/panels.py,
# development halves).
_TAIL = 0.2
# Rows that scales are compared on, at most, in whole groups.
_MAX_SCALE_ROWS = 2000
_N_SCALE_FOLDS, _N_KNOWN = 4, 5
# Penalty of the ridge, in rows.
_PENALTY = 1.0
# Another scale than as given needs a quantile loss that is lower by this share.
_MIN_GAIN = 0.01


def units_of_targets(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    group: np.ndarray,
    settings: Settings,
    knows_time: bool,
    exposure: np.ndarray | None = None,
) -> TargetUnits:
    """Return the units of targets: their kind, and the scale that predicts best."""
    target = recognise_target(
        y, settings.target_type if settings.exposure_unit is None else "positive"
    )
    scales = scales_of(target, y)
    tail = 0.0
    if knows_time and settings.season[1] and len(scales) > 1 and _sizes_differ(y, group):
        # Series of a panel with dates count alike.
        scales, tail = scales[-1:], _TAIL
    elif knows_time or not settings.population.is_auto:
        # Curves have logarithms of their own, and an estimator of the user's choice sees targets
        # as given.
        scales = scales[:1]
    elif settings.counts_rates:
        # On another scale, the mean of rates depends on their exposures.
        scales = scales[:1]
    chosen = choose_by_ridge(X, y, weight, group, scales)
    units = TargetUnits.learn(y, weight, target, chosen)
    if not settings.population.is_auto and not knows_time and target.kind != "real":
        # They stay from 0 on, for a Poisson loss.
        standard = units.standard
        units = units._replace(standard=standard._replace(centre=np.zeros_like(standard.centre)))
    if exposure is not None:
        unit = settings.exposure_unit
        assert unit is not None
        target = target._replace(kind=settings.target_type)
        is_of_counts = settings.counts_rates and not knows_time
        units = units._replace(
            target=target, exposure=exposure, unit=unit, is_of_counts=is_of_counts
        )
    return units._replace(tail=tail)


def _sizes_differ(y: np.ndarray, group: np.ndarray) -> bool:
    """Return whether means of groups differ by a factor, not by a share."""
    means = np.bincount(group, y) / np.maximum(np.bincount(group), 1)
    means = means[means > 0]
    return len(means) > 1 and float(np.log(means).std()) > _MIN_SPREAD


def choose_by_ridge(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray, group: np.ndarray, scales: list[Scale]
) -> Scale:
    """Return the scale with the least quantile loss of rows held out; `scales` begin as given."""
    if len(scales) == 1:
        return scales[0]
    sizes = np.bincount(group)
    mean_size = len(y) / len(sizes)
    kept = at_most(np.arange(len(sizes)), max(int(_MAX_SCALE_ROWS / mean_size), 2))
    rows = np.flatnonzero(np.isin(group, kept))
    rows = rows[
        np.linspace(0, len(rows) - 1, min(len(rows), 2 * _MAX_SCALE_ROWS)).round().astype(int)
    ]
    y, weight = y[rows], weight[rows]
    group = np.unique(group[rows], return_inverse=True)[1]
    Z = fill(X[rows])
    Z = Z[:, varying(Z)]
    losses = [_scale_loss(Z, y, weight, group, scale) for scale in scales]
    best = int(np.argmin(losses))
    return scales[best] if losses[best] < (1 - _MIN_GAIN) * losses[0] else scales[0]


def _scale_loss(
    Z: np.ndarray, y: np.ndarray, weight: np.ndarray, group: np.ndarray, scale: Scale
) -> float:
    """Return the mean quantile loss over the numbers of known rows."""
    units = Standardiser.learn(scale.forward(y))
    z = units(scale.forward(y))
    losses = []
    for rows, mean in _simple_predictions(Z, z, weight, group):
        left = weighted_quantiles(z[rows] - mean, weight[rows], DECILES)
        quantiles = scale.inverse(units.restore(mean[:, None] + left))
        losses.append(np.average(quantile_loss(y[rows], quantiles, DECILES), weights=weight[rows]))
    return float(np.mean(losses))


def _simple_predictions(
    Z: np.ndarray, z: np.ndarray, weight: np.ndarray, group: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and predicted means, with no, five and all other rows of their group known."""
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        yield np.arange(len(z)), _cross_fit_ridge(Z, z, weight, deal_rows(group, _N_SCALE_FOLDS))
        return
    fold = deal_groups(group, z, min(_N_SCALE_FOLDS, n_groups))[group]
    base = _cross_fit_ridge(Z, z, weight, fold)
    left = z - base
    yield np.arange(len(z)), base
    count = np.bincount(group, weight)
    total = np.bincount(group, weight * left)
    # Variances between groups and within them, by moments.
    within = np.average((left - (total / count)[group]) ** 2, weights=weight)
    within *= len(z) / max(len(z) - n_groups, 1)
    between = max(float(np.average(left**2, weights=weight)) - within, 1e-6)
    ratio = within / between
    first = places_in_groups(group) < _N_KNOWN
    few = np.bincount(group[first], weight[first], n_groups)
    sums = np.bincount(group[first], (weight * left)[first], n_groups)
    rest = np.flatnonzero(~first)
    if len(rest):
        yield rest, base[rest] + (sums / (few + ratio))[group[rest]]
    others = np.flatnonzero(np.bincount(group)[group] > 1)
    if len(others):
        g, w = group[others], weight[others]
        effect = (total[g] - w * left[others]) / (count[g] - w + ratio)
        yield others, base[others] + effect


def _cross_fit_ridge(
    Z: np.ndarray, z: np.ndarray, weight: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Return predictions of a ridge regression that was fitted on the other folds."""
    mean = np.empty(len(z))
    columns = np.hstack([np.ones((len(Z), 1)), Z])
    penalty = np.diag(np.append(1e-9, np.full(Z.shape[1], _PENALTY)))
    for k in np.unique(fold):
        kept, at = fold != k, fold == k
        C = columns[kept] if kept.any() else columns
        t, w = (z[kept], weight[kept]) if kept.any() else (z, weight)
        mean[at] = columns[at] @ np.linalg.solve(C.T @ (w[:, None] * C) + penalty, C.T @ (w * t))
    return np.clip(mean, z.min(), z.max())
