"""Group effects beside trees: the model of a table without an order, with time and the phases of
seasons as columns.

It has no trend of its own beyond the times seen, which is right where a curve turns or levels off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular import FitSettings, Population, Table, fit_population, silent
from skmeta.grouped.longitudinal._curves import within
from skmeta.grouped.longitudinal._seasons import Calendar
from skmeta.grouped.members import MixedEffects, fit_mixed, mixed_form

# Folds of groups of the trees that are fitted again to earlier rows.
_N_FOLDS_AGAIN = 2
# One form of effects: curves of groups are beside it.
_SETTINGS = {"effects": "slopes"}


class Effects(NamedTuple):
    """Trees over all groups, and a mixed-effects model of the columns and of their predictions."""

    population: Population  # trees, cross-fitted over groups
    effects: MixedEffects
    settings: FitSettings  # of the trees
    calendar: Calendar
    lowest: float  # range of the targets
    highest: float

    def without(self, kept: Table) -> Effects:
        """Return the member with effects from other groups; its trees are cross-fitted."""
        return self._replace(effects=self.effects.without(self._with_shared(kept)))

    def again(self, rows: Table) -> Effects:
        """Return the member, fitted to fewer rows of the groups."""
        return fit_effects(rows, self.settings, _N_FOLDS_AGAIN, self.calendar, start=self.effects)

    def predict(self, known: Table, at: Table) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows of groups, given known rows: means and standard deviations (n,)."""
        known, at = self._with_shared(known), self._with_shared(at)
        outputs = self.effects.condition(known).predict(at, {})
        return within(outputs.mean, self.lowest, self.highest), outputs.std

    def _with_shared(self, rows: Table) -> Table:
        rows = _with_calendar(rows, self.calendar)
        return rows._replace(shared=self.population.predict(rows.X, rows.fold))


def fit_effects(
    rows: Table,
    settings: FitSettings,
    n_folds: int,
    calendar: Calendar,
    effects_settings: Mapping[str, Any] | None = None,
    start: MixedEffects | None = None,
) -> Effects:
    """Fit a population in at most `n_folds`, and effects of groups beside it, from `start` on."""
    rows = _with_calendar(rows, calendar)
    fold = np.unique(rows.fold % n_folds, return_inverse=True)[1]
    population, shared = fit_population(settings, rows.X, rows.y, rows.weight, fold, 0)
    table = rows._replace(shared=shared, fold=fold)
    if start is None:
        chosen = dict(effects_settings or _SETTINGS)
        effects = fit_mixed(table, mixed_form(table, True, 0, chosen))
    else:
        effects = start.without(table)
    lowest, highest = float(rows.y.min()), float(rows.y.max())
    settings = settings._replace(report=silent)
    return Effects(population, effects, settings, calendar, lowest, highest)


def _with_calendar(rows: Table, calendar: Calendar) -> Table:
    """Return rows with columns of the phases of seasons; of groups, the first column."""
    return rows._replace(X=calendar.with_columns(rows.X, rows.times), codes=rows.codes[:, :1])
