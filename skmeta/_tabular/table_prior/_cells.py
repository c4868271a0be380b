"""Describe the cells of a table by features, relative to their column in the support set.

Arrays are of one table. Tensors have an axis of tables before the others, for meta-training, and a
row of weight 0 is left out.

Notation: n support rows, m rows of either set, d columns, f = N_CELL_FEATURES. NaN is a missing
value.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from skmeta._optional import module_of
from skmeta._tabular._rows import location_and_scale
from skmeta._tabular.table_prior._arithmetic import contiguous

N_CELL_FEATURES = 17
# Columns of a view, and codes for its classes.
N_SLOTS, N_CODES = 64, 10
_WAVES = (1.0, 2.0, 4.0)
# Values whose difference is below this share of the column's scale are equal.
_EQUAL = 1e-10


class Columns(NamedTuple):
    """What is measured of the columns of a support set; shapes are (d,) if not said."""

    mean: Any
    scale: Any
    total: Any  # weight of the values that are not missing
    size: Any  # weight (1,) of all rows
    repeats: Any  # probability that two rows have the same value
    binary: Any
    ordered: Any  # sorted values (d, n), infinity for missing ones
    below: Any  # weight (d, n + 1) below each


def measure_columns(x: Any, w: Any) -> Columns:
    """Measure the columns of a support set x (n, d) with weights w (n,)."""
    xp = module_of(x)
    known, value = xp.where(xp.isnan(x), 0.0, w[..., None]), xp.nan_to_num(x)
    mean, scale = location_and_scale(x, w)
    ordered, weight = _sort(xp.where(known > 0, x, math.inf).swapaxes(-1, -2), known)
    below = xp.concatenate([xp.zeros_like(weight[..., :1]), weight.cumsum(-1)], -1)
    total = known.sum(-2)
    low, equal = _rank(ordered, below, value, _EQUAL * scale)
    highest = xp.amax(xp.where(known > 0, low, 0.0), -2)
    extreme = (low == 0) | (low == highest[..., None, :])
    binary = (extreme | (known == 0)).all(-2) * 1.0
    own = w[..., None]
    pairs = (known * (total[..., None, :] - own)).sum(-2)
    repeats = (known * (equal - own).clip(0.0)).sum(-2) / pairs.clip(1.0)
    return Columns(mean, scale, total, w.sum(-1)[..., None], repeats, binary, ordered, below)


def _sort(candidates: Any, weight: Any) -> tuple[Any, Any]:
    """Sort the values (d, n) of columns, and return them with their weights, given as (n, d)."""
    candidates, weight = contiguous(candidates), contiguous(weight.swapaxes(-1, -2))
    if not isinstance(candidates, np.ndarray):
        ordered, order = candidates.sort(-1)
        return ordered, weight.gather(-1, order)
    order = candidates.argsort(-1, kind="stable")
    return np.take_along_axis(candidates, order, -1), np.take_along_axis(weight, order, -1)


def _rank(ordered: Any, below: Any, value: Any, near: Any) -> tuple[Any, Any]:
    """Return the weights of the support values below and equal to each value (m, d).

    Values that differ by less than `near` (d,) are equal.
    """
    lower, upper = value - near[..., None, :], value + near[..., None, :]
    if not isinstance(value, np.ndarray):
        # Contiguous, because searchsorted copies other tensors, and warns.
        search = module_of(value).searchsorted
        places = [contiguous(at.swapaxes(-1, -2)) for at in (lower, upper)]
        low, high = (
            below.gather(-1, search(ordered, at, right=k > 0)) for k, at in enumerate(places)
        )
        return low.swapaxes(-1, -2), (high - low).swapaxes(-1, -2)
    low, high = np.empty_like(value), np.empty_like(value)
    for k, (known, weight) in enumerate(zip(ordered, below, strict=True)):
        low[:, k] = weight[known.searchsorted(contiguous(lower[:, k]), "left")]
        high[:, k] = weight[known.searchsorted(contiguous(upper[:, k]), "right")]
    return low, high - low


def describe_cells(columns: Columns, x: Any, own: Any | None = None) -> Any:
    """Describe cells (m, d) by features (m, d, f).

    They are the standardised value (bounded in two ways), rank, share of equal values, flag of a
    value that the support set lacks, sines and cosines of the rank, flag of a missing value; then,
    equal for the whole column, ``repeats``, ``binary``, the share of values that are not missing,
    and the logarithms of the numbers of rows and columns.

    `own` (m,) are the weights of support rows. They are subtracted from the ranks, so that a
    support row is compared with the other rows only.
    """
    xp = module_of(x)
    missing, value = xp.isnan(x), xp.nan_to_num(x)
    mean, scale, total = (part[..., None, :] for part in columns[:3])
    # Halves, because the difference of two large values may overflow.
    z = (value / 2 - mean / 2) / (scale / 2)
    low, equal = _rank(columns.ordered, columns.below, value, _EQUAL * columns.scale)
    if own is not None:
        itself = xp.where(missing, 0.0, own[..., None])
        equal, total = (equal - itself).clip(0.0), total - itself
    safe = total.clip(1e-6)
    rank = xp.where(total > 1e-6, 2 * (low + 0.5 * equal) / safe - 1, 0.0).clip(-1, 1)
    parts = [xp.arcsinh(z), z.clip(-3, 3), rank, equal / safe, (equal <= 1e-6) * 1.0]
    parts += [xp.sin(math.pi * wave * rank) for wave in _WAVES]
    parts += [xp.cos(math.pi * wave * rank) for wave in _WAVES]
    by_column = [
        columns.repeats,
        columns.binary,
        columns.total / columns.size.clip(1e-12),
        xp.log1p(columns.size) / 3 - 1,
        xp.zeros_like(columns.size) + (math.log2(x.shape[-1]) / 3 - 1),
    ]
    parts = [xp.where(missing, 0.0, part) for part in parts] + [missing * 1.0]
    parts += [xp.broadcast_to(part[..., None, :], x.shape) for part in by_column]
    return xp.stack(parts, -1)
