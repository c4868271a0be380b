"""How groups differ: a mixed-effects model of the columns, and of the population's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skmeta._mixed import (
    ConditionedGroups,
    EachClass,
    EachConditioned,
    MixedModel,
    fit_groups,
)
from skmeta._tabular import (
    Member,
    Outputs,
    Standardiser,
    Table,
    fill,
    log_odds,
    varying,
    with_all_classes,
)

# Least standard deviation, in units of that of the targets.
MIN_STD = 1e-9
# More classes have a model each. On tables drawn from the joint model, that one had held-out losses
# of .99, 1.00 and 1.03 of these for 3, 5 and 8 classes, and a fit took 2.5 times as long for 8.
MAX_TOGETHER = 5
# Coefficients of categories with more levels do not differ between groups, of one column of groups
# and of several: with 57 levels and 100 groups, a fit took three to ten times as long.
_MAX_LEVELS, _MAX_LEVELS_OF_SEVERAL = 25, 5


class Design(NamedTuple):
    """Columns of the model, among those of the table that are filled; 0 classes is a regression.

    Predictions of the population are columns, too, if it `has_shared`. What other folds predict of
    a fold falls as its targets rise, as the sum of all targets is fixed. A model in which targets
    fall as the predictions rise is fitted without them: in few groups it would know those that are
    held out.
    """

    columns: np.ndarray
    has_shared: bool
    n_classes: int
    pooled: np.ndarray = np.empty(0, int)  # columns of X with the same coefficients in all groups

    def __call__(self, table: Table) -> np.ndarray:
        """Return the columns (n, d) of a table."""
        Z = fill(table.X, self.columns)
        if not self.has_shared:
            return Z
        return np.hstack([Z, as_columns(table.shared, self.n_classes)])

    def is_reversed(self, model: Any) -> bool:
        """Return whether targets fall as the predictions of the population rise."""
        if not self.has_shared:
            return False
        if isinstance(model, EachClass):
            return sum(float(one.mean[0, -1]) for one in model.models) < 0
        # Each predictor rises with its own column.
        return float(model.mean[:, -len(model.mean) :].trace()) < 0

    def are_pooled(self, n: int) -> np.ndarray:
        """Return which of n coefficients, the first of which is the intercept, do not differ."""
        is_pooled = np.isin(self.columns, self.pooled)
        return np.concatenate([[False], is_pooled, np.zeros(n - 1 - len(is_pooled), bool)])

    def columns_of_classes(self, classes: np.ndarray) -> np.ndarray:
        """Return the columns (c, k) of classes: those of the table, and log odds of the class."""
        d = len(self.columns)
        own = np.tile(np.arange(1 + d), (len(classes), 1))
        return np.column_stack([own, 1 + d + classes]) if self.has_shared else own


def as_columns(outputs: np.ndarray, n_classes: int) -> np.ndarray:
    """Return predictions as columns: targets, or log odds."""
    return log_odds(outputs) if n_classes else outputs[:, None]


def pooled_columns(indicators: Sequence[np.ndarray], has_one_column: bool) -> np.ndarray:
    """Return the columns of X that are indicators of categories with many levels.

    Their differences between groups would take longer than all else, and few rows tell of each.
    """
    most = _MAX_LEVELS if has_one_column else _MAX_LEVELS_OF_SEVERAL
    many = [positions for positions in indicators if len(positions) > most]
    return np.concatenate([np.empty(0, int), *many])


def design_of(
    table: Table, has_shared: bool, n_classes: int, indicators: Sequence[np.ndarray] = ()
) -> Design:
    """Return the columns of the model of a table: those that vary, and at least one."""
    columns, pooled = varying(table.X), pooled_columns(indicators, has_one_column=True)
    return Design(columns if len(columns) else np.array([0]), has_shared, n_classes, pooled)


@dataclass(frozen=True)
class GroupEffects(Member):
    """How groups differ: a mixed model with the settings of :func:`skmeta._mixed.fit_groups`."""

    design: Design
    settings: dict[str, Any]
    units: Standardiser
    present: np.ndarray  # classes that the model has seen; others are improbable
    model: MixedModel | EachClass
    least_std: float = MIN_STD  # of a prediction

    def without(self, kept: Table) -> GroupEffects:
        """Fit the model to the rows of other groups, starting from what it is."""
        return fit_group_effects(kept, self.design, self.settings, self)

    def condition(self, known: Table) -> ConditionedEffects:
        """Condition the model on the known rows of groups."""
        z, y = self.units.with_intercept(self.design(known)), known.y
        weight, codes = known.weight, known.group
        if self.design.n_classes:
            seen = np.flatnonzero(np.isin(y, self.present))
            z, weight, codes = z[seen], weight[seen], codes[seen]
            y = np.searchsorted(self.present, y[seen])
        if isinstance(self.model, EachClass):
            return ConditionedEffects(self, self.model.condition(z, y, codes, weight))
        return ConditionedEffects(self, self.model.condition_groups(z, y, codes, weight))


class ConditionedEffects(NamedTuple):
    """Effects of groups, given known rows."""

    member: GroupEffects
    given: ConditionedGroups | EachConditioned

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows; those of groups without known rows from the prior."""
        mean, std = self.outputs(self.member.design(at), at.group)
        return Outputs(mean, std if mean.ndim > 1 else np.maximum(std, self.member.least_std))

    def outputs(self, Z: np.ndarray, codes: np.ndarray) -> Outputs:
        """Predict rows with columns (n, d) of groups (n,)."""
        member = self.member
        mean, std = self.given.predict(member.units.with_intercept(Z), codes)
        if len(member.present) < member.design.n_classes:
            mean = with_all_classes(mean, member.present, member.design.n_classes)
        return Outputs(mean, std)

    def predictors(self, Z: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances (n, j) of the linear predictors of one model."""
        assert isinstance(self.given, ConditionedGroups)
        eta, covariance = self.given.moments(self.member.units.with_intercept(Z), codes)
        # Of several predictors, what all share changes no probability.
        centre = np.eye(eta.shape[1]) - (eta.shape[1] > 1) / eta.shape[1]
        variance = np.diagonal(centre @ covariance @ centre, axis1=1, axis2=2)
        return eta @ centre, variance


def fit_group_effects(
    table: Table, design: Design, settings: dict[str, Any], start: GroupEffects | None = None
) -> GroupEffects:
    """Fit the model to the rows of groups, from scratch or from a fit to other rows."""
    Z, y = design(table), table.y
    codes = np.unique(table.group, return_inverse=True)[1]
    present = np.arange(0)
    if design.n_classes:
        present, y = np.unique(y.astype(np.int64), return_inverse=True)
    before: Any
    if start is not None and len(start.present) == len(present):
        units, before = start.units, start.model
    else:
        units, before = Standardiser.learn(Z), None
    z = units.with_intercept(Z)
    del Z  # a large table
    model: Any
    if len(present) > MAX_TOGETHER:
        columns = design.columns_of_classes(present)
        is_pooled = design.are_pooled(columns.shape[1])
        fit_one = partial(fit_groups, codes=codes, n_classes=2, pooled=is_pooled, **settings)
        model = EachClass.fit(fit_one, z, y, columns, before)
    else:
        is_pooled = design.are_pooled(z.shape[1])
        model = fit_groups(z, y, codes, len(present), pooled=is_pooled, start=before, **settings)
    if design.is_reversed(model):
        return fit_group_effects(table, design._replace(has_shared=False), settings)
    least_std = MIN_STD if start is None else start.least_std
    return GroupEffects(design, settings, units, present, model, least_std)


def residual_scales(outputs: Outputs, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return factors of deviations: of each group, and of each row from the others of its group.

    Log mean absolute residuals of groups are shrunk by the variances between and within groups.
    """
    size = np.abs(table.y - outputs.mean) / np.maximum(outputs.std, 1e-300)
    group = table.group
    n_groups = int(group.max()) + 1
    size /= max(float(np.average(size, weights=table.weight)), 1e-300)
    count, total = np.bincount(group), np.bincount(group, size)
    # One more row, of average size: the logarithm of a single residual may be anything.
    mean = (total + 1) / (count + 1)
    within = float(np.sum((size / mean[group] - 1) ** 2)) / max(len(size) - n_groups, 1)
    several = count > 1
    log_mean = np.log(mean)
    noise = within * count / (count + 1) ** 2
    between = 0.0
    if several.sum() > 1:
        centred = log_mean[several] - np.average(log_mean[several], weights=count[several])
        between = max(float(np.average(centred**2 - noise[several], weights=count[several])), 0.0)

    def shrunken(total: np.ndarray, count: np.ndarray) -> np.ndarray:
        log_mean = np.log((total + 1) / (count + 1))
        return np.asarray(np.exp(between / (between + within / (count + 1)) * log_mean))

    return shrunken(total, count), shrunken(total[group] - size, count[group] - 1)
