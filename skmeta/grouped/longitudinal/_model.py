"""The model of groups in time: members, and their mixture by the number of known rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skmeta.grouped.longitudinal._curves import (
    Curve,
    LastValue,
    Shape,
    fit_curve,
    has_log,
    within,
)
from skmeta.grouped.longitudinal._effects import Effects, fit_effects
from skmeta.grouped.longitudinal._rows import (
    Cases,
    first_rows,
    later_rows,
    rows_between,
    some_groups,
)
from skmeta.grouped.longitudinal._trees import Steps, cross_fit_steps, fit_steps, step_columns
from skmeta.grouped.longitudinal._weights import find_levels, mix_members
from skmeta.tabular import PROBABILITIES, CalibratedOutputs, FitSettings, Level, Table, interpolate

# Rows that weights are found on, at most: before, and of cases.
_MOST_ROWS, _MOST_CASES = 4000, 4000
SHAPES = {
    "slopes": Shape(is_line=True),
    "slopes around a curve": Shape(is_line=False),
    "slopes of logarithms": Shape(is_line=True, is_log=True),
    "slopes around a curve of logarithms": Shape(is_line=False, is_log=True),
}
LAST, EFFECTS, TREES = "last value", "group effects", "trees on the last value"
# Times are seen if so many groups, and this share of them, have later ones.
_LEAST_GROUPS, _LEAST_SHARE = 3, 0.05
_LEAST_CASES = 8
# Folds of groups of the trees on the last value, and of those beside the group effects.
_N_FOLDS, _N_FOLDS_EFFECTS = 3, 5


class Members(NamedTuple):
    """Members that are fitted to the same rows.

    Attributes
    ----------
    simple : dict of str to Curve, LastValue or Effects
        Members that need no other.
    trees : Steps
        Trees that correct the last value.
    """

    simple: Mapping[str, Curve | LastValue | Effects]
    trees: Steps

    def predict(self, known: Table, at: Table) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations (m, n) of all members."""
        outputs = {name: one.predict(known, at) for name, one in self.simple.items()}
        return self.with_trees(outputs, self.trees.predict(step_columns(known, at)))

    def with_trees(
        self, outputs: dict[str, tuple[np.ndarray, np.ndarray]], steps: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of all, given those of the simple ones."""
        curves = {name: one for name, one in self.simple.items() if isinstance(one, Curve)}
        typical = np.mean([outputs[name][1] for name in curves], axis=0)
        last, some = outputs[LAST][0], next(iter(curves.values()))
        outputs[LAST] = last, typical
        outputs[TREES] = within(last + steps, some.lowest, some.highest), typical
        means, stds = zip(*outputs.values(), strict=True)
        return np.array(means), np.array(stds)


class Longitudinal(NamedTuple):
    """Fitted members, and their weights in each regime.

    Attributes
    ----------
    members : Members
        Fitted to all rows.
    regimes : dict of str to list of Level
        "new": groups that were held out, at times when others are known; "later": later rows of
        groups, beyond the times of all; "between": rows of groups with earlier and later known
        rows. At least one of them.
    latest : float
        The latest time at which groups are known.
    """

    members: Members
    regimes: Mapping[str, list[Level]]
    latest: float

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return [*self.members.simple, TREES]

    def predict(self, known: Table, at: Table) -> CalibratedOutputs:
        """Predict rows of groups, given known rows of these groups."""
        means, stds = self.members.predict(known, at)
        n_groups = max(known.group.max(initial=-1), at.group.max(initial=-1)) + 1
        # The last entry is that of groups without known rows, whose code is -1.
        n_known = np.bincount(known.group, minlength=n_groups + 1)[at.group]
        ends = np.full(n_groups + 1, -np.inf)
        np.maximum.at(ends, known.group, known.times)
        is_between = at.times <= ends[at.group]
        is_later = (at.times > self.latest) & (n_known > 0) & ~is_between
        kind = np.where(is_between, "between", np.where(is_later, "later", "new"))
        mean, std = np.empty(len(kind)), np.empty(len(kind))
        quantiles = np.empty((len(kind), len(PROBABILITIES)))
        for name in np.unique(kind):
            rows = np.flatnonzero(kind == name)
            # A regime without cases is replaced by another.
            used = next(one for one in (name, *_INSTEAD[name]) if one in self.regimes)
            weights, quantiles[rows], _ = interpolate(self.regimes[used], n_known[rows])
            mean[rows], std[rows] = mix_members(means[:, rows], stds[:, rows], weights)
        return CalibratedOutputs(mean, std, quantiles)


_INSTEAD = {
    "new": ("later", "between"),
    "later": ("new", "between"),
    "between": ("new", "later"),
}


def fit_longitudinal(rows: Table, settings: FitSettings, zero: float) -> Longitudinal | None:
    """Fit members and their weights.

    Parameters
    ----------
    rows : Table
        Rows of all groups.
    settings : FitSettings
        How trees beside the effects of groups are fitted.
    zero : float
        The target 0, in standardised units.

    Returns
    -------
    Longitudinal or None
        None if no row of a group can be held out.
    """
    shapes = SHAPES if has_log(rows.y, zero) else {n: s for n, s in SHAPES.items() if not s.is_log}
    simple: dict[str, Any] = {LAST: LastValue(*_moments(rows.y))}
    simple |= {name: fit_curve(shape, rows, zero) for name, shape in shapes.items()}
    simple[EFFECTS] = fit_effects(rows, settings, _N_FOLDS_EFFECTS)
    sample = some_groups(rows, _MOST_ROWS)
    cases, held_out = first_rows(sample, _MOST_CASES), {}
    trees, predicted = _hold_out_groups(simple, sample, cases)
    if predicted is not None:
        held_out["new"] = cases, predicted
    members = Members(simple, trees)
    later, between = later_rows(sample), rows_between(sample)
    if later is not None and len(later.group) >= _LEAST_CASES:
        earlier = _fit_again(members, later.known, zero)
        held_out["later"] = later, earlier.predict(later.known, later.query)
    if between is not None and len(between.group) >= _LEAST_CASES:
        held_out["between"] = between, members.predict(between.known, between.query)
    regimes = {
        kind: find_levels(*predicted, cases, kind) for kind, (cases, predicted) in held_out.items()
    }
    if not regimes:
        return None
    ends = np.full(int(rows.group.max()) + 1, -np.inf)
    np.maximum.at(ends, rows.group, rows.times)
    n_later = min(max(_LEAST_GROUPS, round(_LEAST_SHARE * len(ends))), len(ends))
    return Longitudinal(members, regimes, float(np.sort(ends)[-n_later]))


def _moments(y: np.ndarray) -> tuple[float, float]:
    return float(y.mean()), float(y.std())


def _hold_out_groups(
    simple: Mapping[str, Curve | LastValue | Effects], rows: Table, cases: Cases
) -> tuple[Steps, tuple[np.ndarray, np.ndarray] | None]:
    """Predict groups of each fold without their rows, and fit the trees."""
    fold = cases.query.fold
    if len(np.unique(fold)) < 2 or len(fold) < _LEAST_CASES:
        return Steps([], 0), None
    held_out = {name: (np.empty(len(fold)), np.empty(len(fold))) for name in simple}
    for k in np.unique(fold):
        at = np.flatnonzero(fold == k)
        kept, fold_cases = rows.take(np.flatnonzero(rows.fold != k)), cases.take(at)
        for name, member in simple.items():
            mean, std = member.without(kept).predict(fold_cases.known, fold_cases.query)
            held_out[name][0][at], held_out[name][1][at] = mean, std
    left = cases.query.y - held_out[LAST][0]
    columns = step_columns(cases.known, cases.query)
    trees, unseen = cross_fit_steps(columns, left, cases, fold % _N_FOLDS)
    return trees, Members(simple, trees).with_trees(held_out, unseen)


def _fit_again(members: Members, rows: Table, zero: float) -> Members:
    """Return the members, fitted to fewer rows of the groups."""
    simple: dict[str, Any] = {LAST: LastValue(*_moments(rows.y))}
    for name, one in members.simple.items():
        if isinstance(one, Curve):
            simple[name] = fit_curve(one.shape, rows, zero, one)
        elif isinstance(one, Effects):
            simple[name] = one.again(rows)
    n_rounds = members.trees.n_rounds
    if not n_rounds:
        return Members(simple, Steps([], 0))
    cases = first_rows(rows, _MOST_CASES)
    last = simple[LAST].predict(cases.known, cases.query)[0]
    columns = step_columns(cases.known, cases.query)
    return Members(simple, fit_steps(columns, cases.query.y - last, cases, n_rounds))
