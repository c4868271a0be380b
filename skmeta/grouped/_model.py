"""The model of a grouped table, in numbers: population, learners, and their mixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skmeta._stacking import mix
from skmeta.exceptions import EpisodeError
from skmeta.grouped._canonical import (
    Order,
    Standardiser,
    canonical_order,
    deal_groups,
    deal_rows,
)
from skmeta.grouped._cases import Case, Table, joined, make_cases, some
from skmeta.grouped._ensemble import LEARNER, MEMBERS, POPULATION, ROWS, Ensemble
from skmeta.grouped._group_learner import GroupLearner
from skmeta.grouped._mixture import Level, interpolate, weigh
from skmeta.grouped._population import fill, fit_population, folds_of, varying

# Groups that are held out in all, and of one fold, at most.
_ENOUGH_GROUPS, _MOST_GROUPS = 30, 40
# The learners that predict them are fitted on so many others, at most.
_MOST_OTHERS = 300
# A level needs this many rows to predict.
_LEAST_ROWS = 10
# Weights below this are 0.
_LEAST_WEIGHT = 0.02
# A level of few rows that is near the number of rows of known groups is left out.
_NEAR = 1.5

# Cases of a fold, with means and standard deviations of all members.
_Found = tuple[list[Case], np.ndarray, np.ndarray]


class Settings(NamedTuple):
    """How a model is fitted.

    Attributes
    ----------
    population : estimator or "auto"
        What all groups share.
    learner : MetaLearner or AutoLearner
        How groups differ.
    combine : str
        The member of the mixture, or ``"auto"`` for all.
    n_folds : int
        Number of folds of groups.
    n_jobs : int or None
        Number of models that are fitted at once.
    report : callable
        Called after each step.
    """

    population: Any
    learner: Any
    combine: str
    n_folds: int
    n_jobs: int | None
    report: Callable[[], None]


class Predictions(NamedTuple):
    """Predictions of rows, in standardised units.

    Attributes
    ----------
    mean : ndarray of shape (n,) or (n, c)
        Targets or probabilities.
    std : ndarray of shape (n,)
        Standard deviations before calibration; of a regression.
    quantiles : ndarray of shape (n, k)
        Quantiles of the residuals over ``std``; of a regression.
    """

    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray


class GroupedModel:
    """A fitted model. Groups have numbers; -1 is a group without known rows.

    Parameters
    ----------
    settings : Settings
        How it is fitted.
    n_classes : int
        Number of classes; 0 for a regression.
    """

    def __init__(self, settings: Settings, n_classes: int) -> None:
        self.settings, self.n_classes = settings, n_classes
        self.labels = np.arange(n_classes) if n_classes else None
        # Of groups that were not there at fit, and of those that were.
        self.levels: list[Level] = []
        self.known_levels: list[Level] = []

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        codes: np.ndarray,
        times: np.ndarray | None = None,
    ) -> Order:
        """Fit the population, the learners and the weights of their mixture.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Columns; NaN is a missing value.
        y : ndarray of shape (n,)
            Targets or class codes.
        weight : ndarray of shape (n,)
            Weights, all positive.
        codes : ndarray of shape (n,), int64
            Groups, from 0 on.
        times : ndarray of shape (n,), optional
            Order of the rows in time.

        Returns
        -------
        Order
            The canonical order of rows and groups. ``order.groups`` maps the numbers of groups in
            this model to those given.
        """
        self.of_columns = Standardiser.learn(X)
        X = self.of_columns(X)
        if not self.n_classes:
            self.of_targets = Standardiser.learn(y)
            y = self.of_targets(y)
        parts = [X, y[:, None]] if times is None else [X, y[:, None], times[:, None]]
        order = canonical_order(np.hstack(parts), codes)
        rows, codes, settings = order.rows, order.codes, self.settings
        self.n_rows = len(rows)
        X, y, weight = X[rows], y[rows], weight[rows]
        times = None if times is None else times[rows]
        row_folds = self._deal(codes, y)
        self.population, shared = fit_population(
            settings.population,
            X,
            y,
            weight,
            row_folds,
            self.labels,
            n_jobs=settings.n_jobs,
            report=settings.report,
        )
        self.known = Table(X, shared, y, weight, codes)
        spread = 0.0
        if not self.n_classes:
            spread = max(float(np.sqrt(np.average((y - shared) ** 2, weights=weight))), 1e-12)
        columns = varying(fill(X))
        if not len(columns):
            columns = np.array([0])  # A learner needs a column.
        members = MEMBERS if settings.combine == "auto" else (settings.combine,)
        if self.n_groups == 1:
            members = (POPULATION,)

        def ensemble(members: tuple[str, ...] = members) -> Ensemble:
            return Ensemble(members, self.n_classes, spread, columns)

        self.ensemble = ensemble()
        self.ensemble.fit_learners(settings.learner, self.known)
        settings.report()
        self._unseen = self.ensemble.fit_trees(
            settings.population, self.known, row_folds, settings.n_jobs, settings.report
        )
        if members != (POPULATION,):
            self._find_levels(ensemble, times)
        if not self.levels:
            if members not in (MEMBERS, (POPULATION,)):
                raise EpisodeError(
                    "No group can be held out: the others have a row each, or rows of one class. "
                    f"Set combine='population', got {settings.combine!r}."
                )
            self.ensemble = ensemble((POPULATION,))
            self.levels = [self._level(shared[None], np.full((1, len(y)), spread), self.known, 0.0)]
            self.known_levels = self.levels
        return order

    def _deal(self, codes: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the fold of each row."""
        self.n_groups = int(codes.max()) + 1
        n_folds = self.settings.n_folds
        if self.n_groups == 1:
            # The folds are those of rows, and each row to predict is a new one.
            self.folds = np.array([-1])
            return deal_rows(codes, min(n_folds, max(len(y) // 2, 1)))
        self.folds = deal_groups(codes, y, min(n_folds, self.n_groups))
        return np.asarray(self.folds[codes])

    def _find_levels(self, ensemble: Callable[[], Ensemble], times: np.ndarray | None) -> None:
        """Predict groups that are held out, and find the weights of the mixture."""
        table, row_folds = self.known, self.folds[self.known.codes]
        n_folds = int(self.folds.max()) + 1
        # Enough groups are held out, and as few learners as that takes are fitted.
        n_held_out = min(n_folds, int(np.ceil(_ENOUGH_GROUPS * n_folds / self.n_groups)))
        found: dict[float, list[_Found]] = {}
        for fold in range(n_held_out):
            kept = some(np.flatnonzero(self.folds != fold), _MOST_OTHERS)
            others = table.take(np.flatnonzero(np.isin(table.codes, kept)))
            if not _can_learn(others, self.n_classes):
                continue
            members = ensemble().fit_learners(self.settings.learner, others)
            members.share_trees(self.ensemble)
            groups = some(np.flatnonzero(self.folds == fold), _MOST_GROUPS)
            for level, cases in make_cases(table.codes, times, groups).items():
                known, known_codes = joined([case.known for case in cases])
                query, codes = joined([case.query for case in cases])
                outputs = members.predict(
                    table.take(known)._replace(codes=known_codes),
                    table.take(query)._replace(codes=codes),
                    row_folds[query],
                )
                found.setdefault(level, []).append((cases, *outputs))
            self.settings.report()
        self.levels = self._join_levels(found, with_rows=False)
        self.known_levels = self._join_levels(found, with_rows=True)

    def _join_levels(self, found: dict[float, list[_Found]], with_rows: bool) -> list[Level]:
        joined_folds = (
            self._join_folds(parts, with_rows and level == np.inf)
            for level, parts in sorted(found.items())
        )
        levels = [level for level in joined_folds if level is not None]
        fixed, last = levels[:-1], levels[-1:]
        return [level for level in fixed if level.n_known < last[0].n_known / _NEAR] + last

    def _join_folds(self, parts: list[_Found], with_rows: bool) -> Level | None:
        cases = [case for of_fold, _, _ in parts for case in of_fold]
        query = np.concatenate([case.query for case in cases])
        if len(query) < min(_LEAST_ROWS, self.n_groups):
            return None
        means, stds = (np.concatenate([part[k] for part in parts], axis=1) for k in (1, 2))
        n_known = float(np.expm1(np.mean([np.log1p(len(case.known)) for case in cases])))
        used = np.ones(len(means), bool)
        if ROWS in self.ensemble.members:
            k = self.ensemble.members.index(ROWS)
            means[k] = self._unseen[query]
            used[k] = with_rows or len(used) == 1
        return self._level(means, stds, self.known.take(query), n_known, used)

    def _level(
        self,
        means: np.ndarray,
        stds: np.ndarray,
        at: Table,
        n_known: float,
        used: np.ndarray | None = None,
    ) -> Level:
        """Find the weights of the members that are used; those of others are 0."""
        used = np.ones(len(means), bool) if used is None else used
        of_regression = None if self.n_classes else stds[used]
        found = weigh(means[used], of_regression, at.y, at.weight, at.codes, n_known)
        weights, losses = np.zeros(len(used)), np.full(len(used) + 1, np.nan)
        weights[used] = np.where(found.weights < _LEAST_WEIGHT, 0.0, found.weights)
        losses[np.append(used, True)] = found.losses
        return found._replace(weights=weights / weights.sum(), losses=losses)

    def learner_on_columns(self) -> GroupLearner | None:
        """Return the learner on the columns, from the rows of fit; None without a learner.

        The mixture does not need it, so it is fitted when it is asked for.
        """
        learners = self.ensemble.learners
        if learners and LEARNER not in learners:
            of_fit = self.known.take(np.arange(self.n_rows))
            self.ensemble.fit_learner(LEARNER, self.settings.learner, of_fit)
        return learners.get(LEARNER)

    # ------------------------------------------------------------------------------ new rows

    def add(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray) -> None:
        """Add known rows of groups, known or new.

        Parameters
        ----------
        X, y, weight, codes
            As for :meth:`fit`. New groups have numbers that were not used before.
        """
        y = y if self.n_classes else self.of_targets(y)
        self.known = self.known.join(self._table(X, y, weight, codes))

    def predict(self, X: np.ndarray, codes: np.ndarray) -> Predictions:
        """Predict rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Columns.
        codes : ndarray of shape (n,), int64
            Their groups; -1 for groups without known rows.

        Returns
        -------
        Predictions
            In standardised units.
        """
        nothing = np.zeros(len(X))
        at = self._table(X, nothing, nothing, codes)
        counts = np.bincount(self.known.codes)
        n_known = np.where(codes >= 0, counts[codes], 0)
        weights, quantiles = interpolate(self.levels, n_known)
        is_old = (codes >= 0) & (codes < self.n_groups)
        of_known, quantiles_of_known = interpolate(self.known_levels, n_known)
        weights = np.where(is_old, of_known, weights)
        quantiles = np.where(is_old[:, None], quantiles_of_known, quantiles)
        means, stds = self.ensemble.predict(self.known, at, folds_of(self.folds, codes), weights)
        return Predictions(mix(means, weights), mix(stds, weights), quantiles)

    def _table(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray) -> Table:
        X = self.of_columns(X)
        return Table(X, self.population.predict(X, folds_of(self.folds, codes)), y, weight, codes)


def _can_learn(table: Table, n_classes: int) -> bool:
    """Return whether a learner can learn how groups differ."""
    has_pair = bool(np.bincount(table.codes).max() > 1)
    return has_pair and (not n_classes or len(np.unique(table.y)) > 1)
