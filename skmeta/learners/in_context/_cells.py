"""Describe the cells of a table by features, relative to their column in the support set.

Notation: b tables, n support rows, m rows of either set, d columns, f = N_CELL_FEATURES. NaN is a
missing value; a row of weight 0 is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

N_CELL_FEATURES = 17
_WAVES = (1.0, 2.0, 4.0)


def measure_columns(x: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Measure the columns of support sets x (b, n, d) with weights w (b, n).

    Of shape (b, d): ``mean``, ``scale``, ``repeats`` (probability that two rows have the same
    value), ``binary`` and ``total`` (weight of the values that are not missing). ``size`` (b, 1) is
    the weight of all rows; ``sorted`` (b, d, n) and ``below`` (b, d, n + 1) are the sorted values
    and the weight below each.
    """
    known = w[:, :, None] * ~torch.isnan(x)
    value = torch.nan_to_num(x)
    total = known.sum(1)
    safe = total.clamp_min(1e-12)
    unit = safe_unit(value.abs().amax(1))
    mean = (known * (value / unit[:, None])).sum(1) / safe
    centred = value / unit[:, None] - mean[:, None]
    # The root of 0 has no gradient.
    scale = torch.sqrt(((known * centred * centred).sum(1) / safe).clamp_min(1e-36)) * unit
    mean = mean * unit
    # A constant column is divided by its absolute value, so another value of a query row is large.
    size = mean.abs() + (mean == 0)
    scale = torch.where(scale > 64 * torch.finfo(x.dtype).eps * size, scale, size)
    ordered, order = torch.where(known > 0, x, math.inf).transpose(1, 2).contiguous().sort(2)
    weight = known.transpose(1, 2).gather(2, order)
    below = torch.cat([torch.zeros_like(weight[..., :1]), weight.cumsum(2)], 2)
    columns = {"mean": mean, "scale": scale, "total": total, "size": w.sum(1, keepdim=True)}
    columns |= {"sorted": ordered, "below": below}
    low, equal = _rank(columns, value)
    low_of_all = torch.where(known > 0, low, 0.0).amax(1, keepdim=True)
    extreme = (low == 0) | (low == low_of_all)
    columns["binary"] = (extreme | (known == 0)).all(1).to(x.dtype)
    own = left_out_weight(w)[:, :, None]
    pairs = (known * (total[:, None] - own)).sum(1)
    columns["repeats"] = (known * (equal - own).clamp_min(0)).sum(1) / pairs.clamp_min(1.0)
    return columns


def left_out_weight(w: Tensor) -> Tensor:
    """Return the weight (..., n) that is left out where a row is predicted from the others.

    Weights that are all whole numbers count equal rows, and one of these is left out. Other weights
    measure the importance of a row, and the whole row is left out.
    """
    is_whole = (w == w.round()).all(-1, keepdim=True)
    return torch.where(is_whole, w.clamp_max(1.0), w)


def safe_unit(largest: Tensor) -> Tensor:
    """Return a unit in which squares neither overflow nor underflow; 1 for usual values."""
    limit = torch.finfo(largest.dtype).max ** 0.4
    is_extreme = (largest > limit) | ((largest < 1 / limit) & (largest > 0))
    return torch.where(is_extreme, largest, 1.0)


def _rank(columns: dict[str, Tensor], value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of the support values below and equal to each value (b, m, d)."""
    # Contiguous, because searchsorted copies other tensors, and warns.
    at = value.transpose(1, 2).contiguous()
    low, high = (
        columns["below"].gather(2, torch.searchsorted(columns["sorted"], at, right=right))
        for right in (False, True)
    )
    return low.transpose(1, 2), (high - low).transpose(1, 2)


def describe_cells(columns: dict[str, Tensor], x: Tensor, own: Tensor | None = None) -> Tensor:
    """Describe cells (b, m, d) by features (b, m, d, f).

    They are the standardised value (bounded in two ways), rank, share of equal values, flag of a
    value that the support set lacks, sines and cosines of the rank, flag of a missing value; then,
    equal for the whole column, ``repeats``, ``binary``, the share of values that are not missing,
    and the logarithms of the numbers of rows and columns.

    `own` (b, m) is the weight of each row in the ranks. What :func:`left_out_weight` returns of it
    is subtracted, so that a support row is compared with the other rows only, as a query row is.
    """
    missing = torch.isnan(x)
    value = torch.nan_to_num(x)
    known = (~missing).to(x.dtype)
    # Halves, because the difference of two large values may overflow.
    z = (value / 2 - columns["mean"][:, None] / 2) / (columns["scale"][:, None] / 2)
    low, equal = _rank(columns, value)
    total = columns["total"][:, None].expand_as(low)
    if own is not None:
        itself = left_out_weight(own)[:, :, None] * known
        equal, total = (equal - itself).clamp_min(0), total - itself
    safe = total.clamp_min(1e-6)
    rank = torch.where(total > 1e-6, 2 * (low + 0.5 * equal) / safe - 1, 0.0).clamp(-1, 1)
    cells = [torch.asinh(z), z.clamp(-3, 3), rank, equal / safe, (equal <= 1e-6).to(x.dtype)]
    cells += [torch.sin(math.pi * wave * rank) for wave in _WAVES]
    cells += [torch.cos(math.pi * wave * rank) for wave in _WAVES]
    cells = [cell * known for cell in cells] + [missing.to(x.dtype)]
    column_features = [
        columns["repeats"],
        columns["binary"],
        columns["total"] / columns["size"].clamp_min(1e-12),
        torch.log1p(columns["size"]).expand_as(columns["mean"]) / 3 - 1,
        torch.log2(x.new_tensor(float(x.shape[2]))).expand_as(columns["mean"]) / 3 - 1,
    ]
    cells += [part[:, None].expand_as(z) for part in column_features]
    return torch.stack(cells, 3)
