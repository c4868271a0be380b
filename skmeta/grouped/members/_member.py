"""The members of the mixture of a grouped table, and the simplest of them.

They are members of :mod:`skmeta._tabular`. From the simplest on:

- ``population``: what all groups share;
- ``both``: how groups differ, in the columns and the predictions of the population;
- ``counts``: how groups differ in the logarithm of expected counts;
- ``trees`` and ``rows``: second populations beside ``both``;
- ``process`` and ``prior``: models of rows to which groups are categories, of small tables.

``mixed``, how groups differ in the columns alone, can be taken in place of the mixture, and gives
the effects.

To add a member that reads rows, add a line to ``KINDS_OF_MODELS``. To add another, write
``fit_...(table, ...) -> Member`` in a module of its own, and call it in :mod:`skmeta.grouped._fit`;
:mod:`skmeta.grouped._effects` has its name for readers. The mixture finds its weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skmeta._tabular import Member, Outputs, Table

MEMBERS = ("population", "both", "trees", "rows")
POPULATION, BOTH, TREES, ROWS = MEMBERS
MIXED = "mixed"
# All members, weighted.
MIXTURE = "mixture"
# How groups of one of several columns differ in those of the others.
INTERACTIONS = "interactions"
# Effects of groups on the logarithm of expected counts.
COUNTS = "counts"


@dataclass(frozen=True)
class PopulationMember(Member):
    """What all groups share, cross-fitted, with the root mean squared error in unseen groups."""

    spread: float

    belief = 0.25

    @classmethod
    def from_errors(cls, table: Table, n_classes: int) -> PopulationMember:
        """Take the spread from the errors in a table; it is 0 for a classification."""
        if n_classes:
            return cls(0.0)
        square = np.average((table.y - table.shared) ** 2, weights=table.weight)
        return cls(max(float(np.sqrt(square)), 1e-12))

    def condition(self, known: Table) -> PopulationMember:
        """Return itself: what groups share depends on no known row."""
        return self

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict what the table says."""
        return Outputs(at.shared, np.full(len(at.y), self.spread))
