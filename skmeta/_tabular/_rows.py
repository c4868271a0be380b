"""Rows with weights, the units of their columns and targets, and an order by what they hold.

Orders and folds do not depend on the order in which a table is given. A row, a column and a class
have a key each. Keys are refined in turns, like colours in the Weisfeiler-Leman test of graphs:
those of columns refine those of rows, and those of rows refine those of columns.

Notation: n rows, d columns, c classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any, NamedTuple, Self

import numpy as np

from skmeta._columns import distinct_rows
from skmeta._optional import module_of
from skmeta._sklearn_compat import check_sample_weight
from skmeta._tabular._table import Standardiser

_MAX_WEIGHT = 1e9
# A column is constant if its standard deviation is below so many rounding errors of its mean.
_CONSTANT = 64
# Keys of rows are rounded.
_DECIMALS = 9
# Cells of a table whose columns have keys by all others; in larger ones, each has its own.
_MAX_CELLS = 200_000
# From this many rows on, models need no more than a single fold that is held out.
MANY_ROWS = 200
_N_FOLDS, _N_FOLDS_OF_MANY, _ROWS_OF_FOLD = 5, 4, 1000


class WeightedRows(NamedTuple):
    """Rows (n, d) with NaN for missing values, targets or class positions, and weights (n,)."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def check(cls, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> Self:
        """Return the rows, and raise an error if a weight is negative, not finite or above 1e9."""
        weight = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if weight.max() > _MAX_WEIGHT:
            raise ValueError(
                f"sample_weight is {weight.max():g} in row {weight.argmax()}, but at most "
                f"{_MAX_WEIGHT:g} is allowed: a weight says how many rows a row stands for. "
                "Divide all weights by their mean."
            )
        return cls(X, y, weight)

    def take(self, rows: np.ndarray) -> WeightedRows:
        """Return some of the rows, by their positions or a mask."""
        return WeightedRows(*(part[rows] for part in self))

    def join(self, other: WeightedRows) -> WeightedRows:
        """Return the rows of both."""
        return WeightedRows(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def distinct(
        self, is_class: bool, nominal: Collection[int] = (), n_known: int = 0
    ) -> tuple[WeightedRows, float]:
        """Return rows with copies as one, weights over their mean, and this mean.

        See :func:`distinct_rows`; targets are class positions or numbers, and `nominal` columns
        are codes.
        """
        X = self.X.reshape(len(self.X), -1)
        columns = ((column, k not in nominal) for k, column in enumerate(X.T))
        every = itertools.chain([(self.y, not is_class)], columns)
        rows, weight, mean = distinct_rows(every, self.weight, n_known)
        return self.take(rows)._replace(weight=weight), mean


def location_and_scale(X: Any, weight: Any) -> tuple[Any, Any]:
    """Return weighted means and standard deviations of columns (n, d) or targets (n,) without NaN.

    The scale of a constant is its absolute value, or 1, so that another value is large. Tensors
    may have an axis of tables before that of rows.
    """
    xp, axis = module_of(X), weight.ndim - 1
    known = xp.where(xp.isnan(X), 0.0, weight.reshape(*weight.shape, *[1] * (X.ndim - weight.ndim)))
    value = xp.nan_to_num(X)
    total = known.sum(axis, keepdims=True).clip(1e-12)
    limits, no_rows = xp.finfo(total.dtype), {"initial": 0.0} if xp is np else {}
    largest = xp.amax(abs(value), axis, keepdims=True, **no_rows)
    # In units beyond these, squares overflow or underflow.
    most = limits.max**0.4
    is_extreme = (largest > most) | ((largest < 1 / most) & (largest > 0))
    unit = xp.where(is_extreme, largest, 1.0)
    mean = (known * (value / unit)).sum(axis, keepdims=True) / total
    centred = value / unit - mean
    scale = xp.sqrt((known * centred * centred).sum(axis, keepdims=True) / total) * unit
    mean = mean * unit
    size = abs(mean) + (mean == 0)
    scale = xp.where(scale > _CONSTANT * limits.eps * size, scale, size)
    return mean.squeeze(axis), scale.squeeze(axis)


class Keys(NamedTuple):
    """Keys of columns (d,), rows (n,) and classes (c,)."""

    column: np.ndarray
    row: np.ndarray
    label: np.ndarray


def content_keys(rows: WeightedRows, n_classes: int) -> Keys:
    """Return the keys of a table of positive weights; no classes for a regression."""
    X, y, weight = rows
    share = weight / weight.sum()
    cell = _cells(X, weight)
    size = np.bincount(y, share, n_classes) if n_classes else share[:0]
    if n_classes:
        label = size[y]
    else:
        location, scale = location_and_scale(y, weight)
        label = np.asarray(np.sin((y - location) / scale))
    column_key, row_key, class_key = share @ cell, label, size
    for _ in range(2):
        row_key = np.sin(3 * cell + 5 * column_key + row_key[:, None]).mean(1) + 0.3 * label
        if n_classes:
            total = np.bincount(y, share * np.sin(2 + 4 * row_key), n_classes)
            class_key = size + total / np.maximum(size, 1e-12)
            label = np.sin(5 * class_key)[y]
        column_key = share @ np.sin(3 * cell + 4 * row_key[:, None] + 2 * label[:, None])
    return Keys(column_key, row_key, class_key)


def _cells(X: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return numbers (n, d) of cells: standardised values, shares of equal values, and gaps."""
    mean, scale = location_and_scale(X, weight)
    missing = np.isnan(X)
    # Halves, because the difference of two large values may overflow.
    z = np.where(missing, 0.0, np.arcsinh((X / 2 - mean / 2) / (scale / 2)))
    equal = np.zeros(X.shape)
    for j, known in enumerate(~missing.T):
        code = np.unique(X[known, j], return_inverse=True)[1]
        equal[known, j] = np.bincount(code, weight[known])[code] / max(weight[known].sum(), 1e-6)
    return np.asarray(np.sin(1 + 2.3 * z + 0.7 * equal) + 0.9 * missing)


def order_by_content(rows: WeightedRows, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return orders of the columns (d,) and rows (n,) that depend on their contents only."""
    keys = content_keys(rows, n_classes)
    return np.argsort(keys.column, kind="stable"), np.argsort(keys.row, kind="stable")


def rank_classes(rows: WeightedRows, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return ranks (n,) of the classes of rows, by what these rows and groups (n, F) hold."""
    X, y, weight = rows
    y, sizes = y.astype(np.int64), [np.bincount(column)[column] for column in codes.T]
    # Sums over columns and over rows do not depend on the order of either.
    row_key = np.sin(sizes).sum(0)
    for column in X.T:
        z = np.nan_to_num(np.arcsinh(Standardiser.learn(column)(column)))
        row_key += np.sin(1 + 2.3 * z)
    keys = np.bincount(y, weight * (1 + 0.1 * row_key), n_classes)
    return np.asarray(np.argsort(np.argsort(keys, kind="stable"))[y])


def order_of_columns(rows: WeightedRows, codes: np.ndarray, n_classes: int, n: int) -> np.ndarray:
    """Return an order of the first n columns of rows by their contents, and groups (rows, F)."""
    X, y, weight = rows
    content = rank_classes(rows, codes, n_classes) if n_classes else Standardiser.learn(y)(y)
    # Columns that say what rows and groups are, whatever the names of these.
    sizes = [np.bincount(column)[column] for column in codes.T]
    # Rounded, so that equal sums are equal in any order of the rows.
    sums = [np.round(np.bincount(column, content), 8)[column] + 0.0 for column in codes.T]
    rest = np.column_stack([X[:, n:], *sizes, *sums])
    if X.size <= _MAX_CELLS:
        y = y.astype(np.int64) if n_classes else content
        table = WeightedRows(np.hstack([X[:, :n], rest]), y, weight)
        return np.argsort(content_keys(table, n_classes).column[:n], kind="stable")
    label = content + np.sin(Standardiser.learn(rest)(rest)).sum(1)
    keys = []
    for column in X[:, :n].T:
        missing, (centre, scale) = np.isnan(column), Standardiser.learn(column)
        z = np.arcsinh(np.where(missing, 0.0, (column - centre) / scale))
        keys.append(weight @ np.sin(1 + 2.3 * z + 0.9 * missing + label))
    return np.argsort(keys, kind="stable")


def arrange(rows: WeightedRows, n_classes: int) -> tuple[WeightedRows, np.ndarray]:
    """Return a table in an order of its content, and the given position (d,) of each column.

    Rows without a weight are left out.
    """
    rows = rows.take(rows.weight > 0)
    columns, _ = order_by_content(rows, n_classes)
    rows = rows._replace(X=rows.X[:, columns])
    # Sorted by values, so that sums have the same terms in the same order.
    return rows.take(np.lexsort((rows.weight, rows.y, *rows.X.T[::-1]))), columns


def divide_rows(rows: WeightedRows, n_classes: int, n_folds: int) -> np.ndarray:
    """Return the fold (n,) of each row. Each class is divided evenly."""
    if not n_classes:
        rows = rows._replace(y=np.zeros(len(rows.y), int))
    keys, y = content_keys(rows, max(n_classes, 1)), rows.y
    # Equal rows have keys that differ by rounding errors.
    order = np.lexsort((rows.weight, np.round(keys.row, _DECIMALS), y))
    label = y[order]
    # Counted from the first row of the class, and from another fold for each class.
    number = np.arange(len(y)) - np.searchsorted(label, label)
    start = (n_folds * np.modf(617.0 * abs(keys.label))[0]).astype(int)
    fold = np.empty(len(y), int)
    fold[order] = (number + start[label]) % n_folds
    return fold


# A part of rows, and positions of rows that it does not have.
Fold = tuple[WeightedRows, np.ndarray]


def hold_out(rows: WeightedRows, n_classes: int = 0, n_folds: int = _N_FOLDS) -> list[Fold]:
    """Divide rows of positive weights into parts, and the positions of what each does not have."""
    y, folds = rows.y, range(n_folds)
    if len(y) >= MANY_ROWS:
        n_folds, folds = max(_N_FOLDS_OF_MANY, len(y) // _ROWS_OF_FOLD), range(1)
    fold, divisions = divide_rows(rows, n_classes, n_folds), []
    for k in folds:
        kept, held = fold != k, fold == k
        if n_classes:
            # Without its only rows, a class is unknown.
            held &= np.isin(y, y[kept])
        if held.any() and len(np.unique(y[kept])) > 1:
            divisions.append((rows.take(kept), np.flatnonzero(held)))
    return divisions
