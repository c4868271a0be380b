"""The mixture of members for several columns of groups: weights by the group that is least known.

Groups of each column are held out in turn. Of each of them some rows are known, and all rows of
other groups. Some rows of known groups are held out, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skmeta.tabular._member import (
    CalibratedOutputs,
    Conditioned,
    Level,
    Member,
    Outputs,
    interpolate,
)
from skmeta.tabular._mixture import Found, combine, join_levels, predict_each
from skmeta.tabular._table import Table, rows_of_groups, some
from skmeta.tabular._units import TargetUnits

# Numbers of known rows of a group that is held out.
_N_KNOWN = (0, 1, 3, 10)
# Groups of a column that are held out, at most, and as a share; rows of each to predict.
_MOST_GROUPS, _SHARE, _MOST_ROWS = 60, 0.2, 20
# Rows of known groups that are held out, at most, and as a share.
_MOST_HELD_OUT = 2000
# For the widths of intervals, the deviations that members predict count like this number of groups.
_N_PRIOR = 10.0

Shared = Callable[[Table, Table], np.ndarray]


@dataclass(frozen=True)
class CrossedMixture:
    """The weighted mean of members.

    Attributes
    ----------
    members : dict of str to Member
        The members; a member may use the outputs of those before it.
    levels, known_levels : list of list of Level
        For each column of groups, weights for groups of it that were not there at fit, and for rows
        whose groups were.
    n_groups : ndarray of shape (n_factors,), int64
        Numbers of groups of fit.
    """

    members: dict[str, Member]
    levels: list[list[Level]]
    known_levels: list[list[Level]]
    n_groups: np.ndarray

    def with_known(self, known: Table) -> CrossedMixture:
        """Return the mixture of members that know other rows."""
        members: dict[str, Any] = {
            name: member.condition(known) for name, member in self.members.items()
        }
        return replace(self, members=members)

    def calibrated(self, units: TargetUnits) -> CrossedMixture:
        """Return a mixture with distributions on the target's own units."""
        new, known = (
            [[units.calibrate(level) for level in of] for of in levels]
            for levels in (self.levels, self.known_levels)
        )
        return replace(self, levels=new, known_levels=known)

    def predict(self, known: Table, at: Table) -> CalibratedOutputs:
        """Predict rows, given known rows of all groups."""
        conditioned = {name: member.condition(known) for name, member in self.members.items()}
        n_known = known_rows(known.codes, at.codes)
        least, is_old = n_known.argmin(1), ((at.codes >= 0) & (at.codes < self.n_groups)).all(1)
        m = len(self.members)
        weights, precision = np.zeros((m, len(least))), np.zeros(len(least))
        first = self.levels[0][0]
        quantiles = np.zeros((len(least), len(first.quantiles)))
        calibration = np.zeros((len(least), len(first.calibration)))
        for f in range(n_known.shape[1]):
            for levels, of in ((self.levels[f], ~is_old), (self.known_levels[f], is_old)):
                rows = np.flatnonzero((least == f) & of)
                found = interpolate(levels, n_known[rows, f])
                weights[:, rows], quantiles[rows], precision[rows], calibration[rows] = found
        found = weights, quantiles, precision, calibration
        return combine(self.members, conditioned, at, *found)


def known_rows(known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return how many known rows the groups of rows have, (n, n_factors), given codes of both."""
    counts = np.zeros(codes.shape, np.int64)
    for f, (given, asked) in enumerate(zip(known.T, codes.T, strict=True)):
        # The last entry is that of groups without known rows, whose code is -1.
        n_groups = max(given.max(initial=-1), asked.max(initial=-1)) + 1
        counts[:, f] = np.bincount(given[given >= 0], minlength=n_groups + 1)[asked]
    return counts


class _Case(NamedTuple):
    """Rows that are known, rows to predict, and the number of known rows of the groups."""

    known: np.ndarray
    query: np.ndarray
    level: float


def fit_crossed_mixture(
    members: dict[str, Member],
    names: Collection[str],
    table: Table,
    n_classes: int,
    fold_factor: int,
    shared: Shared,
) -> CrossedMixture | None:
    """Find the weights of members, on groups of each column and on rows that are held out.

    Parameters
    ----------
    members : dict of str to Member
        Fitted to all rows.
    names : collection of str
        Those that predict. The weights of the others, which these use, are 0.
    table : Table
        The rows of fit.
    n_classes : int
        Number of classes; 0 for a regression.
    fold_factor : int
        The column of groups over whose groups the population is cross-fitted.
    shared : callable
        Takes rows to learn from and rows to predict, and returns predictions of a population.

    Returns
    -------
    CrossedMixture or None
        None if no row can be held out.
    """
    n_factors = table.codes.shape[1]
    by_factor: list[dict[float, list[Found]]] = [{} for _ in range(n_factors)]
    rows = _held_out_rows(table)
    if rows is not None:
        for found in by_factor:
            found[np.inf] = [_predict(members, table, rows)]
    for f, found in enumerate(by_factor):
        others, cases = _held_out_groups(table, f)
        held_out = table
        if cases and f != fold_factor:
            # The population has seen these groups in rows of others.
            rest, fitted = np.setdiff1d(np.arange(len(table.y)), others), table.shared.copy()
            fitted[rest] = shared(table.take(others), table.take(rest))
            held_out = table._replace(shared=fitted)
        for case in cases:
            at, counts, outputs = _predict(members, held_out, case)
            at = at._replace(codes=np.roll(at.codes, -f, axis=1))
            found[case.level] = [(at, counts, outputs)]
    predicts = np.array([name in names for name in members])
    any_group = np.array([not member.known_only for member in members.values()]) | (len(names) == 1)
    found_levels = []
    for found in by_factor:
        both = (predicts & any_group, True), (predicts, False)
        found_levels.append(
            [
                join_levels(found, predicts & any_group, at_most, n_classes, 2, is_new)
                if found
                else []
                for at_most, is_new in both
            ]
        )
    if not any(levels for levels, _ in found_levels):
        return None
    # A column without held-out groups has the levels of another one.
    spare = next(pair for pair in found_levels if pair[0])
    found_levels = [pair if pair[0] else spare for pair in found_levels]
    new, known = (
        [list(map(_settle, of)) for of in each] for each in zip(*found_levels, strict=True)
    )
    return CrossedMixture(members, new, known, table.codes.max(0) + 1)


def _settle(level: Level) -> Level:
    """Return a level whose widths are those that members predict if few groups were held out."""
    spread = float(np.mean(level.quantiles**2)) if level.held_out is not None else 0.0
    if level.held_out is None or not spread:
        return level
    # Rows of a group share its effect, the less the more of them are known.
    n = len(np.unique(level.held_out.group)) * (1 + level.n_known)
    factor = np.sqrt((_N_PRIOR / spread + n) / (_N_PRIOR + n))
    return level._replace(quantiles=factor * level.quantiles)


def _predict(members: dict[str, Member], table: Table, case: _Case) -> Found:
    known, query = table.take(case.known), table.take(case.query)
    conditioned: dict[str, Conditioned] = {
        name: member.without(known).condition(known) for name, member in members.items()
    }
    outputs = predict_each(conditioned, query)
    counts = known_rows(known.codes, query.codes).min(1)
    n_known = counts if case.level == np.inf else np.full(1, case.level)
    return table.take(query.place), n_known, [Outputs(*one[:2]) for one in outputs.values()]


def _held_out_rows(table: Table) -> _Case | None:
    """Return rows of known groups to predict: at most one in five, if their groups keep some."""
    n, rng = len(table.y), np.random.default_rng(0)
    order = rng.permutation(n)[: min(_MOST_HELD_OUT, max(int(_SHARE * n), 1))]
    kept = np.setdiff1d(np.arange(n), order)
    query = order[(known_rows(table.codes[kept], table.codes[order]) > 0).all(1)]
    return _Case(kept, np.sort(query), np.inf) if len(query) > 1 else None


def _held_out_groups(table: Table, f: int) -> tuple[np.ndarray, list[_Case]]:
    """Return rows of other groups of a column, and cases with 0 and more known rows of a group."""
    codes = table.codes[:, f]
    n_groups = int(codes.max()) + 1
    each = rows_of_groups(codes, n_groups)
    large = np.array([g for g in range(n_groups) if len(each[g]) >= 2], np.int64)
    if n_groups < 3 or not len(large):
        return np.arange(len(codes)), []
    groups = some(large, min(_MOST_GROUPS, max(int(_SHARE * n_groups), 1)))
    others, cases = np.flatnonzero(~np.isin(codes, groups)), []
    mixed = [each[g][np.random.default_rng(len(each[g])).permutation(len(each[g]))] for g in groups]
    for k in _N_KNOWN:
        large_enough = [rows for rows in mixed if len(rows) >= k + 2]
        if large_enough:
            known = np.concatenate([others, *(rows[:k] for rows in large_enough)])
            query = np.concatenate([rows[k:][:_MOST_ROWS] for rows in large_enough])
            cases.append(_Case(np.sort(known), query, float(k)))
    return others, cases
