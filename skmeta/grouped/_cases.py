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


class Case(NamedTuple):
    """A group that is held out.

    Attributes
    ----------
    level : float
        Number of known rows; infinite if most rows are known.
    known, query : ndarray of int64
        Rows that are known, and rows that are predicted.
    """

    level: float
    known: np.ndarray
    query: np.ndarray


def make_cases(codes: np.ndarray, times: np.ndarray, groups: np.ndarray) -> list[Case]:
    """Return cases of groups.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64
        Group of each row, from 0 on.
    times : ndarray of shape (n,)
        Order of the rows in time: the known rows of a group are its earliest. Without times all
        are equal.
    groups : ndarray of int64
        The groups that are held out.

    Returns
    -------
    list of Case
        The cases.
    """
    group_rows = rows_of_groups(codes, int(codes.max()) + 1)
    given = times if np.ptp(times) > 0 else None
    return [case for group in groups.tolist() for case in _cases(group_rows[group], given)]


def _cases(rows: np.ndarray, times: np.ndarray | None) -> Iterator[Case]:
    n = len(rows)
    if times is None:
        # The same permutation for all groups of a size: it depends on no name.
        rows = rows[np.random.default_rng(n).permutation(n)]
    else:
        rows = rows[np.argsort(times[rows], kind="stable")]
    for k in _N_KNOWN:
        if n >= k + 2:
            yield Case(k, rows[:k], rows[k:][:_MOST_ROWS])
    n_query = min(_MOST_ROWS, max(1, round(_SHARE * n)))
    for part in range(_N_PARTS if times is None else 1):
        start, stop = n - (part + 1) * n_query, n - part * n_query
        if start >= 0 and n > n_query:
            after = rows[stop:] if times is None else rows[:0]
            known = np.concatenate([rows[:start], after])
            yield Case(np.inf, known, rows[start:stop])


def some(groups: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many groups, evenly spaced in their order."""
    if len(groups) <= most:
        return groups
    return np.asarray(groups[np.linspace(0, len(groups) - 1, most).round().astype(int)])


def rows_of_groups(codes: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """Return the rows of each group."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=n_groups))[:-1])
