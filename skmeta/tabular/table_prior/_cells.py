"""Describe the cells of a table by features, relative to their column in the support set.

Notation: n support rows, m rows of either set, d columns, f = N_CELL_FEATURES. NaN is a missing
value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmeta.tabular._rows import location_and_scale

N_CELL_FEATURES = 17
# Columns of a view, and codes for its classes.
N_SLOTS, N_CODES = 64, 10
_WAVES = (1.0, 2.0, 4.0)


class Columns(NamedTuple):
    """What is measured of the columns of a support set; arrays have shape (d,) if not said."""

    mean: np.ndarray
    scale: np.ndarray
    total: np.ndarray  # weight of the values that are not missing
    size: float  # weight of all rows
    repeats: np.ndarray  # probability that two rows have the same value
    binary: np.ndarray
    ordered: np.ndarray  # sorted values (d, n), infinity for missing ones
    below: np.ndarray  # weight (d, n + 1) below each


def measure_columns(x: np.ndarray, w: np.ndarray) -> Columns:
    """Measure the columns of a support set x (n, d) with positive weights w (n,)."""
    missing = np.isnan(x)
    known, value = np.where(missing, 0.0, w[:, None]), np.nan_to_num(x)
    mean, scale = location_and_scale(x, w)
    candidates = np.where(missing, np.inf, x).T
    order = candidates.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(candidates, order, 1)
    weight = np.take_along_axis(np.ascontiguousarray(known.T), order, 1)
    below = np.concatenate([np.zeros((x.shape[1], 1)), weight.cumsum(1)], 1)
    total = known.sum(0)
    low, equal = _rank(ordered, below, value)
    extreme = (low == 0) | (low == np.where(missing, 0.0, low).max(0))
    binary = (extreme | missing).all(0) * 1.0
    own = left_out_weight(w)[:, None]
    pairs = (known * (total - own)).sum(0)
    repeats = (known * np.maximum(equal - own, 0.0)).sum(0) / np.maximum(pairs, 1.0)
    return Columns(mean, scale, total, float(w.sum()), repeats, binary, ordered, below)


def left_out_weight(w: np.ndarray) -> np.ndarray:
    """Return the weight (n,) that is left out where a row is predicted from the others.

    Weights that are all whole numbers count equal rows, and one of these is left out. Other weights
    measure the importance of a row, and the whole row is left out.
    """
    return np.minimum(w, 1.0) if (w == w.round()).all() else w


def _rank(
    ordered: np.ndarray, below: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the support values below and equal to each value (m, d)."""
    low, high = np.empty_like(value), np.empty_like(value)
    for k, (known, weight) in enumerate(zip(ordered, below, strict=True)):
        at = np.ascontiguousarray(value[:, k])
        low[:, k] = weight[known.searchsorted(at, "left")]
        high[:, k] = weight[known.searchsorted(at, "right")]
    return low, high - low


def describe_cells(
    columns: Columns, x: np.ndarray, dtype: type, own: np.ndarray | None = None
) -> np.ndarray:
    """Describe cells (m, d) by features (m, d, f) of a precision.

    They are the standardised value (bounded in two ways), rank, share of equal values, flag of a
    value that the support set lacks, sines and cosines of the rank, flag of a missing value; then,
    equal for the whole column, ``repeats``, ``binary``, the share of values that are not missing,
    and the logarithms of the numbers of rows and columns.

    `own` (m,) are the weights of support rows. What :func:`left_out_weight` returns of it is
    subtracted from the ranks, so that a support row is compared with the other rows only.
    """
    missing, value = np.isnan(x), np.nan_to_num(x)
    # Halves, because the difference of two large values may overflow.
    z = (value / 2 - columns.mean / 2) / (columns.scale / 2)
    low, equal = _rank(columns.ordered, columns.below, value)
    total: np.ndarray = np.broadcast_to(columns.total, low.shape)
    if own is not None:
        itself = np.where(missing, 0.0, left_out_weight(own)[:, None])
        equal, total = np.maximum(equal - itself, 0.0), total - itself
    safe = np.maximum(total, 1e-6)
    rank = np.where(total > 1e-6, 2 * (low + 0.5 * equal) / safe - 1, 0.0).clip(-1, 1)
    cells = np.empty((*x.shape, N_CELL_FEATURES), dtype)
    parts = [np.arcsinh(z), z.clip(-3, 3), rank, equal / safe, equal <= 1e-6]
    parts += [np.sin(np.pi * wave * rank) for wave in _WAVES]
    parts += [np.cos(np.pi * wave * rank) for wave in _WAVES]
    for k, part in enumerate(parts):
        cells[..., k] = part
    cells[missing] = 0.0
    cells[..., 11] = missing
    cells[..., 12] = columns.repeats
    cells[..., 13] = columns.binary
    cells[..., 14] = columns.total / max(columns.size, 1e-12)
    cells[..., 15] = np.log1p(columns.size) / 3 - 1
    cells[..., 16] = np.log2(float(x.shape[1])) / 3 - 1
    return cells
