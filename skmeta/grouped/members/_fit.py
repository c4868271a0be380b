"""The members of the mixture, from the simplest on.

* ``population``: what all groups share;
* ``both``: how groups differ, in the columns and the predictions of the population;
* ``trees`` and ``rows``: second populations beside ``both``.

``learner``, how groups differ in the columns alone, is not in the mixture. It can be taken in place
of it, and it gives the effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skmeta.grouped.members._group_effects import (
    Design,
    fit_group_effects,
    from_other_rows,
)
from skmeta.grouped.members._learned import LearnedModel
from skmeta.grouped.members._member import Member, PopulationMember
from skmeta.grouped.members._mixed import GroupMixedModel
from skmeta.grouped.members._population import FitSettings, fill, varying
from skmeta.grouped.members._table import Table
from skmeta.grouped.members._trees import fit_rows, fit_trees
from skmeta.learners import HierarchicalLinear

MEMBERS = ("population", "both", "trees", "rows")
POPULATION, BOTH, TREES, ROWS = MEMBERS
LEARNER = "learner"
# Each of these parts of a group is predicted from the others, for the columns of the trees.
_N_PARTS = 5


def fit_members(
    names: tuple[str, ...],
    table: Table,
    learner: Any,
    settings: FitSettings,
    n_classes: int,
) -> dict[str, Member]:
    """Fit members to the rows of all groups.

    Parameters
    ----------
    names : tuple of str
        The members that predict.
    table : Table
        Rows of all groups.
    learner : MetaLearner or AutoLearner
        How groups differ.
    settings : FitSettings
        How populations are fitted.
    n_classes : int
        Number of classes; 0 for a regression.

    Returns
    -------
    dict of str to Member
        The members, and before them those that they use.
    """
    spread = 0.0
    if not n_classes:
        spread = max(
            float(np.sqrt(np.average((table.y - table.shared) ** 2, weights=table.weight))), 1e-12
        )
    population = PopulationMember(spread)
    if names == (POPULATION,):
        return {POPULATION: population}
    base = LEARNER if LEARNER in names else BOTH
    effects = fit_group_effects(
        table, design(table, base == BOTH, n_classes), ModelFitter(learner, n_classes)
    )
    settings.report()
    effects, outputs = from_other_rows(effects, table, _N_PARTS)
    found: dict[str, Member] = {POPULATION: population} if POPULATION in names else {}
    found[base] = effects
    if TREES in names:
        found[TREES] = fit_trees(table, base, outputs, settings, n_classes)
    if ROWS in names:
        found[ROWS] = fit_rows(table, base, outputs, settings, n_classes)
    return found


def design(table: Table, has_shared: bool, n_classes: int) -> Design:
    """Return the columns of the model of a table: those that vary."""
    columns = varying(fill(table.X))
    # A learner needs a column.
    columns = columns if len(columns) else np.array([0])
    return Design(columns, has_shared, n_classes)


@dataclass(frozen=True)
class ModelFitter:
    """Fits the model of how groups differ: a mixed-effects model, or any other learner.

    Attributes
    ----------
    learner : MetaLearner or AutoLearner
        The learner, or the settings of the mixed-effects model.
    n_classes : int
        Number of classes; 0 for a regression.
    """

    learner: Any
    n_classes: int

    def __call__(self, Z: np.ndarray, y: np.ndarray, codes: np.ndarray, start: Any) -> Any:
        """Fit the model to columns (n, d), targets (n,) and groups (n,), from another or None."""
        if type(self.learner) is not HierarchicalLinear:
            return LearnedModel.fit(self.learner, self.n_classes, Z, y, codes, start)
        names = ("effects", "rank", "shrinkage", "varied_noise", "heavy_tails")
        settings = {name: getattr(self.learner, name) for name in names}
        return GroupMixedModel.fit(settings, self.n_classes, Z, y, codes, start)
