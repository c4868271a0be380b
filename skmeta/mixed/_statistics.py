"""Rows by group: batches of groups of similar size, and sufficient statistics of each group.

Notation: G groups, n rows, q coefficients. Codes (n,) are the groups of rows, from 0 on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

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


class GroupStatistics(NamedTuple):
    """Sufficient statistics of the rows of each group.

    Attributes
    ----------
    gram : ndarray of shape (G, q, q)
        A = Z'WZ.
    moment : ndarray of shape (G, q)
        b = Z'Wy.
    square : ndarray of shape (G,)
        c = y'Wy.
    n_rows : ndarray of shape (G,)
        Sums of the weights.
    """

    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    n_rows: np.ndarray

    def take(self, groups: np.ndarray) -> GroupStatistics:
        """Return the statistics of some groups."""
        return GroupStatistics(*(value[groups] for value in self))

    def weighted(self, ratio: np.ndarray) -> GroupStatistics:
        """Return the statistics of groups whose rows count ``ratio`` (G,) times."""
        gram, moment = self.gram * ratio[:, None, None], self.moment * ratio[:, None]
        return GroupStatistics(gram, moment, self.square * ratio, self.n_rows)

    def centred(self, mean: np.ndarray) -> GroupStatistics:
        """Return the statistics of y - Z m in place of y."""
        explained = self.gram @ mean
        square = self.square - 2 * self.moment @ mean + explained @ mean
        return self._replace(moment=self.moment - explained, square=np.maximum(square, 0.0))


def group_statistics(
    z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_groups: int, w: np.ndarray | None = None
) -> GroupStatistics:
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
    w : ndarray of shape (n,), optional
        Weights; 1 by default.

    Returns
    -------
    GroupStatistics
        With zeros for groups without rows.
    """
    q = z.shape[1]
    gram, moment = np.zeros((n_groups, q, q)), np.zeros((n_groups, q))
    square, n_rows = np.zeros(n_groups), np.zeros(n_groups)
    for groups, rows, there in batches_of_groups(codes, q):
        weight = there if w is None else there * w[rows]
        z_rows, y_rows = z[rows], y[rows]
        weighted = (weight[..., None] * z_rows).swapaxes(1, 2)
        gram[groups] = weighted @ z_rows
        moment[groups] = (weighted @ y_rows[..., None])[..., 0]
        square[groups] = (weight * y_rows**2).sum(1)
        n_rows[groups] = weight.sum(1)
    return GroupStatistics(gram, moment, square, n_rows)
