"""The members of a grouped table, from the simplest on. To add one, add an entry to ``MEMBERS``.

An entry says what readers call a member, which tables it suits, and how it is fitted to a table: by
a plan for all members, beside what the mixed model predicts of rows from others of their group,
from scratch or from a fit to more rows. The mixture finds its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular import (
    Member,
    Outputs,
    Table,
    TargetUnits,
    TimeRule,
    share,
    steps_ahead,
    varying,
)
from skmeta.grouped._model import Settings
from skmeta.grouped.longitudinal import (
    Calendar,
    Shape,
    TargetRange,
    fit_curve,
    fit_effects,
    fit_lags,
    fit_last_value,
    fit_smoothing,
    group_scales,
)
from skmeta.grouped.members import (
    BOTH,
    COUNTS,
    KINDS_OF_MODELS,
    MIXED,
    MIXTURE,
    POPULATION,
    PROCESS,
    Categories,
    Form,
    MixedEffects,
    PopulationMember,
    columns_of_interactions,
    counts_form,
    fit_mixed,
    fit_row_model,
    fit_trees,
    mixed_form,
    names_of_models,
    ordered_form,
)

# Tables of more rows have no model of counts, unless there are exposures. At so many rows, a fit
# takes a fifth to a third longer with it.
_MAX_COUNTS = 2000


class TimePlan(NamedTuple):
    """How members that know time are fitted."""

    calendar: Calendar
    zero: float  # the target 0, in standardised units
    is_log: bool  # whether logarithms of targets are modelled, too, and seasons multiply these

    def base(self, table: Table) -> tuple[str, TargetRange]:
        """Return the curve whose deviations and seasons other members take, and the range of y."""
        name = next(n for n, shape in SHAPES.items() if shape == Shape(True, self.is_log))
        return name, TargetRange.of(table.y, self.zero, self.is_log)

    def ahead(self, table: Table) -> int | None:
        """Return how many steps ahead are held out; None without a season."""
        return steps_ahead(table, self.calendar.n_steps) if self.calendar.seasons else None

    def rule(self, table: Table) -> TimeRule:
        """Return how errors of later rows count: with a season, in units of their group."""
        ahead = self.ahead(table)
        if ahead is None:
            return TimeRule(np.ones(len(table.y)))
        return TimeRule(group_scales(table), _POWER_OF_SEASONS * ahead / self.calendar.n_steps)


class Plan(NamedTuple):
    """How the members of a table are fitted, and fitted again without some of its rows."""

    settings: Settings
    n_classes: int  # 0 for a regression
    has_one_column: bool
    has_folds: bool  # of groups
    categories: Categories
    units: TargetUnits | None  # of targets; None for classes
    time: TimePlan | None = None  # None for members that do not know time

    @property
    def is_auto(self) -> bool:
        """Whether the package chooses the estimators."""
        return self.settings.population.is_auto

    def has_shared(self, columns: np.ndarray) -> bool:
        """Return whether what groups share is learned from the columns that vary."""
        return self.settings.model != MIXED and (self.has_one_column or len(columns) > 0)

    def models_of_rows(self, table: Table) -> list[str]:
        """Return the names of the models of rows that suit a table."""
        return names_of_models(len(table.y), self.n_classes) if self.is_auto else []


class Earlier(NamedTuple):
    """Members that were fitted before, and what the mixed model says of rows from others."""

    members: Mapping[str, Member]
    outputs: Outputs | None


class Kind(NamedTuple):
    """A kind of member: its name, that for readers, how it is fitted, and which tables it suits."""

    name: str
    title: str
    fit: Callable[[Table, Plan, Earlier, Any], Member]
    suits: Callable[[Table, Plan], bool] = lambda *_: True
    in_time: bool = False  # whether it knows time


def _population(table: Table, plan: Plan, *_: Any) -> Member:
    return PopulationMember.from_errors(table, plan.n_classes)


def _mixed(
    table: Table,
    plan: Plan,
    _: Any,
    start: MixedEffects | None,
    *,
    form: Callable[[Table, Plan], Form],
) -> Member:
    return fit_mixed(table, form(table, plan) if start is None else start.form, start)


def _form_of_effects(table: Table, plan: Plan) -> Form:
    has_shared, settings = plan.has_shared(varying(table.X)), plan.settings
    parts = has_shared, plan.n_classes, settings.effects, settings.indicators
    return mixed_form(table, *parts)


def _form_of_counts(table: Table, plan: Plan) -> Form:
    assert plan.units is not None
    return counts_form(table, plan.units, plan.settings.n_parts > 1)


def _form_of_ordered(table: Table, plan: Plan) -> Form:
    return ordered_form(table, plan.settings.population, plan.n_classes)


def _interactions(table: Table, plan: Plan, _: Any, start: MixedEffects | None) -> Member:
    before = None if start is None else start.form.interactions
    interactions = columns_of_interactions(table.codes, before)
    assert interactions is not None
    form = mixed_form(interactions(table), False, 0, plan.settings.effects)
    return fit_mixed(table, form._replace(interactions=interactions))


def _trees(table: Table, plan: Plan, earlier: Earlier, start: Any, *, known_only: bool) -> Member:
    outputs = earlier.outputs
    assert outputs is not None
    # Where all targets are from 0 on, an estimator may need that.
    adds = not known_only and not plan.n_classes and float(table.y.min()) < 0
    n_rounds = 0
    if start is not None:
        adds, n_rounds = start.adds, start.population.n_rounds
    parts = table, BOTH, outputs, plan.settings.population, plan.n_classes
    return fit_trees(*parts, known_only=known_only, adds=adds, n_rounds=n_rounds)


def _has_trees(table: Table, plan: Plan) -> bool:
    # Trees add nothing to a process.
    return PROCESS not in plan.models_of_rows(table)


def _has_counts(table: Table, plan: Plan) -> bool:
    is_small = plan.is_auto and len(table.y) <= _MAX_COUNTS
    is_count = plan.units is not None and plan.units.target.kind == "count"
    return is_count and (plan.settings.counts_rates or is_small)


def _row_model(table: Table, plan: Plan, _: Any, start: Any, *, name: str) -> Member:
    return fit_row_model(name, table, plan.n_classes, plan.categories, start)


def _has_row_model(table: Table, plan: Plan, *, name: str) -> bool:
    return name in plan.models_of_rows(table)


# ------------------------------------------------------------------------------- members in time

SHAPES = {
    "slopes": Shape(is_line=True),
    "slopes around a curve": Shape(is_line=False),
    "slopes of logarithms": Shape(is_line=True, is_log=True),
    "slopes around a curve of logarithms": Shape(is_line=False, is_log=True),
}
# From this many cycles of the longest season on, a curve of all groups is separated from it.
_MIN_CYCLES = 3.0
# Weights of later rows fall with this power of the loss, if a season ahead was held out; with a
# lower one, if less was (benchmarks/measure/table_ablations.py).
_POWER_OF_SEASONS = 8.0


def _time(plan: Plan) -> TimePlan:
    assert plan.time is not None
    return plan.time


def _curve(table: Table, plan: Plan, _: Any, start: Any, *, shape: Shape) -> Member:
    calendar, zero, is_log = _time(plan)
    has_season = bool(calendar.seasons) and shape == Shape(True, is_log)
    return fit_curve(shape, table, zero, calendar, has_season, start)


def _has_curve(table: Table, plan: Plan, *, shape: Shape) -> bool:
    calendar, _, is_log = _time(plan)
    bends = calendar.n_cycles(table.times) >= _MIN_CYCLES
    return (bends or shape.is_line) and (is_log or not shape.is_log)


def _last_value(table: Table, plan: Plan, *_: Any) -> Member:
    return fit_last_value(table, *_time(plan).base(table))


def _last_of_phase(table: Table, plan: Plan, *_: Any) -> Member:
    return fit_last_value(table, *_time(plan).base(table), _time(plan).calendar)


def _smoothing(table: Table, plan: Plan, _: Any, start: Any) -> Member:
    # Its constants of all groups know little of one, or of one cut in time.
    return start or fit_smoothing(table, *_time(plan).base(table), _time(plan).calendar.step)


def _effects_in_time(table: Table, plan: Plan, _: Any, start: Any) -> Member:
    given = _time(plan).calendar, _time(plan).base(table)[1], plan.settings.effects, start
    return fit_effects(table, plan.settings.population, *given)


def _lags(table: Table, plan: Plan, earlier: Earlier, start: Any) -> Member:
    last, ahead = None, None
    if not plan.n_classes:
        last, ahead = fit_last_value(table, *_time(plan).base(table)), _time(plan).ahead(table)
    parts = last, ahead, start, partial(share, earlier.members)
    return fit_lags(table, plan.settings.population, plan.n_classes, *parts)


def _has_season(_: Table, plan: Plan) -> bool:
    return bool(_time(plan).calendar.seasons)


MEMBERS: tuple[Kind, ...] = (
    Kind(POPULATION, "population", _population),
    Kind(MIXED, "mixed model", partial(_mixed, form=_form_of_effects), lambda *_: False),
    Kind(BOTH, "mixed model on population", partial(_mixed, form=_form_of_effects)),
    Kind(
        "trees",
        "trees on mixed model",
        partial(_trees, known_only=False),
        # Without columns, nothing is left to trees over groups of several columns.
        lambda table, plan: _has_trees(table, plan) and plan.has_shared(varying(table.X)),
    ),
    Kind("rows", "trees that know the group", partial(_trees, known_only=True), _has_trees),
    Kind(COUNTS, "model of counts", partial(_mixed, form=_form_of_counts), _has_counts),
    Kind(
        "interactions",
        "groups within groups of other columns",
        _interactions,
        lambda table, plan: not plan.n_classes and bool(columns_of_interactions(table.codes)),
    ),
    *(
        Kind(name, kind.title, partial(_row_model, name=name), partial(_has_row_model, name=name))
        for name, kind in KINDS_OF_MODELS.items()
    ),
    Kind(
        "lags",
        "trees that know earlier classes",
        _lags,
        lambda table, plan: plan.has_one_column and plan.n_classes > 0 and np.ptp(table.times) > 0,
    ),
    Kind(
        "cumulative",
        "cumulative model",
        partial(_mixed, form=_form_of_ordered),
        lambda _, plan: plan.settings.target_type == "ordered" and plan.n_classes > 2,
    ),
    *(
        Kind(name, name, partial(_curve, shape=shape), partial(_has_curve, shape=shape), True)
        for name, shape in SHAPES.items()
    ),
    Kind("last value", "last value", _last_value, in_time=True),
    Kind("exponential smoothing", "exponential smoothing", _smoothing, _has_season, True),
    Kind("last value of the phase", "last value of the phase", _last_of_phase, _has_season, True),
    Kind("group effects", "group effects", _effects_in_time, in_time=True),
    Kind("trees on the last value", "trees on the last value", _lags, in_time=True),
)
TITLES = {kind.name: kind.title for kind in MEMBERS}


def choose_members(table: Table, plan: Plan) -> list[Kind]:
    """Return the kinds of members that suit a table."""
    in_time = plan.time is not None
    one = plan.settings.model if plan.has_folds or in_time else POPULATION
    if one != MIXTURE:
        return [kind for kind in MEMBERS if kind.name == one]
    return [kind for kind in MEMBERS if kind.in_time == in_time and kind.suits(table, plan)]
