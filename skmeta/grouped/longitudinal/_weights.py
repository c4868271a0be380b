"""Weights of members and widths of intervals, by the number of known rows and the time ahead.

Weights are found at a few numbers of known rows and times ahead, from the cases near them, and are
interpolated. Losses are shares of the least loss of their cell, so that no cell decides for all.

References: Breiman (1996), Stacked regressions; Rubin (1981), The Bayesian bootstrap; Timmermann
(2006), Forecast combinations, section 2.4 (shrinkage towards equal weights).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from skmeta._stacking import simplex_weights

# Shrinkage of weights towards equal ones, in units of the least loss.
_SHRINKAGE = 0.5
_N_DRAWS, _SEED = 12, 0
# Concentration of the draws of cuts in time: most draws are about one of them.
_CELLS = 0.3
# Times ahead at which weights are found: these quantiles of those of the cases.
_QUANTILES = (0.1, 0.5, 0.9)
# Cases count by their distance in logarithms of known rows and of the time ahead.
_WIDTH_KNOWN, _WIDTH_GAP = 0.5, 0.7
# Quantiles of residuals are widened, more so if few groups were held out or groups differ, and are
# not nearer than this share of the quantiles of a normal distribution with the predicted deviation.
_WIDER, _LEAST_WIDTH = 1.05, 0.55


class Held(NamedTuple):
    """Rows that were held out.

    Attributes
    ----------
    y, weight : ndarray of shape (n,)
        Targets and weights.
    n_known, gap : ndarray of shape (n,)
        Number of known rows of the group, and time since the latest one.
    cell, group : ndarray of shape (n,)
        What is compared, and the groups.
    """

    y: np.ndarray
    weight: np.ndarray
    n_known: np.ndarray
    gap: np.ndarray
    cell: np.ndarray
    group: np.ndarray


class Regime(NamedTuple):
    """What was found in one kind of cases.

    Attributes
    ----------
    known : ndarray of shape (a,)
        Logarithms of 1 + numbers of known rows.
    ahead : ndarray of shape (b,)
        Logarithms of times ahead.
    least, most : float
        Times ahead below and above which nothing was seen.
    weights : ndarray of shape (a, b, m)
        Weights of the members.
    quantiles : ndarray of shape (a, b, q)
        Quantiles of residuals over the predicted standard deviation.
    losses : dict of float to ndarray of shape (m + 1,)
        Mean squared errors of the members and of the mixture, by cell.
    """

    known: np.ndarray
    ahead: np.ndarray
    least: float
    most: float
    weights: np.ndarray
    quantiles: np.ndarray
    losses: dict[float, np.ndarray]

    def shares(self, n_known: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Return how much each point (n, a, b) counts for rows."""
        by_known = [
            np.interp(np.log1p(n_known), self.known, row) for row in np.eye(len(self.known))
        ]
        ahead = np.log(np.maximum(gap, self.least))
        by_gap = [np.interp(ahead, self.ahead, row) for row in np.eye(len(self.ahead))]
        return np.asarray(np.einsum("an,bn->nab", by_known, by_gap))

    def weights_of(self, n_known: np.ndarray, gap: np.ndarray, is_safe: np.ndarray) -> np.ndarray:
        """Return weights (m, n) of rows; beyond all times ahead, members that are not safe fade."""
        weights = np.einsum("nab,abm->mn", self.shares(n_known, gap), self.weights)
        fade = np.minimum(self.most / np.maximum(gap, self.most), 1.0)
        weights = np.where(is_safe[:, None], weights, weights * fade)
        total = weights.sum(0)
        even = is_safe[:, None] / is_safe.sum()
        return np.asarray(np.where(total > 0, weights / np.where(total > 0, total, 1.0), even))


def mix_members(
    means: np.ndarray, stds: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations (n,) of a mixture of distributions (m, n)."""
    mean = (weights * means).sum(0)
    return mean, np.sqrt((weights * (stds**2 + (means - mean) ** 2)).sum(0))


def find_regime(
    means: np.ndarray,
    stds: np.ndarray,
    held: Held,
    is_safe: np.ndarray,
    kind: str,
    probabilities: np.ndarray,
) -> Regime:
    """Find weights and quantiles.

    Parameters
    ----------
    means, stds : ndarray of shape (m, n)
        Predictions of rows that were held out.
    held : Held
        The rows.
    is_safe : ndarray of shape (m,), bool
        Members that may predict further ahead than was seen.
    kind : {"new", "later", "between"}
        The kind of cases. Weights of new groups depend on the number of known rows. Cells of later
        rows are cuts in time, of which there are few: they are drawn anew, too.
    probabilities : ndarray of shape (q,)
        Probabilities of the quantiles.
    """
    errors, cells, by_known = means - held.y, np.unique(held.cell), kind == "new"
    base = np.zeros(len(held.y))
    scaled = errors.copy()
    for cell in cells:
        rows = held.cell == cell
        total = held.weight[rows].sum()
        base[rows] = held.weight[rows] / total
        least = ((errors[:, rows] ** 2) @ held.weight[rows] / total).min()
        scaled[:, rows] /= np.sqrt(max(least, 1e-300))
    positive = held.gap[held.gap > 0]
    least, most = (np.quantile(positive, [0.1, 1.0])) if len(positive) else (1.0, np.inf)
    ahead = np.log(np.maximum(held.gap, least))
    known = np.log1p(held.n_known)
    at_ahead = np.unique(np.quantile(ahead, _QUANTILES))
    at_known = np.unique(known) if by_known else np.array([known.mean()])
    groups = np.unique(held.group, return_inverse=True)[1]
    products = np.einsum("in,jn->nij", scaled, scaled)
    n_groups, m = int(groups.max()) + 1, len(means)
    rng = np.random.default_rng(_SEED)
    draws = by_group = rng.dirichlet(np.ones(n_groups), _N_DRAWS)[:, groups]
    if kind == "later":
        by_cell = rng.dirichlet(np.full(len(cells), _CELLS), _N_DRAWS)
        draws = by_group * by_cell[:, np.searchsorted(cells, held.cell)]
    near_points = np.empty((len(at_known), len(at_ahead), len(held.y)))
    weights = np.empty((len(at_known), len(at_ahead), m))
    for a, b in np.ndindex(weights.shape[:2]):
        near = base * np.exp(-0.5 * ((ahead - at_ahead[b]) / _WIDTH_GAP) ** 2)
        if by_known:
            near *= np.exp(-0.5 * ((known - at_known[a]) / _WIDTH_KNOWN) ** 2)
        near_points[a, b] = near / near.sum()
        drawn = draws * near_points[a, b]
        grams = (drawn / drawn.sum(1, keepdims=True)) @ products.reshape(-1, m * m)
        grams = grams.reshape(-1, m, m) + _SHRINKAGE * np.eye(m)
        weights[a, b] = simplex_weights(grams).mean(0)
    regime = Regime(at_known, at_ahead, float(least), float(most), weights, np.empty(0), {})
    row_weights = regime.weights_of(held.n_known, held.gap, is_safe)
    mean, std = mix_members(means, stds, row_weights)
    ratio = (held.y - mean) / np.maximum(std, 1e-300)
    wider = _WIDER * stdtrit(max(n_groups - 1, 1), 0.95) / ndtri(0.95)
    quantiles = np.array(
        [
            [_quantiles(wider * ratio, near, by_group, probabilities) for near in row]
            for row in near_points
        ]
    )
    each = np.vstack([errors, held.y - mean]) ** 2
    losses = {
        float(cell): np.average(each[:, held.cell == cell], 1, held.weight[held.cell == cell])
        for cell in cells
    }
    return regime._replace(quantiles=quantiles, losses=losses)


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
