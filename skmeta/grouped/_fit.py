"""Fit the model of a grouped table: population, members, and the weights of their mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from skmeta._tabular import (
    Division,
    Member,
    Mixture,
    Order,
    Outputs,
    Population,
    Refitted,
    Standardiser,
    Table,
    TargetUnits,
    WeightedRows,
    canonical_order,
    deal_groups,
    deal_rows,
    find_level,
    find_nested,
    fit_mixture,
    fit_population,
    folds_of,
    make_divisions,
    rank_classes,
    silent,
    varying,
)
from skmeta.exceptions import EpisodeError
from skmeta.grouped._members import Earlier, Kind, Plan, TimePlan, choose_members
from skmeta.grouped._model import FittedModel, Settings, grouped_by_series, with_features
from skmeta.grouped._series import GroupIndicators, Series
from skmeta.grouped._target_scale import units_of_targets
from skmeta.grouped.longitudinal import has_log, learn_calendar
from skmeta.grouped.members import (
    BOTH,
    MIN_STD,
    MIXED,
    POPULATION,
    Categories,
    PopulationMember,
    residual_scales,
)

# Each of these parts of a group is predicted from the others, for the columns of the trees.
_N_PARTS = 5
# Least standard deviation of a prediction, as a share of the root mean square of all. A group with
# equal targets would pass for one without noise.
_MIN_SHARE_OF_STD = 0.1


def kept_settings(settings: Settings) -> Settings:
    """Return the settings of a fitted model, which reports no progress."""
    return settings._replace(population=settings.population._replace(report=silent))


def is_mixed_model(learner: Any) -> bool:
    """Return whether a learner is a HierarchicalLinear. Without one, torch is not imported."""
    from skmeta.learners import HierarchicalLinear

    return type(learner) is HierarchicalLinear


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

    The last column of X (n, d) has the times, if there are any; NaN is a missing value. Codes (n,
    F) begin at 0, and `order.groups` maps the model's to those. With exposures (n,), targets are
    rates.
    """
    if n_classes and settings.target_type != "ordered":
        content = rank_classes(WeightedRows(X, y, weight), codes, n_classes)
    else:
        content = Standardiser.learn(y)(y)
    order = canonical_order(np.column_stack([Standardiser.learn(X)(X), content, times]), codes)
    X, y, weight, times, content = (part[order.rows] for part in (X, y, weight, times, content))
    exposure = None if exposure is None else exposure[order.rows]
    rows = _Rows(X, y, weight, order.codes, times, content, settings, n_classes, exposure)
    model = None
    for in_time in (True, False) if knows_time and np.ptp(times) > 0 else (False,):
        model = model or _fit_rows(rows, in_time)
    assert model is not None
    return model, order


class _Rows(NamedTuple):
    """Rows in canonical order, and how a model is fitted to them."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    codes: np.ndarray
    times: np.ndarray
    content: np.ndarray
    settings: Settings
    n_classes: int
    exposure: np.ndarray | None


def _fit_rows(rows: _Rows, in_time: bool) -> FittedModel | None:
    """Fit a model to rows; with members that know time, None if no row can be held out."""
    X, y, weight, codes, times, content, settings, n_classes, exposure = rows
    series = Series.learn(codes) if in_time and codes.shape[1] > 1 else None
    if series is not None:
        X, codes = series(X, codes)
    elif in_time and codes.shape[1] > 1:
        return None
    column_units = Standardiser.learn(X)
    X, factor = column_units(X), 0 if in_time else _factor_of_folds(codes, settings.n_folds)
    folds = deal_groups_of(codes[:, factor], content, settings.n_folds)
    units: TargetUnits | None = None
    if not n_classes:
        columns = X
        if not in_time:
            # The scale is one on which other columns of groups add up, too.
            columns = np.hstack([GroupIndicators.learn(codes, factor)(codes), X])
        units = units_of_targets(columns, y, weight, codes[:, factor], settings, in_time, exposure)
        y = units(y)
    row_folds = folds[codes[:, factor]]
    if len(folds) == 1 and not in_time:
        # The folds are those of rows, and each row to predict is a new one.
        row_folds = deal_rows(codes[:, 0], min(settings.n_folds, max(len(y) // 2, 1)))
        folds = np.array([-1])
    nothing, none, place = np.zeros(len(y)), np.empty((len(y), 0)), np.arange(len(y))
    table = Table(X, nothing, y, weight, codes, row_folds, place, times, none)
    half = column_units(np.full(X.shape[1:], 0.5))
    categories, has_one_column = Categories(settings.indicators, half), codes.shape[1] == 1
    time_columns, time = None, None
    if in_time:
        assert units is not None
        time_columns, has_one_column = varying(X[:, :-1]), True
        table = with_features(table, time_columns)
        time_units = float(column_units.centre[-1]), float(column_units.scale[-1])
        given = times, y, table.group, *settings.season, *time_units, settings.zone
        zero = float(units(np.zeros(1))[0])
        time = TimePlan(learn_calendar(*given), zero, has_log(y, zero))
    plan = Plan(settings, n_classes, has_one_column, len(folds) > 1, categories, units, time)
    known, table = table, grouped_by_series(table, series)
    fit = MembersFit(plan, choose_members(table, plan))
    fitted = fit(table)
    mixture = _weigh(fit, fitted)
    if mixture is None:
        return None
    if units is not None:
        mixture = mixture.calibrated(units, fitted.scales)
    if not in_time:
        known = fitted.table
    parts = kept_settings(settings), n_classes, column_units, units, folds, known, mixture
    return FittedModel(*parts, fitted.population, factor, time_columns, series)


def deal_groups_of(group: np.ndarray, content: np.ndarray, n_folds: int) -> np.ndarray:
    """Return the fold of each group, of at most `n_folds`."""
    return deal_groups(group, content, min(n_folds, int(group.max()) + 1))


def _factor_of_folds(codes: np.ndarray, n_folds: int) -> int:
    """Return the column of groups (n, F) with the fewest that suffice for folds, or the largest."""
    n_groups = codes.max(0) + 1
    is_enough = n_groups >= 2 * n_folds
    if not is_enough.any():
        return int(np.argmax(n_groups))
    return int(np.argmin(np.where(is_enough, n_groups, np.inf)))


class Fitted(NamedTuple):
    """Members of a table, what they use, and factors of deviations by group and by row."""

    table: Table  # with what the population predicts
    population: Population | None  # None if no member needs it
    members: dict[str, Member]
    scales: tuple[np.ndarray, np.ndarray] | None


class MembersFit(NamedTuple):
    """How the population and the members of a table are fitted, and fitted again without rows."""

    plan: Plan
    kinds: list[Kind]

    def __call__(self, table: Table, start: Fitted | None = None) -> Fitted:
        """Fit the population and the members to a table, from `start` on."""
        plan = self.plan
        outputs: Outputs | None = None
        population = None
        if plan.time is None:
            population, table = self._with_population(table, start)
        before: Mapping[str, Any] = {} if start is None else start.members
        members = dict[str, Member]()
        for kind in self.kinds:
            earlier = Earlier(members, outputs)
            member = kind.fit(table, plan, earlier, before.get(kind.name))
            if kind.name in (MIXED, BOTH):
                plan.settings.population.report()
                member, outputs = _from_other_rows(member, table)
            members[kind.name] = member
            table = member.with_shared(table, table)
        if outputs is None or not plan.has_one_column or plan.n_classes:
            return Fitted(table, population, members, None)
        return Fitted(table, population, members, residual_scales(outputs, table))

    def _with_population(self, table: Table, start: Fitted | None) -> tuple[Population, Table]:
        """Fit the population; return its predictions with the table."""
        settings, n_classes = self.plan.settings.population, self.plan.n_classes
        if not self.plan.has_shared(varying(table.X)):
            dummy = DummyClassifier() if n_classes else DummyRegressor()
            settings = settings._replace(estimator=dummy)
        parts = settings, table.X, table.y, table.weight, table.fold, n_classes
        n_rounds = start.population.n_rounds if start and start.population else 0
        fitted, shared = fit_population(*parts, n_rounds=n_rounds)
        return fitted, table._replace(shared=shared)

    def again(self, start: Fitted, division: Division, whole: Refitted | None) -> Refitted:
        """Fit the members again to what a division keeps; without a fold, what needs it."""
        kept, before = division.kept, start.members if whole is None else whole.members
        if kept is None:
            return Refitted(before, lambda rows: rows)
        if division.is_fold:
            members = {name: member.without(kept) for name, member in before.items()}
            return Refitted(members, lambda rows: rows)
        if self.plan.time is not None:
            return Refitted(self(kept, start).members, lambda rows: rows)
        n_folds = self.plan.settings.n_folds
        factor = _factor_of_folds(kept.codes, n_folds)
        folds = deal_groups_of(kept.codes[:, factor], kept.y, n_folds)
        fitted = self(kept._replace(fold=folds[kept.codes[:, factor]]), start)
        population, given = fitted.population, fitted.table
        assert population is not None
        # The steps of a division share rows: each is predicted once.
        shared = np.empty((len(start.table.y), *given.shared.shape[1:]))
        shared[given.place] = given.shared
        is_predicted = np.zeros(len(shared), bool)
        is_predicted[given.place] = True

        def with_shared(rows: Table) -> Table:
            fold = folds_of(folds, rows.codes[:, factor])
            new = np.flatnonzero(~is_predicted[rows.place])
            at = rows.place[new]
            shared[at], is_predicted[at] = population.predict(rows.X[new], fold[new]), True
            return rows._replace(fold=fold, shared=shared[rows.place])

        return Refitted(fitted.members, with_shared)


def _weigh(fit: MembersFit, fitted: Fitted) -> Mixture | None:
    """Weigh the members on what is held out; the population alone where nothing can be.

    It does not know time, so that None is returned where others do.
    """
    table, plan = fitted.table, fit.plan
    n_classes, model = plan.n_classes, plan.settings.model
    mixture: Mixture | None = None
    if list(fitted.members) != [POPULATION]:
        in_time = plan.time is not None
        ahead = None if plan.time is None else plan.time.ahead(table)
        parts = fitted.members, table, n_classes, make_divisions(table, in_time, ahead)
        rule = None if plan.time is None else plan.time.rule(table)
        mixture = fit_mixture(*parts, partial(fit.again, fitted), rule)
        if mixture is None and model == MIXED:
            raise EpisodeError(
                "No group can be held out: the others have a row each, or rows of one class. "
                f"Set model='population', got {model!r}."
            )
    if mixture is None and plan.time is None:
        member = PopulationMember.from_errors(table, n_classes)
        outputs = member.predict(table, {})
        stds = None if n_classes else outputs.std[None]
        level = find_level(outputs.mean[None], stds, table, 0.0, np.ones(1, bool), np.ones(1))
        n_groups = table.codes.max(0) + 1
        regimes = [[level]] * (len(n_groups) + 2)
        mixture = Mixture({POPULATION: member}, regimes, n_groups, find_nested(table.codes))
    return mixture


def _from_other_rows(effects: Any, table: Table) -> tuple[Any, Outputs]:
    """Predict rows from those of their group in other parts; set the least deviation by this."""
    parts = deal_rows(table.group, _N_PARTS)
    mean, std = np.empty(table.shared.shape), np.empty(len(table.y))
    for part in range(int(parts.max()) + 1):
        rows = np.flatnonzero(parts == part)
        conditioned = effects.condition(table.take(np.flatnonzero(parts != part)))
        mean[rows], std[rows] = conditioned.predict(table.take(rows), {})
    outputs = Outputs(mean, std)
    if not effects.design.n_classes:
        typical = float(np.sqrt(np.average(outputs.std**2, weights=table.weight)))
        effects = replace(effects, least_std=max(_MIN_SHARE_OF_STD * typical, MIN_STD))
        outputs = outputs._replace(std=np.maximum(outputs.std, effects.least_std))
    return effects, outputs
