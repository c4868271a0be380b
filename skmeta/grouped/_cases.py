"""Rows of several columns of groups that are held out: groups of each column, or known ones.

The groups of each column are dealt into parts, and each division holds one out. Rows of known
groups are held out beside them. With an order of rows in time, the last rows of all series are held
out in a division of their own, and of groups that are held out, the first rows are known.

Notation: n rows, F columns of groups, after which there may be one of series.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skmeta.grouped._parts import Rows
from skmeta.grouped.longitudinal import is_later
from skmeta.tabular import rows_of_groups, some

# Numbers of known rows of a group that is held out.
_N_KNOWN = (0, 1, 3, 10)
# The groups of each column are dealt into so many parts, and each division holds one out; groups at
# most, and rows of each. Share of the other rows that are held out, too.
_N_PARTS, _MAX_GROUPS, _MAX_ROWS, _SHARE = 6, 60, 20, 0.15
# Tables of fewer rows are divided so often, others once. Rows of known groups that are held out, at
# most. More rows than the last number do not find weights.
_DIVISIONS = (250, 4), (2000, 2)
_MAX_HELD_OUT, MAX_WEIGHED = 2000, 10_000
# Least number of rows of a regime.
MIN_ROWS = 10


def counts_of(known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return how many known rows the groups of rows have, (n, F), given codes of both."""
    counts = np.zeros(codes.shape, np.int64)
    for f, (given, asked) in enumerate(zip(known.T, codes.T, strict=True)):
        # The last entry is that of groups without known rows, whose code is -1.
        n_groups = max(given.max(initial=-1), asked.max(initial=-1)) + 1
        counts[:, f] = np.bincount(given[given >= 0], minlength=n_groups + 1)[asked]
    return counts


def regime_of(
    is_new: np.ndarray, counts: np.ndarray, n_factors: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the regime (n,) of rows, and the number (n,) of known rows of their new groups.

    In order: a new group of each column, several new groups, new series if any, none new.
    """
    n_new = is_new[:, :n_factors].sum(1)
    of_known = n_factors + 1 + (~is_new[:, n_factors:]).sum(1)
    regime = np.where(n_new == 1, is_new.argmax(1), np.where(n_new == 0, of_known, n_factors))
    return regime, np.where(is_new, counts, 0).max(1)


class Case(NamedTuple):
    """Rows to predict, further known rows, their regime, and the number of known rows."""

    regime: int
    level: float
    few: np.ndarray
    query: np.ndarray


def some_rows(rows: Rows) -> Rows:
    """Return at most so many rows: those of some groups of the column with the most."""
    n = len(rows.y)
    if n <= MAX_WEIGHED:
        return rows
    factor = int(rows.codes.max(0).argmax())
    n_groups = int(rows.codes[:, factor].max()) + 1
    groups = some(np.arange(n_groups), max(n_groups * MAX_WEIGHED // n, 2))
    return rows.take(np.flatnonzero(np.isin(rows.codes[:, factor], groups)))


def divide(rows: Rows, n_factors: int) -> list[tuple[np.ndarray, list[Case]]]:
    """Return divisions of rows: those that are kept, and cases of the others."""
    n, is_timed = len(rows.y), bool(np.ptp(rows.times) > 0)
    n_divisions = next((times for most, times in _DIVISIONS if n < most), 1)
    divisions = [_divide(rows, n_factors, part, is_timed) for part in range(n_divisions)]
    return [*divisions, _last_rows(rows)] if is_timed else divisions


def _divide(rows: Rows, n_factors: int, part: int, is_timed: bool) -> tuple[np.ndarray, list[Case]]:
    """Return rows that are kept, and cases of the others: of new groups, and of known ones."""
    codes = rows.codes
    n, rng = len(codes), np.random.default_rng(0)
    is_held_out = np.zeros(n, bool)
    for column in codes.T:
        n_groups = int(column.max()) + 1
        dealt = rng.permutation(n_groups)
        if n_groups >= 3:
            is_held_out |= np.isin(column, dealt[part::_N_PARTS][:_MAX_GROUPS])
    rng = np.random.default_rng(part)
    if not is_timed:
        rest = rng.permutation(np.flatnonzero(~is_held_out))
        is_held_out[rest[: min(int(_SHARE * n), _MAX_HELD_OUT, len(rest) // 2)]] = True
    kept, others = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    if not len(kept):
        return kept, []
    is_new = counts_of(codes[kept], codes[others]) == 0
    # In time, the first rows of a group are known.
    order = rng.permutation(n) if not is_timed else np.argsort(rows.times, kind="stable")
    rank = np.empty(n, int)
    rank[order] = np.arange(n)
    return kept, [*_cases(codes, others, is_new, n_factors, rank)]


def _last_rows(rows: Rows) -> tuple[np.ndarray, list[Case]]:
    """Return the first rows of each series, or group of the largest column, and later ones."""
    later = is_later(rows.codes[:, rows.codes.max(0).argmax()], rows.times)
    query = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(later))[:_MAX_HELD_OUT])
    known = rows.codes.shape[1] + 1
    cases = [Case(known, np.inf, query[:0], query)] if len(query) >= MIN_ROWS else []
    return np.flatnonzero(~later), cases


def _cases(
    codes: np.ndarray, rows: np.ndarray, is_new: np.ndarray, n_factors: int, rank: np.ndarray
) -> Iterator[Case]:
    """Yield cases of rows (r,) that are held out, some of whose groups (r, F) are new.

    The known rows of a group are those of the lowest rank (n,).
    """
    regimes, _ = regime_of(is_new, np.zeros(is_new.shape), n_factors)
    last = codes.shape[1] + 1
    known = rows[regimes == last]
    if len(known):
        yield Case(last, np.inf, known[:0], known)
    for regime in range(last):
        # For nested columns, count known rows by the outer one.
        outer = int(codes[:, :n_factors].max(0).argmin())
        factor = outer if regime == n_factors else min(regime, codes.shape[1] - 1)
        at = rows[regimes == regime]
        each = rows_of_groups(codes[at, factor], int(codes[:, factor].max()) + 1)
        each = [at[places[np.argsort(rank[at[places]])]] for places in each if len(places)]
        for k in _N_KNOWN:
            large = [places for places in each if len(places) >= k + 1 + (k > 0)]
            if large:
                few = np.concatenate([places[:k] for places in large])
                query = np.concatenate([places[k:][:_MAX_ROWS] for places in large])
                yield Case(regime, float(k), np.sort(few), np.sort(query))
