"""Rows of a table and the column whose effect is asked; which other columns a model can have.

Notation: see :mod:`skmeta._reporting._effect`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr
from sklearn.linear_model import LassoCV

# Share of the variance of a column that others must leave, and of its variance within groups.
_LEFT, _WITHIN = 1e-6, 1e-8
# Values that differ by this share of the largest one are the same.
_SAME = 1e-9
# More other columns than this many, and than this share of the rows, are chosen by a lasso.
_MANY, MANY_SHARE = 15, 0.1
# Penalties that the lasso chooses from, of standardised columns and targets.
_ALPHAS = np.geomspace(1.0, 1e-3, 30)
# A level of a treatment needs so many rows in a group for effects to differ between groups.
_MIN_REPEATS, _MIN_SLOPE = 2, 3


class TreatmentRows(NamedTuple):
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


def kept_columns(sample: TreatmentRows) -> np.ndarray:
    """Return columns of W that vary and are no sums of others; of many, those a lasso chooses."""
    W, y = sample.others, sample.y
    if sample.offset.any():
        y = np.log((y + 0.5) / np.exp(sample.offset))
    varies = np.flatnonzero(W.std(0) > 1e-9 * np.maximum(abs(W).max(0), 1e-300))
    Z = (W[:, varies] - W[:, varies].mean(0)) / W[:, varies].std(0)
    if len(varies) > max(_MANY, MANY_SHARE * len(W)):
        targets = [(one - one.mean()) / (one.std() or 1.0) for one in (y, *sample.treatment.T)]
        used = [LassoCV(alphas=_ALPHAS, cv=5).fit(Z, one).coef_ != 0 for one in targets]
        chosen = np.flatnonzero(np.any(used, 0))
        varies, Z = varies[chosen], Z[:, chosen]
    if len(varies):
        _, R, order = qr(Z, mode="economic", pivoting=True)
        size = abs(np.diag(R))
        varies = np.sort(varies[order[: len(size)][size > np.sqrt(_LEFT * len(W))]])
    return np.asarray(varies, np.int64)


def group_means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return means (L, c) of values (n, c) by level."""
    totals = np.zeros((codes.max() + 1, values.shape[1]))
    np.add.at(totals, codes, values)
    return np.asarray(totals / np.maximum(np.bincount(codes), 1)[:, None])


def differs_within(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return whether values (n, c) differ within groups (n,), by column."""
    within = values - group_means(values, codes)[codes]
    return np.asarray(within.var(0) > _WITHIN * values.var(0))


def left_by(others: np.ndarray, column: np.ndarray) -> float:
    """Return the share of the variance of a column (n,) that others (n, d) leave."""
    Z = np.hstack([np.ones((len(others), 1)), others])
    left = column - Z @ np.linalg.lstsq(Z, column, rcond=None)[0]
    return float(left.var() / max(column.var(), 1e-300))


def df_of_groups(columns: np.ndarray, k: int, codes: np.ndarray) -> list[float]:
    """Return, by factor, levels less the columns (n, c) that are constant within them.

    They are the degrees of freedom that groups leave to D, the first k columns; infinity where D
    differs within groups.
    """
    columns, df = np.column_stack([columns, np.ones(len(columns))]), []
    for one in codes.T:
        _, first, place = np.unique(one, return_index=True, return_inverse=True)
        is_fixed = (abs(columns - columns[first][place]) <= _SAME * abs(columns).max(0)).all(0)
        rank = np.linalg.matrix_rank(columns[first][:, is_fixed])
        df.append(float(len(first) - rank) if is_fixed[:k].all() else np.inf)
    return df


def between_groups(
    sample: TreatmentRows, with_slopes: bool
) -> tuple[tuple[tuple[int, np.ndarray], ...], list[np.ndarray], np.ndarray]:
    """Return how D and its effects differ between groups: means, columns and codes.

    They are factors with means of D by level, where these differ; by factor, columns of the design
    whose coefficients differ between levels; and codes (n, F) of the factors. Effects of several
    levels have a variance in common: pairs of groups and levels are a factor of their own, unless
    effects of single groups are asked.
    """
    means, columns, cells, D = [], [], [], sample.treatment
    for f, codes in enumerate(sample.codes.T):
        pairs = np.unique(np.column_stack([codes, D]), axis=0, return_inverse=True)[1].ravel()
        # A slope on a number is told by three rows of a group, an effect of a level by two.
        is_number = D.shape[1] == 1 and len(np.unique(D)) > 2
        least = _MIN_SLOPE * (codes.max() + 1) if is_number else _MIN_REPEATS * (pairs.max() + 1)
        by_level = group_means(D, codes)
        used = np.flatnonzero(differs_within(D, codes) & bool(codes.max() > 0))
        for c in used:
            scale = by_level[codes, c].std()
            if scale > 0.01 * D[:, c].std():
                means.append((f, (by_level[:, c] - D[:, c].mean()) / scale))
        used = used if len(D) >= least else used[:0]
        if len(used) > 1 and not with_slopes:
            cells.append(pairs)
            used = used[:0]
        columns.append(np.r_[0, 1 + used])
    columns += [np.array([0])] * len(cells)
    return tuple(means), columns, np.column_stack([sample.codes, *cells])
