"""How groups differ in counts with exposures: a mixed-effects model of the logarithms of rates.

Exposures are offsets, so a count of 3 in a year and one of 30 in ten years say the same of the
rate, and the second says more: the variance of a count is known from its mean. Targets of the
table are rates as given, standardised; its weights are exposures, over their mean.

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Clayton and Kaldor (1987), Empirical Bayes estimates of age-standardized relative risks for use in
disease mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from skmeta.grouped.members._group_effects import Design
from skmeta.mixed import (
    ConditionedFactors,
    FactorModel,
    Family,
    NegativeBinomial,
    Poisson,
    fit_factors,
)
from skmeta.tabular import Outputs, Standardiser, Table, varying

# Predicted rates are at most this many times the largest of fit; this is the largest variance of
# their logarithms.
_LARGEST_RATE, _LARGEST_VARIANCE = 2.0, 4.0
# Weights among members with the same loss, and where rows are divided into parts.
_BELIEF, _BELIEF_OF_PARTS = 2.0, 10.0
# Decrease of minus the log likelihood that ends the fit.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class CountEffects:
    """Effects of groups, of one or several columns, on the logarithms of rates."""

    design: Design
    rates: Standardiser  # of the targets
    units: Standardiser  # of the columns of the design
    model: FactorModel
    mean_covariance: np.ndarray  # of its fixed coefficients (q, q)
    largest: float  # logarithm of the largest rate

    known_only: ClassVar[bool] = False
    keeps_rows: ClassVar[bool] = False

    @property
    def belief(self) -> float:
        """Its weight among others with the same loss; other members see the noise of parts."""
        return _BELIEF_OF_PARTS if isinstance(self.model.family, Poisson) else _BELIEF

    def without(self, kept: Table) -> CountEffects:
        """Fit the model to the rows of other groups, starting from what it is."""
        return _fit(kept, self.design, self.rates, self.model.family, self)

    def condition(self, known: Table) -> ConditionedCounts:
        """Condition the model on the known rows of groups."""
        y, offset = _counts(known, self.rates)
        rows = self.rows(self.design(known)), y, known.codes
        given = self.model.condition(*rows, None, self.mean_covariance, offset)
        return ConditionedCounts(self, given)

    def rows(self, Z: np.ndarray) -> np.ndarray:
        """Return standardised columns with a leading 1."""
        return np.hstack([np.ones((len(Z), 1)), self.units(Z)])


class ConditionedCounts(NamedTuple):
    """Effects of groups, given known rows."""

    member: CountEffects
    given: ConditionedFactors

    @property
    def noise(self) -> float:
        """0: logarithms of rates have no noise."""
        return 0.0

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rates, with their deviations at the mean exposure."""
        member = self.member
        eta, std = self.outputs(member.design(at), at.codes)
        variance = np.minimum(std**2, _LARGEST_VARIANCE)
        mean = np.exp(np.minimum(eta + variance / 2, member.largest))
        family, spread = member.model.family, np.expm1(variance)
        if isinstance(family, NegativeBinomial):
            spread = spread + (1 + spread) / family.size
        std = np.sqrt(mean + spread * mean**2) / member.rates.scale
        return Outputs(member.rates(mean), std)

    def outputs(self, Z: np.ndarray, codes: np.ndarray) -> Outputs:
        """Return means and deviations (n,) of the logarithms of rates, given columns and groups."""
        eta, variance = self.given.moments(self.member.rows(Z), codes.reshape(len(Z), -1))
        return Outputs(eta[:, 0], np.sqrt(variance[:, 0, 0]))


def _counts(table: Table, rates: Standardiser) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (n,) and the logarithms of exposures."""
    counts = rates.restore(table.y) * table.weight
    return np.maximum(counts, 0.0), np.log(table.weight)


def fit_counts(
    table: Table, rates: Standardiser, is_poisson: bool, start: CountEffects | None = None
) -> CountEffects:
    """Fit the model to the rows of groups, from scratch or from a fit to other rows."""
    family = Poisson() if is_poisson else NegativeBinomial()
    design = Design(varying(table.X), False, 0) if start is None else start.design
    return _fit(table, design, rates, family, start)


def _fit(
    table: Table, design: Design, rates: Standardiser, family: Family, start: CountEffects | None
) -> CountEffects:
    (y, offset), Z = _counts(table, rates), design(table)
    units = Standardiser.learn(Z) if start is None else start.units
    X = np.hstack([np.ones((len(Z), 1)), units(Z)])
    codes = np.column_stack([np.unique(c, return_inverse=True)[1] for c in table.codes.T])
    model = fit_factors(
        *(X, y, codes, family),
        offset=offset,
        is_restricted=False,
        tolerance=_TOLERANCE,
        start=None if start is None else start.model,
    )
    given = model.condition(X, y, codes, offset=offset)
    largest = float(rates.restore(table.y).max()) if start is None else start.largest
    if start is None:
        # The mean of all, where no count is above 0.
        largest = float(np.log(_LARGEST_RATE * max(largest, 0.5 / np.exp(offset).sum())))
    return CountEffects(design, rates, units, model, given.mean_covariance, largest)
