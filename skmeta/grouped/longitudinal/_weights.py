"""Weights of members and quantiles of residuals, by the number of known rows.

The weight of a member is its held-out squared error to the power -1 or -2. So no member decides
alone where few rows, or one cut in time, are held out. The powers were chosen over 33 growth curves
and panels (``benchmarks/time_tables.py``), each left out in turn: weights with the least held-out
error, weights that depend on the time ahead, or other starting weights had no lower error.

References: Bates and Granger (1969), The combination of forecasts; Timmermann (2006), Forecast
combinations, section 2.4; Rubin (1981), The Bayesian bootstrap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, softmax, stdtrit

from skmeta.grouped.longitudinal._rows import Cases

# Weights of later rows are from one cut in time, at which all groups may err alike.
_POWER = {"new": 2.0, "later": 1.0, "between": 2.0}
_LEAST_LOSS = 1e-12
# Residuals count by the distance in logarithms of known rows.
_WIDTH_KNOWN = 0.5
_N_DRAWS, _SEED = 12, 0
# Quantiles of residuals are widened, more so if few groups were held out or groups differ, and are
# not nearer than this share of the quantiles of a normal distribution with the predicted deviation.
_WIDER, _LEAST_WIDTH = 1.05, 0.55


class Regime(NamedTuple):
    """Weights and quantiles of one kind of cases.

    Attributes
    ----------
    known : ndarray of shape (a,)
        Numbers of known rows.
    weights : ndarray of shape (a, m)
        Weights of the members.
    quantiles : ndarray of shape (a, q)
        Quantiles of residuals over the predicted standard deviation.
    losses : ndarray of shape (a, m + 1)
        Mean squared errors of the members and of the mixture.
    """

    known: np.ndarray
    weights: np.ndarray
    quantiles: np.ndarray
    losses: np.ndarray

    def at(self, n_known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (m, n) and quantiles (n, q) of rows with so many known rows (n,)."""
        known = np.log1p(self.known)
        shares = np.array([np.interp(np.log1p(n_known), known, row) for row in np.eye(len(known))])
        return self.weights.T @ shares, shares.T @ self.quantiles


def mix_members(
    means: np.ndarray, stds: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations (n,) of a mixture of distributions (m, n)."""
    mean = (weights * means).sum(0)
    return mean, np.sqrt((weights * (stds**2 + (means - mean) ** 2)).sum(0))


def find_regime(
    means: np.ndarray, stds: np.ndarray, cases: Cases, kind: str, probabilities: np.ndarray
) -> Regime:
    """Find weights and quantiles.

    Parameters
    ----------
    means, stds : ndarray of shape (m, n)
        Predictions of rows that were held out.
    cases : Cases
        The rows. Weights of new groups depend on the number of known rows.
    kind : {"new", "later", "between"}
        The kind of cases.
    probabilities : ndarray of shape (q,)
        Probabilities of the quantiles.
    """
    y, weight, n_known = cases.query.y, cases.query.weight, cases.n_known
    if kind != "new":
        n_known = np.full(len(y), np.median(n_known))
    known, level = np.unique(n_known, return_inverse=True)
    losses = _by_level((means - y) ** 2, weight, level)
    weights = softmax(-_POWER[kind] * np.log(np.maximum(losses, _LEAST_LOSS)), axis=1)
    mean, std = mix_members(means, stds, weights[level].T)
    losses = np.hstack([losses, _by_level((mean - y)[None] ** 2, weight, level)])
    groups = np.unique(cases.group, return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    wider = _WIDER * stdtrit(max(n_groups - 1, 1), 0.95) / ndtri(0.95)
    ratio = wider * (y - mean) / np.maximum(std, 1e-300)
    draws = np.random.default_rng(_SEED).dirichlet(np.ones(n_groups), _N_DRAWS)[:, groups]
    share = weight / np.bincount(level, weight)[level]
    distance = (np.log1p(n_known) - np.log1p(known)[:, None]) / _WIDTH_KNOWN
    near = share * np.exp(-0.5 * distance**2)
    quantiles = np.array([_quantiles(ratio, row, draws, probabilities) for row in near])
    return Regime(known, weights, quantiles, losses)


def _by_level(squares: np.ndarray, weight: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the mean squares (a, m) of each level, given those of the rows (m, n)."""
    sums = [np.bincount(level, weight * row) for row in squares]
    return np.column_stack(sums) / np.bincount(level, weight)[:, None]


def _quantiles(
    ratio: np.ndarray, weight: np.ndarray, draws: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Return quantiles, wider by their standard deviation over draws (k, n) of groups."""
    order = np.argsort(ratio, kind="stable")
    ratio, weights = ratio[order], np.vstack([weight, draws * weight])[:, order]
    total = weights.sum(1, keepdims=True)
    at = (np.cumsum(weights, 1) - 0.5 * weights) / np.maximum(total, 1e-300)
    pooled, *drawn = (np.interp(probabilities, row, ratio) for row in at)
    deviation, least = np.std(drawn, axis=0), _LEAST_WIDTH * ndtri(probabilities)
    low, high = np.minimum(pooled - deviation, least), np.maximum(pooled + deviation, least)
    return np.asarray(np.where(probabilities < 0.5, low, high))
