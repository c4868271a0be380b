"""Fit the model of a grouped table: population, members, and the weights of their mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from skmeta.exceptions import EpisodeError
from skmeta.grouped._model import FittedModel, Settings, in_time
from skmeta.grouped._scale import choose_scale
from skmeta.grouped.longitudinal import fit_class_lags, fit_longitudinal, learn_calendar
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    MEMBERS,
    POPULATION,
    ROWS,
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
    CrossedMixture,
    Member,
    Mixture,
    Order,
    Outputs,
    Standardiser,
    Table,
    TargetUnits,
    canonical_order,
    deal_groups,
    deal_rows,
    fill,
    find_level,
    fit_crossed_mixture,
    fit_mixture,
    fit_population,
    recognise_target,
    scales_of,
    varying,
)

# Each of these parts of a group is predicted from the others, for the columns of the trees.
_N_PARTS = 5
# Standard deviation of the logarithms of group means from which series count alike.
_LEAST_SPREAD = 0.7
# Means of panels on the scale of logarithms are between the quantiles at this level and at 1 minus
# it: the exponentials of the tails, which few series tell, would move them
# (benchmarks/panels.py, development halves).
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
) -> tuple[FittedModel, Order]:
    """Fit the population, the members and the weights of their mixture.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Columns; NaN is a missing value. The last one has the times, if there are any.
    y : ndarray of shape (n,)
        Targets or class codes.
    weight : ndarray of shape (n,)
        Weights, all positive.
    codes : ndarray of shape (n, n_factors), int64
        Groups in each column of groups, from 0 on.
    times : ndarray of shape (n,)
        Order of the rows in time; 0 without one.
    settings : Settings
        How it is fitted.
    n_classes : int
        Number of classes; 0 for a regression.
    knows_time : bool
        Whether members that know time are fitted, if times differ and a row can be held out.

    Returns
    -------
    model : FittedModel
        The fitted model.
    order : Order
        The canonical order of rows and groups. ``order.groups`` maps the numbers of groups in the
        model to those given.
    """
    column_units = Standardiser.learn(X)
    X, content = column_units(X), y if n_classes else Standardiser.learn(y)(y)
    order = canonical_order(np.column_stack([X, content, times]), codes)
    X, y, weight, times, content = (part[order.rows] for part in (X, y, weight, times, content))
    codes = order.codes
    fold_factor, folds = _deal(codes, content, settings.n_folds)
    units: TargetUnits | None = None
    if not n_classes:
        units = _units(X, y, weight, codes[:, fold_factor], settings, knows_time)
        y = units(y)
    row_folds, place = folds[codes[:, fold_factor]], np.arange(len(y))
    none = np.empty((len(y), 0))
    table = Table(X, np.zeros(len(y)), y, weight, codes, row_folds, place, times, none)
    fitted = settings, n_classes, column_units, units
    if knows_time and units is not None and np.ptp(X[:, -1]) > 0:
        columns = varying(fill(X[:, :-1]))
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
    several = codes.shape[1] > 1
    population_settings, has_shared = settings.population, settings.combine != LEARNER
    if not has_shared or (several and not len(varying(fill(X)))):
        has_shared = has_shared and not several
        dummy = DummyClassifier() if n_classes else DummyRegressor()
        population_settings = population_settings._replace(estimator=dummy)
    population, shared = fit_population(population_settings, X, y, weight, row_folds, n_classes)
    table = table._replace(shared=shared, fold=row_folds)

    names: tuple[str, ...] = MEMBERS if settings.combine == "auto" else (settings.combine,)
    names = (POPULATION,) if len(folds) == 1 else names
    mixture: Mixture | CrossedMixture | None = None
    scales: tuple[np.ndarray, np.ndarray] | None = None
    if several and names != (POPULATION,):
        members, _ = _fit_members(names, table, settings, n_classes, has_shared)

        def shared_without(kept: Table, at: Table) -> np.ndarray:
            fold = np.unique(kept.fold % 2, return_inverse=True)[1]
            parts = population_settings, kept.X, kept.y, kept.weight, fold
            return fit_population(*parts, n_classes)[0].predict(at.X, np.full(len(at.y), -1))

        parts = table, n_classes, fold_factor, shared_without
        mixture = fit_crossed_mixture(members, names, *parts)
    elif names != (POPULATION,):
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
    if units is not None and isinstance(mixture, CrossedMixture):
        units = units._replace(others=())
        mixture = mixture.calibrated(units)
    elif units is not None and isinstance(mixture, Mixture):
        if isinstance(mixture.members.get(BOTH), GroupEffects) and names == MEMBERS:
            others = [_fit_on(other, units, table, scales) for other in units.others]
        else:
            units = units._replace(others=())
        mixture = mixture.calibrated(units, scales, others)
    fitted = settings, n_classes, column_units, units
    model = FittedModel(*fitted, folds, table, mixture, population, fold_factor)
    return replace(model, other_mixtures=others), order


def _fit_on(
    other: TargetUnits,
    units: TargetUnits,
    table: Table,
    scales: tuple[np.ndarray, np.ndarray] | None,
) -> Mixture:
    """Fit how groups differ on another scale, beside the population's predictions."""
    table = units.convert(table, other)
    effects = fit_group_effects(table, design_of(table, True, 0), {})
    effects, _ = from_other_rows(effects, table, _N_PARTS)
    mixture = fit_mixture({BOTH: effects}, (BOTH,), table, 0)
    assert mixture is not None
    return mixture if scales is None else mixture.with_scales(*scales)


def _units(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    group: np.ndarray,
    settings: Settings,
    knows_time: bool,
) -> TargetUnits:
    """Return the units of targets: their kind, and the scale that predicts best."""
    target = recognise_target(y, settings.target_kind)
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
    if not settings.population.is_auto and target.kind != "real":
        # They stay from 0 on, for a Poisson loss.
        standard = units.standard
        units = units._replace(standard=standard._replace(centre=np.zeros_like(standard.centre)))
    return units._replace(others=tuple(others), tail=tail)


def _sizes_differ(y: np.ndarray, group: np.ndarray) -> bool:
    """Return whether means of groups differ by a factor, not by a share."""
    means = np.bincount(group, y) / np.maximum(np.bincount(group), 1)
    means = means[means > 0]
    return len(means) > 1 and float(np.log(means).std()) > _LEAST_SPREAD


def _fit_members(
    names: tuple[str, ...],
    table: Table,
    settings: Settings,
    n_classes: int,
    has_shared: bool = True,
) -> tuple[dict[str, Member], Outputs | None]:
    """Fit the members that predict, and before them those that they use.

    Beside them, return predictions of each row from the other rows of its group.
    """
    members: dict[str, Member] = {}
    if POPULATION in names:
        members[POPULATION] = PopulationMember.from_errors(table, n_classes)
    if names == (POPULATION,):
        return members, None
    base = LEARNER if LEARNER in names else BOTH
    effects: GroupEffects | CrossedEffects
    several = table.codes.shape[1] > 1
    if several:
        effects = fit_crossed_member(table, has_shared, n_classes, settings.effects)
    else:
        design = design_of(table, base == BOTH, n_classes)
        effects = fit_group_effects(table, design, settings.effects)
    settings.population.report()
    effects, outputs = from_other_rows(effects, table, _N_PARTS)
    members[base] = effects
    # Without columns, nothing is left to the trees over groups.
    used = (TREES, ROWS) if len(varying(fill(table.X))) or not several else (ROWS,)
    for name in (name for name in used if name in names):
        parts = table, base, outputs, settings.population, n_classes
        # Where all targets are from 0 on, an estimator may need that.
        adds = name == TREES and not n_classes and float(table.y.min()) < 0
        members[name] = fit_trees(*parts, known_only=name == ROWS, adds=adds)
    return members, outputs


def _deal(codes: np.ndarray, y: np.ndarray, n_folds: int) -> tuple[int, np.ndarray]:
    """Return the first factor with enough groups, and the fold of each of its groups."""
    n_groups = codes.max(0) + 1
    enough = np.flatnonzero(n_groups >= 2 * n_folds)
    factor = int(enough[0]) if len(enough) else int(np.argmax(n_groups))
    return factor, deal_groups(codes[:, factor], y, min(n_folds, int(n_groups[factor])))
