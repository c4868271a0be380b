"""Rows by group: batches of groups, sums over rows, and groups given their rows.

Notation as in `_model`. Codes (n,) are the groups of rows, from 0 on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skmeta._mixed._likelihood import (
    ClassRows,
    RowSums,
    class_moments,
    find_mode,
    gaussian_mode,
    logit_covariance,
    mean_probabilities,
    n_draws,
    predict_targets,
    predictors,
    root_of_covariance,
    transposed,
)

# Groups computed together: largest ratio of the numbers of rows of two of them.
_SIZE_RATIO = 1.5
# Values of one array of a batch, to bound the memory.
_MAX_VALUES = 2**21
# Newton's method for the modes of classifications stops at a step of this size.
_TOLERANCE = 1e-5


class Batch(NamedTuple):
    """Groups (g,) of similar size, and positions of their rows (g, n), padded by repeating one."""

    groups: np.ndarray
    rows: np.ndarray
    mask: np.ndarray  # 1 for rows, 0 for padding


def batches_of_groups(
    codes: np.ndarray, n_values: int = 1, n_group_values: int = 1
) -> Iterator[Batch]:
    """Divide groups into batches by size; a row needs `n_values`, a group `n_group_values`."""
    sizes = np.bincount(codes)
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes
    by_size = np.argsort(sizes, kind="stable")
    by_size = by_size[np.searchsorted(sizes[by_size], 1) :]
    sorted_sizes, first = sizes[by_size], 0
    while first < len(by_size):
        longest = int(_SIZE_RATIO * sorted_sizes[first]) + 1
        most = max(1, _MAX_VALUES // max(longest * n_values, n_group_values))
        last = min(int(np.searchsorted(sorted_sizes, longest, side="right")), first + most)
        groups = by_size[first:last]
        position = np.arange(int(sorted_sizes[last - 1]))
        mask = position < sizes[groups, None]
        yield Batch(
            groups, order[starts[groups, None] + np.where(mask, position, 0)], mask.astype(float)
        )
        first = last


def group_statistics(z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_groups: int) -> RowSums:
    """Return sufficient statistics of rows (n, q) by group; zeros for groups without rows."""
    q = z.shape[1]
    shapes = (q, q), (q,), (), ()
    sums = RowSums(*(np.zeros((n_groups, *shape)) for shape in shapes))
    for groups, rows, mask in batches_of_groups(codes, q):
        for whole, part in zip(sums, RowSums.from_rows(z[rows], y[rows], mask), strict=True):
            whole[groups] = part
    return sums


class Prediction(NamedTuple):
    """Means (n,) and standard deviations (n,) of targets, or probabilities (n, c) and zeros."""

    mean: np.ndarray
    std: np.ndarray


class ConditionedGroups(NamedTuple):
    """Known rows z (n, q) of groups, and the prior m, L, sigma of the coefficients."""

    n_classes: int  # 0 for a regression
    mean: np.ndarray  # m (j q,)
    factor: np.ndarray  # L (j q, j q)
    noise: float  # sigma
    z: np.ndarray
    y: np.ndarray
    w: np.ndarray  # weights
    codes: np.ndarray

    def _posteriors(
        self, groups: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield positions (g,), means (g, j q) and H (g, k, j q) of sorted groups (G,), in batches.

        The covariances are H'H. Batches bound the memory.
        """
        known = np.flatnonzero(np.isin(self.codes, groups))
        position = np.searchsorted(groups, self.codes[known])
        # A group without rows gets one of weight 0.
        empty = np.setdiff1d(np.arange(len(groups)), position)
        z = np.vstack([self.z[known], np.zeros((len(empty), self.z.shape[1]))])
        y = np.append(self.y[known], np.zeros(len(empty), self.y.dtype))
        w = np.append(self.w[known], np.zeros(len(empty)))
        sizes = self._n_values, len(self.mean) ** 2
        for part, rows, mask in batches_of_groups(np.append(position, empty), *sizes):
            yield part, *self._moments(z[rows], y[rows], mask * w[rows])

    def _moments(
        self, z: np.ndarray, y: np.ndarray, w: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if not self.n_classes:
            sums = RowSums.from_rows(z, y, w)
            mode = gaussian_mode(sums, self.mean, self.factor, np.float64(self.noise))
            root = root_of_covariance(mode.precision, self.factor)
            return self.mean + mode.u @ self.factor.T, root
        rows, start = ClassRows(z, np.eye(self.n_classes)[y], w), np.zeros((len(z), len(self.mean)))
        mode = find_mode(rows, self.mean, self.factor, start, tolerance=_TOLERANCE)
        return class_moments(rows, self.mean, self.factor, mode.u)

    def _asked(
        self, z: np.ndarray, codes: np.ndarray
    ) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]]:
        """Yield positions (g, n) of rows (m, q) of groups (m,), and moments of the groups (g,)."""
        groups, own = np.unique(codes, return_inverse=True)
        queries, sizes = np.argsort(own, kind="stable"), np.bincount(own)
        starts = np.cumsum(sizes) - sizes
        for part, means, roots in self._posteriors(groups):
            asked = np.concatenate([queries[starts[g] : starts[g] + sizes[g]] for g in part])
            local = np.repeat(np.arange(len(part)), sizes[part])
            for batch, at, _ in batches_of_groups(local, self._n_values):
                yield asked[at], (means[batch], roots[batch])

    def predict(self, z: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict rows (m, q) of groups (m,); those of groups without rows from the prior."""
        shape = (len(z), self.n_classes) if self.n_classes else (len(z),)
        mean, variance = np.empty(shape), np.zeros(len(z))
        for rows, moments in self._asked(z, codes):
            if self.n_classes:
                mean[rows] = mean_probabilities(z[rows], *moments)
            else:
                mean[rows], variance[rows] = predict_targets(z[rows], *moments, self.noise)
        return Prediction(mean, np.sqrt(variance))

    def predictors(self, z: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances (m, j) of linear predictors; of several, less their mean."""
        j = len(self.mean) // z.shape[1]
        eta, variance, centre = (
            np.empty((len(z), j)),
            np.empty((len(z), j)),
            np.eye(j) - (j > 1) / j,
        )
        for rows, (means, roots) in self._asked(z, codes):
            eta[rows] = predictors(z[rows], means) @ centre
            whole = centre @ logit_covariance(z[rows], transposed(roots) @ roots) @ centre
            variance[rows] = np.diagonal(whole, axis1=-2, axis2=-1)
        return eta, variance

    @property
    def _n_values(self) -> int:
        """Number of values that a computation needs for each row."""
        n_predictors = len(self.mean) // int(self.z.shape[1])
        return n_predictors * max(len(self.mean), n_draws(n_predictors))
