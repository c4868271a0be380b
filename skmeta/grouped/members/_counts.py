"""How groups differ in counts: a mixed-effects model of the logarithms of their means.

Exposures are offsets, so a count of 3 in a year and one of 30 in ten years say the same of the
rate, and the second says more: the variance of a count is known from its mean. With exposures,
targets of the table are rates as given, standardised, and its weights are exposures, over their
mean. Without, targets are on the scale of all members, and so is what is predicted.

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Clayton and Kaldor (1987), Empirical Bayes estimates of age-standardized relative risks for use in
disease mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmeta._mixed import (
    Conditioned,
    Family,
    MixedModel,
    NegativeBinomial,
    Poisson,
    fit,
)
from skmeta._tabular import (
    PROBABILITIES,
    Member,
    Outputs,
    Scale,
    Standardiser,
    Table,
    TargetUnits,
    count_quantiles,
    varying,
)
from skmeta.grouped.members._group_effects import Design

# Predicted means are at most this many times the largest target of fit; this is the largest
# variance of their logarithms, and the least variance of a count, beyond its mean, over its square.
_LARGEST_RATE, _LARGEST_VARIANCE, _LEAST_SPREAD = 2.0, 4.0, 1e-6
# Weights among members with the same loss: of counts, of rates, and where rows are divided into
# parts.
_BELIEF, _BELIEF_OF_RATES, _BELIEF_OF_PARTS = 0.5, 4.0, 15.0
# Decrease of minus the log likelihood that ends the fit.
_TOLERANCE = 1e-4


class Counts(NamedTuple):
    """How the targets of a table are counts."""

    on: Scale
    standard: Standardiser  # of targets on the scale
    has_exposures: bool

    def __call__(self, table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return counts, weights, and logarithms of exposures (n,)."""
        y = np.maximum(self.on.inverse(self.standard.restore(table.y)), 0.0)
        if self.has_exposures:
            return y * table.weight, np.ones(len(y)), np.log(table.weight)
        return np.round(y), table.weight, np.zeros(len(y))

    def on_scale(self, mean: np.ndarray, spread: np.ndarray) -> Outputs:
        """Return predictions, given means m (n,), and s (n,) of variances m + s m^2."""
        if self.on.name == "as given":
            std = np.sqrt(mean + spread * mean**2) / self.standard.scale
            return Outputs(self.standard(mean), std)
        log_size = -np.log(np.maximum(spread, _LEAST_SPREAD))
        values = self.on.forward(count_quantiles(mean, log_size, PROBABILITIES))
        return Outputs(self.standard(values.mean(1)), values.std(1) / self.standard.scale)


@dataclass(frozen=True)
class CountEffects(Member):
    """Effects of groups, of one or several columns, on the logarithms of means."""

    design: Design
    targets: Counts
    units: Standardiser  # of the columns of the design
    model: MixedModel
    largest: float  # logarithm of the largest mean

    @property
    def belief(self) -> float:
        """Its weight among others with the same loss; other members see the noise of parts."""
        if not self.targets.has_exposures:
            return _BELIEF
        return _BELIEF_OF_PARTS if isinstance(self.model.family, Poisson) else _BELIEF_OF_RATES

    def without(self, kept: Table) -> CountEffects:
        """Fit the model to the rows of other groups, starting from what it is."""
        return _fit(kept, self.design, self.targets, self.model.family, self)

    def condition(self, known: Table) -> ConditionedCounts:
        """Condition the model on the known rows of groups."""
        y, weight, offset = self.targets(known)
        rows = self.units.with_intercept(self.design(known)), y, known.codes
        given = self.model.condition(*rows, weight, self.model.mean_covariance, offset)
        return ConditionedCounts(self, given)


class ConditionedCounts(NamedTuple):
    """Effects of groups, given known rows."""

    member: CountEffects
    given: Conditioned

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict targets; rates have the deviations of counts with the mean exposure."""
        member = self.member
        eta, std = self.outputs(member.design(at), at.codes)
        variance = np.minimum(std**2, _LARGEST_VARIANCE)
        mean = np.exp(np.minimum(eta + variance / 2, member.largest))
        family, spread = member.model.family, np.expm1(variance)
        if isinstance(family, NegativeBinomial):
            spread = spread + (1 + spread) / family.size
        return member.targets.on_scale(mean, spread)

    def outputs(self, Z: np.ndarray, codes: np.ndarray) -> Outputs:
        """Return means and deviations (n,) of the logarithms of means, given columns and groups."""
        X = self.member.units.with_intercept(Z)
        eta, variance = self.given.moments(X, codes.reshape(len(Z), -1))
        return Outputs(eta[:, 0], np.sqrt(variance[:, 0, 0]))

    def predictors(self, Z: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances (n, 1) of the logarithms of means."""
        eta, std = self.outputs(Z, codes)
        return eta[:, None], std[:, None] ** 2


def fit_counts(
    table: Table, units: TargetUnits, is_poisson: bool, start: CountEffects | None = None
) -> CountEffects:
    """Fit the model to the rows of groups, from scratch or from a fit to other rows."""
    if start is not None:
        return start.without(table)
    family = Poisson() if is_poisson else NegativeBinomial()
    targets = Counts(units.on, units.standard, units.exposure is not None)
    return _fit(table, Design(varying(table.X), False, 0), targets, family, None)


def _fit(
    table: Table, design: Design, targets: Counts, family: Family, start: CountEffects | None
) -> CountEffects:
    (y, weight, offset), Z = targets(table), design(table)
    units = Standardiser.learn(Z) if start is None else start.units
    X = units.with_intercept(Z)
    codes = np.column_stack([np.unique(c, return_inverse=True)[1] for c in table.codes.T])
    model = fit(
        *(X, y, codes, family),
        w=weight,
        offset=offset,
        is_restricted=False,
        tolerance=_TOLERANCE,
        start=None if start is None else start.model,
    )
    if start is None:
        exposure = np.exp(offset)
        # The mean of all, where no count is above 0.
        largest = _LARGEST_RATE * max(float((y / exposure).max()), 0.5 / float(exposure.sum()))
    log_largest = float(np.log(largest)) if start is None else start.largest
    return CountEffects(design, targets, units, model, log_largest)
