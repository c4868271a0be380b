"""Rows of a table and the column whose effect is asked; which other columns a model can have.

Notation: see :mod:`skmeta.reporting._effect`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr
from sklearn.linear_model import LassoCV

# Share of the variance of a column that others must leave, and of its variance within groups.
_LEFT, _WITHIN = 1e-6, 1e-8
# More other columns than this many, and than this share of the rows, are chosen by a lasso.
_MANY, MANY_SHARE = 15, 0.1
# A level of a treatment needs so many rows in a group for effects to differ between groups.
_MIN_REPEATS, _MIN_SLOPE = 2, 3


class Sample(NamedTuple):
    """Rows of a table, and the column whose effect is asked."""

    treatment: np.ndarray  # D (n, k)
    others: np.ndarray  # W (n, d), without gaps
    y: np.ndarray
    weight: np.ndarray
    codes: np.ndarray  # (n, F); -1 is a group that is not known
    offset: np.ndarray  # of the linear predictor

    @property
    def has_groups(self) -> bool:
        """Whether rows belong to several groups."""
        return bool(self.codes.max() > 0)


def kept_columns(sample: Sample) -> np.ndarray:
    """Return columns of W that vary and are no sums of others; of many, those a lasso chooses."""
    W, y = sample.others, sample.y
    if sample.offset.any():
        y = np.log((y + 0.5) / np.exp(sample.offset))
    varies = np.flatnonzero(W.std(0) > 1e-9 * np.maximum(abs(W).max(0), 1e-300))
    Z = (W[:, varies] - W[:, varies].mean(0)) / W[:, varies].std(0)
    if len(varies) > max(_MANY, MANY_SHARE * len(W)):
        targets = [(one - one.mean()) / (one.std() or 1.0) for one in (y, *sample.treatment.T)]
        used = [LassoCV(cv=5, n_alphas=30).fit(Z, one).coef_ != 0 for one in targets]
        chosen = np.flatnonzero(np.any(used, 0))
        varies, Z = varies[chosen], Z[:, chosen]
    if len(varies):
        _, R, order = qr(Z, mode="economic", pivoting=True)
        size = abs(np.diag(R))
        varies = np.sort(varies[order[: len(size)][size > np.sqrt(_LEFT * len(W))]])
    return np.asarray(varies, np.int64)


def group_means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return means (L,) of values (n,) by level."""
    return np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)


def without_group_means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return values (n, c) less their means by level."""
    return values - np.stack([group_means(one, codes)[codes] for one in values.T], 1)


def between_groups(
    sample: Sample,
) -> tuple[tuple[tuple[int, np.ndarray], ...], list[np.ndarray]]:
    """Return the means of D by group where they vary, and by factor the slopes that may differ."""
    means, slopes, D = [], [], sample.treatment
    for f, codes in enumerate(sample.codes.T):
        used = []
        for c, column in enumerate(D.T):
            by_level = group_means(column, codes)
            spread, own = column.var(), (column - by_level[codes]).var()
            if own <= _WITHIN * spread or codes.max() == 0:
                continue
            cells = len(np.unique(np.column_stack([codes, D]), axis=0))
            # A slope on a number is told by three rows of a group, an effect of a level by two.
            is_number = D.shape[1] == 1 and len(np.unique(D)) > 2
            rows = _MIN_SLOPE * len(by_level) if is_number else _MIN_REPEATS * cells
            if len(D) >= rows:
                used.append(c)
            if by_level[codes].var() > 1e-4 * spread:
                scale = np.sqrt(by_level[codes].var())
                means.append((f, (by_level - column.mean()) / scale))
        slopes.append(np.array(used, np.int64))
    return tuple(means), slopes
