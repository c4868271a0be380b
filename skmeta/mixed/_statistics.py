"""Rows by group: batches of groups of similar size, and sufficient statistics of each group.

Notation: G groups, n rows, q coefficients. Codes (n,) are the groups of rows, from 0 on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skmeta.mixed._likelihood import RowSums

# Groups computed together: largest ratio of the numbers of rows of two of them.
_SIZE_RATIO = 1.5
# Values of one array of a batch, to bound the memory.
_MOST_VALUES = 2**21


class Batch(NamedTuple):
    """Groups of similar size.

    Attributes
    ----------
    groups : ndarray of shape (g,), int64
        Numbers of the groups.
    rows : ndarray of shape (g, n), int64
        Positions of their rows; padding repeats one.
    there : ndarray of shape (g, n)
        1 for rows, and 0 for padding.
    """

    groups: np.ndarray
    rows: np.ndarray
    there: np.ndarray


def batches_of_groups(codes: np.ndarray, n_values: int = 1) -> Iterator[Batch]:
    """Divide the groups that have rows into batches of similar size.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64
        Group of each row.
    n_values : int, default=1
        Number of values that a computation needs for each row.

    Yields
    ------
    Batch
        Groups without rows are in none.
    """
    sizes = np.bincount(codes)
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes
    by_size = np.argsort(sizes, kind="stable")
    by_size = by_size[np.searchsorted(sizes[by_size], 1) :]
    sorted_sizes, first = sizes[by_size], 0
    while first < len(by_size):
        longest = int(_SIZE_RATIO * sorted_sizes[first]) + 1
        most = max(1, _MOST_VALUES // (longest * n_values))
        last = min(int(np.searchsorted(sorted_sizes, longest, side="right")), first + most)
        groups = by_size[first:last]
        position = np.arange(int(sorted_sizes[last - 1]))
        there = position < sizes[groups, None]
        yield Batch(
            groups, order[starts[groups, None] + np.where(there, position, 0)], there.astype(float)
        )
        first = last


def group_statistics(z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_groups: int) -> RowSums:
    """Compute the sufficient statistics of the rows of each group.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets.
    codes : ndarray of shape (n,), int64
        Group of each row.
    n_groups : int
        G.

    Returns
    -------
    RowSums
        With zeros for groups without rows.
    """
    q = z.shape[1]
    shapes = (q, q), (q,), (), ()
    sums = RowSums(*(np.zeros((n_groups, *shape)) for shape in shapes))
    for groups, rows, there in batches_of_groups(codes, q):
        for whole, part in zip(sums, RowSums.from_rows(z[rows], y[rows], there), strict=True):
            whole[groups] = part
    return sums
