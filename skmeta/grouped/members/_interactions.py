"""How groups of one column differ in those of other columns: mixed slopes on their indicators.

The covariance of the slopes has a low rank, so that a few patterns, which groups follow more or
less, are learned from all pairs of groups.

Notation: n rows, F columns of groups, k indicators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular import Member, Outputs, Table
from skmeta.grouped.members._group_effects import (
    ConditionedEffects,
    GroupEffects,
    design_of,
    fit_group_effects,
)

# Groups of the other columns, in all, and rows of the table, at most; and rows per group of the
# largest column, at least.
_MAX_LEVELS, _MAX_ROWS, _MIN_SIZE = 25, 5000, 4


class FactorColumns(NamedTuple):
    """The column whose groups differ, and the others, with their numbers of groups."""

    factor: int
    others: tuple[int, ...]
    n_levels: tuple[int, ...]

    def __call__(self, table: Table) -> Table:
        """Return a table of one column of groups, with the indicators of the others in front."""
        each = zip(self.others, self.n_levels, strict=True)
        parts = [(table.codes[:, [f]] == np.arange(n)) * 1.0 for f, n in each]
        return table._replace(X=np.hstack([*parts, table.X]), codes=table.codes[:, [self.factor]])


def columns_of_interactions(codes: np.ndarray) -> FactorColumns | None:
    """Return the column with the most groups and small others, given codes (n, F); None without."""
    n_groups = codes.max(0) + 1
    factor = int(n_groups.argmax())
    others = [f for f in range(len(n_groups)) if f != factor and 3 <= n_groups[f] <= _MAX_LEVELS]
    n_levels = n_groups[others]
    is_small = len(codes) <= _MAX_ROWS and n_levels.sum() <= _MAX_LEVELS
    if not others or not is_small or len(codes) < _MIN_SIZE * n_groups[factor]:
        return None
    return FactorColumns(factor, tuple(others), tuple(n_levels.tolist()))


@dataclass(frozen=True)
class Interactions(Member):
    """A mixed model of the groups of one column, with slopes on the indicators of the others."""

    columns: FactorColumns
    effects: GroupEffects

    def condition(self, known: Table) -> ConditionedInteractions:
        """Condition the model on known rows."""
        return ConditionedInteractions(self, self.effects.condition(self.columns(known)))


class ConditionedInteractions(NamedTuple):
    """The model, given known rows."""

    member: Interactions
    given: ConditionedEffects

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows."""
        return self.given.predict(self.member.columns(at), before)


def fit_interactions(
    table: Table, settings: dict[str, Any], start: Interactions | None = None
) -> Interactions:
    """Fit the model to a regression's table, with the columns of `start`."""
    if start is None:
        columns = columns_of_interactions(table.codes)
        assert columns is not None
    else:
        n_groups = table.codes.max(0) + 1
        n_levels = tuple(n_groups[list(start.columns.others)].tolist())
        columns = start.columns._replace(n_levels=n_levels)
    view = columns(table)
    return Interactions(columns, fit_group_effects(view, design_of(view, False, 0), settings))
