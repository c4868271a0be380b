"""The model of groups in time: members, and their mixture by the number of known rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular import (
    PROBABILITIES,
    UNCALIBRATED,
    CalibratedOutputs,
    FitSettings,
    Level,
    Table,
    TargetUnits,
    interpolate,
    mix_deviations,
)
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
    group_scales,
    last_rows,
    later_rows,
    rows_between,
    some_groups,
)
from skmeta.grouped.longitudinal._seasons import NO_SEASONS, Calendar
from skmeta.grouped.longitudinal._smoothing import Smoothing, fit_smoothing
from skmeta.grouped.longitudinal._trees import Steps, cross_fit_steps, fit_steps, step_columns
from skmeta.grouped.longitudinal._weights import PANEL_POWER, find_levels

# Rows that weights are found on, at most: before, and of cases.
_MAX_ROWS, _MAX_CASES = 4000, 4000
SHAPES = {
    "slopes": Shape(is_line=True),
    "slopes around a curve": Shape(is_line=False),
    "slopes of logarithms": Shape(is_line=True, is_log=True),
    "slopes around a curve of logarithms": Shape(is_line=False, is_log=True),
}
LAST, EFFECTS, TREES = "last value", "group effects", "trees on the last value"
SMOOTHING = "exponential smoothing"
SAME_PHASE = "last value of the phase"
# Curves whose seasons are taken out for the members without: of logarithms if there are.
_SEASONAL = ("slopes of logarithms", "slopes")
# From this many cycles of the longest season on, a curve of all groups is separated from it.
_MIN_CYCLES = 3.0
# Seasonal panels: numbers of known rows before later ones, cuts in time, and the share of a group's
# rows that are later at most.
_N_LATER, _N_CUTS, _MAX_LATER = (1, 4, 12), 2, 0.3
# Times are seen if this many groups, and this share of them, have later ones.
_MIN_GROUPS, _MIN_SHARE = 3, 0.05
_MIN_CASES = 8
# Folds of groups of the trees on the last value, and of those beside the group effects.
_N_FOLDS, _N_FOLDS_EFFECTS = 3, 5


# Members that know the seasons; for the others, they are taken out.
_WITH_SEASON = (Curve, Effects)


class Members(NamedTuple):
    """Members that are fitted to the same rows."""

    simple: Mapping[str, Curve | LastValue | Smoothing | Effects]  # those that need no other
    trees: Steps  # correct the last value

    @property
    def seasonal(self) -> Curve | None:
        """The curve whose seasons the members without one are freed from."""
        curve = next(self.simple[name] for name in _SEASONAL if name in self.simple)
        return curve if isinstance(curve, Curve) and curve.design.calendar.seasons else None

    def without_season(self, known: Table, at: Table) -> tuple[Table, Table, np.ndarray]:
        """Return known rows and others without seasons, and the seasons (n,) of the others."""
        curve = self.seasonal
        if curve is None:
            return known, at, np.zeros(len(at.y))
        n = len(known.y)
        season = curve.season(known, known.join(at))
        return (
            known._replace(y=curve.remove(known.y, season[:n])),
            at._replace(y=curve.remove(at.y, season[n:])),
            season[n:],
        )

    def predict(self, known: Table, at: Table) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations (m, n) of all members."""
        free_known, free_at, season = self.without_season(known, at)
        outputs = {
            name: one.predict(known, at)
            if isinstance(one, _WITH_SEASON)
            else one.predict(free_known, free_at)
            for name, one in self.simple.items()
        }
        steps = self.trees.predict(step_columns(free_known, free_at))
        return self.complete(outputs, steps, season)

    def complete(
        self,
        outputs: dict[str, tuple[np.ndarray, np.ndarray]],
        steps: np.ndarray,
        season: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of all, given those of the simple ones."""
        curves = {name: one for name, one in self.simple.items() if isinstance(one, Curve)}
        typical = np.mean([outputs[name][1] for name in curves], axis=0)
        any_curve = next(iter(curves.values()))
        outputs = {**outputs, TREES: (outputs[LAST][0] + steps, typical)}
        for name in outputs.keys() - curves.keys():
            mean, std = outputs[name]
            if self.seasonal is not None and name != EFFECTS:
                mean = self.seasonal.add(mean, season)
            std = std if name == EFFECTS else typical
            outputs[name] = within(mean, any_curve.lowest, any_curve.highest), std
        means, stds = zip(*outputs.values(), strict=True)
        return np.array(means), np.array(stds)


class Longitudinal(NamedTuple):
    """Fitted members, and their weights in each regime, of which there is at least one.

    Regimes are "new": groups that were held out, at times when others are known; "later": later
    rows of groups, beyond the times of all; "between": rows of groups with earlier and later known
    rows.
    """

    members: Members  # fitted to all rows
    regimes: Mapping[str, list[Level]]
    latest: float  # the latest time at which groups are known

    @property
    def seasons(self) -> list[str]:
        """Names of the seasons."""
        curve = self.members.seasonal
        return [] if curve is None else [season.name for season in curve.design.calendar.seasons]

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return [*self.members.simple, TREES]

    def again(self, rows: Table, zero: float) -> Longitudinal:
        """Fit the members to fewer rows; weights stay. `zero` is the target 0 in units of fit."""
        return self._replace(members=_fit_again(self.members, rows, zero), latest=_latest(rows))

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
        calibration = np.empty((len(kind), len(UNCALIBRATED)))
        for name in np.unique(kind):
            rows = np.flatnonzero(kind == name)
            # A regime without cases is replaced by another.
            used = next(one for one in (name, *_INSTEAD[name]) if one in self.regimes)
            levels = self.regimes[used]
            weights, quantiles[rows], calibration[rows], _ = interpolate(levels, n_known[rows])
            mean[rows], std[rows] = mix_deviations(means[:, rows], stds[:, rows], weights)
        return CalibratedOutputs(mean, std, quantiles, calibration)


_INSTEAD = {
    "new": ("later", "between"),
    "later": ("new", "between"),
    "between": ("new", "later"),
}


def fit_longitudinal(
    rows: Table,
    settings: FitSettings,
    units: TargetUnits,
    calendar: Calendar = NO_SEASONS,
    effects: Mapping[str, Any] | None = None,
) -> Longitudinal | None:
    """Fit members and their weights; None if no row of a group can be held out."""
    zero = float(units(np.zeros(1))[0])
    logs, bends = has_log(rows.y, zero), calendar.n_cycles(rows.times) >= _MIN_CYCLES
    shapes = {
        name: shape
        for name, shape in SHAPES.items()
        if (logs or not shape.is_log) and (bends or shape.is_line)
    }
    curves = {name: fit_curve(shape, rows, zero, calendar) for name, shape in shapes.items()}
    free = Members(curves, Steps([], 0)).without_season(rows, rows)[1]
    simple: dict[str, Any] = {LAST: LastValue(float(free.y.mean())), **curves}
    if calendar.seasons:
        simple[SMOOTHING] = fit_smoothing(free, calendar.step, group_scales(free))
        simple[SAME_PHASE] = LastValue(float(free.y.mean()), calendar)
    simple[EFFECTS] = fit_effects(rows, settings, _N_FOLDS_EFFECTS, calendar, effects)
    sample, held_out = some_groups(rows, _MAX_ROWS), {}
    ahead = _steps_ahead(sample, calendar)
    cases = first_rows(sample, _MAX_CASES, ahead)
    trees, predicted = _hold_out_groups(simple, sample, cases)
    if predicted is not None:
        held_out["new"] = cases, predicted
    members = Members(simple, trees)
    if ahead is None:
        later, between = later_rows(sample), rows_between(sample)
        if later is not None and len(later.group) >= _MIN_CASES:
            earlier = _fit_again(members, later.known, zero)
            held_out["later"] = later, earlier.predict(later.known, later.query)
    else:
        between, kept = rows_between(sample), sample
        parts = []
        for _ in range(_N_CUTS):
            divided = last_rows(kept, ahead, _N_LATER)
            if divided is None:
                break
            kept, later, truncated = divided
            earlier = _fit_again(members, kept, zero)
            parts.append((later, earlier.predict(later.known, later.query)))
            if truncated is not None and len(np.unique(truncated.query.fold)) > 1:
                outputs, unseen, season = _predict_unseen(earlier.simple, kept, truncated)
                steps = earlier.trees.predict(step_columns(unseen.known, unseen.query))
                parts.append((truncated, earlier.complete(outputs, steps, season)))
        if parts:
            held_out["later"] = _join(parts)
    if between is not None and len(between.group) >= _MIN_CASES:
        held_out["between"] = between, members.predict(between.known, between.query)
    # What was held out at shorter horizons says less of a season ahead.
    tested = 1.0 if ahead is None else ahead / _longest(calendar)
    power = None if ahead is None else PANEL_POWER * tested
    regimes = {}
    for kind, (cases, predicted) in held_out.items():
        levels = find_levels(*predicted, cases, kind, power)
        if kind == "later" and SAME_PHASE in simple:
            # A season that was seen once may be chance: without a second cycle, tests decide.
            untested = (1 - tested) * np.clip(calendar.n_cycles(rows.times) - 1, 0, 1)
            levels = favour(levels, np.equal([*simple, TREES], SAME_PHASE), untested)
        if units.exposure is not None:
            levels = [level.with_exposure(units.exposure) for level in levels]
        regimes[kind] = [level._replace(held_out=None) for level in levels]
    if not regimes:
        return None
    return Longitudinal(members, regimes, _latest(rows))


def favour(levels: list[Level], is_favoured: np.ndarray, share: float) -> list[Level]:
    """Return levels in which some of the members (m,) have a share of the weight beforehand."""
    return [
        level._replace(weights=(1 - share) * level.weights + share * is_favoured)
        for level in levels
    ]


def _latest(rows: Table) -> float:
    """Return the latest time at which enough groups are known."""
    ends = np.full(int(rows.group.max()) + 1, -np.inf)
    np.maximum.at(ends, rows.group, rows.times)
    n_later = min(max(_MIN_GROUPS, round(_MIN_SHARE * len(ends))), len(ends))
    return float(np.sort(ends)[-n_later])


def _steps_ahead(rows: Table, calendar: Calendar) -> int | None:
    """Return how many steps ahead are held out: a season, or what groups have; None without."""
    if not calendar.seasons:
        return None
    typical = float(np.median(np.bincount(rows.group)[np.unique(rows.group)]))
    return max(min(_longest(calendar), int(_MAX_LATER * typical)), 1)


def _longest(calendar: Calendar) -> int:
    """Return the number of phases of the longest season."""
    return max(season.n_phases for season in calendar.seasons)


HeldOutPredictions = tuple[Cases, tuple[np.ndarray, np.ndarray]]


def _join(parts: list[HeldOutPredictions]) -> HeldOutPredictions:
    """Join cases of several cuts in time; what is known is not needed any more."""
    cases, predicted = zip(*parts, strict=True)
    first, *rest = cases
    query = first.query.join(*(case.query for case in rest))
    n_known, group = (np.concatenate([c[k] for c in cases]) for k in (2, 3))
    means, stds = (np.concatenate(each, axis=1) for each in zip(*predicted, strict=True))
    return Cases(first.known, query, n_known, group), (means, stds)


def _hold_out_groups(
    simple: Mapping[str, Any], rows: Table, cases: Cases
) -> tuple[Steps, tuple[np.ndarray, np.ndarray] | None]:
    """Predict groups of each fold without their rows, and fit the trees."""
    fold = cases.query.fold
    if len(np.unique(fold)) < 2 or len(fold) < _MIN_CASES:
        return Steps([], 0), None
    held_out, free, season = _predict_unseen(simple, rows, cases)
    left = free.query.y - held_out[LAST][0]
    columns = step_columns(free.known, free.query)
    trees, unseen = cross_fit_steps(columns, left, free, fold % _N_FOLDS)
    return trees, Members(simple, trees).complete(held_out, unseen, season)


def _predict_unseen(
    simple: Mapping[str, Any], rows: Table, cases: Cases
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], Cases, np.ndarray]:
    """Predict cases without their fold; return also cases without seasons, and the seasons (n,)."""
    fold = cases.query.fold
    held_out = {name: (np.empty(len(fold)), np.empty(len(fold))) for name in simple}
    everyone = Members(simple, Steps([], 0))
    free_known, free_query, season = everyone.without_season(cases.known, cases.query)
    free_cases = Cases(free_known, free_query, *cases[2:])
    free_rows = everyone.without_season(rows, rows)[1]
    for k in np.unique(fold):
        at, kept = np.flatnonzero(fold == k), np.flatnonzero(rows.fold != k)
        for name, member in simple.items():
            has_season = isinstance(member, _WITH_SEASON)
            fold_cases = (cases if has_season else free_cases).take(at)
            others = (rows if has_season else free_rows).take(kept)
            mean, std = member.without(others).predict(fold_cases.known, fold_cases.query)
            held_out[name][0][at], held_out[name][1][at] = mean, std
    return held_out, free_cases, season


def _fit_again(members: Members, rows: Table, zero: float) -> Members:
    """Return the members, fitted to fewer rows of the groups."""
    simple: dict[str, Any] = {}
    for name, one in members.simple.items():
        if isinstance(one, Curve):
            simple[name] = fit_curve(one.shape, rows, zero, one.design.calendar, one)
    free = Members({**members.simple, **simple}, Steps([], 0)).without_season(rows, rows)[1]
    simple = {LAST: LastValue(float(free.y.mean())), **simple}
    for name, one in members.simple.items():
        if isinstance(one, Effects):
            simple[name] = one.again(rows)
        elif name in (SMOOTHING, SAME_PHASE):
            simple[name] = one
    again, n_rounds = Members(simple, Steps([], 0)), members.trees.n_rounds
    if not n_rounds:
        return again
    cases = first_rows(rows, _MAX_CASES)
    known, query, _ = again.without_season(cases.known, cases.query)
    last = simple[LAST].predict(known, query)[0]
    steps = fit_steps(step_columns(known, query), query.y - last, cases, n_rounds)
    return again._replace(trees=steps)
