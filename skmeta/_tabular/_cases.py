"""Rows that are held out, to weigh the members of a mixture by what they predict of these.

A *division* keeps some rows, to which members are fitted. A *step* of it gives them known rows and
asks for others. The *regime* of a row says which of its groups are new to the kept rows: that of
one column, those of several, or none.

With one column of groups, a division is a fold of groups, so that what is cross-fitted over folds
need not be fitted again; each held-out group is a case of its own. With several columns, a division
holds out groups of each column, and rows of known groups beside them. Models of groups in time also
predict later rows of all groups from earlier ones, and rows between others.

Notation: n rows, F columns of groups.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from skmeta._tabular._table import Table, at_most, places_in_groups, rows_of_groups

# Numbers of known rows of a group that is held out.
_N_KNOWN, _N_KNOWN_IN_TIME = (0, 1, 3, 10), (0, 1, 2, 3, 5, 8, 12)
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
# Rows of a group in time after this share of them are later ones. With seasons, rows are predicted
# a season ahead, or this share of a typical group, after so many cuts in time.
_CUT, _MAX_AHEAD, _N_CUTS = 0.65, 0.3, 2
# Every fifth row of a group in time is predicted from the others; tables have so many rows at most.
_EVERY, _MAX_IN_TIME = 5, 4000
# A time is known if this many groups, and this share of them, have rows from it on.
_MIN_LATER, _SHARE_LATER = 3, 0.05
# Regimes of groups in time.
NEW, LATER, BETWEEN = range(3)


Case = tuple[np.ndarray, np.ndarray]  # known rows of a group, and rows that are asked for


class Part(NamedTuple):
    """Rows that are asked for with a number of known rows of their group."""

    level: float  # that number; infinity for most rows of a group
    n_rows: int
    counts: np.ndarray  # (g,) of known rows, of each group that is asked for


class Step(NamedTuple):
    """Known rows, and rows to predict in parts, one after the other."""

    regime: int
    known: Table
    query: Table
    parts: list[Part]


class Division(NamedTuple):
    """Rows that are kept, or None for those of fit; steps with others.

    `is_fold` says whether a fold of groups is left out, which members know that are cross-fitted;
    `folds` are divisions of the kept rows that leave one out each.
    """

    kept: Table | None
    steps: list[Step]
    is_fold: bool = False
    folds: Sequence[Division] = ()


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


def steps_ahead(table: Table, season: int) -> int:
    """Return how many steps ahead are held out: a season, or what groups have."""
    typical = np.median(np.bincount(table.group))
    return max(min(season, int(_MAX_AHEAD * typical)), 1)


def make_divisions(
    table: Table, in_time: bool = False, ahead: int | None = None
) -> Iterator[Division]:
    """Yield the divisions of a table, or of groups in time whose season is so many steps ahead."""
    if not in_time:
        return _one_column(table) if table.codes.shape[1] == 1 else _several_columns(table)
    return itertools.chain(_one_column(table, True, ahead), _in_time(table, ahead))


# ------------------------------------------------------------------------------------- one column


def _one_column(
    table: Table, in_time: bool = False, ahead: int | None = None
) -> Iterator[Division]:
    n_groups, n_folds = int(table.group.max()) + 1, int(table.fold.max()) + 1
    share = max(_ENOUGH_GROUPS / n_groups, _ENOUGH_ROWS / len(table.y))
    group_rows = rows_of_groups(table.group, n_groups)
    times = table.times if np.ptp(table.times) > 0 else None
    for fold in range(min(n_folds, int(np.ceil(share * n_folds)))):
        kept = at_most(np.unique(table.group[table.fold != fold]), _MAX_OTHERS)
        if not len(kept):
            return
        groups = at_most(np.unique(table.group[table.fold == fold]), _MAX_GROUPS)
        cases: dict[tuple[float, int], list[Case]] = {}
        for group in groups.tolist():
            for level, *rows in _cases(group_rows[group], times, in_time, ahead):
                cases.setdefault(level, []).append((rows[0], rows[1]))
        each = [(level, cases[level, part]) for level, part in sorted(cases)]
        # A row that is known in one step is predicted in another, unless a model knows no row of
        # other groups.
        apart = [each] if in_time and each else [[one] for one in each]
        steps = [_join_cases(table, levels) for levels in apart]
        yield Division(table.take(np.flatnonzero(np.isin(table.group, kept))), steps, True)


def _cases(
    rows: np.ndarray, times: np.ndarray | None, in_time: bool, ahead: int | None
) -> Iterator[tuple[tuple[float, int], np.ndarray, np.ndarray]]:
    """Yield level and part, known rows and rows to predict of a group; the earliest are known."""
    n = len(rows)
    if times is None:
        # The same permutation for all groups of a size: it depends on no name.
        rows = rows[np.random.default_rng(n).permutation(n)]
    else:
        rows = rows[np.argsort(times[rows], kind="stable")]
    for k in _N_KNOWN_IN_TIME if in_time else _N_KNOWN:
        if n >= k + 2:
            # Errors grow with time: rows near and far are asked for.
            asked = rows[k:][:ahead]
            few = at_most(asked, _MAX_ROWS) if in_time else asked[:_MAX_ROWS]
            yield (float(k), 0), rows[:k], few
    n_query = min(_MAX_ROWS, max(1, round(_SHARE * n)))
    for part in range(_N_PARTS if times is None else 1):
        start, stop = n - (part + 1) * n_query, n - part * n_query
        if start >= 0 and n > n_query:
            after = rows[stop:] if times is None else rows[:0]
            yield (np.inf, part), np.concatenate([rows[:start], after]), rows[start:stop]


def _join_cases(table: Table, levels: Sequence[tuple[float, list[Case]]]) -> Step:
    """Return a step in which each case is a group of its own, numbered from 0 on."""
    known, query = zip(*(case for _, cases in levels for case in cases), strict=True)
    parts = []
    for level, cases in levels:
        counts = np.array([len(given) for given, _ in cases])
        parts.append(Part(level, sum(len(asked) for _, asked in cases), counts))
    return Step(0, table.take_cases(known), table.take_cases(query), parts)


# ----------------------------------------------------------------------------------- groups in time


def _in_time(table: Table, ahead: int | None) -> Iterator[Division]:
    kept = table = _some_rows(table, _MAX_IN_TIME)
    for _ in range(1 if ahead is None else _N_CUTS):
        place, sizes = _places(kept)
        n_first = np.ceil(_CUT * sizes) if ahead is None else sizes - ahead
        is_later = (n_first > 0) & (place >= n_first)
        if not is_later.any():
            break
        later, kept = kept, kept.take(np.flatnonzero(~is_later))
        # Groups of which few rows are known are not among those that members are fitted to.
        folds = [] if ahead is None else list(_folds_in_time(later, is_later, kept))
        yield Division(kept, _steps_in_time(later, LATER, is_later, [np.inf]), folds=folds)
    place, sizes = _places(table)
    is_between = (place % _EVERY == _EVERY // 2) & (place < sizes - 1)
    if is_between.any():
        yield Division(None, _steps_in_time(table, BETWEEN, is_between, [np.inf]))


def _folds_in_time(table: Table, is_later: np.ndarray, kept: Table) -> Iterator[Division]:
    """Yield folds of the kept rows, where later rows of the others follow from few of these."""
    for fold in np.unique(table.fold):
        others = kept.take(np.flatnonzero(kept.fold != fold))
        own = np.flatnonzero(table.fold == fold)
        steps = _steps_in_time(table.take(own), LATER, is_later[own], _N_KNOWN_IN_TIME[1:])
        if len(others.y) and steps:
            yield Division(others, steps, True)


def _places(rows: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the place (n,) of each row in the time of its group, and the group's size."""
    return places_in_groups(rows.group, rows.times), np.bincount(rows.group)[rows.group]


def _steps_in_time(
    table: Table, regime: int, asked: np.ndarray, levels: Sequence[float]
) -> list[Step]:
    """Return a step, if any, that asks for some rows (n,), given the latest of their group's."""
    cases: dict[float, list[Case]] = {}
    for rows in rows_of_groups(table.group, int(table.group.max()) + 1):
        rows = rows[np.argsort(table.times[rows], kind="stable")]
        known, query = rows[~asked[rows]], rows[asked[rows]]
        for level in levels if len(query) else ():
            if len(known) > level or level == np.inf:
                few = known if level == np.inf else known[-int(level) :]
                cases.setdefault(level, []).append((few, query))
    return [_join_cases(table, sorted(cases.items()))._replace(regime=regime)] if cases else []


def find_latest(table: Table) -> float:
    """Return the latest time at which enough groups are known."""
    ends = np.full(int(table.group.max()) + 1, -np.inf)
    np.maximum.at(ends, table.group, table.times)
    n_later = min(max(_MIN_LATER, round(_SHARE_LATER * len(ends))), len(ends))
    return float(np.sort(ends)[-n_later])


def regime_in_time(known: Table, at: Table, latest: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the regime (n,) of rows of groups in time, and the number (n,) of known rows.

    Regimes are rows of new groups, at times when others are known; later rows of known groups,
    beyond the times of all; and rows of groups with earlier and later known rows.
    """
    n_known = count_known(known.codes, at.codes)[:, 0]
    # The last entry is that of groups without known rows, whose code is -1.
    ends = np.full(max(known.group.max(initial=-1), at.group.max(initial=-1)) + 2, -np.inf)
    np.maximum.at(ends, known.group, known.times)
    is_later = (at.times > latest) & (n_known > 0)
    return np.where(at.times <= ends[at.group], BETWEEN, np.where(is_later, LATER, NEW)), n_known


# -------------------------------------------------------------------------------- several columns


def _several_columns(table: Table) -> Iterator[Division]:
    is_nested, table = find_nested(table.codes), _some_rows(table, _MAX_WEIGHED)
    n_divisions = next((times for most, times in _DIVISIONS if len(table.y) < most), 1)
    is_timed = bool(np.ptp(table.times) > 0)
    for part in range(n_divisions):
        is_held_out, rank = _deal(table, part, is_timed)
        if not is_held_out.all():
            yield _division(table, is_held_out, rank, is_nested)
    if is_timed:
        largest = table._replace(codes=table.codes[:, [table.codes.max(0).argmax()]])
        place, sizes = _places(largest)
        later, rank = place >= np.ceil(_CUT * sizes), np.arange(len(table.y))
        if not later.all():
            yield _division(table, later, rank, is_nested)


def _some_rows(table: Table, most: int) -> Table:
    """Return at most so many rows: those of some groups of the column with the most."""
    n = len(table.y)
    if n <= most:
        return table
    column = table.codes[:, table.codes.max(0).argmax()]
    n_groups = int(column.max()) + 1
    groups = at_most(np.arange(n_groups), max(n_groups * most // n, 2))
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
    return Step(int(regime), given, asked, [Part(level, len(rows), by_group)])
