"""Fit the model of a grouped table: population, members, and the weights of their mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from skmeta.exceptions import EpisodeError
from skmeta.grouped._cases import MAX_WEIGHED
from skmeta.grouped._model import FittedModel, JointMembers, Settings, in_time
from skmeta.grouped._parts import Indicators, Rows
from skmeta.grouped._scale import choose_scale
from skmeta.grouped._several import SeveralColumns, fit_several
from skmeta.grouped.longitudinal import (
    Longitudinal,
    fit_class_lags,
    fit_longitudinal,
    learn_calendar,
)
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    MEMBERS,
    POPULATION,
    ROWS,
    SIMPLER,
    TREES,
    CrossedEffects,
    GroupEffects,
    PopulationMember,
    design_of,
    fit_crossed_member,
    fit_cumulative,
    fit_group_effects,
    fit_trees,
    from_other_rows,
    residual_scales,
)
from skmeta.tabular import (
    Member,
    Mixture,
    Order,
    Outputs,
    Population,
    Standardiser,
    Table,
    TargetUnits,
    canonical_order,
    deal_groups,
    deal_rows,
    find_level,
    fit_mixture,
    fit_population,
    recognise_target,
    scales_of,
    varying,
)

# Members that know several columns of groups.
_JOINT = (BOTH, TREES, ROWS, *SIMPLER)
# Each of these parts of a group is predicted from the others, for the columns of the trees.
_N_PARTS = 5
# Standard deviation of the logarithms of group means from which series count alike.
_MIN_SPREAD = 0.7
# Means of panels on the scale of logarithms are between the quantiles at this level and at 1 minus
# it: the exponentials of the tails, which few series tell, would move them
# (benchmarks/measure/panels.py, development halves).
_TAIL = 0.2
# Trees that know earlier classes of the group, of classifications in time.
_LAGS = "lags"
# A cumulative model, of ordered classes.
_CUMULATIVE = "cumulative"


def fit_model(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    codes: np.ndarray,
    times: np.ndarray,
    settings: Settings,
    n_classes: int,
    knows_time: bool,
    exposure: np.ndarray | None = None,
) -> tuple[FittedModel, Order]:
    """Fit the population, the members and the weights of their mixture.

    `order.groups` maps the numbers of groups in the model to those given. The last column of X (n,
    d) has the times, if there are any; NaN is a missing value. Weights (n,) are positive, codes (n,
    n_factors) begin at 0, and times (n,) are 0 without an order. `n_classes` is 0 for a regression.
    With exposures (n,), targets are rates, whose weights are proportional to these.
    With `knows_time`, members that know time are fitted, if times differ and a row can be held out.
    """
    column_units = Standardiser.learn(X)
    X, content = column_units(X), y if n_classes else Standardiser.learn(y)(y)
    order = canonical_order(np.column_stack([X, content, times]), codes)
    X, y, weight, times, content = (part[order.rows] for part in (X, y, weight, times, content))
    codes = order.codes
    n_groups = int(codes.max()) + 1
    folds = deal_groups(codes[:, 0], content, min(settings.n_folds, n_groups))
    units: TargetUnits | None = None
    if not n_classes:
        exposure = None if exposure is None else exposure[order.rows]
        units = _units(X, y, weight, codes[:, 0], settings, knows_time, exposure)
        y = units(y)
    row_folds, place = folds[codes[:, 0]], np.arange(len(y))
    none = np.empty((len(y), 0))
    table = Table(X, np.zeros(len(y)), y, weight, codes, row_folds, place, times, none)
    fitted = settings, n_classes, column_units, units
    if knows_time and units is not None and np.ptp(X[:, -1]) > 0:
        columns = varying(X[:, :-1])
        timed = in_time(table, columns)
        time_units = float(column_units.centre[-1]), float(column_units.scale[-1])
        calendar = learn_calendar(times, y, codes[:, 0], *settings.season, *time_units)
        longitudinal = fit_longitudinal(
            timed, settings.population, units, calendar, settings.effects
        )
        settings.population.report()
        if longitudinal is not None:
            model = FittedModel(*fitted, folds, timed, longitudinal, time_columns=columns)
            return model, order
    if len(folds) == 1:
        # The folds are those of rows, and each row to predict is a new one.
        row_folds = deal_rows(codes[:, 0], min(settings.n_folds, max(len(y) // 2, 1)))
        folds = np.array([-1])
    population, table = _with_population(table._replace(fold=row_folds), settings, n_classes)

    names: tuple[str, ...] = MEMBERS if settings.combine == "auto" else (settings.combine,)
    names = (POPULATION,) if len(folds) == 1 else names
    mixture: Mixture | None = None
    scales: tuple[np.ndarray, np.ndarray] | None = None
    if names != (POPULATION,):
        members, other_rows = _fit_members(names, table, settings, n_classes)
        if other_rows is not None and not n_classes:
            scales = residual_scales(other_rows, table)
        if names == MEMBERS and n_classes and np.ptp(times) > 0:
            members[_LAGS] = fit_class_lags(table, settings.population, n_classes)
            names = (*MEMBERS, _LAGS)
        if settings.combine == "auto" and settings.target_kind == "ordered" and n_classes > 2:
            members[_CUMULATIVE] = fit_cumulative(table, settings.population, n_classes)
            names = (*names, _CUMULATIVE)
        mixture = fit_mixture(members, names, table, n_classes)
    if mixture is None and settings.combine not in ("auto", POPULATION) and len(folds) > 1:
        raise EpisodeError(
            "No group can be held out: the others have a row each, or rows of one class. "
            f"Set combine='population', got {settings.combine!r}."
        )
    if mixture is None:
        members, _ = _fit_members((POPULATION,), table, settings, n_classes)
        outputs = members[POPULATION].condition(table).predict(table, {})
        stds = None if n_classes else outputs.std[None]
        level = find_level(outputs.mean[None], stds, table, 0.0, np.ones(1, bool))
        mixture = Mixture(members, [level], [level], len(folds))
    others: list[Mixture] = []
    if units is not None:
        effects = mixture.members.get(BOTH)
        if isinstance(effects, GroupEffects) and names == MEMBERS:
            others = [_fit_on(other, units, table, scales, effects) for other in units.others]
        else:
            units = units._replace(others=())
        mixture = mixture.calibrated(units, scales, others)
    fitted = settings, n_classes, column_units, units
    model = FittedModel(*fitted, folds, table, mixture, population)
    return replace(model, other_mixtures=others), order


def fit_several_columns(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    codes: np.ndarray,
    times: np.ndarray,
    settings: Settings,
    n_classes: int,
    knows_time: bool,
) -> tuple[SeveralColumns, Order]:
    """Fit a model of several columns of groups, and those of each alone; see :func:`fit_model`."""
    units, content = Standardiser.learn(X), y if n_classes else Standardiser.learn(y)(y)
    order = canonical_order(np.column_stack([units(X), content, times]), codes)
    rows = Rows(X, y, weight, codes, times).take(order.rows)._replace(codes=order.codes)

    def fit(
        part: Rows, factor: int | None, start: FittedModel | None
    ) -> tuple[FittedModel, Sequence[np.ndarray]]:
        numbers = [np.arange(n) for n in part.codes.max(0) + 1]
        if factor is None:
            return _fit_joint(part, settings, n_classes, start), numbers
        if start is not None:
            return _fit_again(start, part), numbers
        model, found = fit_model(*part, settings, n_classes, knows_time)
        return model, found.groups

    is_auto = settings.combine == "auto"
    # What no group tells is in the models of each column alone.
    names = _JOINT if is_auto else (settings.combine,)
    has_exposure = settings.exposure_unit is not None
    return fit_several(fit, rows, names, n_classes, is_auto, has_exposure), order


def _fit_joint(
    rows: Rows, settings: Settings, n_classes: int, start: FittedModel | None
) -> FittedModel:
    """Fit the members that know all columns of groups; rows are in canonical order."""
    codes, y = rows.codes, rows.y
    factor, folds = _deal(codes, y if n_classes else Standardiser.learn(y)(y), settings.n_folds)
    if start is None:
        column_units, units = Standardiser.learn(rows.X), None
        if not n_classes:
            # The scale is one on which the other columns of groups add up, too.
            beside = column_units(rows.X)
            if len(y) <= MAX_WEIGHED:
                beside = Indicators.learn(codes, factor)(beside, codes)
            parts = beside, y, rows.weight, codes[:, factor], settings, False
            units = _units(*parts)._replace(others=())
    else:
        column_units, units = start.column_units, start.target_units
    table = _table_of(rows, column_units, units, folds[codes[:, factor]])
    has_shared = settings.combine != LEARNER and len(varying(table.X)) > 0
    learned = None if start is None else start.population
    population, table = _with_population(table, settings, n_classes, not has_shared, learned)
    names: tuple[str, ...] = _JOINT if settings.combine == "auto" else (settings.combine,)
    if len(y) > MAX_WEIGHED and start is None:
        names = tuple(name for name in names if name not in SIMPLER)
    before = {} if start is None else start.joint_members
    members, _ = _fit_members(names, table, settings, n_classes, has_shared, before)
    fitted = settings, n_classes, column_units, units, folds, table, JointMembers(members)
    return FittedModel(*fitted, population, factor)


def _fit_again(model: FittedModel, rows: Rows) -> FittedModel:
    """Fit a model of one column of groups to other rows; its units and weights stay."""
    settings, n_classes, units = model.settings, model.n_classes, model.target_units
    n_groups = int(rows.codes.max()) + 1
    folds = deal_groups(rows.codes[:, 0], rows.y, min(settings.n_folds, n_groups))
    table = _table_of(rows, model.column_units, units, folds[rows.codes[:, 0]])
    if isinstance(model.mixture, Longitudinal):
        assert units is not None
        assert model.time_columns is not None
        table = in_time(table, model.time_columns)
        longitudinal = model.mixture.again(table, float(units(np.zeros(1))[0]))
        return replace(model, folds=folds, known=table, mixture=longitudinal)
    assert isinstance(model.mixture, Mixture)
    population, table = _with_population(table, settings, n_classes, start=model.population)
    before = model.mixture.members
    names = (POPULATION,) if [*before] == [POPULATION] else MEMBERS
    members, other_rows = _fit_members(names, table, settings, n_classes, True, before)
    if _LAGS in before:
        members[_LAGS] = fit_class_lags(table, settings.population, n_classes)
    if _CUMULATIVE in before:
        members[_CUMULATIVE] = fit_cumulative(table, settings.population, n_classes)
    mixture = replace(model.mixture, members=members, n_groups=n_groups)
    others: list[Mixture] = []
    if other_rows is not None and units is not None:
        scales, _ = residual_scales(other_rows, table)
        mixture = replace(mixture, group_scales=scales)
        for other, found in zip(units.others, model.other_mixtures, strict=True):
            effects, _ = _effects_on(other, units, table, found.members[BOTH])
            on_scale = replace(found, members={BOTH: effects}, n_groups=n_groups)
            others.append(replace(on_scale, group_scales=scales))
    again = replace(model, folds=folds, known=table, population=population)
    return replace(again, mixture=mixture, other_mixtures=others)


def _table_of(
    rows: Rows, column_units: Standardiser, units: TargetUnits | None, fold: np.ndarray
) -> Table:
    """Return rows in units of the model."""
    n = len(rows.y)
    y, nothing, none = rows.y if units is None else units(rows.y), np.zeros(n), np.empty((n, 0))
    X, place = column_units(rows.X), np.arange(n)
    return Table(X, nothing, y, rows.weight, rows.codes, fold, place, rows.times, none)


def _with_population(
    table: Table,
    settings: Settings,
    n_classes: int,
    without_columns: bool = False,
    start: Population | None = None,
) -> tuple[Population, Table]:
    """Fit the population; return its predictions with the table."""
    population = settings.population
    if without_columns or settings.combine == LEARNER:
        dummy = DummyClassifier() if n_classes else DummyRegressor()
        population = population._replace(estimator=dummy)
    parts = population, table.X, table.y, table.weight, table.fold, n_classes
    n_rounds = 0 if start is None else start.n_rounds
    fitted, shared = fit_population(*parts, n_rounds=n_rounds)
    return fitted, table._replace(shared=shared)


def _fit_on(
    other: TargetUnits,
    units: TargetUnits,
    table: Table,
    scales: tuple[np.ndarray, np.ndarray] | None,
    start: GroupEffects,
) -> Mixture:
    """Fit how groups differ on another scale, beside the population's predictions."""
    effects, table = _effects_on(other, units, table, start)
    mixture = fit_mixture({BOTH: effects}, (BOTH,), table, 0)
    assert mixture is not None
    mixture = mixture if scales is None else mixture.with_scales(*scales)
    return mixture if other.exposure is None else mixture.with_exposure(other.exposure)


def _effects_on(
    other: TargetUnits, units: TargetUnits, table: Table, start: Any
) -> tuple[GroupEffects, Table]:
    """Fit effects of groups on another scale, near a fit; return the table on it, too."""
    table = units.convert(table, other)
    effects = fit_group_effects(table, start.design, start.settings, start)
    return from_other_rows(effects, table, _N_PARTS)[0], table


def _units(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    group: np.ndarray,
    settings: Settings,
    knows_time: bool,
    exposure: np.ndarray | None = None,
) -> TargetUnits:
    """Return the units of targets: their kind, and the scale that predicts best."""
    target = recognise_target(
        y, settings.target_kind if settings.exposure_unit is None else "positive"
    )
    scales = scales_of(target, y)
    tail = 0.0
    if knows_time and settings.season[1] and len(scales) > 1 and _sizes_differ(y, group):
        # Series of a panel with dates count alike.
        scales, tail = scales[-1:], _TAIL
    elif knows_time or not settings.population.is_auto:
        # Curves have logarithms of their own, and an estimator of the user's choice sees targets
        # as given.
        scales = scales[:1]
    chosen = choose_scale(X, y, weight, group, scales)
    units, *others = (
        TargetUnits.learn(y, weight, target, scale)
        for scale in (chosen, *(scale for scale in scales if scale is not chosen))
    )
    if not settings.population.is_auto and not knows_time and target.kind != "real":
        # They stay from 0 on, for a Poisson loss.
        standard = units.standard
        units = units._replace(standard=standard._replace(centre=np.zeros_like(standard.centre)))
    if exposure is not None:
        unit = settings.exposure_unit
        assert unit is not None
        target = target._replace(kind=settings.target_kind)
        units, *others = (
            one._replace(target=target, exposure=exposure / unit, unit=unit)
            for one in (units, *others)
        )
    return units._replace(others=tuple(others), tail=tail)


def _sizes_differ(y: np.ndarray, group: np.ndarray) -> bool:
    """Return whether means of groups differ by a factor, not by a share."""
    means = np.bincount(group, y) / np.maximum(np.bincount(group), 1)
    means = means[means > 0]
    return len(means) > 1 and float(np.log(means).std()) > _MIN_SPREAD


def _fit_members(
    names: tuple[str, ...],
    table: Table,
    settings: Settings,
    n_classes: int,
    has_shared: bool = True,
    start: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Member], Outputs | None]:
    """Fit the members that predict, and those they use; predict rows from others of their group.

    ``start`` holds members that were fitted to other rows.
    """
    members: dict[str, Member] = {}
    if POPULATION in names:
        members[POPULATION] = PopulationMember.from_errors(table, n_classes)
    if names == (POPULATION,):
        return members, None
    base = BOTH if BOTH in names or LEARNER not in names else LEARNER
    effects: GroupEffects | CrossedEffects
    several = table.codes.shape[1] > 1
    if several:
        columns, crossed = varying(table.X), (n_classes, settings.effects)
        effects = fit_crossed_member(table, columns, has_shared, *crossed, start.get(base))
    else:
        before = start.get(base)
        design = design_of(table, base == BOTH, n_classes) if before is None else before.design
        effects = fit_group_effects(table, design, settings.effects, before)
    settings.population.report()
    effects, outputs = from_other_rows(effects, table, _N_PARTS)
    members[base] = effects
    # Without columns, nothing is left to the trees over groups.
    used = (TREES, ROWS) if len(varying(table.X)) or not several else (ROWS,)
    for name in (name for name in used if name in names):
        parts = table, base, outputs, settings.population, n_classes
        # Where all targets are from 0 on, an estimator may need that.
        adds = name == TREES and not n_classes and float(table.y.min()) < 0
        n_rounds = 0
        if name in start:
            adds, n_rounds = start[name].adds, start[name].population.n_rounds
        given: dict[str, Any] = {"known_only": name == ROWS, "adds": adds, "n_rounds": n_rounds}
        members[name] = fit_trees(*parts, **given)
    for name in SIMPLER if several and base == BOTH and len(columns) else ():
        if name in names:
            used_columns = columns if name == LEARNER else columns[:0]
            simpler = fit_crossed_member(table, used_columns, False, *crossed, start.get(name))
            members[name] = simpler
    return members, outputs


def _deal(codes: np.ndarray, y: np.ndarray, n_folds: int) -> tuple[int, np.ndarray]:
    """Return the first factor with enough groups, and the fold of each of its groups."""
    n_groups = codes.max(0) + 1
    enough = np.flatnonzero(n_groups >= 2 * n_folds)
    factor = int(enough[0]) if len(enough) else int(np.argmax(n_groups))
    return factor, deal_groups(codes[:, factor], y, min(n_folds, int(n_groups[factor])))
