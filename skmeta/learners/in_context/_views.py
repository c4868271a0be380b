"""Views of one support set: permuted columns and classes, parts of columns and rows, class codes.

Views of a table of more than 64 columns alternate: one has 64 of its columns, half of which are
those most related to the labels; the next has the principal components of all columns.

Notation: n rows, d columns, c classes of a task (0 for a regression); e views, which form an
ensemble. x (n, d) are rows, where NaN is a missing value, y (n,) class positions or targets, and w
(n,) weights.

All choices depend on keys, which are computed from the contents of rows, columns and classes and
not from their positions. A table in another order has the same views. The memory needed grows with
n d + e (n + c), not with n c.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta.learners.in_context._cells import (
    N_CODES,
    N_SLOTS,
    describe_cells,
    measure_columns,
    safe_unit,
)

# Smallest number of views with more classes than codes. Each view divides the classes differently.
_MIN_VIEWS_FOR_CODES = 12
# Largest number of views that "auto" takes otherwise, and the number for a wide table.
_MAX_AUTO = 4
_N_TABLES = 64
# Principal components of a wide table in every second view, and bound of the values they sum up.
_N_COMPONENTS, _MAX_VALUE = 21, 6.0


class Views(NamedTuple):
    """The views, as int64 tensors.

    `columns` (e, 64), or (1, d) for all views of at most 64 columns; positions from d on are
    principal components. `slots` (e, min(d, 64)) of the columns. `rows` (e, max_rows), or (1, n) if
    there are at most `max_rows`. `codes` (e, c) of the classes: with more than 10, several classes
    share a code.
    """

    columns: Tensor
    slots: Tensor
    rows: Tensor
    codes: Tensor


def n_views(
    n_estimators: int | str, n_rows: int, n_columns: int, n_classes: int, max_rows: int
) -> int:
    """Return the number of views of a table, at least 12 if classes share codes.

    ``"auto"`` is one view if it has the whole table, four if the table has more than 64 columns,
    and otherwise enough views for all rows, but at most four.
    """
    if isinstance(n_estimators, str):
        n_estimators = min(_MAX_AUTO, -(-n_rows // max_rows))
        if n_columns > N_SLOTS:
            n_estimators = _MAX_AUTO
    return max(n_estimators, _MIN_VIEWS_FOR_CODES) if n_classes > N_CODES else n_estimators


def choose_views(
    x: Tensor,
    y: Tensor,
    w: Tensor,
    n_classes: int,
    n_estimators: int | str,
    max_rows: int,
    n_components: int = 0,
) -> Views:
    """Choose the views of a support set.

    `n_components` principal components follow the columns of a table of more than 64. Every second
    view has the components in place of columns, repeated to 64.
    """
    n, d = x.shape
    e = n_views(n_estimators, n, d, n_classes, max_rows)
    rank, column_key, row_key, class_key = _keys(x, y, w, n_classes)
    order, slots = _shuffle(column_key, e, 0), _tables(N_SLOTS)[:e].to(x.device)
    if d > N_SLOTS:
        order = _strongest_first(order, rank, y, w, n_classes)
    columns = order[:, :N_SLOTS]
    if n_components:
        # With equal repetitions, distances between rows are those of the components alone.
        repeated = d + torch.arange(N_SLOTS, device=x.device) % n_components
        is_odd = torch.arange(e, device=x.device)[:, None] % 2 == 1
        columns = torch.where(is_odd, repeated, columns)
    if d <= N_SLOTS:
        columns = torch.arange(d, device=x.device)[None]
        slots = slots.gather(1, order.argsort(1))
    rows = torch.arange(n, device=x.device)[None]
    if n > max_rows:
        rows = _part_of_rows(row_key, y, w, n_classes, e)[:, :max_rows]
    place = _shuffle(class_key, e, 2).argsort(1)
    if n_classes <= N_CODES:
        codes = _tables(N_CODES)[:e].to(x.device).gather(1, place)
    else:
        # In a random order, every tenth class has the same code, so codes are shared evenly.
        codes = place % N_CODES
    return Views(columns, slots, rows, codes)


def fit_components(x: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Compute principal components of the standardised columns of a wide support set.

    They are ``center`` and ``unit`` (d,) of the columns, and ``loadings`` (d, k) of at most 21
    components; nothing if there are at most 64 columns, or one row.
    """
    n, d = x.shape
    k = min(_N_COMPONENTS, n - 1)
    if d <= N_SLOTS or k < 1:
        return {}
    measured = measure_columns(x[None], w[None])
    fitted = {"center": measured["mean"][0], "unit": measured["scale"][0]}
    z = _standardised(fitted, x)
    rows = w.sqrt()[:, None] * z
    if n <= d:
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        size = values[-k:].clamp_min(1e-9 * values[-1]).sqrt().clamp_min(1e-30)
        loadings = rows.T @ vectors[:, -k:] / size
    else:
        loadings = torch.linalg.eigh(rows.T @ rows)[1][:, -k:]
    loadings = loadings.flip(1)
    # The sign of a component is arbitrary: make it that of the scores' third moment.
    sign = (w @ (z @ loadings) ** 3).sign()
    return fitted | {"loadings": loadings * torch.where(sign == 0, 1.0, sign)}


def add_components(fitted: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Append the principal components, if any, to the columns of rows: (m, d + k)."""
    if not fitted:
        return x
    scores = _standardised(fitted, x) @ fitted["loadings"]
    # Rounded, so that equal rows have equal scores, whichever rows are computed with them.
    return torch.cat([x, torch.round(1e6 * scores) / 1e6], 1)


def _standardised(fitted: Mapping[str, Tensor], x: Tensor) -> Tensor:
    # Halves, because the difference of two large values may overflow.
    z = (x / 2 - fitted["center"] / 2) / (fitted["unit"] / 2)
    return torch.nan_to_num(z.clamp(-_MAX_VALUE, _MAX_VALUE))


@lru_cache
def _tables(size: int) -> Tensor:
    """Return fixed permutations, one per view."""
    rng = np.random.default_rng(size)
    return torch.from_numpy(np.stack([rng.permutation(size) for _ in range(_N_TABLES)]))


def _shuffle(key: Tensor, e: int, stream: int) -> Tensor:
    """Derive pseudo-random permutations (e, k) from the keys (k,) of items in any order."""
    factor = 1e3 + 617.0 * torch.arange(e, device=key.device, dtype=key.dtype) + 101.0 * stream
    return torch.frac(key.abs()[None] * factor[:, None]).argsort(1)


def _keys(x: Tensor, y: Tensor, w: Tensor, n_classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ranks (n, d) of the cells, and keys of columns (d,), rows (n,) and classes (c,).

    Keys are refined in turns, like colours in the Weisfeiler-Leman test of graphs: the keys of
    columns refine those of rows, and the keys of rows refine those of columns.
    """
    columns = measure_columns(x[None], w[None])
    cells = describe_cells(columns, x[None])[0]
    # Standardised value, share of equal values, flag of a missing one.
    cell = torch.sin(1 + 2.3 * cells[..., 0] + 0.7 * cells[..., 3]) + 0.9 * cells[..., 11]
    share = w / w.sum()
    size = _sum_by_class(share, y, n_classes) if n_classes else share[:0]
    column_key = share @ cell
    label = size[y] if n_classes else torch.sin(_scaled(y, w))
    row_key, class_key = label, size
    for _ in range(2):
        row_key = torch.sin(3 * cell + 5 * column_key + row_key[:, None]).mean(1) + 0.3 * label
        if n_classes:
            total = _sum_by_class(share * torch.sin(2 + 4 * row_key), y, n_classes)
            class_key = size + total / size.clamp_min(1e-12)
            label = torch.sin(5 * class_key)[y]
        column_key = share @ torch.sin(3 * cell + 4 * row_key[:, None] + 2 * label[:, None])
    return cells[..., 2], column_key, row_key, class_key


def _sum_by_class(values: Tensor, y: Tensor, n_classes: int) -> Tensor:
    """Return the sums (c, ...) of values (n, ...) over the rows of each class."""
    index = y.reshape(-1, *[1] * (values.dim() - 1)).expand_as(values)
    zeros = torch.zeros(n_classes, *values.shape[1:], dtype=values.dtype, device=values.device)
    return zeros.scatter_add(0, index, values)


def _scaled(y: Tensor, w: Tensor) -> Tensor:
    location, scale = location_and_scale(y, w)
    return (y - location) / scale


def location_and_scale(y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and standard deviation of targets (n,).

    The scale of equal targets is their absolute value, or 1 for 0.
    """
    share = w / w.sum()
    unit = safe_unit(y.abs().amax())
    mean = (share * (y / unit)).sum()
    scale = torch.sqrt((share * (y / unit - mean) ** 2).sum()) * unit
    mean = mean * unit
    size = mean.abs() + (mean == 0)
    return mean, torch.where(scale > 64 * torch.finfo(y.dtype).eps * size, scale, size)


def _strongest_first(order: Tensor, rank: Tensor, y: Tensor, w: Tensor, n_classes: int) -> Tensor:
    """Move the columns whose ranks depend most on the labels to the front of orders (e, d)."""
    share = w / w.sum()
    centred = rank - share @ rank
    if n_classes:
        size = _sum_by_class(share, y, n_classes).clamp_min(1e-12)
        between = (_sum_by_class(share[:, None] * centred, y, n_classes) ** 2 / size[:, None]).sum(
            0
        )
    else:
        target = _scaled(y, w)
        between = (share @ (centred * target[:, None])) ** 2
    strength = between / (share @ centred**2).clamp_min(1e-12)
    # Ranks are few numbers, so that strengths may be equal; the order by keys then decides.
    by_key = order[0]
    strongest = by_key[strength[by_key].round(decimals=6).argsort(descending=True, stable=True)]
    is_strong = strongest.argsort() < N_SLOTS // 2
    # Half of the slots are for the strongest columns. The order chooses the columns of the others.
    return order.gather(1, (~is_strong)[order].to(torch.uint8).argsort(dim=1, stable=True))


def _part_of_rows(row_key: Tensor, y: Tensor, w: Tensor, n_classes: int, e: int) -> Tensor:
    """Return orders (e, n) of the rows whose first rows have the class proportions of all rows.

    All orders are one cycle with different starts, so the parts of all views together have all rows
    if there is room for them. A class with rows has one in each part.
    """
    n = len(row_key)
    order = _shuffle(row_key, 1, 1)[0]
    has_weight = (w > 0)[order]
    due = torch.arange(n, device=y.device).to(row_key.dtype)
    if n_classes:
        before = _earlier_of_same_class(y[order], has_weight.to(row_key.dtype))
        size = _sum_by_class(has_weight.to(row_key.dtype), y[order], n_classes)
        # The k-th of m rows of a class is due at (k - 0.5) / m.
        due = (before + 0.5) / size.clamp_min(1.0)[y[order]]
    order = order[due.masked_fill(~has_weight, math.inf).argsort(stable=True)]
    place, total = torch.arange(n, device=y.device)[None], has_weight.sum()
    start = torch.arange(e, device=y.device)[:, None] * total // e
    turned = torch.remainder(place - start, total)
    if n_classes:
        label = y[order].expand(e, -1)
        first = torch.full((e, n_classes), n, device=y.device)
        first = first.scatter_reduce(1, label, torch.where(place < total, turned, n), "amin")
        turned = torch.where(turned == first.gather(1, label), turned - n, turned)
    turned = torch.where(place < total, turned, n + place)
    return order[turned.argsort(1)]


def _earlier_of_same_class(y: Tensor, has_weight: Tensor) -> Tensor:
    """Count the rows (n,) of the same class before each row; one less for rows without weight."""
    by_class = y.argsort(stable=True)
    sorted_y = y[by_class]
    total = F.pad(has_weight[by_class].cumsum(0), (1, 0))
    before = total[1:] - total[torch.searchsorted(sorted_y, sorted_y)] - 1
    return torch.zeros_like(before).scatter(0, by_class, before)
