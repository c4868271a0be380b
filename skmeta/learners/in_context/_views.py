"""Views of one support set: permuted columns and classes, parts of columns and rows, class codes.

Notation: n rows, d columns, c classes of a task; e views, which form an ensemble.

Every choice hangs on keys computed from the contents of rows, columns and classes, never on their
positions, so that a table in another order has the same views.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta.learners.in_context._cells import describe_cells, measure_columns

N_SLOTS = 64
N_CODES = 10
# Views that a task of more classes than codes has at least: each divides the classes anew.
_MIN_VIEWS_FOR_CODES = 12
_N_TABLES = 64


class Views(NamedTuple):
    """The views.

    Attributes
    ----------
    columns : Tensor of shape (1, d) or (e, 64), int64
        Columns of each view, the same for all if there are no more than 64.
    slots : Tensor of shape (e, min(d, 64)), int64
        Their slots.
    rows : Tensor of shape (1, n) or (e, largest), int64
        Support rows of each view, the same for all if they are not too many.
    codes : Tensor of shape (e, c), int64
        Code of each class: one of its own, or one that it shares if there are more than 10
        classes. Of shape (e, 0) for a regression.
    """

    columns: Tensor
    slots: Tensor
    rows: Tensor
    codes: Tensor


def n_views(n_estimators: int, n_classes: int) -> int:
    """Number of views: more than asked for where codes are shared by classes."""
    return max(n_estimators, _MIN_VIEWS_FOR_CODES) if n_classes > N_CODES else n_estimators


def choose_views(
    x: Tensor,
    y: Tensor,
    w: Tensor,
    n_classes: int,
    n_estimators: int,
    max_rows: int,
    n_features: int | None = None,
) -> Views:
    """Choose the views of a support set.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows; NaN is a missing value.
    y : Tensor of shape (n,)
        Class positions, or targets.
    w : Tensor of shape (n,)
        Weights.
    n_classes : int
        c; 0 for a regression.
    n_estimators : int
        Number of views asked for.
    max_rows : int
        Largest number of rows of a view.
    n_features : int, optional
        Number of columns that a network makes of ``x``, if there is one. They are known by their
        positions, which mean the same in every task.

    Returns
    -------
    Views
        The views.
    """
    e, n = n_views(n_estimators, n_classes), len(x)
    rank, column_key, row_key, class_key = _keys(x, y, w, n_classes)
    if n_features is not None:
        column_key = torch.sin(1.0 + torch.arange(n_features, device=x.device, dtype=x.dtype))
    order, slots = _shuffle(column_key, e, 0), _tables(N_SLOTS)[:e].to(x.device)
    if order.shape[1] > N_SLOTS and n_features is None:
        order = _strongest_first(order, rank, y, w, n_classes)
    columns = order[:, :N_SLOTS]
    if order.shape[1] <= N_SLOTS:
        columns = torch.arange(order.shape[1], device=x.device)[None]
        slots = slots.gather(1, order.argsort(1))
    rows = torch.arange(n, device=x.device)[None]
    if n > max_rows:
        rows = _part_of_rows(row_key, y, w, n_classes, e)[:, :max_rows]
    place = _shuffle(class_key, e, 2).argsort(1)
    if n_classes <= N_CODES:
        codes = _tables(N_CODES)[:e].to(x.device).gather(1, place)
    else:
        # In a random order, every tenth class has the same code: codes are shared evenly.
        codes = place % N_CODES
    return Views(columns, slots, rows, codes)


@lru_cache
def _tables(size: int) -> Tensor:
    """Permutations, one per view, fixed once and for all."""
    rng = np.random.default_rng(size)
    return torch.from_numpy(np.stack([rng.permutation(size) for _ in range(_N_TABLES)]))


def _shuffle(key: Tensor, e: int, stream: int) -> Tensor:
    """Order items by what is left of their keys (k,) after leading digits are cut off: (e, k)."""
    factor = 1e3 + 617.0 * torch.arange(e, device=key.device, dtype=key.dtype) + 101.0 * stream
    return torch.frac(key.abs()[None] * factor[:, None]).argsort(1)


def _keys(x: Tensor, y: Tensor, w: Tensor, n_classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ranks (n, d) of the cells, and keys of columns (d,), rows (n,) and classes (c,).

    Keys are refined in turns, as colours are in the test of graphs by Weisfeiler and Leman: a
    row's by those of its cells' columns, a column's by those of its cells' rows.
    """
    columns = measure_columns(x[None], w[None])
    cells = describe_cells(columns, x[None])[0]
    # Standardised value, share of equal values, flag of a missing one.
    cell = torch.sin(1 + 2.3 * cells[..., 0] + 0.7 * cells[..., 3]) + 0.9 * cells[..., 11]
    share = w / w.sum()
    member = _membership(y, n_classes, x.dtype) * share[:, None]
    size = member.sum(0)
    column_key = share @ cell
    label = size[y] if n_classes else torch.sin(_scaled(y, w))
    row_key, class_key = label, size
    for _ in range(2):
        row_key = torch.sin(3 * cell + 5 * column_key + row_key[:, None]).mean(1) + 0.3 * label
        if n_classes:
            class_key = size + (member * torch.sin(2 + 4 * row_key)[:, None]).sum(0) / (
                size.clamp_min(1e-12)
            )
            label = torch.sin(5 * class_key)[y]
        column_key = share @ torch.sin(3 * cell + 4 * row_key[:, None] + 2 * label[:, None])
    return cells[..., 2], column_key, row_key, class_key


def _membership(y: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
    return (y[:, None] == torch.arange(n_classes, device=y.device)).to(dtype)


def _scaled(y: Tensor, w: Tensor) -> Tensor:
    location, scale = location_and_scale(y, w)
    return (y - location) / scale


def location_and_scale(y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of targets (n,); 1 for targets that are all equal."""
    share = w / w.sum()
    mean = (share * y).sum()
    scale = torch.sqrt((share * (y - mean) ** 2).sum())
    size = mean.abs() + (mean == 0)
    return mean, torch.where(scale > 64 * torch.finfo(y.dtype).eps * size, scale, size)


def _strongest_first(order: Tensor, rank: Tensor, y: Tensor, w: Tensor, n_classes: int) -> Tensor:
    """Bring forward the columns (e, d) whose ranks (n, d) go most with the labels."""
    share = w / w.sum()
    centred = rank - share @ rank
    if n_classes:
        member = _membership(y, n_classes, rank.dtype) * share[:, None]
        between = ((member.T @ centred) ** 2 / member.sum(0).clamp_min(1e-12)[:, None]).sum(0)
    else:
        target = _scaled(y, w)
        between = (share @ (centred * target[:, None])) ** 2
    strength = between / (share @ centred**2).clamp_min(1e-12)
    is_strong = strength.argsort(descending=True).argsort() < N_SLOTS // 2
    # Half of the slots go to the strongest columns, the others to columns drawn by the order.
    return order.gather(1, (~is_strong)[order].to(torch.uint8).argsort(dim=1, stable=True))


def _part_of_rows(row_key: Tensor, y: Tensor, w: Tensor, n_classes: int, e: int) -> Tensor:
    """Orders (e, n) of the rows whose beginnings have each class in its proportion."""
    order = _shuffle(row_key, e, 1)
    there = (w > 0).to(row_key.dtype)
    place = order.argsort(1).to(row_key.dtype)
    if n_classes:
        member = _membership(y, n_classes, row_key.dtype) * there[:, None]
        in_order = member[order]
        within = (in_order.cumsum(1) - 1).gather(2, y[order][:, :, None])[:, :, 0]
        # The k-th row of a class comes after a k-th share of it.
        due = (within + 0.5) / member.sum(0).clamp_min(1.0)[y[order]]
        place = torch.zeros_like(place).scatter(1, order, due)
        first = torch.zeros_like(place).scatter(1, order, (within > 0).to(place.dtype))
        place = place + 2 * first
    return (place + 1e9 * (1 - there)).argsort(1)
