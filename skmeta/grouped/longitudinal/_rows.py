"""Rows of groups in time, and cases: some rows of a group are known, and others are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skmeta._tabular import CUT, Table, at_most, places_in_groups

# Numbers of known rows of groups that are held out.
N_KNOWN = (0, 1, 2, 3, 5, 8, 12, 20, 35)
# Every fifth row of a group is held out, and predicted from the others.
_EVERY = 5


def some_groups(rows: Table, most: int) -> Table:
    """Return whole groups, evenly spaced, with about so many rows at most."""
    share = most / len(rows.y)
    if share >= 1:
        return rows
    groups = np.unique(rows.group)
    n_kept = max(round(share * len(groups)), 2)
    return rows.take(np.flatnonzero(np.isin(rows.group, at_most(groups, n_kept))))


def _places(rows: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the place (n,) of each row in the time of its group, and the group's size."""
    return places_in_groups(rows.group, rows.times), np.bincount(rows.group)[rows.group]


class Cases(NamedTuple):
    """Groups with known rows, and rows to predict from them. A case is a group of its own."""

    known: Table
    query: Table
    n_known: np.ndarray  # of each row to predict (n,)
    group: np.ndarray

    def take(self, at: np.ndarray) -> Cases:
        """Return the cases with some of the rows to predict."""
        query = self.query.take(at)
        known = self.known.take(np.flatnonzero(np.isin(self.known.group, query.group)))
        return Cases(known, query, self.n_known[at], self.group[at])


def first_rows(rows: Table, most: int, ahead: int | None = None) -> Cases:
    """Return at most `most` cases of rows after the first of a group, up to `ahead` steps ahead."""
    place, sizes = _places(rows)
    known = [np.flatnonzero((place < k) & (sizes > k)) for k in N_KNOWN]
    reach = len(place) if ahead is None else ahead
    query = [np.flatnonzero((place >= k) & (place < k + reach)) for k in N_KNOWN]
    n_known = np.repeat(N_KNOWN, [len(at) for at in query])
    group = rows.group[np.concatenate(query)]
    cases = Cases(_renumbered(rows, known), _renumbered(rows, query), n_known, group)
    kept = np.random.default_rng(0).permutation(len(cases.group))[:most]
    return cases.take(np.sort(kept))


def _renumbered(rows: Table, parts: list[np.ndarray]) -> Table:
    """Return parts of the rows; a group has another number in each part."""
    step = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    taken = rows.take(np.concatenate(parts))
    return taken._replace(codes=taken.codes + step[:, None] * (int(rows.group.max()) + 1))


def later_rows(rows: Table) -> Cases | None:
    """Return cases of the rows after a cut of each group, from those before it; None without."""
    place, sizes = _places(rows)
    n_first = np.maximum(np.ceil(CUT * sizes), 1).astype(int)
    return _known_and_query(rows, place >= n_first, n_first)


def last_rows(
    rows: Table, ahead: int, n_known: Sequence[int]
) -> tuple[Table, Cases, Cases | None] | None:
    """Divide each group before its last rows; None if no group has rows before.

    Returned are the rows before, cases of the last rows given these, and cases given the `n_known`
    latest of them.
    """
    place, sizes = _places(rows)
    n_before = sizes - ahead
    if not (n_before > 0).any():
        return None
    is_before = (n_before <= 0) | (place < n_before)
    before, query = rows.take(np.flatnonzero(is_before)), rows.take(np.flatnonzero(~is_before))
    typical = int(np.median(n_before[n_before > 0]))
    later = Cases(before, query, np.full(len(query.y), typical), query.group)
    levels = [k for k in n_known if k < typical]
    if not levels:
        return before, later, None
    known, queries = [], []
    for k in levels:
        has_more = n_before > k
        known.append(np.flatnonzero(has_more & (place < n_before) & (place >= n_before - k)))
        queries.append(np.flatnonzero(has_more & (place >= n_before)))
    counts, group = np.repeat(levels, [len(at) for at in queries]), rows.group
    parts = _renumbered(rows, known), _renumbered(rows, queries), counts
    return before, later, Cases(*parts, group[np.concatenate(queries)])


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


def rows_between(rows: Table) -> Cases | None:
    """Return cases of rows with earlier and later known rows of their group; None without."""
    place, sizes = _places(rows)
    return _known_and_query(rows, (place % _EVERY == _EVERY // 2) & (place < sizes - 1), sizes)


def _known_and_query(rows: Table, is_query: np.ndarray, n_known: np.ndarray) -> Cases | None:
    if not is_query.any():
        return None
    query = rows.take(np.flatnonzero(is_query))
    return Cases(rows.take(np.flatnonzero(~is_query)), query, n_known[is_query], query.group)


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
