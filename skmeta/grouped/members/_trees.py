"""Second populations, which know the predictions of how groups differ.

* ``trees``: in a regression it learns what the group effects leave, and is added to them; in a
  classification, and where what is left may be no target of a user's estimator, it has their
  predictions as columns. It is cross-fitted over groups.
* ``rows``: it has the predictions of the group effects and the group as columns, and is
  cross-fitted over rows in place of groups. It has seen rows of the group, and predicts known
  groups only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skmeta._tabular import (
    FitSettings,
    Member,
    Outputs,
    Population,
    Table,
    deal_rows,
    fit_population,
)
from skmeta.grouped.members._mixed import as_columns

# Trees of known groups have the group as a category, if there are no more of them.
_MAX_CATEGORIES = 250
# Parts of the rows of a group for trees over rows.
_N_PARTS = 3


@dataclass(frozen=True)
class SecondPopulation(Member):
    """A cross-fitted population beside the predictions of an earlier member."""

    base: str  # the earlier member
    population: Population
    n_classes: int  # 0 for a regression
    ratio: float  # root mean squared error over the deviation that the base predicts
    known_only: bool = False  # whether it has seen rows of the groups, and predicts no others
    groups: tuple[int, ...] = ()  # columns of groups that are columns of the trees
    # Rows of fit, by models without the row, and their ascending places in the table.
    unseen: tuple[np.ndarray, np.ndarray] | None = None
    adds: bool = False  # whether predictions are added to those of the base

    @property
    def belief(self) -> float:
        """Trees over groups are close to their base, which has a weight, too."""
        return 0.2 if self.known_only else 0.15

    def condition(self, known: Table) -> SecondPopulation:
        """Return itself: it knows of the rows by the predictions of the base."""
        return self

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows from their columns and the predictions of the base."""
        base = before[self.base]
        std = self.ratio * base.std
        if self.unseen is not None and np.isin(at.place, self.unseen[1]).all():
            return Outputs(self.unseen[0][np.searchsorted(self.unseen[1], at.place)], std)
        X = at.X if self.adds else _columns(at, base, self.n_classes, self.groups)
        # A model of rows has no fold of its own for a row to predict.
        fold = np.full(len(X), -1) if self.known_only else at.fold
        mean = self.population.predict(X, fold)
        return Outputs(mean + base.mean if self.adds else mean, std)


def fit_trees(
    table: Table,
    base: str,
    outputs: Outputs,
    settings: FitSettings,
    n_classes: int,
    *,
    known_only: bool,
    adds: bool,
    n_rounds: int = 0,
) -> SecondPopulation:
    """Fit trees over groups or, with `known_only`, over rows with the group as a column.

    They know what `base` predicts of each row from others; with `adds`, they learn what it leaves.
    """
    is_small = table.codes.max(0) < _MAX_CATEGORIES
    groups = tuple(np.flatnonzero(is_small).tolist()) if known_only and settings.is_auto else ()
    X = table.X if adds else _columns(table, outputs, n_classes, groups)
    added = outputs.mean if adds else 0.0
    population, unseen = fit_population(
        settings,
        X,
        table.y - added,
        table.weight,
        deal_rows(table.group, _N_PARTS) if known_only else table.fold,
        n_classes,
        corrects_base=True,
        refit=known_only,
        categories=range(X.shape[1] - len(groups), X.shape[1]),
        n_rounds=n_rounds,
    )
    unseen = unseen + added
    ratio = 1.0 if n_classes else _error_ratio(table, unseen, outputs.std)
    kept = (unseen, table.place) if known_only else None
    return SecondPopulation(base, population, n_classes, ratio, known_only, groups, kept, adds)


def _error_ratio(table: Table, unseen: np.ndarray, std: np.ndarray) -> float:
    errors = np.average((table.y - unseen) ** 2, weights=table.weight)
    return float(np.sqrt(errors / np.average(std**2, weights=table.weight)))


def _columns(table: Table, base: Outputs, n_classes: int, groups: Sequence[int]) -> np.ndarray:
    parts = [table.X, as_columns(base.mean, n_classes), base.std[:, None]]
    # The groups of fit; others are not predicted by these trees.
    parts += [np.clip(table.codes[:, [f]], 0, _MAX_CATEGORIES - 1.0) for f in groups]
    return np.hstack(parts)
