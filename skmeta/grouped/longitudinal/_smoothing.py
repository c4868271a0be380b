"""Exponential smoothing of groups in time, with constants that all groups share.

The level l and the trend b of a group follow from its rows y_i, h_i steps apart:

    m = l + d(h) b,  l <- m + alpha (y - m),  b <- phi^h b + beta (y - m),
    d(h) = phi + ... + phi^h

References: Hyndman, Koehler, Ord and Snyder (2008), Forecasting with Exponential Smoothing, the
model ETS(A,Ad,N) of table 2.1. Seasons are taken out before.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from skmeta._tabular import Table, batches
from skmeta.grouped.longitudinal._rows import rows_before

_ALPHA, _BETA, _PHI = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0), (0.0, 0.05, 0.15), (0.9, 0.98)
# Steps of a group that constants are chosen on, and steps ahead, at most.
_MAX_STEPS, _MAX_AHEAD = 100, 12


class Smoothing(NamedTuple):
    """Constants, the step of time, and the mean of all targets."""

    alpha: float
    beta: float
    phi: float
    step: float
    mean: float

    def without(self, kept: Table) -> Smoothing:
        """Return itself: two constants of all groups know little of one."""
        return self

    def predict(self, known: Table, at: Table) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows of groups, given known rows: means (n,); deviations are those of curves."""
        level, trend = np.full(len(known.y) + 1, self.mean), np.zeros(len(known.y) + 1)
        for rows in batches(known.times, known.group, len(known.y)):
            # Rows of a batch end with gaps, which are not read.
            states = self._filter(known.y[rows], known.times[rows])
            level[rows[rows >= 0]], trend[rows[rows >= 0]] = (part[rows >= 0] for part in states)
        last = rows_before(known, at).last
        gap = np.where(last >= 0, at.times - np.append(known.times, 0.0)[last], 0.0)
        mean = level[last] + self._damped(gap / self.step) * trend[last]
        return mean, np.zeros(len(mean))

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


def fit_smoothing(rows: Table, step: float, scale: np.ndarray) -> Smoothing:
    """Choose the constants by squared errors of one to twelve steps ahead, over scales (n,)."""
    mean, parts = float(rows.y.mean()), list(batches(rows.times, rows.group, _MAX_STEPS))
    best, least = Smoothing(0.2, 0.0, 0.9, step, mean), np.inf
    for alpha, beta, phi in product(_ALPHA, _BETA, _PHI):
        if beta > alpha or (not beta and phi != _PHI[0]):
            continue
        smoothing = Smoothing(alpha, beta, phi, step, mean)
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
