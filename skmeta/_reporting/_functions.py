"""Steps, bends and products of columns that a linear adjustment lacks.

Those that predict the target or the treatment enter one by one, and the model is then fitted with
all that were chosen: double selection.

Notation: n rows, columns W (n, d), m functions, t targets.

References: Belloni, Chernozhukov and Hansen (2014), Inference on treatment effects after selection
among high-dimensional controls; Friedman (1991), Multivariate adaptive regression splines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import f

from skmeta._reporting._sample import MANY_SHARE, differs_within, group_means

# A further column leaves this share to those that are there, or does not enter.
MIN_LEFT = 1e-3
# One of all functions of a target enters by chance with at most this probability.
_CHANCE = 0.05
# Knots of a column, rows or groups for a function of a target, and values of functions at once.
_N_KNOTS, _MIN_ROWS, _MAX_VALUES = 127, 10, 10_000_000


class Functions(NamedTuple):
    """Products (m,) of two truncated powers: a step has power 0, a hinge 1."""

    columns: np.ndarray  # (m, 2)
    knots: np.ndarray
    powers: np.ndarray

    def __call__(self, W: np.ndarray) -> np.ndarray:
        """Return values (n, m)."""
        values = np.ones((len(W), len(self.columns)))
        for column, knot, power in zip(*(part.T for part in self), strict=True):
            above = W[:, column] - knot
            values *= np.where(above > 0, np.where(power > 0, above, 1.0), 0.0)
        return values

    def take(self, used: list[int]) -> Functions:
        """Return the functions at positions."""
        return Functions(*(part[np.array(used, int)] for part in self))

    def join(self, others: Functions) -> Functions:
        """Return these and others."""
        return Functions(*(np.vstack(pair) for pair in zip(self, others, strict=True)))


def choose_functions(
    W: np.ndarray, linear: np.ndarray, targets: np.ndarray, weights: np.ndarray, codes: np.ndarray
) -> Functions:
    """Return functions that predict what columns (n, q) leave of targets (n, t), of weights (n, t).

    Rows are compared within groups (n,) if targets but the first differ within them, else groups.
    """
    singles = _steps_and_hinges(W)
    tried = singles.join(_products_of_columns(W))
    most = _MAX_VALUES // max(len(tried.columns), 1)
    if len(W) > most:
        rows = np.random.default_rng(0).permutation(len(W))[:most]
        W, linear, targets, weights = (a[rows] for a in (W, linear, targets, weights))
        codes = np.unique(codes[rows], return_inverse=True)[1]
    within = differs_within(targets[:, 1:], codes).any()

    def selected(Z: np.ndarray, base: np.ndarray) -> list[int]:
        used: list[int] = []
        for target, weight in zip(targets.T, weights.T, strict=True):
            columns = np.column_stack([target, Z, base, Z[:, used]])
            means = group_means(columns, codes)
            if within:
                columns = (columns - means[codes]) * np.sqrt(weight)[:, None]
            else:
                columns = means * np.sqrt(np.bincount(codes, weight))[:, None]
            parts = columns[:, 0], columns[:, 1 : 1 + Z.shape[1]], columns[:, 1 + Z.shape[1] :]
            used += _selected(*parts, codes.max() + 1 if within else 0)
        return used

    base, Z = np.column_stack([np.ones(len(W)), linear]), tried(W)
    used = selected(Z, base)
    # Products of those steps and hinges that were chosen.
    one = singles.take([k for k in used if k < len(singles.columns)])
    a, b = np.triu_indices(len(one.columns), 1)
    pairs = Functions(*(np.column_stack([part[a, 0], part[b, 0]]) for part in one))
    chosen = selected(pairs(W), np.column_stack([base, Z[:, used]]))
    return tried.take(used).join(pairs.take(chosen))


def _selected(target: np.ndarray, Z: np.ndarray, base: np.ndarray, n_means: int) -> list[int]:
    """Return columns of Z (n, m) that predict what a base (n, q) leaves of a target (n,)."""
    values, size, _ = np.linalg.svd(base, full_matrices=False)
    Q = values[:, size > 1e-6 * size.max()]
    least = MIN_LEFT * (Z**2).sum(0)
    Z, target = (A - Q @ (Q.T @ A) for A in (Z, target))
    df = len(Z) - n_means - Q.shape[1] - 1
    used: list[int] = []
    while Z.size and df > 1 and len(used) < len(Z) // _MIN_ROWS:
        norm = (Z**2).sum(0)
        gain = np.where(norm > least, (target @ Z) ** 2 / np.maximum(norm, 1e-300), 0.0)
        best, left = int(gain.argmax()), target @ target
        if gain[best] * df <= f.isf(_CHANCE / len(gain), 1, df) * (left - gain[best]):
            break
        u = Z[:, best] / np.sqrt(norm[best])
        Z, target = Z - np.outer(u, u @ Z), target - u * (u @ target)
        used.append(best)
        df -= 1
    return used


def _steps_and_hinges(W: np.ndarray) -> Functions:
    """Return steps and hinges at quantiles of each column."""
    levels = np.arange(1, _N_KNOTS + 1) / (_N_KNOTS + 1)
    places = [(a, knot) for a, w in enumerate(W.T) for knot in np.unique(np.quantile(w, levels))]
    column, knot = np.array(places).reshape(-1, 2).T
    n, none = len(places), np.zeros(2 * len(places))
    return Functions(
        np.column_stack([np.tile(column, 2), none]).astype(int),
        np.column_stack([np.tile(knot, 2), none - np.inf]),
        np.column_stack([np.repeat([0.0, 1.0], n), none]),
    )


def _products_of_columns(W: np.ndarray) -> Functions:
    """Return products of pairs of columns, if these are few."""
    n, d = W.shape
    pairs = np.column_stack(np.triu_indices(d if d**2 < 2 * MANY_SHARE * n else 0, 1))
    return Functions(pairs, W.min(0)[pairs] if d else pairs, np.ones(pairs.shape))
