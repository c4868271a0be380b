"""How groups differ: a mixed-effects model, of one or several columns of groups.

What sets one such member apart from another is data: its columns, the kind of its targets, and
which coefficients differ between groups. Targets are numbers, classes (more than a few have a model
each), ordered classes, or counts with the logarithms of exposures as offsets. With exposures,
targets of the table are rates as given, standardised, and its weights are exposures over their
mean. Linear predictors are targets, log odds, or logarithms of means.

Of several columns of groups, one is nested in another if each of its groups occurs with one group
of that; a group is known beside that one only. Pairs of groups with several rows have effects, too,
except in models of counts.

Notation: n rows, F columns of groups, j linear predictors.

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Clayton and Kaldor (1987), Empirical Bayes estimates of age-standardized relative risks for use in
disease mapping; McCullagh (1980), Regression models for ordinal data.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from skmeta._mixed import (
    Classes,
    Conditioned,
    ConditionedGroups,
    EachClass,
    EachConditioned,
    Family,
    MixedModel,
    NegativeBinomial,
    Normal,
    Ordered,
    Poisson,
    fit_groups,
)
from skmeta._tabular import (
    PROBABILITIES,
    FitSettings,
    Member,
    Outputs,
    Population,
    Scale,
    Standardiser,
    Table,
    TargetUnits,
    count_quantiles,
    fill,
    find_nested,
    fit_population,
    log_odds,
    varying,
    with_all_classes,
)
from skmeta.grouped.members._interactions import FactorColumns

# Least standard deviation, in units of that of the targets.
MIN_STD = 1e-9
# More classes have a model each. On tables drawn from the joint model, that one had held-out losses
# of .99, 1.00 and 1.03 of these for 3, 5 and 8 classes, and a fit took 2.5 times as long for 8.
_MAX_TOGETHER = 5
# Coefficients of categories with more levels do not differ between groups, of one column of groups
# and of several: with 57 levels and 100 groups, a fit took three to ten times as long.
_MAX_LEVELS, _MAX_LEVELS_OF_SEVERAL = 25, 5
# Pairs have effects if there are at most this share of pairs per row.
_MAX_PAIRS, _MAX_GROUPS = 0.8, 2**31
# Probabilities are not below this before the log odds of ordered classes are taken.
_MIN_PROBABILITY = 1e-3
# Predicted means of counts are at most this many times the largest target of fit; this is the
# largest variance of their logarithms, and the least variance beyond the mean, over its square.
_LARGEST_RATE, _LARGEST_VARIANCE, _LEAST_SPREAD = 2.0, 4.0, 1e-6
# Weights among members with the same loss: of counts, of rates, and where rows are divided into
# parts, whose noise other members see.
_BELIEF_OF_COUNTS, _BELIEF_OF_RATES, _BELIEF_OF_PARTS = 0.5, 4.0, 15.0

Pair = tuple[int, int]


class Design(NamedTuple):
    """Columns of the model, among those of the table that are filled; 0 classes is a regression.

    Predictions of the population are columns, too, if it `has_shared`: targets, or log odds of
    classes, of ordered ones those to be above a threshold. What other folds predict of a fold falls
    as its targets rise, as the sum of all targets is fixed. A model in which targets fall as the
    predictions rise is fitted without them: in few groups it would know those that are held out.
    """

    columns: np.ndarray
    has_shared: bool = False
    n_classes: int = 0
    is_ordered: bool = False
    pooled: np.ndarray = np.empty(0, int)  # columns of X with the same coefficients in all groups
    numbers: Population | None = None  # a regression of the numbers of ordered classes

    def __call__(self, table: Table) -> np.ndarray:
        """Return the columns (n, d) of a table."""
        parts = [fill(table.X, self.columns)]
        if self.is_ordered:
            above = np.cumsum(table.shared[:, ::-1], axis=1)[:, -2::-1]
            above = np.clip(above, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
            parts.append(np.log(above / (1 - above)).mean(1, keepdims=True))
        elif self.has_shared:
            parts.append(as_columns(table.shared, self.n_classes))
        if self.numbers is not None:
            parts.append(self.numbers.predict(table.X, table.fold)[:, None])
        return np.hstack(parts)

    def is_reversed(self, model: MixedModel | EachClass) -> bool:
        """Return whether targets fall as the predictions of the population rise."""
        if not self.has_shared:
            return False
        if isinstance(model, EachClass):
            return sum(float(each.mean[0, -1]) for each in model.models) < 0
        # Each predictor rises with its own column.
        return float(model.mean[:, -len(model.mean) :].trace()) < 0

    def are_pooled(self, n: int) -> np.ndarray:
        """Return which of n coefficients, the first of which is the intercept, do not differ."""
        is_pooled = np.isin(self.columns, self.pooled)
        return np.concatenate([[False], is_pooled, np.zeros(n - 1 - len(is_pooled), bool)])

    def columns_of_classes(self, n_classes: int) -> np.ndarray:
        """Return the columns (c, k) of classes: those of the table, and log odds of the class."""
        d, classes = len(self.columns), np.arange(n_classes)
        own = np.tile(np.arange(1 + d), (n_classes, 1))
        return np.column_stack([own, 1 + d + classes]) if self.has_shared else own


class Counts(NamedTuple):
    """How the targets of a table are counts."""

    on: Scale
    standard: Standardiser  # of targets on the scale
    has_exposures: bool
    family: Family
    largest: float = 0.0  # logarithm of the largest mean

    def given(self, table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return counts, weights, and logarithms of exposures (n,)."""
        y = np.maximum(self.on.inverse(self.standard.restore(table.y)), 0.0)
        if self.has_exposures:
            return y * table.weight, np.ones(len(y)), np.log(table.weight)
        return np.round(y), table.weight, np.zeros(len(y))

    def with_largest(self, y: np.ndarray, log_exposure: np.ndarray) -> Counts:
        """Bound the means by those of fit: by the mean of all, where no count is above 0."""
        exposure = np.exp(log_exposure)
        largest = max(float((y / exposure).max()), 0.5 / float(exposure.sum()))
        return self._replace(largest=float(np.log(_LARGEST_RATE * largest)))

    def outputs(self, eta: np.ndarray, variance: np.ndarray, family: Family) -> Outputs:
        """Predict targets; rates have the deviations of counts with the mean exposure."""
        variance = np.minimum(variance, _LARGEST_VARIANCE)
        mean, spread = np.exp(np.minimum(eta + variance / 2, self.largest)), np.expm1(variance)
        if isinstance(family, NegativeBinomial):
            spread = spread + (1 + spread) / family.size
        # The variance of a count is mean + spread * mean^2.
        if self.on.name == "as given":
            std = np.sqrt(mean + spread * mean**2) / self.standard.scale
            return Outputs(self.standard(mean), std)
        log_size = -np.log(np.maximum(spread, _LEAST_SPREAD))
        values = self.on.forward(count_quantiles(mean, log_size, PROBABILITIES))
        return Outputs(self.standard(values.mean(1)), values.std(1) / self.standard.scale)


class Form(NamedTuple):
    """Which mixed-effects model a member is, whatever the rows that it is fitted to."""

    design: Design
    settings: Mapping[str, Any]  # of `fit_groups`
    counts: Counts | None = None
    interactions: FactorColumns | None = None  # whose groups have slopes on those of others

    def rows(self, table: Table) -> Table:
        """Return the rows as the model sees them."""
        return table if self.interactions is None else self.interactions(table)

    def family(self, y: np.ndarray, n_classes: int) -> Family:
        """Return the likelihood of targets, or of positions of so many classes."""
        if self.counts is not None:
            return self.counts.family
        if not self.design.n_classes:
            return Normal()
        return Ordered.of(y, n_classes) if self.design.is_ordered else Classes(n_classes)


@dataclass(frozen=True)
class MixedEffects(Member):
    """How groups differ: a mixed-effects model, and the rows that it knows.

    With one column of groups, each of them is conditioned on its own rows. With several, effects
    depend on all rows, which are kept.
    """

    form: Form
    units: Standardiser  # of the columns of the design
    present: np.ndarray  # classes that the model has seen; others are improbable
    pairs: tuple[Pair, ...]  # columns of groups whose pairs have effects
    model: MixedModel | EachClass
    known: Table | None = None
    least_std: float = MIN_STD  # of a prediction

    def __getstate__(self) -> dict[str, Any]:
        # What is given takes more room than the rows, and a moment.
        return {name: value for name, value in self.__dict__.items() if name != "given"}

    @property
    def keeps_rows(self) -> bool:
        """Whether it keeps all known rows."""
        return self.known is not None

    @property
    def belief(self) -> float:
        """Its weight among members with the same loss."""
        counts = self.form.counts
        if counts is None or not counts.has_exposures:
            return 0.2 if counts is None else _BELIEF_OF_COUNTS
        return _BELIEF_OF_PARTS if isinstance(counts.family, Poisson) else _BELIEF_OF_RATES

    @property
    def design(self) -> Design:
        """The columns of the model."""
        return self.form.design

    def without(self, kept: Table) -> MixedEffects:
        """Fit the model to the rows of other groups, starting from what it is."""
        return fit_mixed(kept, self.form, self)

    def condition(self, known: Table) -> MixedEffects:
        """Return the effects given other known rows. Covariances stay as they are."""
        return self if known is self.known else replace(self, known=known)

    @cached_property
    def given(self) -> Conditioned | ConditionedGroups | EachConditioned:
        """The effects of groups, given the known rows."""
        assert self.known is not None
        rows = self.form.rows(self.known)
        if self.design.n_classes:
            rows = rows.take(np.flatnonzero(np.isin(rows.y, self.present)))
        y, weight, offset = self._targets(rows)
        X, codes = self.units.with_intercept(self.design(rows)), self._with_pairs(rows.codes)
        return self.model.condition_groups(X, y, codes, weight, offset)

    def _targets(self, rows: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return targets, positions of classes or counts, weights, and offsets."""
        if self.form.counts is not None:
            return self.form.counts.given(rows)
        is_class = self.design.n_classes > 0
        y = np.searchsorted(self.present, rows.y) if is_class else rows.y
        return y, rows.weight, None

    def _with_pairs(self, codes: np.ndarray) -> np.ndarray:
        """Return codes with those of the pairs; -1 for a pair without known rows."""
        columns = [codes]
        for pair in self.pairs:
            assert self.known is not None
            known, keys = np.unique(_keys(self.known.codes, *pair)), _keys(codes, *pair)
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            columns.append(np.where(known[at] == keys, at, -1)[:, None])
        return np.hstack(columns)

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows; effects of groups without known rows have their prior."""
        rows, counts = self.form.rows(at), self.form.counts
        if counts is None:
            return self.outputs(self.design(rows), rows.codes)
        eta, variance = self.predictors(self.design(rows), rows.codes)
        assert isinstance(self.model, MixedModel)
        return counts.outputs(eta[:, 0], variance[:, 0], self.model.family)

    def outputs(self, Z: np.ndarray, codes: np.ndarray) -> Outputs:
        """Predict targets or classes of rows with columns (n, d) of groups (n, F)."""
        X, n_classes = self.units.with_intercept(Z), self.design.n_classes
        mean, std = self.given.predict(X, self._with_pairs(codes))
        if not n_classes:
            return Outputs(mean, np.maximum(std, self.least_std))
        is_whole = len(self.present) == n_classes
        return Outputs(mean if is_whole else with_all_classes(mean, self.present, n_classes), std)

    def predictors(self, Z: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances (n, j) of the linear predictors of one model."""
        assert not isinstance(self.given, EachConditioned)
        X = self.units.with_intercept(Z)
        eta, covariance = self.given.moments(X, self._with_pairs(codes))
        # Of several predictors, what all share changes no probability.
        centre = np.eye(eta.shape[1]) - (eta.shape[1] > 1) / eta.shape[1]
        variance = np.diagonal(centre @ covariance @ centre, axis1=1, axis2=2)
        return eta @ centre, variance


def fit_mixed(table: Table, form: Form, start: MixedEffects | None = None) -> MixedEffects:
    """Fit the model to the rows of groups, from scratch or from a fit to other rows."""
    rows, design = form.rows(table), form.design
    Z, y, present, offset = design(rows), rows.y, np.arange(0), None
    # With one column, weights count where groups are conditioned, not in the fit: with them there,
    # errors of two weighted tables were .6 % larger, and those of four tables of rates level.
    weight = rows.weight if rows.codes.shape[1] > 1 else None
    if form.counts is not None:
        y, weight, offset = form.counts.given(rows)
        if start is None:
            form = form._replace(counts=form.counts.with_largest(y, offset))
    elif design.n_classes:
        present, y = np.unique(y.astype(np.int64), return_inverse=True)
    is_near = start is not None and len(start.present) == len(present)
    units = start.units if start is not None and is_near else Standardiser.learn(Z)
    X = units.with_intercept(Z)
    del Z  # a large table
    before: Any = start.model if start is not None and is_near else None
    # With pairs, errors of counts by two columns were 1.00 to 1.45 of those without (esoph).
    has_pairs = design.n_classes <= 2 and form.counts is None
    pairs = () if start is None else start.pairs
    if start is None and has_pairs:
        pairs = _pairs(rows.codes)
    paired = [np.unique(_keys(rows.codes, *pair), return_inverse=True)[1] for pair in pairs]
    parts: dict[str, Any] = {"codes": np.column_stack([rows.codes, *paired])}
    parts |= {"w": weight, "offset": offset, "n_pairs": len(pairs), **form.settings}
    model: MixedModel | EachClass
    if len(present) > _MAX_TOGETHER and not design.is_ordered:
        columns = design.columns_of_classes(len(present))
        is_pooled = design.are_pooled(columns.shape[1])
        fit_one = partial(fit_groups, family=Classes(2), pooled=is_pooled, **parts)
        model = EachClass.fit(fit_one, X, y, columns, before)
    else:
        is_pooled, family = design.are_pooled(X.shape[1]), form.family(y, len(present))
        model = fit_groups(X, y, family=family, pooled=is_pooled, start=before, **parts)
    if design.is_reversed(model):
        return fit_mixed(table, form._replace(design=design._replace(has_shared=False)))
    least_std = MIN_STD if start is None else start.least_std
    known = table if rows.codes.shape[1] > 1 else None
    return MixedEffects(form, units, present, pairs, model, known, least_std)


def mixed_form(
    table: Table,
    has_shared: bool,
    n_classes: int,
    settings: Mapping[str, Any],
    indicators: Sequence[np.ndarray] = (),
) -> Form:
    """Return the form of a model of the columns that vary, and of what the population predicts.

    Coefficients of indicators of categories with many levels do not differ between groups: their
    differences would take longer than all else, and few rows tell of each.
    """
    most = _MAX_LEVELS if table.codes.shape[1] == 1 else _MAX_LEVELS_OF_SEVERAL
    many = [positions for positions in indicators if len(positions) > most]
    pooled = np.concatenate([np.empty(0, int), *many])
    return Form(Design(varying(table.X), has_shared, n_classes, pooled=pooled), settings)


def counts_form(table: Table, units: TargetUnits, is_poisson: bool) -> Form:
    """Return the form of a model of counts, with an intercept for each group."""
    family = Poisson() if is_poisson else NegativeBinomial()
    counts = Counts(units.on, units.standard, units.exposure is not None, family)
    settings = {"effects": "intercept", "shrinkage": 0.0, "is_restricted": False}
    return Form(Design(varying(table.X)), settings, counts)


def ordered_form(table: Table, settings: FitSettings, n_classes: int) -> Form:
    """Return the form of a cumulative model: groups differ in their intercepts.

    Thresholds are the same for all rows (proportional odds). The numbers of the classes, from 0 on
    in their order, have a regression, which is a column.
    """
    columns, numbers = varying(table.X), None
    if settings.is_auto and len(columns) and table.codes.shape[1] == 1:
        parts = settings, table.X, table.y, table.weight, table.fold
        numbers, _ = fit_population(*parts, 0)
    design = Design(columns, n_classes=n_classes, is_ordered=True, numbers=numbers)
    return Form(design, {"effects": "intercept"})


def as_columns(outputs: np.ndarray, n_classes: int) -> np.ndarray:
    """Return predictions as columns: targets, or log odds."""
    return log_odds(outputs) if n_classes else outputs[:, None]


def _pairs(codes: np.ndarray) -> tuple[Pair, ...]:
    """Return the crossed columns of groups whose pairs of groups have several rows."""
    n, is_nested = len(codes), find_nested(codes)
    return tuple(
        (f, g)
        for f, g in itertools.combinations(range(codes.shape[1]), 2)
        if not is_nested[f, g]
        and not is_nested[g, f]
        and len(np.unique(_keys(codes, f, g))) <= _MAX_PAIRS * n
    )


def _keys(codes: np.ndarray, f: int, g: int) -> np.ndarray:
    """Return numbers (n,) of the pairs of groups of two columns; -1 if one is not known."""
    is_known = (codes[:, f] >= 0) & (codes[:, g] >= 0)
    return np.where(is_known, codes[:, f] * _MAX_GROUPS + codes[:, g], -1)
