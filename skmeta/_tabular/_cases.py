"""Rows that are held out, to weigh the members of a mixture by what they predict of these.

A *division* keeps some rows, to which members are fitted. A *step* of it gives them known rows and
asks for others. The *regime* of a row says which of its groups are new to the kept rows: that of
one column, those of several, or none.

With one column of groups, a division is a fold of groups, so that what is cross-fitted over folds
need not be fitted again; each held-out group is a case of its own. With several columns, a division
holds out groups of each column, and rows of known groups beside them.

Notation: n rows, F columns of groups.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from skmeta._tabular._table import Table, at_most, places_in_groups, rows_of_groups

# Numbers of known rows of a group that is held out.
_N_KNOWN = (0, 1, 3, 10)
# Rows of a group that are predicted, at most.
_MAX_ROWS = 20
# One column: of known groups, this share of the rows is predicted from the others, in this many
# parts. Folds are held out until these have so many groups and rows, of so many groups each at
# most; members are fitted to this many others. The number of rows was chosen on development tables
# with groups of two to five rows.
_SHARE, _N_PARTS = 0.2, 2
_ENOUGH_GROUPS, _ENOUGH_ROWS, _MAX_GROUPS, _MAX_OTHERS = 30, 300, 40, 300
# Several columns: the groups of each column are dealt into so many parts, and each division holds
# one out, of so many groups at most; share of the other rows that are held out beside them. Tables
# of fewer rows are divided so often, others once. More rows than the last number are not needed.
_N_DEALT, _MAX_DEALT, _SHARE_BESIDE, _MAX_BESIDE = 6, 60, 0.15, 2000
_DIVISIONS = (250, 4), (2000, 2)
_MAX_WEIGHED = 10_000
# Rows of a group in time after this share of them are later ones.
CUT = 0.65


class Step(NamedTuple):
    """Known rows, rows to predict, and how many rows of their groups are known."""

    regime: int
    level: float  # number of known rows; infinity for most rows of a group
    known: Table
    query: Table
    counts: np.ndarray  # (g,) of each group that is asked for


class Division(NamedTuple):
    """Rows that are kept, and steps with others."""

    kept: Table
    steps: list[Step]


def known_regime(n_factors: int) -> int:
    """Return the number of the regime in which no group of a row is new."""
    return n_factors + 1


def parents_of(codes: np.ndarray, f: int, g: int) -> np.ndarray | None:
    """Return the group of column g for each of f, given groups (n, F); None if f is not nested."""
    parents = np.empty(codes[:, f].max() + 1, np.int64)
    parents[codes[:, f]] = codes[:, g]
    return parents if (parents[codes[:, f]] == codes[:, g]).all() else None


def find_nested(codes: np.ndarray) -> np.ndarray:
    """Return (F, F) whether the groups of a column are within those of another one."""
    n_factors = codes.shape[1]
    is_nested = np.zeros((n_factors, n_factors), bool)
    for f, g in itertools.permutations(range(n_factors), 2):
        is_nested[f, g] = parents_of(codes, f, g) is not None
    # Columns with the same groups are nested in each other.
    return is_nested & ~is_nested.T


def regime_of(
    is_new: np.ndarray, counts: np.ndarray, is_nested: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the regime (n,) of rows, and the number (n,) of known rows of their new groups.

    Regimes are 0 to F - 1 for a new group of that column, F for several new groups, and F + 1 for
    none. Groups within a new group are new, too, and do not count. `is_new` and `counts` of known
    rows are (n, F); see `find_nested`.
    """
    is_new = is_new & ~(is_new @ is_nested.T)
    n_factors, n_new = is_new.shape[1], is_new.sum(1)
    one, none = is_new.argmax(1), known_regime(n_factors)
    regime = np.where(n_new == 1, one, np.where(n_new == 0, none, n_factors))
    n_known = np.where(n_new == 0, counts.min(1), np.where(is_new, counts, 0).max(1))
    return regime, n_known


def count_known(known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return how many known rows the groups (n, F) of rows have, given the groups of known rows."""
    counts = np.zeros(codes.shape, np.int64)
    for f, (given, asked) in enumerate(zip(known.T, codes.T, strict=True)):
        # The last entry is that of groups without known rows, whose code is -1.
        n_groups = max(given.max(initial=-1), asked.max(initial=-1)) + 1
        counts[:, f] = np.bincount(given[given >= 0], minlength=n_groups + 1)[asked]
    return counts


def make_divisions(table: Table) -> Iterator[Division]:
    """Yield the divisions of a table."""
    return _one_column(table) if table.codes.shape[1] == 1 else _several_columns(table)


# ------------------------------------------------------------------------------------- one column


def _one_column(table: Table) -> Iterator[Division]:
    n_groups, n_folds = int(table.group.max()) + 1, int(table.fold.max()) + 1
    share = max(_ENOUGH_GROUPS / n_groups, _ENOUGH_ROWS / len(table.y))
    group_rows = rows_of_groups(table.group, n_groups)
    times = table.times if np.ptp(table.times) > 0 else None
    for fold in range(min(n_folds, int(np.ceil(share * n_folds)))):
        kept = at_most(np.unique(table.group[table.fold != fold]), _MAX_OTHERS)
        groups = at_most(np.unique(table.group[table.fold == fold]), _MAX_GROUPS)
        cases: dict[tuple[float, int], list[tuple[np.ndarray, np.ndarray]]] = {}
        for group in groups.tolist():
            for step, *rows in _cases(group_rows[group], times):
                cases.setdefault(step, []).append((rows[0], rows[1]))
        # A row that is known in one step is predicted in another.
        steps = [_join_cases(table, level, each) for (level, _), each in sorted(cases.items())]
        yield Division(table.take(np.flatnonzero(np.isin(table.group, kept))), steps)


def _cases(
    rows: np.ndarray, times: np.ndarray | None
) -> Iterator[tuple[tuple[float, int], np.ndarray, np.ndarray]]:
    """Yield level and part, known rows and rows to predict of a group; the earliest are known."""
    n = len(rows)
    if times is None:
        # The same permutation for all groups of a size: it depends on no name.
        rows = rows[np.random.default_rng(n).permutation(n)]
    else:
        rows = rows[np.argsort(times[rows], kind="stable")]
    for k in _N_KNOWN:
        if n >= k + 2:
            yield (float(k), 0), rows[:k], rows[k:][:_MAX_ROWS]
    n_query = min(_MAX_ROWS, max(1, round(_SHARE * n)))
    for part in range(_N_PARTS if times is None else 1):
        start, stop = n - (part + 1) * n_query, n - part * n_query
        if start >= 0 and n > n_query:
            after = rows[stop:] if times is None else rows[:0]
            yield (np.inf, part), np.concatenate([rows[:start], after]), rows[start:stop]


def _join_cases(table: Table, level: float, cases: Sequence[tuple[np.ndarray, np.ndarray]]) -> Step:
    """Return a step in which each case is a group of its own, numbered from 0 on."""
    known, query = zip(*cases, strict=True)
    counts = np.array([len(rows) for rows in known])
    return Step(0, level, table.take_cases(known), table.take_cases(query), counts)


# -------------------------------------------------------------------------------- several columns


def _several_columns(table: Table) -> Iterator[Division]:
    is_nested, table = find_nested(table.codes), _some_rows(table)
    n_divisions = next((times for most, times in _DIVISIONS if len(table.y) < most), 1)
    is_timed = bool(np.ptp(table.times) > 0)
    for part in range(n_divisions):
        is_held_out, rank = _deal(table, part, is_timed)
        if not is_held_out.all():
            yield _division(table, is_held_out, rank, is_nested)
    if is_timed:
        group = table.codes[:, table.codes.max(0).argmax()]
        later, rank = is_later(group, table.times), np.arange(len(table.y))
        if not later.all():
            yield _division(table, later, rank, is_nested)


def is_later(group: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return which rows (n,) are the last ones of their group."""
    return np.asarray(places_in_groups(group, times) >= np.ceil(CUT * np.bincount(group)[group]))


def _some_rows(table: Table) -> Table:
    """Return at most so many rows: those of some groups of the column with the most."""
    n = len(table.y)
    if n <= _MAX_WEIGHED:
        return table
    column = table.codes[:, table.codes.max(0).argmax()]
    n_groups = int(column.max()) + 1
    groups = at_most(np.arange(n_groups), max(n_groups * _MAX_WEIGHED // n, 2))
    table = table.take(np.flatnonzero(np.isin(column, groups)))
    return table._replace(codes=_renumbered(table.codes, np.zeros(len(table.y), bool)))


def _deal(table: Table, part: int, is_timed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows (n,) are held out, and the rank (n,) in which rows of a group are known."""
    n, rng = len(table.y), np.random.default_rng(0)
    is_held_out = np.zeros(n, bool)
    # By size, so that the order in which columns are named has no effect.
    for column in sorted(table.codes.T, key=np.max):
        n_groups = int(column.max()) + 1
        dealt = rng.permutation(n_groups)
        if n_groups >= 3:
            is_held_out |= np.isin(column, dealt[part::_N_DEALT][:_MAX_DEALT])
    rng = np.random.default_rng(part)
    if not is_timed:
        rest = rng.permutation(np.flatnonzero(~is_held_out))
        n_beside = min(int(_SHARE_BESIDE * n), _MAX_BESIDE, len(rest) // 2)
        is_held_out[rest[:n_beside]] = True
    # In time, the first rows of a group are known.
    order = rng.permutation(n) if not is_timed else np.argsort(table.times, kind="stable")
    rank = np.empty(n, int)
    rank[order] = np.arange(n)
    return is_held_out, rank


def _renumbered(codes: np.ndarray, is_held_out: np.ndarray) -> np.ndarray:
    """Return codes (n, F) from 0 on, those of groups of kept rows first."""
    renumbered = np.empty_like(codes)
    for f, column in enumerate(codes.T):
        present, own = np.unique(column, return_inverse=True)
        is_kept = np.zeros(len(present), bool)
        is_kept[own[~is_held_out]] = True
        renumbered[:, f] = np.argsort(np.argsort(~is_kept, kind="stable"), kind="stable")[own]
    return renumbered


def _division(
    table: Table, is_held_out: np.ndarray, rank: np.ndarray, is_nested: np.ndarray
) -> Division:
    """Return a division, with codes from 0 on of the groups that are kept."""
    table = table._replace(codes=_renumbered(table.codes, is_held_out))
    codes, n_factors = table.codes, table.codes.shape[1]
    kept, held_out = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    is_new = codes[held_out] > codes[kept].max(0)
    regime, _ = regime_of(is_new, np.zeros(is_new.shape, int), is_nested)
    steps = []
    for number in np.unique(regime):
        rows = held_out[regime == number]
        if number == known_regime(n_factors):
            rows = rows[np.argsort(rank[rows], kind="stable")][:_MAX_BESIDE]
            steps.append(_step(table, number, np.inf, kept, rows, number))
            continue
        # For nested columns, count known rows by the outer one.
        outer = int(codes.max(0).argmin())
        factor = outer if number == n_factors else int(number)
        each = rows_of_groups(codes[rows, factor], int(codes[:, factor].max()) + 1)
        each = [rows[places[np.argsort(rank[rows[places]])]] for places in each if len(places)]
        for k in _N_KNOWN:
            large = [places for places in each if len(places) >= k + 1 + (k > 0)]
            if large:
                few = np.concatenate([kept, *(places[:k] for places in large)])
                query = np.concatenate([places[k:][:_MAX_ROWS] for places in large])
                steps.append(_step(table, number, float(k), few, query, factor))
    return Division(table.take(kept), steps)


def _step(
    table: Table, regime: int, level: float, known: np.ndarray, rows: np.ndarray, factor: int
) -> Step:
    known, rows = np.sort(known), np.sort(rows)
    given, asked = table.take(known), table.take(rows)
    counts = count_known(given.codes, asked.codes)
    asked = asked._replace(codes=np.where(counts > 0, asked.codes, -1))
    by_group = counts.min(1) if factor >= table.codes.shape[1] else counts[:, factor]
    return Step(int(regime), level, given, asked, by_group)
