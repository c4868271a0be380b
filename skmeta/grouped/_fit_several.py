"""Fit the model of several columns of groups, in time that of series too, and their weights.

Rows are held out, and groups of each column. All models are fitted again without them, and weighed
by which groups of a row are new, and by how many rows of these are known.

Notation: n rows, F columns of groups, m members.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from skmeta.grouped._cases import MAX_WEIGHED, MIN_ROWS, divide, some_rows
from skmeta.grouped._fit import (
    CUMULATIVE,
    fit_members,
    fit_model,
    kept_settings,
    units_of_targets,
    with_population,
)
from skmeta.grouped._model import FittedModel, JointMembers, Settings, in_time
from skmeta.grouped._parts import Indicators, Part, Rows, Series
from skmeta.grouped._several import NORMAL, SeveralColumns, mix_parts, predict_parts
from skmeta.grouped.longitudinal import Longitudinal
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    ROWS,
    SIMPLER,
    TREES,
    fit_cumulative,
)
from skmeta.tabular import (
    PROBABILITIES,
    HeldOut,
    Level,
    Order,
    Standardiser,
    Table,
    TargetUnits,
    canonical_order,
    deal_groups,
    find_level,
    varying,
    weighted_quantiles,
    widening,
    width_of_few,
)

# Members that know several columns of groups.
_JOINT = (BOTH, TREES, ROWS, *SIMPLER)
# The medians and deviations that members predict count like this number of groups held out.
_N_PRIOR = 20.0
# Of a regime: rows held out and what members predict (m, n, k), by the number of known rows.
_Regime = dict[float, list[tuple[Rows, np.ndarray]]]


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
    """Fit a model of several columns of groups, and with an order of the series.

    See :func:`fit_model`. Where each series has one row, or one column names the series, the groups
    of the column with the most take their place.
    """
    column_units, content = Standardiser.learn(X), y if n_classes else Standardiser.learn(y)(y)
    order = canonical_order(np.column_stack([column_units(X), content, times]), codes)
    rows = Rows(X, y, weight, codes, times).take(order.rows)._replace(codes=order.codes)
    has_alone = settings.combine == "auto"
    n_factors, is_timed = rows.codes.shape[1], bool(np.ptp(rows.times) > 0)
    series = Series.learn(rows.codes) if is_timed and has_alone else None
    if series is not None:
        rows = rows._replace(codes=series(rows.codes))
    n_groups = rows.codes.max(0) + 1
    alone = [int(n_groups.argmax())] if is_timed and has_alone else []

    def fit(part: Rows, factor: int | None, start: Part | None = None) -> Part:
        return _fit_part(part, n_factors, factor, start, settings, n_classes, knows_time)

    parts = tuple(fit(rows, factor) for factor in (None, *alone))
    chosen = (*_JOINT, CUMULATIVE) if has_alone else (settings.combine,)
    names = tuple(name for name in parts[0].model.joint_members if name in chosen)
    used = np.ones(len(names) + len(parts) - 1, bool)
    predicted: list[_Regime] = [{} for _ in range(rows.codes.shape[1] + 2)]
    weighed = some_rows(rows)
    for kept, cases in divide(weighed, n_factors):
        known = weighed.take(kept)
        if not cases or not _can_learn(known, n_classes):
            continue
        fitted = [fit(known, part.factor, part) for part in parts]
        for case in cases:
            query, given = weighed.take(case.query), fitted
            if len(case.few):
                given = [part.add(weighed.take(case.few)) for part in fitted]
            outputs = predict_parts(given, names, query, used)
            predicted[case.regime].setdefault(case.level, []).append((query, outputs))
    mixes_time = is_timed and bool(alone) and not n_classes
    has_exposure = settings.exposure_unit is not None
    regimes = _find_regimes(predicted, parts, names, rows, n_classes, mixes_time, has_exposure)
    model = SeveralColumns(parts, names, n_groups, _filled(regimes, len(used)), series)
    return model, order


def _find_regimes(
    predicted: list[_Regime],
    parts: tuple[Part, ...],
    names: tuple[str, ...],
    rows: Rows,
    n_classes: int,
    mixes_time: bool,
    has_exposure: bool,
) -> list[list[Level]]:
    """Return the levels of each regime; with `mixes_time`, only models of time predict later."""
    n_factors, n_groups = len(parts[0].numbers), rows.codes.max(0) + 1
    members, n_alone = parts[0].model.joint_members, len(parts) - 1
    known_only = np.array([*(members[name].known_only for name in names), *[False] * n_alone])
    units: Any = None if n_classes else Standardiser.learn(rows.y)
    if mixes_time:
        # Series may differ much in size, and count alike on the scale of their model.
        units = parts[-1].model.target_units
    regimes = []
    for regime, by_level in enumerate(predicted):
        is_known = regime == len(predicted) - 1
        usable = np.ones(len(known_only), bool)
        if is_known and mixes_time:
            # Time is but a column to the model of all columns.
            usable[: len(names)] = False
        elif not is_known and len(usable) > 1:
            usable = ~known_only
        is_several = is_known or regime == n_factors
        factor = (
            int(n_groups[:n_factors].argmax()) if is_several else min(regime, len(n_groups) - 1)
        )
        n_values = float(n_groups[:n_factors].min() if is_several else n_groups[factor])
        n_new = None if is_known else n_values
        levels = [
            _find_level(cases, level, usable, factor, units, n_new, has_exposure)
            for level, cases in sorted(by_level.items())
            if sum(len(query.y) for query, _ in cases) >= min(MIN_ROWS, len(rows.y) // 4)
        ]
        regimes.append(levels)
    return regimes


def _fit_part(
    rows: Rows,
    n_factors: int,
    factor: int | None,
    start: Part | None,
    settings: Settings,
    n_classes: int,
    knows_time: bool,
) -> Part:
    """Fit a model of all `n_factors` columns of groups, or of one factor, to some of the rows."""
    several = rows.codes[:, :n_factors]
    indicators = Indicators.learn(several, factor) if start is None else start.indicators
    columns = several if factor is None else rows.codes[:, [factor]]
    own, numbers = np.empty_like(columns), []
    for f, column in enumerate(columns.T):
        present, own[:, f] = np.unique(column, return_inverse=True)
        numbers.append(np.full(int(column.max()) + 1, -1))
        numbers[f][present] = np.arange(len(present))
    X, before = indicators(rows.X, rows.codes), None if start is None else start.model
    part = rows._replace(X=X, codes=own)
    if factor is None:
        model = _fit_joint(part, settings, n_classes, before)
    elif before is not None and isinstance(before.mixture, Longitudinal):
        model = _fit_again(before, part, settings)
    else:
        model, order = fit_model(*part, settings, n_classes, knows_time)
        numbers[0][present] = np.argsort(order.groups[0])[numbers[0][present]]
    return Part(model, factor, indicators, numbers)


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
            units = units_of_targets(*parts)._replace(others=())
    else:
        column_units, units = start.column_units, start.target_units
    table = _table_of(rows, column_units, units, folds[codes[:, factor]])
    has_shared = settings.combine != LEARNER and len(varying(table.X)) > 0
    learned = None if start is None else start.population
    population, table = with_population(table, settings, n_classes, not has_shared, learned)
    names: tuple[str, ...] = _JOINT if settings.combine == "auto" else (settings.combine,)
    if len(y) > MAX_WEIGHED and start is None:
        names = tuple(name for name in names if name not in SIMPLER)
    before = {} if start is None else start.joint_members
    members, _ = fit_members(names, table, settings, n_classes, has_shared, before)
    if settings.combine == "auto" and settings.target_kind == "ordered" and n_classes > 2:
        members[CUMULATIVE] = (
            before[CUMULATIVE].without(table)
            if CUMULATIVE in before
            else fit_cumulative(table, settings.population, n_classes)
        )
    fitted = (
        kept_settings(settings),
        n_classes,
        column_units,
        units,
        folds,
        table,
        JointMembers(members),
    )
    return FittedModel(*fitted, population, factor)


def _fit_again(model: FittedModel, rows: Rows, settings: Settings) -> FittedModel:
    """Fit a model of series in time to other rows; its units and weights stay."""
    units, codes = model.target_units, rows.codes[:, 0]
    assert isinstance(model.mixture, Longitudinal)
    assert units is not None
    assert model.time_columns is not None
    folds = deal_groups(codes, rows.y, min(settings.n_folds, int(codes.max()) + 1))
    table = _table_of(rows, model.column_units, units, folds[codes])
    table = in_time(table, model.time_columns)
    longitudinal = model.mixture.again(table, float(units(np.zeros(1))[0]))
    return replace(model, folds=folds, known=table, mixture=longitudinal)


def _table_of(
    rows: Rows, column_units: Standardiser, units: TargetUnits | None, fold: np.ndarray
) -> Table:
    """Return rows in units of the model."""
    n = len(rows.y)
    y, nothing, none = rows.y if units is None else units(rows.y), np.zeros(n), np.empty((n, 0))
    X, place = column_units(rows.X), np.arange(n)
    return Table(X, nothing, y, rows.weight, rows.codes, fold, place, rows.times, none)


def _deal(codes: np.ndarray, y: np.ndarray, n_folds: int) -> tuple[int, np.ndarray]:
    """Return the first factor with enough groups, and the fold of each of its groups."""
    n_groups = codes.max(0) + 1
    enough = np.flatnonzero(n_groups >= 2 * n_folds)
    factor = int(enough[0]) if len(enough) else int(np.argmax(n_groups))
    return factor, deal_groups(codes[:, factor], y, min(n_folds, int(n_groups[factor])))


def _filled(regimes: list[list[Level]], m: int) -> list[list[Level]]:
    """Return levels of each regime; one in which nothing was held out has those of another one."""
    equal = Level(0.0, np.full(m, 1 / m), np.full(m + 1, np.nan), NORMAL)
    spare = next((levels for levels in regimes if levels), [equal])
    several = next((levels for levels in regimes[-2::-1] if levels), spare)
    return [levels or several for levels in regimes[:-1]] + [regimes[-1] or [spare[-1]]]


def _can_learn(rows: Rows, n_classes: int) -> bool:
    """Return whether each column has groups that differ, and rows have several classes."""
    several = all(len(np.unique(column)) > 1 for column in rows.codes.T)
    pairs = any(np.bincount(column).max() > 1 for column in rows.codes.T)
    return several and pairs and (not n_classes or len(np.unique(rows.y)) > 1)


def _find_level(
    cases: list[tuple[Rows, np.ndarray]],
    n_known: float,
    used: np.ndarray,
    factor: int,
    units: Standardiser | TargetUnits | None,
    n_values: float | None,
    has_exposure: bool,
) -> Level:
    """Find weights of members and quantiles in a regime; `n_values` is None if groups are known."""
    queries, each = zip(*cases, strict=True)
    y, weight = (np.concatenate([getattr(q, name) for q in queries]) for name in ("y", "weight"))
    codes = np.concatenate([q.codes for q in queries])
    outputs, none = np.concatenate(each, axis=1), np.empty((len(y), 0))
    place = np.arange(len(y))
    # Rows of a group that is held out have many groups in the other columns: each row counts.
    at = Table(none, y, y, weight, place[:, None], place, place, y, none)
    if units is None:
        return find_level(outputs, None, at, n_known, used)
    at = at._replace(y=units(y))
    means, ones = np.stack([units(one[:, 0]) for one in outputs]), np.ones(outputs.shape[:2])
    level = find_level(means, ones, at, n_known, used)._replace(held_out=None)
    # Each division's rows have the weights that the others found.
    division = np.repeat(np.arange(len(queries)), [len(q.y) for q in queries])
    ratio = np.zeros(len(y))
    for k in range(len(queries)):
        own, rest = np.flatnonzero(division == k), np.flatnonzero(division != k)
        weights = level.weights
        if len(rest):
            weights = find_level(means[:, rest], ones[:, rest], at.take(rest), 0.0, used).weights
        _, median, below, above = mix_parts(outputs[:, own], weights)
        left = y[own] - median
        side = np.where(left < 0, below, above)
        ratio[own] = np.divide(left, side, out=np.zeros(len(own)), where=side > 0)
    group, nothing = codes[:, factor], np.zeros(len(y))
    quantiles = weighted_quantiles(ratio, weight, PROBABILITIES) * widening(ratio, group)
    if has_exposure:
        held_out = HeldOut(nothing, nothing + 1, ratio, weight, group, place)
        level = level._replace(quantiles=quantiles, held_out=held_out).with_exposure(weight)
        quantiles, level = level.quantiles, level._replace(held_out=None)
    # What a new group adds is drawn from as few values as there are groups.
    prior = NORMAL * width_of_few(n_values) if n_values and not n_known else NORMAL
    n_units = len(np.unique(codes[:, factor])) * (1 + min(n_known, 1e3))
    share = n_units / (n_units + _N_PRIOR)
    return level._replace(quantiles=share * quantiles + (1 - share) * prior)
