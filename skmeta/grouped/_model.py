"""The fitted model of a grouped table, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np

from skmeta._columns import number_copies, warn_of_known
from skmeta._tabular import (
    CalibratedOutputs,
    FitSettings,
    Mixture,
    Population,
    Standardiser,
    Table,
    TargetUnits,
    fill,
    find_nested,
    folds_of,
)
from skmeta.grouped._series import Series
from skmeta.grouped.longitudinal import Curve
from skmeta.grouped.members import (
    BOTH,
    COUNTS,
    MIXED,
    MixedEffects,
    fit_mixed,
    mixed_form,
)

# Squares of values that are more deviations from the mean would overflow.
_FARTHEST = 1e100


class Settings(NamedTuple):
    """How a model is fitted."""

    effects: dict[str, Any]  # how groups differ: settings of :func:`skmeta._mixed.fit_groups`
    model: str  # "mixture", or the member that predicts
    n_folds: int  # of groups
    population: FitSettings  # what all groups share
    season: tuple[Any, bool] = ("auto", False)  # the parameter, and whether times are dates
    target_type: str = "auto"
    exposure_unit: float | None = None  # mean exposure, if targets of this kind become rates
    zone: str | None = None  # of times that are dates
    indicators: tuple[np.ndarray, ...] = ()  # positions in X of those of each category
    n_parts: int = 1  # that counts are divided into, if groups have too few rows

    @property
    def counts_rates(self) -> bool:
        """Whether targets are counts over exposures."""
        return self.exposure_unit is not None and self.target_type == "count"


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, an immutable value. Groups have numbers; -1 is one without known rows."""

    settings: Settings
    n_classes: int  # 0 for a regression
    column_units: Standardiser
    target_units: TargetUnits | None  # None for a classification
    folds: np.ndarray  # of each group of fit (n_groups,), in the column `fold_factor`
    known: Table  # known rows, those of fit first
    mixture: Mixture
    population: Population | None = None  # None if no member needs it
    fold_factor: int = 0
    time_columns: np.ndarray | None = None  # filled ones that vary, without the times
    series: Series | None = None  # of several columns of groups in time

    @property
    def crossed(self) -> MixedEffects | None:
        """Effects of several columns of groups; None with one column, or without effects."""
        if self.series is not None:
            return self._crossed_of_series
        effects = self.mixed_member
        return effects if effects is not None and effects.keeps_rows else None

    @property
    def mixed_member(self) -> MixedEffects | None:
        """The member with effects of groups; of two of them, that on the population."""
        members = self.mixture.members
        effects = members.get(BOTH, members.get(MIXED))
        return effects if isinstance(effects, MixedEffects) else None

    @cached_property
    def _crossed_of_series(self) -> MixedEffects:
        """Effects of each key of series, fitted when asked for."""
        known = self.known._replace(codes=self.known.codes[:, 1:])
        given = known.X[:, len(known.X.T) - self.n_columns :]
        known = known._replace(X=given)
        return self._fit_mixed(known)

    def _fit_mixed(self, table: Table) -> MixedEffects:
        """Fit a model of the columns alone."""
        parts = False, self.n_classes, self.settings.effects, self.settings.indicators
        return fit_mixed(table, mixed_form(table, *parts))

    @property
    def n_columns(self) -> int:
        """Number of columns, without the indicators of the keys of series."""
        n_added = 0 if self.series is None else self.series.indicators(self.series.known).shape[1]
        return len(self.column_units.centre) - n_added

    def add(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> FittedModel:
        """Return a model with more known rows, maybe of new groups; variances stay as they are."""
        if self.series is not None:
            model = replace(self, series=self.series.grown(codes))
            return model._add(*model.series_of(X, codes), y, weight, times)
        return self._add(X, codes, y, weight, times)

    def _add(
        self, X: np.ndarray, codes: np.ndarray, y: np.ndarray, weight: np.ndarray, times: np.ndarray
    ) -> FittedModel:
        y = y if self.target_units is None else self.target_units(y)
        check_near(y[:, None], "y")
        known = self.known.join(self._table(X, y, weight, codes, times))
        columns = [(known.y, not self.n_classes), *((column, True) for column in known.X.T)]
        columns += [(column, False) for column in known.codes.T]
        if not self.settings.season[1]:  # equal dates are warned of
            warn_of_known(number_copies(columns), len(self.known.y))
        mixture = self.mixture.with_known(grouped_by_series(known, self.series))
        return replace(self, known=known, mixture=mixture)

    def series_of(self, X: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and groups with those of series, if several columns name them."""
        return (X, codes) if self.series is None else self.series(X, codes)

    def resolve(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_factors) with -1 for groups beside another than they are nested in."""
        if self.series is not None or self.crossed is None:
            return codes
        resolved, known = codes.copy(), self.known.codes
        for f, g in zip(*np.nonzero(find_nested(known)), strict=True):
            outer = np.zeros(int(known[:, f].max()) + 1, np.int64)
            outer[known[:, f]] = known[:, g]
            resolved[outer[codes[:, f]] != codes[:, g], f] = -1
        return resolved

    def predict(
        self,
        X: np.ndarray,
        codes: np.ndarray,
        times: np.ndarray,
        exposure: np.ndarray | None = None,
    ) -> CalibratedOutputs:
        """Predict rows (n, d) of groups (n, n_factors), -1 if new, in standardised units."""
        X, codes = self.series_of(X, codes)
        nothing = np.zeros(len(X))
        at, known = self._table(X, nothing, nothing, codes, times), self.known
        # Members that keep rows have them all; the others need those of the groups asked for.
        known = known.take(np.flatnonzero(np.isin(known.codes, at.codes).any(1)))
        known, at = (grouped_by_series(rows, self.series) for rows in (known, at))
        return self.mixture.predict(known, at)._replace(exposure=exposure)

    @property
    def seasons(self) -> list[str]:
        """Names of the seasons in time."""
        curves = (one for one in self.mixture.members.values() if isinstance(one, Curve))
        return [season.name for curve in curves for season in curve.seasons]

    def _table(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Table:
        X = self.column_units(X)
        check_near(X, "X")
        fold = folds_of(self.folds, codes[:, self.fold_factor])
        shared = np.zeros(len(X)) if self.population is None else self.population.predict(X, fold)
        place, none = np.full(len(X), -1), np.empty((len(X), 0))
        table = Table(X, shared, y, weight, codes, fold, place, times, none)
        return table if self.time_columns is None else with_features(table, self.time_columns)

    @cached_property
    def effects_of_columns(self) -> MixedEffects | None:
        """How groups differ in the columns alone, fitted when asked for; None without a design."""
        members = self.mixture.members
        if COUNTS in members and self.settings.counts_rates:
            return cast(MixedEffects, members[COUNTS])
        if MIXED in members or (BOTH not in members and self.time_columns is None):
            learned_member = members.get(MIXED)
            return learned_member if isinstance(learned_member, MixedEffects) else None
        return self._fit_mixed(self.known.take(np.flatnonzero(self.known.place >= 0)))


def check_near(values: np.ndarray, name: str) -> None:
    """Raise an error if a standardised value (n, d) is too large to be squared."""
    is_far = (abs(values) > _FARTHEST).any(1)
    if is_far.any():
        raise ValueError(
            f"{name} has a value in row {is_far.argmax()} that is more than {_FARTHEST:g} standard "
            "deviations away from those of fit. Check its unit, or drop the row."
        )


def grouped_by_series(table: Table, series: Series | None) -> Table:
    """Return rows with one column of groups, that of series if there are any."""
    return table if series is None else table._replace(codes=table.codes[:, :1])


def with_features(table: Table, columns: np.ndarray) -> Table:
    """Return rows whose last column has the times, with features for members that know time."""
    return table._replace(times=table.X[:, -1], features=fill(table.X[:, :-1], columns))
