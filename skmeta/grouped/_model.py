"""The model of a grouped table, in numbers: population, learners, and their mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from skmeta.grouped._canonical import (
    Order,
    Standardiser,
    canonical_order,
    deal_groups,
    deal_rows,
)
from skmeta.grouped._group_learner import GroupLearner, Rows
from skmeta.grouped._mixture import Level, interpolate, mix, weigh
from skmeta.grouped._population import fill, fit_population, log_odds

# The members of a mixture: what all groups share, how they differ in the columns, and how they
# differ in the columns and what they share.
POPULATION, LEARNER, BOTH = MEMBERS = ("population", "learner", "both")
# Numbers of known rows of a group that is held out.
_N_KNOWN = (0, 1, 3, 10)
# Of known groups, these shares of the rows are predicted from the others.
_N_PARTS, _SHARE = 2, 0.2
# Groups that are held out, and rows of each that are predicted, at most.
_ENOUGH_GROUPS, _MOST_GROUPS, _MOST_ROWS = 60, 40, 20
# A level needs this many rows to predict.
_LEAST_ROWS = 10
# Weights below this are 0.
_LEAST_WEIGHT = 0.02


class Settings(NamedTuple):
    """How a model is fitted.

    Attributes
    ----------
    population : estimator or "auto"
        What all groups share.
    learner : MetaLearner or AutoLearner
        How groups differ.
    combine : {"auto", "population", "learner", "both"}
        The members of the mixture.
    n_folds : int
        Number of folds of groups.
    n_jobs : int or None
        Number of models that are fitted at once.
    report : callable
        Called with what was finished.
    """

    population: Any
    learner: Any
    combine: str
    n_folds: int
    n_jobs: int | None
    report: Callable[[str], None]


class Table(NamedTuple):
    """Distinct rows in canonical order.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Standardised columns; NaN is a missing value.
    y : ndarray of shape (n,)
        Standardised targets, or class codes.
    weight : ndarray of shape (n,)
        Weights.
    counts : ndarray of shape (n,), int64
        Number of occurrences.
    codes : ndarray of shape (n,), int64
        Groups.
    times : ndarray of shape (n,) or None
        Order of the rows in time.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    counts: np.ndarray
    codes: np.ndarray
    times: np.ndarray | None


class Predictions(NamedTuple):
    """Predictions of rows, in standardised units.

    Attributes
    ----------
    mean : ndarray of shape (n,) or (n, c)
        Targets or probabilities.
    std : ndarray of shape (n,) or None
        Standard deviations before calibration.
    quantiles : ndarray of shape (n, k)
        Quantiles of the residuals over ``std``.
    """

    mean: np.ndarray
    std: np.ndarray | None
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
        self.learners: dict[str, GroupLearner] = {}
        self.levels: list[Level] = []
        self.members: tuple[str, ...] = (POPULATION,)

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
        table, order = self._table(X, y, weight, codes, times)
        self.n_groups = int(table.codes.max()) + 1
        n_folds = min(self.settings.n_folds, self.n_groups)
        if self.n_groups > 1:
            self.folds = deal_groups(table.codes, table.y, n_folds)
            row_folds = self.folds[table.codes]
        else:
            # Without groups, the folds are those of rows, and each row to predict is a new one.
            self.folds = np.array([-1])
            row_folds = deal_rows(
                table.codes, min(self.settings.n_folds, max(len(table.y) // 2, 1))
            )
        self.population, unseen = fit_population(
            self.settings.population,
            table.X,
            table.y,
            table.weight,
            row_folds,
            self.labels,
            n_jobs=self.settings.n_jobs,
        )
        self.settings.report(POPULATION)
        self.spread = 0.0
        if not self.n_classes:
            self.spread = float(np.sqrt(np.average((table.y - unseen) ** 2, weights=table.weight)))
        self.columns = self._useful_columns(table.X)
        self._known = self._as_known(table, unseen)
        if self.n_groups > 1 and self.settings.combine != POPULATION:
            self._fit_learners(table, unseen)
        else:
            self.levels = [self._level(*self._of_population(table, unseen))]
        return order

    # ----------------------------------------------------------------------------- parts of a fit

    def _table(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        codes: np.ndarray,
        times: np.ndarray | None,
    ) -> tuple[Table, Order]:
        X = self.of_columns(X)
        if not self.n_classes:
            self.of_targets = Standardiser.learn(y)
            y = self.of_targets(y)
        parts = [X, y[:, None]] if times is None else [X, y[:, None], times[:, None]]
        order = canonical_order(np.hstack(parts), codes)
        weight = np.bincount(order.members, weight)
        rows = order.rows
        at = None if times is None else times[rows]
        return Table(X[rows], y[rows], weight, order.counts, order.codes, at), order

    def _useful_columns(self, X: np.ndarray) -> np.ndarray:
        """Return which of the filled columns are not constant."""
        filled = fill(X)
        return np.flatnonzero(filled.max(0, initial=-np.inf) > filled.min(0, initial=np.inf))

    def _designs(self, X: np.ndarray, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of each learner."""
        Z = fill(X)[:, self.columns]
        shared = log_odds(outputs) if self.n_classes else outputs[:, None]
        return {LEARNER: Z, BOTH: np.hstack([Z, shared])}

    def _as_known(self, table: Table, unseen: np.ndarray) -> dict[int, dict[str, Rows]]:
        """Return the known rows of each group, for each learner."""
        designs = self._designs(table.X, unseen)
        found: dict[int, dict[str, Rows]] = {}
        for code, rows in enumerate(_rows_of_groups(table.codes, self.n_groups)):
            found[code] = {
                name: Rows(Z[rows], table.y[rows], table.weight[rows])
                for name, Z in designs.items()
            }
        return found

    def _names(self) -> tuple[str, ...]:
        combine = self.settings.combine
        return (LEARNER, BOTH) if combine == "auto" else (combine,)

    def _fit_learners(self, table: Table, unseen: np.ndarray) -> None:
        combine = self.settings.combine
        self.members = MEMBERS if combine == "auto" else (combine,)
        designs = self._designs(table.X, unseen)
        fold_of_row = self.folds[table.codes]
        n_folds = int(self.folds.max()) + 1
        # Enough groups are held out, and as few learners as that takes are fitted.
        n_held_out = min(n_folds, int(np.ceil(_ENOUGH_GROUPS * n_folds / self.n_groups)))
        found: dict[float, list[_Level]] = {}
        for fold in range(n_held_out if n_folds > 1 else 0):
            learners = self._learn(designs, table, fold_of_row != fold)
            groups = _some(np.flatnonzero(self.folds == fold), _MOST_GROUPS)
            cases: dict[float, list[_Case]] = {}
            for case in _cases(table, groups):
                cases.setdefault(case.level, []).append(case)
            for level, of_level in cases.items():
                outputs = self._case_outputs(learners, designs, table, unseen, of_level)
                found.setdefault(level, []).append((of_level, *outputs))
            self.settings.report("groups held out")
        self.levels = self._find_levels(table, found)
        self.learners = self._learn(designs, table, np.ones(len(table.y), bool))
        self.settings.report(LEARNER)
        if not self.levels:
            equal = np.full(len(self.members), 1 / len(self.members))
            self.levels = [self._level(*self._of_population(table, unseen))._replace(weights=equal)]

    def _learn(
        self, designs: dict[str, np.ndarray], table: Table, is_used: np.ndarray
    ) -> dict[str, GroupLearner]:
        # A learner counts rows, and takes no weights.
        rows = np.repeat(np.flatnonzero(is_used), table.counts[is_used])
        ones = np.ones(len(rows))
        found = {}
        for name in self._names():
            given = Rows(designs[name][rows], table.y[rows], ones)
            found[name] = GroupLearner.fit(
                self.settings.learner, given, table.codes[rows], self.n_classes
            )
        return found

    def _case_outputs(
        self,
        learners: dict[str, GroupLearner],
        designs: dict[str, np.ndarray],
        table: Table,
        unseen: np.ndarray,
        cases: list[_Case],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions (m, n) or (m, n, c) and standard deviations (m, n) of all queries."""
        known, known_codes = _joined([case.known for case in cases])
        query, codes = _joined([case.query for case in cases])
        means, stds = [], []
        for name in self.members:
            mean, std = unseen[query], np.full(len(query), self.spread)
            if name != POPULATION:
                rows = Rows(designs[name], table.y, table.weight).take(known)
                mean, of_learner = learners[name].predict(
                    rows, known_codes, designs[name][query], codes
                )
                std = np.zeros(len(mean)) if of_learner is None else of_learner
            means.append(mean)
            stds.append(std)
        return np.stack(means), np.stack(stds)

    def _find_levels(self, table: Table, found: dict[float, list[_Level]]) -> list[Level]:
        levels = []
        for _, parts in sorted(found.items()):
            cases = [case for of_fold, _, _ in parts for case in of_fold]
            query = np.concatenate([case.query for case in cases])
            if len(query) < _LEAST_ROWS:
                continue
            mean, std = (np.concatenate([part[k] for part in parts], axis=1) for k in (1, 2))
            n_groups = len({case.group for case in cases})
            n_known = float(np.expm1(np.mean([np.log1p(len(case.known)) for case in cases])))
            y, weight = table.y[query], table.weight[query]
            levels.append(self._level(mean, std, y, weight, n_known, n_groups))
        # Known groups that are not larger than a fixed number of rows say more than it.
        fixed, known = levels[:-1], levels[-1:]
        return [level for level in fixed if level.n_known < known[0].n_known / 1.5] + known

    def _level(self, mean, std, y, weight, n_known, n_groups) -> Level:
        level = weigh(mean, None if self.n_classes else std, y, weight, n_known, n_groups)
        weights = np.where(level.weights < _LEAST_WEIGHT, 0.0, level.weights)
        return level._replace(weights=weights / weights.sum())

    def _of_population(self, table: Table, unseen: np.ndarray) -> tuple[Any, ...]:
        std = np.full((1, len(table.y)), max(self.spread, 1e-12))
        return unseen[None], std, table.y, table.weight, 0.0, self.n_groups

    # ------------------------------------------------------------------------------ new rows

    def add(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray) -> None:
        """Add known rows of groups, known or new.

        Parameters
        ----------
        X, y, weight, codes
            As for :meth:`fit`. New groups have numbers that were not used before.
        """
        X, folds = self.of_columns(X), self._folds_of(codes)
        y = y if self.n_classes else self.of_targets(y)
        designs = self._designs(X, self.population.predict(X, folds))
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            more = {n: Rows(Z[rows], y[rows], weight[rows]) for n, Z in designs.items()}
            old = self._known.get(int(code))
            if old is not None:
                more = {n: _join(old[n], more[n]) for n in more}
            self._known[int(code)] = more

    def _folds_of(self, codes: np.ndarray) -> np.ndarray:
        is_known = (codes >= 0) & (codes < self.n_groups)
        return np.where(is_known, self.folds[np.where(is_known, codes, 0)], -1)

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
        X = self.of_columns(X)
        shared = self.population.predict(X, self._folds_of(codes))
        n_known = np.array([self._n_known(code) for code in codes.tolist()], float)
        weights, quantiles = interpolate(self.levels, n_known)
        means = np.zeros((len(self.members), *shared.shape))
        stds = np.zeros((len(self.members), len(X)))
        designs = self._designs(X, shared) if self.learners else {}
        for k, name in enumerate(self.members):
            if name == POPULATION:
                means[k], stds[k] = shared, self.spread
                continue
            rows = np.flatnonzero(weights[k] > 0)
            if len(rows):
                present, position = np.unique(codes[rows], return_inverse=True)
                known, known_codes = self._rows_of(present, name)
                Z = designs[name][rows]
                found = self.learners[name].predict(known, known_codes, Z, position)
                means[k, rows] = found.mean
                stds[k, rows] = 0.0 if found.std is None else found.std
        std = None if self.n_classes else np.maximum(mix(stds, weights), 1e-12)
        return Predictions(mix(means, weights), std, quantiles)

    def _n_known(self, code: int) -> int:
        if not self.learners or code not in self._known:
            return 0
        return len(self._known[code][self._names()[0]].y)

    def _rows_of(self, codes: np.ndarray, name: str) -> tuple[Rows, np.ndarray]:
        """Return the known rows of groups, and the position of each row's group."""
        parts = [self._known[code][name] if code in self._known else None for code in codes]
        present = [(k, rows) for k, rows in enumerate(parts) if rows is not None]
        if not present:
            d = self.learners[name].n_columns
            return Rows(np.zeros((0, d)), np.zeros(0), np.zeros(0)), np.zeros(0, np.int64)
        positions = [np.full(len(rows.y), k) for k, rows in present]
        fields = zip(*(rows for _, rows in present), strict=True)
        return Rows(*(np.concatenate(field) for field in fields)), np.concatenate(positions)


class _Case(NamedTuple):
    """Rows of a held-out group that are known, and others that are predicted."""

    level: float
    group: int
    known: np.ndarray
    query: np.ndarray


# Cases of a fold, with predictions and standard deviations of their queries.
_Level = tuple[list[_Case], np.ndarray, np.ndarray]


def _cases(table: Table, groups: np.ndarray) -> Iterator[_Case]:
    """Yield cases of groups: few known rows, and most of the rows."""
    of_groups = _rows_of_groups(table.codes, int(table.codes.max()) + 1)
    for group in groups.tolist():
        rows = of_groups[group]
        n = len(rows)
        if table.times is None:
            # The same permutation for all groups of a size: it depends on no name.
            rows = rows[np.random.default_rng(n).permutation(n)]
        else:
            rows = rows[np.argsort(table.times[rows], kind="stable")]
        for k in _N_KNOWN:
            if n >= k + 2:
                yield _Case(k, group, rows[:k], rows[k:][:_MOST_ROWS])
        n_query = min(_MOST_ROWS, max(1, round(_SHARE * n)))
        for part in range(_N_PARTS if table.times is None else 1):
            stop = n - part * n_query
            if n > n_query and stop - n_query >= 0:
                query = rows[stop - n_query : stop]
                known = rows[: stop - n_query]
                if table.times is None:
                    known = np.setdiff1d(rows, query)
                yield _Case(np.inf, group, known, query)


def _some(groups: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many groups, evenly spaced in their order."""
    if len(groups) <= most:
        return groups
    return groups[np.linspace(0, len(groups) - 1, most).round().astype(int)]


def _rows_of_groups(codes: np.ndarray, n_groups: int) -> list[np.ndarray]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=n_groups))[:-1])


def _joined(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows of parts, and the position of each row's part."""
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _join(first: Rows, second: Rows) -> Rows:
    return Rows(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
