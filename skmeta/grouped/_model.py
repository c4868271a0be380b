"""The fitted model of a grouped table, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from skmeta.grouped.longitudinal import Longitudinal
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    CrossedEffects,
    GroupEffects,
    design_of,
    fit_group_effects,
)
from skmeta.tabular import (
    CalibratedOutputs,
    FitSettings,
    Member,
    Mixture,
    Outputs,
    Population,
    Standardiser,
    Table,
    TargetUnits,
    fill,
    folds_of,
    predict_each,
)

# Squares of values that are more deviations from the mean would overflow.
_FARTHEST = 1e100


class Settings(NamedTuple):
    """How a model is fitted."""

    effects: dict[str, Any]  # how groups differ: settings of :func:`skmeta.mixed.fit`
    combine: str  # the member that predicts, or "auto" for all
    n_folds: int  # of groups
    population: FitSettings  # what all groups share
    season: tuple[Any, bool] = ("auto", False)  # the parameter, and whether times are dates
    target_kind: str = "auto"
    exposure_unit: float | None = None  # mean exposure, if targets of this kind become rates
    zone: str | None = None  # of times that are dates


@dataclass(frozen=True)
class JointMembers:
    """Members that know all of several columns of groups, before they are weighed."""

    members: dict[str, Member]

    def with_known(self, known: Table) -> JointMembers:
        """Return members that know other rows."""
        # Effects of several columns keep what they know between predictions.
        members: dict[str, Any] = {
            name: member.condition(known) if isinstance(member, CrossedEffects) else member
            for name, member in self.members.items()
        }
        return JointMembers(members)


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, an immutable value. Groups have numbers; -1 is one without known rows."""

    settings: Settings
    n_classes: int  # 0 for a regression
    column_units: Standardiser
    target_units: TargetUnits | None  # None for a classification
    folds: np.ndarray  # of each group of fit (n_groups,), in the column `fold_factor`
    known: Table  # known rows, those of fit first
    mixture: Mixture | JointMembers | Longitudinal  # a Longitudinal knows time
    population: Population | None = None  # None if no member needs it
    fold_factor: int = 0
    time_columns: np.ndarray | None = None  # filled ones that vary, without the times
    other_mixtures: Sequence[Mixture] = ()  # smaller models on the units' other scales

    @property
    def crossed(self) -> CrossedEffects | None:
        """Effects of several columns of groups; None with one column, or without effects."""
        members = self.mixture.members
        each = members.values() if isinstance(members, dict) else ()
        return next((one for one in each if isinstance(one, CrossedEffects)), None)

    def add(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Self:
        """Return a model with more known rows, maybe of new groups; variances stay as they are."""
        y = y if self.target_units is None else self.target_units(y)
        check_near(y[:, None], "y")
        known, mixture = self.known.join(self._table(X, y, weight, codes, times)), self.mixture
        mixture = mixture.with_known(known) if isinstance(mixture, JointMembers) else mixture
        return replace(self, known=known, mixture=mixture)

    def resolve(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_factors) with -1 for groups beside another than they are nested in."""
        return codes if self.crossed is None else self.crossed.within_parents(codes)

    def predict(
        self,
        X: np.ndarray,
        codes: np.ndarray,
        times: np.ndarray,
        exposure: np.ndarray | None = None,
    ) -> CalibratedOutputs:
        """Predict rows (n, d) of groups (n, n_factors), -1 if new, in standardised units."""
        nothing = np.zeros(len(X))
        at, known = self._table(X, nothing, nothing, codes, times), self.known
        if codes.shape[1] == 1:
            known = known.take(np.flatnonzero(np.isin(known.group, np.unique(at.group))))
        assert not isinstance(self.mixture, JointMembers)
        outputs = self.mixture.predict(known, at)._replace(exposure=exposure)
        if self.target_units is None or not self.other_mixtures:
            return outputs
        convert = self.target_units.convert
        others = [
            mixture.predict(convert(known, units), convert(at, units))
            for units, mixture in zip(self.target_units.others, self.other_mixtures, strict=True)
        ]
        return outputs._replace(others=tuple(others))

    def predict_members(
        self, X: np.ndarray, codes: np.ndarray, names: Sequence[str]
    ) -> list[Outputs]:
        """Predict rows by some of the members that know all columns of groups."""
        nothing = np.zeros(len(X))
        members = {name: one.condition(self.known) for name, one in self.joint_members.items()}
        needed = {*names, *(getattr(members[name], "base", name) for name in names)}
        at = self._table(X, nothing, nothing, codes, nothing)
        outputs = predict_each(members, at, needed)
        return [outputs[name] for name in names]

    @property
    def seasons(self) -> list[str]:
        """Names of the seasons in time."""
        return self.mixture.seasons if isinstance(self.mixture, Longitudinal) else []

    @property
    def joint_members(self) -> dict[str, Member]:
        """Members that know all of several columns of groups."""
        assert isinstance(self.mixture, JointMembers)
        return self.mixture.members

    def _table(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Table:
        X = self.column_units(X)
        check_near(X, "X")
        fold = folds_of(self.folds, codes[:, self.fold_factor])
        shared = np.zeros(len(X)) if self.population is None else self.population.predict(X, fold)
        place, none = np.full(len(X), -1), np.empty((len(X), 0))
        table = Table(X, shared, y, weight, codes, fold, place, times, none)
        return table if self.time_columns is None else in_time(table, self.time_columns)

    @cached_property
    def effects_of_columns(self) -> GroupEffects | None:
        """How groups differ in the columns alone, fitted when asked for; None without a design."""
        members = self.mixture.members
        if isinstance(members, dict) and (LEARNER in members or BOTH not in members):
            learned_member = members.get(LEARNER)
            return learned_member if isinstance(learned_member, GroupEffects) else None
        learned = self.known.take(np.flatnonzero(self.known.place >= 0))
        design = design_of(learned, False, self.n_classes)
        return fit_group_effects(learned, design, self.settings.effects)


def check_near(values: np.ndarray, name: str) -> None:
    """Raise an error if a standardised value (n, d) is too large to be squared."""
    is_far = (abs(values) > _FARTHEST).any(1)
    if is_far.any():
        raise ValueError(
            f"{name} has a value in row {is_far.argmax()} that is more than {_FARTHEST:g} standard "
            "deviations away from those of fit. Check its unit, or drop the row."
        )


def in_time(table: Table, columns: np.ndarray) -> Table:
    """Return rows whose last column has the times, with features for members that know time."""
    return table._replace(times=table.X[:, -1], features=fill(table.X[:, :-1], columns))
