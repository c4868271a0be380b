"""Fit the model of a grouped table: population, members, and the weights of their mixture.

The scale of a target is chosen before, by a ridge regression with a shrunken intercept for each
group. On each scale it predicts groups that are held out, of which no row, five rows or all other
rows are known. The scale with the least quantile loss, on the target's own units, is taken.

Notation: n rows, d columns, z targets on a scale, standardised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from skmeta.exceptions import EpisodeError
from skmeta.grouped._model import FittedModel, Settings, in_time
from skmeta.grouped.longitudinal import (
    fit_class_lags,
    fit_longitudinal,
    learn_calendar,
)
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    MEMBERS,
    MIN_STD,
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
    residual_scales,
)
from skmeta.tabular import (
    DECILES,
    Member,
    Mixture,
    Order,
    Outputs,
    Population,
    Scale,
    Standardiser,
    Table,
    TargetUnits,
    canonical_order,
    deal_groups,
    deal_rows,
    fill,
    find_level,
    fit_mixture,
    fit_population,
    places_in_groups,
    quantile_loss,
    recognise_target,
    scales_of,
    silent,
    some,
    varying,
    weighted_quantiles,
)

# Each of these parts of a group is predicted from the others, for the columns of the trees.
_N_PARTS = 5
# Least standard deviation of a prediction, as a share of the root mean square of all. A group with
# equal targets would pass for one without noise.
_MIN_SHARE_OF_STD = 0.1
# Standard deviation of the logarithms of group means from which series count alike.
_MIN_SPREAD = 0.7
# Means of panels on the scale of logarithms are between the quantiles at this level and at 1 minus
# it: tails estimated from few series would dominate the mean (benchmarks/measure/panels.py,
# development halves).
_TAIL = 0.2
# Trees that know earlier classes of the group, of classifications in time.
LAGS = "lags"
# A cumulative model, of ordered classes.
CUMULATIVE = "cumulative"

# Rows that scales are compared on, at most, in whole groups.
_MAX_SCALE_ROWS = 2000
_N_SCALE_FOLDS, _N_KNOWN = 4, 5
# Penalty of the ridge, in rows.
_PENALTY = 1.0
# Another scale than as given needs a quantile loss that is lower by this share.
_MIN_GAIN = 0.01


def kept_settings(settings: Settings) -> Settings:
    """Return the settings of a fitted model, which reports no progress."""
    return settings._replace(population=settings.population._replace(report=silent))


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
        units = units_of_targets(X, y, weight, codes[:, 0], settings, knows_time, exposure)
        y = units(y)
    row_folds, place = folds[codes[:, 0]], np.arange(len(y))
    none = np.empty((len(y), 0))
    table = Table(X, np.zeros(len(y)), y, weight, codes, row_folds, place, times, none)
    kept = kept_settings(settings)
    fitted = kept, n_classes, column_units, units
    if knows_time and units is not None and np.ptp(X[:, -1]) > 0:
        columns = varying(X[:, :-1])
        timed = in_time(table, columns)
        time_units = float(column_units.centre[-1]), float(column_units.scale[-1])
        calendar = learn_calendar(
            times, y, codes[:, 0], *settings.season, *time_units, settings.zone
        )
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
    population, table = with_population(table._replace(fold=row_folds), settings, n_classes)

    names: tuple[str, ...] = MEMBERS if settings.combine == "auto" else (settings.combine,)
    names = (POPULATION,) if len(folds) == 1 else names
    mixture: Mixture | None = None
    scales: tuple[np.ndarray, np.ndarray] | None = None
    if names != (POPULATION,):
        members, other_rows = fit_members(names, table, settings, n_classes)
        if other_rows is not None and not n_classes:
            scales = residual_scales(other_rows, table)
        if names == MEMBERS and n_classes and np.ptp(times) > 0:
            members[LAGS] = fit_class_lags(table, settings.population, n_classes)
            names = (*MEMBERS, LAGS)
        if settings.combine == "auto" and settings.target_kind == "ordered" and n_classes > 2:
            members[CUMULATIVE] = fit_cumulative(table, settings.population, n_classes)
            names = (*names, CUMULATIVE)
        mixture = fit_mixture(members, names, table, n_classes)
    if mixture is None and settings.combine not in ("auto", POPULATION) and len(folds) > 1:
        raise EpisodeError(
            "No group can be held out: the others have a row each, or rows of one class. "
            f"Set combine='population', got {settings.combine!r}."
        )
    if mixture is None:
        members, _ = fit_members((POPULATION,), table, settings, n_classes)
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
    fitted = kept, n_classes, column_units, units
    model = FittedModel(*fitted, folds, table, mixture, population)
    return replace(model, other_mixtures=others), order


def with_population(
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
    effects, table = effects_on(other, units, table, start)
    mixture = fit_mixture({BOTH: effects}, (BOTH,), table, 0)
    assert mixture is not None
    mixture = mixture if scales is None else mixture.with_scales(*scales)
    return mixture if other.exposure is None else mixture.with_exposure(other.exposure)


def effects_on(
    other: TargetUnits, units: TargetUnits, table: Table, start: Any
) -> tuple[GroupEffects, Table]:
    """Fit effects of groups on another scale, near a fit; return the table on it, too."""
    table = units.convert(table, other)
    effects = fit_group_effects(table, start.design, start.settings, start)
    return _from_other_rows(effects, table)[0], table


def units_of_targets(
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


def fit_members(
    names: tuple[str, ...],
    table: Table,
    settings: Settings,
    n_classes: int,
    has_shared: bool = True,
    start: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Member], Outputs | None]:
    """Fit members and what they use, from `start` on; predict rows from others of their group."""
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
    effects, outputs = _from_other_rows(effects, table)
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


def choose_scale(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray, group: np.ndarray, scales: list[Scale]
) -> Scale:
    """Return the scale with the least quantile loss of rows held out; `scales` begin as given."""
    if len(scales) == 1:
        return scales[0]
    sizes = np.bincount(group)
    mean_size = len(y) / len(sizes)
    kept = some(np.arange(len(sizes)), max(int(_MAX_SCALE_ROWS / mean_size), 2))
    rows = np.flatnonzero(np.isin(group, kept))
    rows = rows[
        np.linspace(0, len(rows) - 1, min(len(rows), 2 * _MAX_SCALE_ROWS)).round().astype(int)
    ]
    y, weight = y[rows], weight[rows]
    group = np.unique(group[rows], return_inverse=True)[1]
    Z = fill(X[rows])
    Z = Z[:, varying(Z)]
    losses = [_scale_loss(Z, y, weight, group, scale) for scale in scales]
    best = int(np.argmin(losses))
    return scales[best] if losses[best] < (1 - _MIN_GAIN) * losses[0] else scales[0]


def _scale_loss(
    Z: np.ndarray, y: np.ndarray, weight: np.ndarray, group: np.ndarray, scale: Scale
) -> float:
    """Return the mean quantile loss over the numbers of known rows."""
    units = Standardiser.learn(scale.forward(y))
    z = units(scale.forward(y))
    losses = []
    for rows, mean in _simple_predictions(Z, z, weight, group):
        left = weighted_quantiles(z[rows] - mean, weight[rows], DECILES)
        quantiles = scale.inverse(units.restore(mean[:, None] + left))
        losses.append(np.average(quantile_loss(y[rows], quantiles, DECILES), weights=weight[rows]))
    return float(np.mean(losses))


def _simple_predictions(
    Z: np.ndarray, z: np.ndarray, weight: np.ndarray, group: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and predicted means, with no, five and all other rows of their group known."""
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        yield np.arange(len(z)), _cross_fit_ridge(Z, z, weight, deal_rows(group, _N_SCALE_FOLDS))
        return
    fold = deal_groups(group, z, min(_N_SCALE_FOLDS, n_groups))[group]
    base = _cross_fit_ridge(Z, z, weight, fold)
    left = z - base
    yield np.arange(len(z)), base
    count = np.bincount(group, weight)
    total = np.bincount(group, weight * left)
    # Variances between groups and within them, by moments.
    within = np.average((left - (total / count)[group]) ** 2, weights=weight)
    within *= len(z) / max(len(z) - n_groups, 1)
    between = max(float(np.average(left**2, weights=weight)) - within, 1e-6)
    ratio = within / between
    first = places_in_groups(group) < _N_KNOWN
    few = np.bincount(group[first], weight[first], n_groups)
    sums = np.bincount(group[first], (weight * left)[first], n_groups)
    rest = np.flatnonzero(~first)
    if len(rest):
        yield rest, base[rest] + (sums / (few + ratio))[group[rest]]
    others = np.flatnonzero(np.bincount(group)[group] > 1)
    if len(others):
        g, w = group[others], weight[others]
        effect = (total[g] - w * left[others]) / (count[g] - w + ratio)
        yield others, base[others] + effect


def _cross_fit_ridge(
    Z: np.ndarray, z: np.ndarray, weight: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Return predictions of a ridge regression that was fitted on the other folds."""
    mean = np.empty(len(z))
    columns = np.hstack([np.ones((len(Z), 1)), Z])
    penalty = np.diag(np.append(1e-9, np.full(Z.shape[1], _PENALTY)))
    for k in np.unique(fold):
        kept, at = fold != k, fold == k
        C = columns[kept] if kept.any() else columns
        t, w = (z[kept], weight[kept]) if kept.any() else (z, weight)
        mean[at] = columns[at] @ np.linalg.solve(C.T @ (w[:, None] * C) + penalty, C.T @ (w * t))
    return np.clip(mean, z.min(), z.max())
