"""The members of the mixture, and what each predicts for rows of groups.

* ``population``: what all groups share;
* ``both``: how groups differ, in the columns and the predictions of the population;
* ``trees``: a second population. In a regression it learns what ``both`` leaves, and is added to
  it; in a classification it has the predictions of ``both`` as columns;
* ``rows``: a population that has the predictions of ``both`` and the group as columns, cross-fitted
  over rows in place of groups. It has seen rows of the group, and predicts known groups only.

``learner``, how groups differ in the columns alone, is not in the mixture. It can be taken in place
of it, and it gives the effects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skmeta.grouped._canonical import deal_rows
from skmeta.grouped._cases import Table
from skmeta.grouped._group_learner import GroupLearner, Rows
from skmeta.grouped._population import Population, fill, fit_population, log_odds

MEMBERS = ("population", "both", "trees", "rows")
POPULATION, BOTH, TREES, ROWS = MEMBERS
LEARNER = "learner"
# Each of these parts of a group is predicted from the others, for the columns of ``trees``.
_N_PARTS = 5
# Trees of known groups have the group as a category, if there are no more of them.
_MOST_CATEGORIES = 250
# Least standard deviation: this in units of that of the targets, and this share of the root mean
# square of all. A group with equal targets would pass for one without noise.
_LEAST_STD, _LEAST_SHARE = 1e-9, 0.1


class Ensemble:
    """Members that were fitted on the rows of some groups.

    Parameters
    ----------
    members : sequence of str
        Their names.
    n_classes : int
        Number of classes; 0 for a regression.
    spread : float
        Root mean squared error of the population in groups it has not seen.
    columns : ndarray of int64
        Columns of the learners, among those that are filled.
    """

    def __init__(
        self, members: tuple[str, ...], n_classes: int, spread: float, columns: np.ndarray
    ) -> None:
        self.members, self.n_classes = members, n_classes
        self.spread, self.columns = spread, columns
        self.learners: dict[str, GroupLearner] = {}
        self.trees: dict[str, Population] = {}
        self.ratios: dict[str, float] = {}
        self.least_std = _LEAST_STD
        self.has_category = False

    def fit_learners(self, learner: Any, table: Table) -> Ensemble:
        """Fit the learners that members need.

        Parameters
        ----------
        learner : MetaLearner or AutoLearner
            Not changed.
        table : Table
            Rows of all groups to learn from. A learner counts rows, and takes no weights.

        Returns
        -------
        Ensemble
            Itself.
        """
        names = {BOTH if name in (TREES, ROWS) else name for name in self.members} - {POPULATION}
        for name in sorted(names):
            self.fit_learner(name, learner, table)
        return self

    def fit_learner(self, name: str, learner: Any, table: Table) -> None:
        """Fit the learner of a member."""
        rows = self.rows_of(name, table)
        self.learners[name] = GroupLearner.fit(learner, rows, table.codes, self.n_classes)

    def fit_trees(
        self,
        population: Any,
        table: Table,
        folds: np.ndarray,
        n_jobs: int | None,
        report: Callable[[], None],
    ) -> np.ndarray:
        """Fit the trees to predictions of each row from the others of its group.

        The deviations of these predictions give the least one.

        Parameters
        ----------
        population : estimator or "auto"
            Not changed.
        table : Table
            Rows of all groups.
        folds : ndarray of shape (n,), int64
            Fold of each row's group.
        n_jobs : int or None
            Number of models that are fitted at once.
        report : callable
            Called after each fit.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            Predictions of ``rows`` by models that have not seen the row.
        """
        unseen = table.shared
        if not self.learners:
            return unseen
        names = [name for name in (TREES, ROWS) if name in self.members]
        base = BOTH if BOTH in self.learners else LEARNER
        parts = deal_rows(table.codes, _N_PARTS)
        mean, std = np.empty(table.shared.shape), np.empty(len(table.y))
        for part in range(int(parts.max()) + 1):
            query = np.flatnonzero(parts == part)
            known, at = table.take(np.flatnonzero(parts != part)), table.take(query)
            mean[query], std[query] = self._learned(base, known, at)
        typical = float(np.sqrt(np.average(std**2, weights=table.weight)))
        self.least_std = max(_LEAST_SHARE * typical, _LEAST_STD)
        std = np.maximum(std, self.least_std)
        labels = np.arange(self.n_classes) if self.n_classes else None
        n_groups = int(table.codes.max()) + 1
        self.has_category = isinstance(population, str) and n_groups <= _MOST_CATEGORIES
        for name in names:
            X = self._tree_columns(name, table, mean, std)
            is_rows = name == ROWS
            adds = self._adds(name)
            self.trees[name], unseen = fit_population(
                population,
                X,
                table.y - mean if adds else table.y,
                table.weight,
                parts if is_rows else folds,
                labels,
                n_jobs=n_jobs,
                report=report,
                refit=is_rows,
                categories=[X.shape[1] - 1] if is_rows and self.has_category else (),
            )
            unseen = mean + unseen if adds else unseen
            self.ratios[name] = 1.0
            if not self.n_classes:
                errors = np.average((table.y - unseen) ** 2, weights=table.weight)
                expected = np.average(std**2, weights=table.weight)
                self.ratios[name] = float(np.sqrt(errors / expected))
        return unseen

    def share_trees(self, other: Ensemble) -> None:
        """Take the trees of another ensemble, which were cross-fitted on all groups.

        Parameters
        ----------
        other : Ensemble
            The ensemble, with its trees.
        """
        self.trees, self.ratios, self.has_category = other.trees, other.ratios, other.has_category
        self.least_std = other.least_std

    def predict(
        self, known: Table, at: Table, folds: np.ndarray, weights: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows by each member.

        Parameters
        ----------
        known : Table
            Known rows of the groups.
        at : Table
            Rows to predict; their targets are not used.
        folds : ndarray of shape (n,), int64
            Fold of each row's group; -1 for new groups.
        weights : ndarray of shape (m, n), optional
            Predictions with weight 0 are not computed.

        Returns
        -------
        means : ndarray of shape (m, n) or (m, n, n_classes)
            Predictions or probabilities.
        stds : ndarray of shape (m, n)
            Standard deviations.
        """
        m, n = len(self.members), len(at.y)
        needed = np.ones((m, n), bool) if weights is None else weights > 0
        means, stds = np.zeros((m, *at.shared.shape)), np.zeros((m, n))
        of_both: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for k, name in enumerate(self.members):
            rows = np.flatnonzero(needed[k])
            if name == POPULATION or not len(rows):
                means[k], stds[k] = at.shared, self.spread
            elif name in (TREES, ROWS):
                if BOTH not in of_both:
                    of_both[BOTH] = self._learned(BOTH, known, at)
                X = self._tree_columns(name, at, *of_both[BOTH])[rows]
                # A model of rows has no fold of its own for a row to predict.
                by = folds[rows] if name == TREES else np.full(len(rows), -1)
                means[k, rows] = self.trees[name].predict(X, by)
                if self._adds(name):
                    means[k, rows] += of_both[BOTH][0][rows]
                stds[k, rows] = self.ratios[name] * of_both[BOTH][1][rows]
            else:
                found = self._learned(name, known, at.take(rows))
                means[k, rows], stds[k, rows] = found
                if name == BOTH and len(rows) == n:
                    of_both[BOTH] = found
        return means, stds

    def _learned(self, name: str, known: Table, at: Table) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions (n,) or (n, c) of a learner, and standard deviations (n,)."""
        present, position = np.unique(at.codes, return_inverse=True)
        known = known.take(np.flatnonzero(np.isin(known.codes, present)))
        codes_of_known = np.searchsorted(present, known.codes)
        Z = self.rows_of(name, at).Z
        found = self.learners[name].predict(self.rows_of(name, known), codes_of_known, Z, position)
        if found.std is None:
            return found.mean, np.zeros(len(position))
        return found.mean, np.maximum(found.std, self.least_std)

    def rows_of(self, name: str, table: Table) -> Rows:
        """Return the rows of a table with the columns of a learner."""
        Z = fill(table.X)[:, self.columns]
        if name == BOTH:
            Z = np.hstack([Z, self._as_columns(table.shared)])
        return Rows(Z, table.y, table.weight)

    def _tree_columns(
        self, name: str, table: Table, mean: np.ndarray, std: np.ndarray
    ) -> np.ndarray:
        if self._adds(name):
            return table.X
        parts = [table.X, self._as_columns(mean), std[:, None]]
        if name == ROWS and self.has_category:
            # The groups of fit; others are not predicted by these trees.
            parts.append(np.minimum(table.codes, _MOST_CATEGORIES - 1.0)[:, None])
        return np.hstack(parts)

    def _adds(self, name: str) -> bool:
        """Return whether trees predict what is left, and are added to the predictions of both."""
        return name == TREES and not self.n_classes

    def _as_columns(self, outputs: np.ndarray) -> np.ndarray:
        return log_odds(outputs) if self.n_classes else outputs[:, None]
