"""The model of a grouped table, in numbers: population, members, and their mixture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from skmeta.exceptions import EpisodeError
from skmeta.grouped._mixture import (
    PROBABILITIES,
    CalibratedOutputs,
    Level,
    Mixture,
    find_level,
    fit_mixture,
)
from skmeta.grouped.longitudinal import fit_class_lags
from skmeta.grouped.members import (
    BOTH,
    LEARNER,
    MEMBERS,
    POPULATION,
    ROWS,
    TREES,
    CrossedEffects,
    FitSettings,
    GroupEffects,
    Member,
    Order,
    Population,
    PopulationMember,
    Standardiser,
    Table,
    canonical_order,
    deal_groups,
    deal_rows,
    design_of,
    fill,
    fit_crossed_member,
    fit_group_effects,
    fit_population,
    fit_trees,
    folds_of,
    from_other_rows,
    varying,
)

# Each of these parts of a group is predicted from the others, for the columns of the trees.
_N_PARTS = 5
# Trees that know earlier classes of the group, of classifications in time.
_LAGS = "lags"


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


def fit_model(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    codes: np.ndarray,
    times: np.ndarray,
    settings: Settings,
    n_classes: int,
) -> tuple[GroupedModel, Order]:
    """Fit the population, the members and the weights of their mixture.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Columns; NaN is a missing value.
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

    Returns
    -------
    model : GroupedModel
        The fitted model.
    order : Order
        The canonical order of rows and groups. ``order.groups`` maps the numbers of groups in the
        model to those given.
    """
    column_units = Standardiser.learn(X)
    target_units = (
        Standardiser.learn(y) if not n_classes else Standardiser(np.zeros(()), np.ones(()))
    )
    X, y = column_units(X), y if n_classes else target_units(y)
    order = canonical_order(np.column_stack([X, y, times]), codes)
    X, y, weight, times = (part[order.rows] for part in (X, y, weight, times))
    codes, several = order.codes, codes.shape[1] > 1

    fold_factor, folds = _deal(codes, y, settings.n_folds)
    row_folds = folds[codes[:, fold_factor]]
    if len(folds) == 1:
        # The folds are those of rows, and each row to predict is a new one.
        row_folds = deal_rows(codes[:, 0], min(settings.n_folds, max(len(y) // 2, 1)))
        folds = np.array([-1])
    population_settings, has_shared = settings.population, settings.combine != LEARNER
    if not has_shared or (several and not len(varying(fill(X)))):
        has_shared = has_shared and not several
        dummy = DummyClassifier() if n_classes else DummyRegressor()
        population_settings = population_settings._replace(estimator=dummy)
    population, shared = fit_population(population_settings, X, y, weight, row_folds, n_classes)
    table = Table(X, shared, y, weight, codes, row_folds, np.arange(len(y)), times)

    names: tuple[str, ...] = MEMBERS if settings.combine == "auto" else (settings.combine,)
    names = (POPULATION,) if len(folds) == 1 else names
    mixture: Mixture | None = None
    if several and names != (POPULATION,):
        member = fit_crossed_member(table, has_shared, n_classes)
        quantiles = member.left_out_quantiles(PROBABILITIES)
        level = Level(0.0, np.ones(1), np.full(2, np.nan), quantiles)
        mixture = Mixture({BOTH: member}, [level], [level], len(folds))
    elif names != (POPULATION,):
        members = _fit_members(names, table, settings, n_classes)
        if names == MEMBERS and n_classes and np.ptp(times) > 0 and settings.population.is_auto:
            members[_LAGS] = fit_class_lags(table, settings.population, n_classes)
            names = (*MEMBERS, _LAGS)
        mixture = fit_mixture(members, names, table, n_classes)
        if mixture is None and settings.combine != "auto":
            raise EpisodeError(
                "No group can be held out: the others have a row each, or rows of one class. "
                f"Set combine='population', got {settings.combine!r}."
            )
    if mixture is None:
        members = _fit_members((POPULATION,), table, settings, n_classes)
        outputs = members[POPULATION].condition(table).predict(table, {})
        stds = None if n_classes else outputs.std[None]
        level = find_level(outputs.mean[None], stds, table, 0.0, np.ones(1, bool))
        mixture = Mixture(members, [level], [level], len(folds))
    fitted = settings, n_classes, column_units, target_units, folds, table, population, mixture
    return GroupedModel(*fitted, fold_factor=fold_factor), order


def _fit_members(
    names: tuple[str, ...], table: Table, settings: Settings, n_classes: int
) -> dict[str, Member]:
    """Fit the members that predict, and before them those that they use."""
    found: dict[str, Member] = {}
    if POPULATION in names:
        found[POPULATION] = PopulationMember.from_errors(table, n_classes)
    if names == (POPULATION,):
        return found
    base = LEARNER if LEARNER in names else BOTH
    effects = fit_group_effects(table, design_of(table, base == BOTH, n_classes), settings.effects)
    settings.population.report()
    effects, outputs = from_other_rows(effects, table, _N_PARTS)
    found[base] = effects
    for name in (name for name in (TREES, ROWS) if name in names):
        parts = table, base, outputs, settings.population, n_classes
        found[name] = fit_trees(*parts, known_only=name == ROWS)
    return found


def _deal(codes: np.ndarray, y: np.ndarray, n_folds: int) -> tuple[int, np.ndarray]:
    """Return the first factor with enough groups, and the fold of each of its groups."""
    n_groups = codes.max(0) + 1
    enough = np.flatnonzero(n_groups >= 2 * n_folds)
    factor = int(enough[0]) if len(enough) else int(np.argmax(n_groups))
    return factor, deal_groups(codes[:, factor], y, min(n_folds, int(n_groups[factor])))


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
        return Table(X, self._shared(X, fold), y, weight, codes, fold, place, times)

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
