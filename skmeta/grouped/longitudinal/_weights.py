"""Weights of members and widths of intervals, by the number of known rows.

The weight of a member is its held-out squared error to the power -1 or -3: the probability that it
is right, given few rows. So no member decides alone where few rows, or one cut in time, are held
out. Widths are halfway, in logarithms, between those of held-out residuals and those that the
members and their disagreement predict. These constants were chosen over 33 growth curves and panels
(``benchmarks/lib/time_tables.py``); there, weights with the least held-out error, or by the time
ahead, or towards learned ones were no better. With seasons, the weight is the mean absolute error
to the power -16. If less than a season ahead can be held out, the power is nearer to 0, and the
rest of the weight is that of the last value of the phase (``benchmarks/measure/panels.py``,
development halves).

References: Bates and Granger (1969), The combination of forecasts; Timmermann (2006), Forecast
combinations, section 2.4.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri, stdtrit

from skmeta._tabular import (
    PROBABILITIES,
    HeldOut,
    Level,
    average_weights,
    mix_deviations,
    weighted_quantiles,
    widening,
)
from skmeta.grouped.longitudinal._rows import Cases, group_scales

# Weights of later rows are from one cut in time, at which errors of all groups may be correlated.
_POWER = {"new": 3.0, "later": 1.0, "between": 3.0}
PANEL_POWER = 16.0
# Losses below this are equal.
_MIN_LOSS = 1e-12
# Residuals are weighted by the distance between log numbers of known rows.
_WIDTH_KNOWN = 0.5
# The predicted deviations of the mixture are multiplied by this.
_NARROWER = 0.8


def find_levels(
    means: np.ndarray, stds: np.ndarray, cases: Cases, kind: str, panel_power: float | None = None
) -> list[Level]:
    """Find weights and quantiles by the number of known rows, from predictions (m, n) held out.

    With `panel_power`, the power of mean absolute errors, errors are in units of their group.
    """
    y, weight, n_known = cases.query.y, cases.query.weight, cases.n_known
    is_panel = panel_power is not None
    if kind != "new" and not (is_panel and kind == "later"):
        n_known = np.full(len(y), np.median(n_known))
    known, level = np.unique(n_known, return_inverse=True)
    if panel_power is None:
        power, losses = _POWER[kind], _by_level((means - y) ** 2, weight, level)
    else:
        scale = group_scales(cases.query._replace(codes=cases.group[:, None]))
        power, losses = panel_power, _by_level(abs(means - y), weight / scale, level)
    losses, each = np.maximum(losses, _MIN_LOSS), np.eye(len(means))
    weights = average_weights(losses, each, 2 * power, squared=True)
    mean, std = mix_deviations(means, stds, weights[level].T)
    losses = _by_level((np.vstack([means, mean]) - y) ** 2, weight, level)
    share = weight / np.bincount(level, weight)[level]
    distance = (np.log1p(n_known) - np.log1p(known)[:, None]) / _WIDTH_KNOWN
    near = share * np.exp(-0.5 * distance**2)
    ratio = (y - mean) / np.maximum(std, 1e-300)
    quantiles = np.array([_quantiles(ratio, row) for row in near])
    # The fewer groups, or independent residuals of a panel, the less is known of the widths.
    n_groups = len(np.unique(cases.group))
    few = stdtrit(max(n_groups - 1, 1), 0.95) / ndtri(0.95)
    quantiles *= widening(ratio, cases.group) if is_panel else few
    levels = zip(known, weights, losses, quantiles, near, strict=True)
    group = cases.query.group
    return [
        Level(float(n), *parts)._replace(
            held_out=HeldOut(mean, std, y, row, group, cases.query.place)
        )
        for n, *parts, row in levels
    ]


def _by_level(losses: np.ndarray, weight: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the mean losses (a, m) of each level, given those of the rows (m, n)."""
    sums = [np.bincount(level, weight * row) for row in losses]
    return np.column_stack(sums) / np.bincount(level, weight)[:, None]


def _quantiles(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return geometric means of the larger quantile of both signs and that of a normal one."""
    pooled = weighted_quantiles(ratio, weight, PROBABILITIES)
    larger = np.maximum(np.maximum(pooled, -pooled[::-1]), 0.0)
    upper = np.sqrt(larger * np.maximum(_NARROWER * ndtri(PROBABILITIES), 0.0))
    return np.asarray(upper - upper[::-1])
