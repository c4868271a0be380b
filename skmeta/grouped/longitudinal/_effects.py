"""Group effects beside trees: the model of a table without an order, with time and the phases of
seasons as columns.

It has no trend of its own beyond the times seen, which is right where a curve turns or levels off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmeta._tabular import FitSettings, Outputs, Population, Table, fit_population
from skmeta.grouped.longitudinal._curves import ConditionedInTime, TargetRange, TimeMember
from skmeta.grouped.longitudinal._seasons import Calendar
from skmeta.grouped.members import MixedEffects, fit_mixed, mixed_form

# Folds of groups of the trees, and of those that are fitted again to earlier rows.
_N_FOLDS, _N_FOLDS_AGAIN = 5, 2
# One form of effects: curves of groups are beside it.
_SETTINGS = {"effects": "slopes"}


@dataclass(frozen=True)
class Effects(TimeMember):
    """Trees over all groups, and a mixed-effects model of the columns and of their predictions."""

    population: Population  # trees, cross-fitted over groups
    effects: MixedEffects
    calendar: Calendar
    range: TargetRange

    def without(self, kept: Table) -> Effects:
        """Return the member with effects from other groups; its trees are cross-fitted."""
        return replace(self, effects=self.effects.without(self._with_shared(kept)))

    def condition(self, known: Table) -> ConditionedInTime:
        """Condition the effects on the known rows of groups."""
        return ConditionedInTime(self, self.effects.condition(self._with_shared(known)))

    def predict_from(self, known: Any, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups, given the conditioned effects."""
        outputs: Outputs = known.predict(self._with_shared(at), before)
        return outputs._replace(mean=self.range.within(outputs.mean))

    def _with_shared(self, rows: Table) -> Table:
        rows = _with_calendar(rows, self.calendar)
        return rows._replace(shared=self.population.predict(rows.X, rows.fold))


def fit_effects(
    rows: Table,
    settings: FitSettings,
    calendar: Calendar,
    target_range: TargetRange,
    effects_settings: Mapping[str, Any],
    start: Effects | None = None,
) -> Effects:
    """Fit a population, and effects of groups beside it, from `start` on."""
    n_folds = _N_FOLDS if start is None else _N_FOLDS_AGAIN
    rows = _with_calendar(rows, calendar)
    fold = np.unique(rows.fold % n_folds, return_inverse=True)[1]
    n_rounds = 0 if start is None else start.population.n_rounds
    parts = settings, rows.X, rows.y, rows.weight, fold, 0
    population, shared = fit_population(*parts, n_rounds=n_rounds)
    table = rows._replace(shared=shared)
    if start is None:
        chosen = dict(effects_settings or _SETTINGS)
        effects = fit_mixed(table, mixed_form(table, True, 0, chosen))
    else:
        effects = start.effects.without(table)
    return Effects(population, effects, calendar, target_range)


def _with_calendar(rows: Table, calendar: Calendar) -> Table:
    """Return rows with columns of the phases of seasons; of groups, the first column."""
    return rows._replace(X=calendar.with_columns(rows.X, rows.times), codes=rows.codes[:, :1])
