"""Rows of groups in time: the first ones and those after them, and what comes before a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmeta._tabular import Table, at_most, places_in_groups

# Numbers of known rows of groups that are held out.
N_KNOWN = (0, 1, 2, 3, 5, 8, 12, 20, 35)


def some_groups(rows: Table, most: int) -> Table:
    """Return whole groups, evenly spaced, with about so many rows at most."""
    share = most / len(rows.y)
    if share >= 1:
        return rows
    groups = np.unique(rows.group)
    n_kept = max(round(share * len(groups)), 2)
    return rows.take(np.flatnonzero(np.isin(rows.group, at_most(groups, n_kept))))


def first_rows(rows: Table, most: int, ahead: int | None = None) -> tuple[Table, Table]:
    """Return the first rows of groups, and at most `most` rows after these, up to steps `ahead`.

    With each number of first rows, a group has another number.
    """
    place = places_in_groups(rows.group, rows.times)
    sizes, n_groups = np.bincount(rows.group)[rows.group], int(rows.group.max()) + 1
    known = [np.flatnonzero((place < k) & (sizes > k)) for k in N_KNOWN]
    reach = len(place) if ahead is None else ahead
    query = [np.flatnonzero((place >= k) & (place < k + reach)) for k in N_KNOWN]
    given, asked = (
        rows.take(np.concatenate(parts))._replace(
            codes=np.concatenate([rows.codes[at] + k * n_groups for k, at in enumerate(parts)])
        )
        for parts in (known, query)
    )
    kept = np.random.default_rng(0).permutation(len(asked.y))[:most]
    asked = asked.take(np.sort(kept))
    return given.take(np.flatnonzero(np.isin(given.group, asked.group))), asked


def group_scales(rows: Table) -> np.ndarray:
    """Return the deviation of targets within the group of each row (n,), shrunk to that of all."""
    codes = np.unique(rows.group, return_inverse=True)[1]
    sizes = np.bincount(codes)
    mean = (np.bincount(codes, rows.y) / sizes)[codes]
    squares = np.bincount(codes, (rows.y - mean) ** 2)
    whole = squares.sum() / max(len(codes) - len(sizes), 1)
    typical = min(np.median(squares / sizes), whole) if whole > 0 else 1.0
    typical = max(typical, 1e-6 * max(whole, 1e-300))
    return np.asarray(np.sqrt((squares + typical) / (sizes + 1))[codes])


class Before(NamedTuple):
    """Known rows of the group that are not after a row to predict: ``order[first:first + n]``."""

    order: np.ndarray  # known rows by group and time
    first: np.ndarray
    n: np.ndarray

    @property
    def last(self) -> np.ndarray:
        """The latest of them; -1 without one."""
        at = np.append(self.order, -1)[np.maximum(self.first + self.n - 1, 0)]
        return np.where(self.n > 0, at, -1)


def rows_before(known: Table, at: Table) -> Before:
    """Find the known rows of its group that are not after each row to predict."""
    n = len(known.y)
    codes, times = np.append(known.group, at.group), np.append(known.times, at.times)
    is_query = np.arange(len(codes)) >= n
    order = np.lexsort((is_query, times, codes))
    n_before = np.empty(len(codes), int)
    n_before[order] = np.cumsum(~is_query[order])
    known_order = order[order < n]
    first = np.searchsorted(known.group[known_order], at.group)
    return Before(known_order, first, n_before[n:] - first)
