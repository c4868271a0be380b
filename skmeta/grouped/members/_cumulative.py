"""Ordered classes: a cumulative mixed-effects model beside the nominal members.

Classes have numbers from 0 on, in their order. The linear predictor of a row is that of its
columns, of a regression of the numbers and of the population's probabilities, and differs by
group; its thresholds are the same for all rows (proportional odds).

References: McCullagh (1980), Regression models for ordinal data; Christensen (2019), Cumulative
link models for ordinal regression with the R package ordinal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmeta._mixed import Conditioned, MixedModel, Ordered, fit
from skmeta._tabular import (
    FitSettings,
    Member,
    Outputs,
    Population,
    Standardiser,
    Table,
    fill,
    fit_population,
    varying,
    with_all_classes,
)

# Probabilities are not below this before their log odds are taken.
_MIN_PROBABILITY = 1e-3
# Decrease of minus the log likelihood that ends the fit.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class CumulativeEffects(Member):
    """How groups differ in a cumulative model."""

    columns: np.ndarray  # of the table, among those that are filled
    numbers: Population | None  # a regression of the classes' numbers, which is a column
    n_classes: int
    units: Standardiser
    present: np.ndarray  # classes that the model has seen; others are improbable
    model: MixedModel

    def design(self, table: Table) -> np.ndarray:
        """Return the columns (n, q) of rows, with a leading 1."""
        return self.units.with_intercept(_columns(table, self.columns, self.numbers))

    def without(self, kept: Table) -> CumulativeEffects:
        """Fit the model to the rows of other groups, starting from what it is."""
        return _fit(kept, self.columns, self.numbers, self.n_classes, self)

    def condition(self, known: Table) -> ConditionedCumulative:
        """Condition the model on the known rows of groups."""
        seen = np.flatnonzero(np.isin(known.y, self.present))
        known = known.take(seen)
        y = np.searchsorted(self.present, known.y)
        rows = self.design(known), y, known.codes, known.weight
        given = self.model.condition(*rows, self.model.mean_covariance)
        return ConditionedCumulative(self, given)


class ConditionedCumulative(NamedTuple):
    """A cumulative model, and its effects given known rows."""

    member: CumulativeEffects
    given: Conditioned

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows; those of groups without known rows from the prior."""
        member = self.member
        proba, std = self.given.predict(member.design(at), at.codes)
        if len(member.present) < member.n_classes:
            proba = with_all_classes(proba, member.present, member.n_classes)
        return Outputs(proba, std)


def _columns(table: Table, columns: np.ndarray, numbers: Population | None) -> np.ndarray:
    """Return columns (n, q) of rows, log odds to be above a threshold, and the regression."""
    above = np.cumsum(table.shared[:, ::-1], axis=1)[:, -2::-1]
    above = np.clip(above, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    parts = [fill(table.X, columns), np.log(above / (1 - above)).mean(1, keepdims=True)]
    if numbers is not None:
        parts.append(numbers.predict(table.X, table.fold)[:, None])
    return np.hstack(parts)


def fit_cumulative(table: Table, settings: FitSettings, n_classes: int) -> CumulativeEffects:
    """Fit a regression of the numbers of the classes, and the model, to the rows of all groups."""
    columns, numbers = varying(table.X), None
    if settings.is_auto and len(columns) and table.codes.shape[1] == 1:
        parts = settings, table.X, table.y, table.weight, table.fold
        numbers, _ = fit_population(*parts, 0)
    return _fit(table, columns, numbers, n_classes)


def _fit(
    table: Table,
    columns: np.ndarray,
    numbers: Population | None,
    n_classes: int,
    start: CumulativeEffects | None = None,
) -> CumulativeEffects:
    Z = _columns(table, columns, numbers)
    present, y = np.unique(table.y.astype(np.int64), return_inverse=True)
    is_near = start is not None and len(start.present) == len(present)
    units = start.units if start is not None and is_near else Standardiser.learn(Z)
    z = units.with_intercept(Z)
    codes = np.column_stack([np.unique(of, return_inverse=True)[1] for of in table.codes.T])
    used = [np.array([0])] * codes.shape[1]
    model = fit(
        z,
        y,
        codes,
        Ordered.of(y, len(present)),
        columns=used,
        w=table.weight,
        shrinkage=1.0,
        tolerance=_TOLERANCE,
        start=start.model if start is not None and is_near else None,
    )
    return CumulativeEffects(columns, numbers, n_classes, units, present, model)
