"""Rows of a grouped table, in an order that depends on their content only, and groups held out.

Sums of floating-point numbers depend on their order, and so do ties between splits of trees. With
rows and groups in canonical order, and values that are standardised and rounded, predictions do not
depend on the order of the rows, on the names of the groups or on the units of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

# Standardised values are rounded to this many decimals. Other units change later ones.
_DECIMALS = 10
# A column whose standard deviation is below this share of its largest value is constant.
_CONSTANT = 1e-12


class Standardiser(NamedTuple):
    """Means and standard deviations of columns (d,); 1 for constant columns."""

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def learn(cls, X: np.ndarray) -> Self:
        """Learn centres and scales of the columns of X (n, d), of values that are not NaN."""
        # Sorted, so that the sums do not depend on the order of the rows; NaN comes last.
        X = np.sort(X, axis=0)
        known = ~np.isnan(X)
        n = np.maximum(known.sum(0), 1)
        largest = np.where(known, abs(X), 0.0).max(0, initial=0.0)
        # Squares of other values may overflow, or be 0.
        unit = np.where((largest < 1e100) & (largest > 1e-100), 1.0, largest + (largest == 0))
        X = X / unit
        centre = np.where(known, X, 0.0).sum(0) / n
        scale = np.sqrt(np.where(known, (X - centre) ** 2, 0.0).sum(0) / n)
        has_scale = scale * unit > _CONSTANT * largest
        return cls(centre * unit, np.where(has_scale, scale * unit, 1.0))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return standardised columns, rounded."""
        with np.errstate(over="ignore"):
            z = np.asarray(X - self.centre)  # its memory is used again
            z /= self.scale
            np.round(z, _DECIMALS, out=z)
        z += 0.0
        return z

    def with_intercept(self, X: np.ndarray) -> np.ndarray:
        """Return standardised columns (n, 1 + d) with a leading 1."""
        return np.hstack([np.ones((len(X), 1)), self(X)])

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Return standardised values in their units."""
        return np.asarray(values * self.scale + self.centre)


class Table(NamedTuple):
    """Rows, with what the population predicts for them."""

    X: np.ndarray  # standardised columns (n, d); NaN is a missing value
    shared: np.ndarray  # (n,) or (n, n_classes), by a population that has not seen the row's group
    y: np.ndarray  # standardised targets or class codes; without meaning for rows to predict
    weight: np.ndarray
    codes: np.ndarray  # group (n, n_factors) in each column of groups; -1 has no known rows
    fold: np.ndarray  # of the row's group in the population; -1 for groups that are not of fit
    place: np.ndarray  # position among the rows of fit; -1 for other rows
    times: np.ndarray  # 0 without a column of them
    features: np.ndarray  # columns (n, k) without gaps that vary, but for the times

    @property
    def group(self) -> np.ndarray:
        """Group (n,) of each row in the first column of groups."""
        groups: np.ndarray = self.codes[:, 0]
        return groups

    def take(self, rows: np.ndarray) -> Table:
        """Return some of the rows."""
        return Table(*(part[rows] for part in self))

    def join(self, *others: Table) -> Table:
        """Return the rows of all tables."""
        return Table(*(np.concatenate(parts) for parts in zip(self, *others, strict=True)))

    def take_cases(self, parts: Sequence[np.ndarray]) -> Table:
        """Return the rows of parts, each of which is a group of its own, numbered from 0 on."""
        sizes = [len(part) for part in parts]
        codes = np.repeat(np.arange(len(parts)), sizes)[:, None]
        return self.take(np.concatenate(parts))._replace(codes=codes)


class Order(NamedTuple):
    """Given positions (n,) of rows in canonical order, and their groups, canonical too."""

    rows: np.ndarray
    codes: np.ndarray  # (n, n_factors)
    groups: list[np.ndarray]  # given numbers of each group, by factor


def canonical_order(content: np.ndarray, codes: np.ndarray) -> Order:
    """Sort rows by group and content (n, k), NaN last, and groups by size and content."""
    order = np.lexsort(content.T[::-1])
    at = content[order]
    is_new = np.ones(len(at), bool)
    same = (at[1:] == at[:-1]) | (np.isnan(at[1:]) & np.isnan(at[:-1]))
    is_new[1:] = ~same.all(1)
    ranks = np.empty(len(at), np.int64)
    ranks[order] = np.cumsum(is_new)
    groups = [_sorted_groups(ranks, factor_codes) for factor_codes in codes.T]
    columns = zip(groups, codes.T, strict=True)
    renumbered = np.column_stack([np.argsort(given)[column] for given, column in columns])
    # By the column of the fewest groups, so that the order in which they are named has no effect.
    first, *others = sorted(renumbered.T, key=np.max)
    rows = np.lexsort((*others[::-1], ranks, first))
    return Order(rows, renumbered[rows], groups)


def _sorted_groups(ranks: np.ndarray, codes: np.ndarray) -> np.ndarray:
    # Whole numbers, so that the sums are exact.
    sums = np.zeros((3, codes.max() + 1), np.int64)
    for k in range(3):
        np.add.at(sums[k], codes, ranks**k)
    return np.lexsort(sums[::-1])


def deal_groups(codes: np.ndarray, y: np.ndarray, n_folds: int) -> np.ndarray:
    """Divide groups into folds (n_groups,) of similar size and mean rank of targets."""
    sizes = np.bincount(codes)
    ranks = np.unique(y, return_inverse=True)[1]
    order = np.lexsort((np.bincount(codes, ranks) / sizes, -sizes))
    turn = np.arange(len(sizes)) % (2 * n_folds)
    folds = np.empty(len(sizes), np.int64)
    folds[order] = np.where(turn < n_folds, turn, 2 * n_folds - 1 - turn)
    return folds


def deal_rows(codes: np.ndarray, n_folds: int) -> np.ndarray:
    """Divide the rows of each group, which are in canonical order, into folds (n,).

    Neighbours are similar, so each run of ``n_folds`` rows is shifted by one more than the last.
    """
    place = places_in_groups(codes)
    return np.asarray((place + place // n_folds) % n_folds)


def places_in_groups(codes: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Return the place (n,) of each row among those of its group, in their order or in time."""
    order = np.argsort(codes, kind="stable") if times is None else np.lexsort((times, codes))
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - starts[codes[order]]
    return place


def at_most(groups: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many groups, evenly spaced in their order."""
    if len(groups) <= most:
        return groups
    return np.asarray(groups[np.linspace(0, len(groups) - 1, most).round().astype(int)])


def rows_of_groups(codes: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """Return the rows of each group."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=n_groups))[:-1])


def weighted_quantiles(
    values: np.ndarray, weights: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Return quantiles of values (n,) with weights (n,)."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    at = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    return np.asarray(np.interp(probabilities, at, values))
