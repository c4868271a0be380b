"""How groups differ: a model of the columns, and of the predictions of the population.

The model is a mixed-effects model, or any learner that takes groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from skmeta.grouped.members._canonical import deal_rows
from skmeta.grouped.members._member import Outputs
from skmeta.grouped.members._population import fill, log_odds
from skmeta.grouped.members._table import Table

# Least standard deviation: this in units of that of the targets, and this share of the root mean
# square of all. A group with equal targets would pass for one without noise.
_LEAST_STD, _LEAST_SHARE = 1e-9, 0.1

# Takes Z (n, d), y, groups (n,) and a model to start from, or None.
FitModel = Callable[[np.ndarray, np.ndarray, np.ndarray, Any], Any]


class Design(NamedTuple):
    """Columns of the model of a table.

    Attributes
    ----------
    columns : ndarray of int64
        Columns of the table, among those that are filled.
    has_shared : bool
        Whether the predictions of the population are columns, too.
    n_classes : int
        Number of classes; 0 for a regression.
    """

    columns: np.ndarray
    has_shared: bool
    n_classes: int

    def __call__(self, table: Table) -> np.ndarray:
        """Return the columns (n, d) of a table."""
        Z = fill(table.X)[:, self.columns]
        if not self.has_shared:
            return Z
        return np.hstack([Z, as_columns(table.shared, self.n_classes)])


def as_columns(outputs: np.ndarray, n_classes: int) -> np.ndarray:
    """Return predictions as columns: targets, or log odds."""
    return log_odds(outputs) if n_classes else outputs[:, None]


@dataclass(frozen=True)
class GroupEffects:
    """How groups differ.

    Attributes
    ----------
    design : Design
        Columns of the model.
    fit_model : callable
        Fits a model to columns, targets and groups.
    model : object
        What it returned: ``model.condition(Z, y, weight, codes, n_groups)`` returns the groups
        given their rows, and ``predict(Z, codes)`` of that :class:`Outputs`.
    least_std : float
        Least standard deviation of a prediction.
    """

    design: Design
    fit_model: FitModel
    model: Any
    least_std: float = _LEAST_STD

    of_known: ClassVar[bool] = False

    def without(self, kept: Table) -> GroupEffects:
        """Fit the model to the rows of other groups, starting from what it is."""
        codes = np.unique(kept.group, return_inverse=True)[1]
        return replace(self, model=self.fit_model(self.design(kept), kept.y, codes, self.model))

    def condition(self, known: Table) -> ConditionedEffects:
        """Condition the model on the known rows of groups."""
        present, codes = np.unique(known.group, return_inverse=True)
        # The last group has no rows.
        of_groups = self.model.condition(
            self.design(known), known.y, known.weight, codes, len(present) + 1
        )
        return ConditionedEffects(self, present, of_groups)


class ConditionedEffects(NamedTuple):
    """Effects of groups, given known rows."""

    member: GroupEffects
    present: np.ndarray
    of_groups: Any

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows; those of groups without known rows from the prior."""
        position = np.searchsorted(self.present, at.group)
        is_known = np.append(self.present, -2)[position] == at.group
        codes = np.where(is_known, position, len(self.present))
        found = self.of_groups.predict(self.member.design(at), codes)
        if self.member.design.n_classes:
            return Outputs(found.mean, np.zeros(len(codes)))
        return Outputs(found.mean, np.maximum(found.std, self.member.least_std))


def fit_group_effects(table: Table, design: Design, fit_model: FitModel) -> GroupEffects:
    """Fit the model to the rows of all groups."""
    return GroupEffects(design, fit_model, fit_model(design(table), table.y, table.group, None))


def from_other_rows(
    effects: GroupEffects, table: Table, n_parts: int
) -> tuple[GroupEffects, Outputs]:
    """Predict each row from the rows of its group in other parts.

    Parameters
    ----------
    effects : GroupEffects
        Fitted.
    table : Table
        Rows of all groups.
    n_parts : int
        Number of parts of the rows of a group.

    Returns
    -------
    effects : GroupEffects
        With the least standard deviation that follows from the others.
    outputs : Outputs
        Predictions of the rows.
    """
    parts = deal_rows(table.group, n_parts)
    mean, std = np.empty(table.shared.shape), np.empty(len(table.y))
    for part in range(int(parts.max()) + 1):
        rows = np.flatnonzero(parts == part)
        conditioned = effects.condition(table.take(np.flatnonzero(parts != part)))
        mean[rows], std[rows] = conditioned.predict(table.take(rows), {})
    found = Outputs(mean, std)
    if not effects.design.n_classes:
        typical = float(np.sqrt(np.average(found.std**2, weights=table.weight)))
        effects = replace(effects, least_std=max(_LEAST_SHARE * typical, _LEAST_STD))
        found = found._replace(std=np.maximum(found.std, effects.least_std))
    return effects, found
