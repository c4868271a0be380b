"""Rows of groups that are held out: some are known, and others are predicted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Numbers of known rows of a group that is held out.
_N_KNOWN = (0, 1, 3, 10)
# Of known groups, this share of the rows is predicted from the others, in so many parts.
_SHARE, _N_PARTS = 0.2, 2
# Rows of a group that are predicted, at most.
_MOST_ROWS = 20


class Table(NamedTuple):
    """Rows in canonical order.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Standardised columns; NaN is a missing value.
    shared : ndarray of shape (n,) or (n, n_classes)
        Predictions of the population, which has not seen the group of the row.
    y : ndarray of shape (n,)
        Standardised targets, or class codes.
    weight : ndarray of shape (n,)
        Weights.
    codes : ndarray of shape (n,), int64
        Groups.
    """

    X: np.ndarray
    shared: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    codes: np.ndarray

    def take(self, rows: np.ndarray) -> Table:
        """Return some of the rows."""
        return Table(*(part[rows] for part in self))

    def join(self, other: Table) -> Table:
        """Return the rows of both tables."""
        return Table(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class Case(NamedTuple):
    """A group that is held out.

    Attributes
    ----------
    level : float
        Number of known rows; infinite if most rows are known.
    group : int
        Its number.
    known, query : ndarray of int64
        Rows that are known, and rows that are predicted.
    """

    level: float
    group: int
    known: np.ndarray
    query: np.ndarray


def make_cases(
    codes: np.ndarray, times: np.ndarray | None, groups: np.ndarray
) -> dict[float, list[Case]]:
    """Return cases of groups, by the number of known rows.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64
        Group of each row, from 0 on.
    times : ndarray of shape (n,) or None
        Order of the rows in time. The known rows of a group are its earliest.
    groups : ndarray of int64
        The groups that are held out.

    Returns
    -------
    dict of float to list of Case
        The cases.
    """
    found: dict[float, list[Case]] = {}
    of_groups = rows_of_groups(codes, int(codes.max()) + 1)
    for group in groups.tolist():
        for case in _cases(group, of_groups[group], times):
            found.setdefault(case.level, []).append(case)
    return found


def _cases(group: int, rows: np.ndarray, times: np.ndarray | None) -> Iterator[Case]:
    n = len(rows)
    if times is None:
        # The same permutation for all groups of a size: it depends on no name.
        rows = rows[np.random.default_rng(n).permutation(n)]
    else:
        rows = rows[np.argsort(times[rows], kind="stable")]
    for k in _N_KNOWN:
        if n >= k + 2:
            yield Case(k, group, rows[:k], rows[k:][:_MOST_ROWS])
    n_query = min(_MOST_ROWS, max(1, round(_SHARE * n)))
    for part in range(_N_PARTS if times is None else 1):
        start, stop = n - (part + 1) * n_query, n - part * n_query
        if start >= 0 and n > n_query:
            after = rows[stop:] if times is None else rows[:0]
            known = np.concatenate([rows[:start], after])
            yield Case(np.inf, group, known, rows[start:stop])


def some(groups: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many groups, evenly spaced in their order."""
    if len(groups) <= most:
        return groups
    return np.asarray(groups[np.linspace(0, len(groups) - 1, most).round().astype(int)])


def joined(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows of parts, and the position of each row's part."""
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def rows_of_groups(codes: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """Return the rows of each group."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=n_groups))[:-1])
