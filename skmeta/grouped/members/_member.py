"""The names of members of a grouped table, and the simplest of them: what all groups share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skmeta._tabular import Member, Outputs, Table

# What all groups share; how groups differ, in the columns alone, and in these and the predictions
# of the population; all members, weighted; effects on the logarithm of expected counts.
POPULATION, MIXED, BOTH, MIXTURE = "population", "mixed", "both", "mixture"
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
