"""Exponential smoothing of groups in time, with constants that all groups share.

The level l and the trend b of a group follow from its rows y_i, h_i steps apart:

    m = l + d(h) b,  l <- m + alpha (y - m),  b <- phi^h b + beta (y - m),
    d(h) = phi + ... + phi^h

References: Hyndman, Koehler, Ord and Snyder (2008), Forecasting with Exponential Smoothing, the
model ETS(A,Ad,N) of table 2.1. Seasons are taken out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from skmeta._tabular import Outputs, Table, batches
from skmeta.grouped.longitudinal._curves import TargetRange, TimeMember
from skmeta.grouped.longitudinal._rows import group_scales, rows_before

_ALPHA, _BETA, _PHI = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0), (0.0, 0.05, 0.15), (0.9, 0.98)
# Steps of a group that constants are chosen on, and steps ahead, at most.
_MAX_STEPS, _MAX_AHEAD = 100, 12


@dataclass(frozen=True)
class Smoothing(TimeMember):
    """Constants, the step of time, and the mean of all targets without season."""

    base: str  # the curve whose deviations it takes
    range: TargetRange
    alpha: float
    beta: float
    phi: float
    step: float
    mean: float

    def predict_from(self, known: Table, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups, given known rows."""
        level, trend = np.full(len(known.y) + 1, self.mean), np.zeros(len(known.y) + 1)
        y = self.range.without_season(known)
        for rows in batches(known.times, known.group, len(known.y)):
            # Rows of a batch end with gaps, which are not read.
            states = self._filter(y[rows], known.times[rows])
            level[rows[rows >= 0]], trend[rows[rows >= 0]] = (part[rows >= 0] for part in states)
        last = rows_before(known, at).last
        gap = np.where(last >= 0, at.times - np.append(known.times, 0.0)[last], 0.0)
        mean = level[last] + self._damped(gap / self.step) * trend[last]
        mean = self.range.within(self.range.add(mean, at.shared))
        return Outputs(mean, before[self.base].std)

    def _damped(self, h: np.ndarray) -> np.ndarray:
        return np.asarray(self.phi * (1 - self.phi**h) / (1 - self.phi))

    def _filter(self, y: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return levels and trends (G, m) after each row."""
        levels, trends = np.empty(y.shape), np.zeros(y.shape)
        levels[:, 0] = y[:, 0]
        for i in range(1, y.shape[1]):
            h = np.maximum(times[:, i] - times[:, i - 1], 0.0) / self.step
            mean = levels[:, i - 1] + self._damped(h) * trends[:, i - 1]
            levels[:, i] = mean + self.alpha * (y[:, i] - mean)
            trends[:, i] = self.phi**h * trends[:, i - 1] + self.beta * (y[:, i] - mean)
        return levels, trends


def fit_smoothing(rows: Table, base: str, target_range: TargetRange, step: float) -> Smoothing:
    """Choose the constants by squared errors of one to twelve steps ahead, in units of groups."""
    rows = rows._replace(y=target_range.without_season(rows))
    scale, given = group_scales(rows), (step, float(rows.y.mean()))
    parts = list(batches(rows.times, rows.group, _MAX_STEPS))
    best, least = Smoothing(base, target_range, 0.2, 0.0, 0.9, *given), np.inf
    for alpha, beta, phi in product(_ALPHA, _BETA, _PHI):
        if beta > alpha or (not beta and phi != _PHI[0]):
            continue
        smoothing = Smoothing(base, target_range, alpha, beta, phi, *given)
        loss = sum(_loss(smoothing, rows, at, scale) for at in parts)
        if loss < least:
            best, least = smoothing, loss
    return best


def _loss(smoothing: Smoothing, rows: Table, at: np.ndarray, scale: np.ndarray) -> float:
    y, t, there = rows.y[at], rows.times[at], at >= 0
    weight = rows.weight[at] / scale[at] ** 2
    level, trend = smoothing._filter(y, t)
    loss = 0.0
    for ahead in range(1, min(_MAX_AHEAD, at.shape[1] - 1) + 1):
        h = np.where(there[:, ahead:], t[:, ahead:] - t[:, :-ahead], 0.0) / smoothing.step
        error = y[:, ahead:] - level[:, :-ahead] - smoothing._damped(h) * trend[:, :-ahead]
        loss += float((weight[:, ahead:] * error**2)[there[:, ahead:]].sum()) / ahead
    return loss
