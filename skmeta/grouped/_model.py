"""The fitted model of a grouped table, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from skmeta.grouped._mixture import Mixture
from skmeta.grouped.longitudinal import Longitudinal
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    CalibratedOutputs,
    CrossedEffects,
    FitSettings,
    GroupEffects,
    Member,
    Population,
    Standardiser,
    Table,
    design_of,
    fill,
    fit_group_effects,
    folds_of,
)


class Settings(NamedTuple):
    """How a model is fitted.

    Attributes
    ----------
    effects : dict
        How groups differ: settings of :func:`skmeta.mixed.fit`.
    combine : str
        The member that predicts, or ``"auto"`` for all.
    n_folds : int
        Number of folds of groups.
    population : FitSettings
        What all groups share.
    """

    effects: dict[str, Any]
    combine: str
    n_folds: int
    population: FitSettings


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, an immutable value. Groups have numbers; -1 is one without known rows.

    Attributes
    ----------
    settings : Settings
        How it was fitted.
    n_classes : int
        Number of classes; 0 for a regression.
    column_units, target_units : Standardiser
        Units.
    folds : ndarray of shape (n_groups,), int64
        Fold of each group of fit, of the column of groups that is divided into folds.
    known : Table
        The known rows, those of fit first.
    """

    settings: Settings
    n_classes: int
    column_units: Standardiser
    target_units: Standardiser
    folds: np.ndarray
    known: Table

    # The column of groups whose groups are divided into folds.
    fold_factor: int = field(default=0, kw_only=True)

    @property
    def crossed(self) -> CrossedEffects | None:
        """Effects of several columns of groups; None with one column, or without effects."""
        return None

    def add(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Self:
        """Return a model with more known rows, of groups that are known or new.

        Parameters
        ----------
        X, y, weight, codes, times
            As for :func:`fit_model`. New groups have numbers that were not used before.
        """
        y = y if self.n_classes else self.target_units(y)
        return replace(self, known=self.known.join(self._table(X, y, weight, codes, times)))

    def resolve(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_factors) with -1 for groups beside another than they are nested in."""
        return codes if self.crossed is None else self.crossed.within_parents(codes)

    def _asked(self, X: np.ndarray, codes: np.ndarray, times: np.ndarray) -> tuple[Table, Table]:
        """Return rows to predict, and the known rows of their groups."""
        nothing = np.zeros(len(X))
        at, known = self._table(X, nothing, nothing, codes, times), self.known
        if codes.shape[1] == 1:
            known = known.take(np.flatnonzero(np.isin(known.group, np.unique(at.group))))
        return at, known

    def _table(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Table:
        X = self.column_units(X)
        fold = folds_of(self.folds, codes[:, self.fold_factor])
        place = np.full(len(X), -1)
        none = np.empty((len(X), 0))
        return Table(X, self._shared(X, fold), y, weight, codes, fold, place, times, none)

    def _shared(self, X: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """Return what the population predicts for rows of groups in these folds."""
        return np.zeros(len(X))

    def _effects_of_fit(self) -> GroupEffects:
        """Fit how groups differ in the columns to the rows of fit."""
        learned = self.known.take(np.flatnonzero(self.known.place >= 0))
        design = design_of(learned, False, self.n_classes)
        return fit_group_effects(learned, design, self.settings.effects)


@dataclass(frozen=True)
class GroupedModel(FittedModel):
    """A fitted model of a table without an order of the rows, or of classes.

    Attributes
    ----------
    population : Population
        What all groups share.
    mixture : Mixture
        The members, and their weights.
    """

    population: Population
    mixture: Mixture

    def add(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Self:
        """Return a model with more known rows; the variances of groups stay as they are."""
        model = super().add(X, y, weight, codes, times)
        if self.crossed is None:
            return model
        members: dict[str, Member] = {BOTH: self.crossed.condition(model.known)}
        return replace(model, mixture=replace(self.mixture, members=members))

    @property
    def crossed(self) -> CrossedEffects | None:
        """Effects of several columns of groups; None with one column, or without effects."""
        member = self.mixture.members.get(BOTH)
        return member if isinstance(member, CrossedEffects) else None

    def predict(self, X: np.ndarray, codes: np.ndarray, times: np.ndarray) -> CalibratedOutputs:
        """Predict rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Columns.
        codes : ndarray of shape (n, n_factors), int64
            Their groups; -1 for groups without known rows.
        times : ndarray of shape (n,)
            Order of the rows in time; 0 without one.

        Returns
        -------
        CalibratedOutputs
            In standardised units.
        """
        at, known = self._asked(X, codes, times)
        return self.mixture.condition(known).predict(at)

    def _shared(self, X: np.ndarray, fold: np.ndarray) -> np.ndarray:
        return self.population.predict(X, fold)

    @cached_property
    def effects_of_columns(self) -> GroupEffects | None:
        """How groups differ in the columns alone; None if nothing says how groups differ.

        The mixture does not need it, so it is fitted when it is asked for.
        """
        members = self.mixture.members
        if LEARNER in members or BOTH not in members:
            learned_member = members.get(LEARNER)
            return learned_member if isinstance(learned_member, GroupEffects) else None
        return self._effects_of_fit()


def in_time(table: Table, columns: np.ndarray) -> Table:
    """Return rows whose last column has the times, with features for members that know time."""
    return table._replace(times=table.X[:, -1], features=fill(table.X[:, :-1])[:, columns])


@dataclass(frozen=True)
class TimedModel(FittedModel):
    """A fitted model of groups in time.

    Attributes
    ----------
    columns : ndarray of int64
        Columns that vary, of those that are filled, without the times.
    fitted : Longitudinal
        The members, and their weights.
    """

    columns: np.ndarray
    fitted: Longitudinal

    def predict(self, X: np.ndarray, codes: np.ndarray, times: np.ndarray) -> CalibratedOutputs:
        """Predict rows, in standardised units."""
        at, known = self._asked(X, codes, times)
        return self.fitted.predict(known, at)

    def _table(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Table:
        return in_time(super()._table(X, y, weight, codes, times), self.columns)

    @cached_property
    def effects_of_columns(self) -> GroupEffects | None:
        """How groups differ in the columns, time included; fitted when it is asked for."""
        return self._effects_of_fit()
