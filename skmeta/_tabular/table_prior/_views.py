"""Views of one support set: permuted columns and classes, parts of columns and rows, class codes.

Views of a table of more than 64 columns alternate: one has 64 of its columns, half of which are
those most related to the labels; the next has the principal components of all columns.

Notation: n rows, d columns, c classes of a task (0 for a regression); e views, which form an
ensemble.

All choices depend on keys, which are computed from the contents of rows, columns and classes and
not from their positions. A table in another order has the same views. The memory needed grows with
n d + e (n + c), not with n c.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmeta._tabular._rows import WeightedRows, content_keys, location_and_scale
from skmeta._tabular.table_prior._cells import N_CODES, N_SLOTS, describe_cells, measure_columns

# Smallest number of views with more classes than codes. Each view divides the classes differently.
_MIN_VIEWS_FOR_CODES = 12
# Largest number of views that "auto" takes otherwise, and the number for a wide table.
_MAX_AUTO = 4
_N_TABLES = 64
# Principal components of a wide table in every second view, and bound of the values they sum up.
_N_COMPONENTS, _MAX_VALUE = 21, 6.0


class Views(NamedTuple):
    """The views.

    `columns` (e, 64), or (1, d) for all views of at most 64 columns; positions from d on are
    `components`. `slots` (e, min(d, 64)) of the columns. `rows` (e, max_rows), or (1, n) if there
    are at most `max_rows`. `codes` (e, c) of the classes: with more than 10, several classes share
    a code.
    """

    components: Components | None
    columns: np.ndarray
    slots: np.ndarray
    rows: np.ndarray
    codes: np.ndarray

    def widen(self, x: np.ndarray) -> np.ndarray:
        """Append the principal components, if there are any, to the columns of rows (m, d)."""
        return x if self.components is None else self.components.add(x)


def count_views(
    n_views: int | str, n_rows: int, n_columns: int, n_classes: int, max_rows: int
) -> int:
    """Return the number of views of a table, at least 12 if classes share codes.

    ``"auto"`` is one view if it has the whole table, four if the table has more than 64 columns,
    and otherwise enough views for all rows, but at most four.
    """
    if isinstance(n_views, str):
        n_views = min(_MAX_AUTO, -(-n_rows // max_rows))
        if n_columns > N_SLOTS:
            n_views = _MAX_AUTO
    return max(n_views, _MIN_VIEWS_FOR_CODES) if n_classes > N_CODES else n_views


def choose_views(
    table: WeightedRows,
    n_classes: int,
    n_views: int | str,
    max_rows: int,
) -> Views:
    """Choose the views of a support set of positive weights.

    Every second view of a table of more than 64 columns has its principal components in place of
    columns, repeated to 64.
    """
    n, d = table.X.shape
    components = Components.fit(table.X, table.weight)
    e, keys = count_views(n_views, n, d, n_classes, max_rows), content_keys(table, n_classes)
    order, slots = _shuffle(keys.column, e, 0), _tables(N_SLOTS)[:e]
    if d > N_SLOTS:
        order = _strongest_first(order, table, n_classes)
    columns = order[:, :N_SLOTS]
    if components is not None:
        # With equal repetitions, distances between rows are those of the components alone.
        columns = columns.copy()
        columns[1::2] = d + np.arange(N_SLOTS) % components.loadings.shape[1]
    if d <= N_SLOTS:
        columns = np.arange(d)[None]
        slots = np.take_along_axis(slots, order.argsort(1), 1)
    rows = np.arange(n)[None]
    if n > max_rows:
        rows = _part_of_rows(keys.row, table.y, n_classes, e)[:, :max_rows]
    place = _shuffle(keys.label, e, 2).argsort(1)
    if n_classes <= N_CODES:
        codes = np.take_along_axis(_tables(N_CODES)[:e], place, 1)
    else:
        # In a random order, every tenth class has the same code, so codes are shared evenly.
        codes = place % N_CODES
    return Views(components, columns, slots, rows, codes)


class ViewedRows(NamedTuple):
    """A support set as its views show it."""

    views: Views
    labels: np.ndarray  # (e, n): codes of classes, or targets in units of the support set
    # Of classes: which codes occur in a view (e, 10), which classes have rows (c,).
    present: np.ndarray
    seen: np.ndarray
    # Of targets: their mean, deviation, and whether all are equal.
    location: float
    scale: float
    is_constant: bool

    @classmethod
    def choose(
        cls, rows: WeightedRows, n_classes: int, n_views: int | str, max_rows: int
    ) -> ViewedRows:
        """Choose the views of a support set of positive weights."""
        views = choose_views(rows, n_classes, n_views, max_rows)
        e, y, none = len(views.slots), rows.y, np.empty(0, bool)
        if n_classes == 0:
            location, scale = map(float, location_and_scale(y, rows.weight))
            labels = np.tile((y - location) / scale, (e, 1))
            return cls(views, labels, none, none, location, scale, bool(y.min() == y.max()))
        labels = views.codes[:, y]
        shown = np.take_along_axis(labels, np.broadcast_to(views.rows, (e, views.rows.shape[1])), 1)
        present = np.stack([np.bincount(codes, minlength=N_CODES) > 0 for codes in shown])
        return cls(views, labels, present, np.bincount(y, minlength=n_classes) > 0, 0.0, 1.0, False)

    def tables(self) -> list[range]:
        """Return the views that show the same cells: all, or each its own."""
        e, is_one = len(self.labels), len(self.views.columns) == len(self.views.rows) == 1
        # With more than 10 classes, labels of a view are those of other classes.
        if is_one and self.views.codes.shape[1] <= N_CODES:
            return [range(e)]
        return [range(k, k + 1) for k in range(e)]


class Components(NamedTuple):
    """Principal components of the standardised columns of a wide support set."""

    center: np.ndarray  # (d,)
    unit: np.ndarray  # (d,)
    loadings: np.ndarray  # (d, k) of at most 21 components

    @classmethod
    def fit(cls, x: np.ndarray, w: np.ndarray) -> Components | None:
        """Compute them; None if there are at most 64 columns, or one row."""
        n, d = x.shape
        k = min(_N_COMPONENTS, n - 1)
        if d <= N_SLOTS or k < 1:
            return None
        center, unit = location_and_scale(x, w)
        z = _standardised(center, unit, x)
        rows = np.sqrt(w)[:, None] * z
        if n <= d:
            values, vectors = np.linalg.eigh(rows @ rows.T)
            size = np.sqrt(np.maximum(values[-k:], 1e-9 * values[-1]))
            loadings = rows.T @ vectors[:, -k:] / np.maximum(size, 1e-30)
        else:
            loadings = np.linalg.eigh(rows.T @ rows)[1][:, -k:]
        loadings = loadings[:, ::-1]
        # The sign of a component is arbitrary: make it that of the scores' third moment.
        sign = np.sign(w @ (z @ loadings) ** 3)
        return cls(center, unit, loadings * np.where(sign == 0, 1.0, sign))

    def add(self, x: np.ndarray) -> np.ndarray:
        """Append the components to the columns of rows: (m, d + k)."""
        scores = _standardised(self.center, self.unit, x) @ self.loadings
        # Rounded, so that equal rows have equal scores, whichever rows are computed with them.
        return np.concatenate([x, np.round(1e6 * scores) / 1e6], 1)


def _standardised(center: np.ndarray, unit: np.ndarray, x: np.ndarray) -> np.ndarray:
    # Halves, because the difference of two large values may overflow.
    z = ((x / 2 - center / 2) / (unit / 2)).clip(-_MAX_VALUE, _MAX_VALUE)
    return np.asarray(np.nan_to_num(z))


@lru_cache
def _tables(size: int) -> np.ndarray:
    """Return fixed permutations, one per view."""
    rng = np.random.default_rng(size)
    return np.stack([rng.permutation(size) for _ in range(_N_TABLES)])


def _shuffle(key: np.ndarray, e: int, stream: int) -> np.ndarray:
    """Derive pseudo-random permutations (e, k) from the keys (k,) of items in any order."""
    factor = 1e3 + 617.0 * np.arange(e) + 101.0 * stream
    return np.asarray(np.modf(np.abs(key) * factor[:, None])[0].argsort(1, kind="stable"))


def _strongest_first(order: np.ndarray, table: WeightedRows, n_classes: int) -> np.ndarray:
    """Move the columns whose ranks depend most on the labels to the front of orders (e, d)."""
    x, y, w = table
    rank, share = describe_cells(measure_columns(x, w), x)[..., 2], w / w.sum()
    centred = rank - share @ rank
    if n_classes:
        member = (y == np.arange(n_classes)[:, None]) * share
        size = np.maximum(member.sum(1), 1e-12)
        between = ((member @ centred) ** 2 / size[:, None]).sum(0)
    else:
        location, scale = location_and_scale(y, w)
        between = (share @ (centred * ((y - location) / scale)[:, None])) ** 2
    strength = between / np.maximum(share @ centred**2, 1e-12)
    # Ranks are few numbers, so that strengths may be equal; the order by keys then decides.
    by_key = order[0]
    strongest = by_key[np.argsort(-strength[by_key].round(6), kind="stable")]
    is_strong = strongest.argsort() < N_SLOTS // 2
    # Half of the slots are for the strongest columns. The order chooses the columns of the others.
    return np.take_along_axis(order, (~is_strong)[order].argsort(1, kind="stable"), 1)


def _part_of_rows(row_key: np.ndarray, y: np.ndarray, n_classes: int, e: int) -> np.ndarray:
    """Return orders (e, n) of the rows whose first rows have the class proportions of all rows.

    All orders are one cycle with different starts, so the parts of all views together have all rows
    if there is room for them. A class has a row in each part.
    """
    n = len(row_key)
    order = _shuffle(row_key, 1, 1)[0]
    if n_classes:
        # The k-th of m rows of a class is due at (k - 0.5) / m.
        label = y[order]
        by_class, size = label.argsort(kind="stable"), np.bincount(label, minlength=n_classes)
        place = np.arange(n) - (size.cumsum() - size)[label[by_class]]
        due = np.empty(n)
        due[by_class] = (place + 0.5) / size[label[by_class]]
        order = order[due.argsort(kind="stable")]
    start = np.arange(e)[:, None] * n // e
    turned = (np.arange(n) - start) % n
    if n_classes:
        label = y[order]
        for each in turned:
            first = np.full(n_classes, n)
            np.minimum.at(first, label, each)
            each[each == first[label]] -= n
    return np.asarray(order[turned.argsort(1, kind="stable")])
