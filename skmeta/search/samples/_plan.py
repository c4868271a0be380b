"""How many rows samples have, and how many candidates are tried on each.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
n, N    scalar           rows of a sample, and of the whole table
s(n)    scalar           seconds of a candidate on n rows, all folds: a + b n
q(n)    scalar           (s(n) + o) / (s(N) + o), where o is the time that a proposal takes
======  ===============  ====================================================================

The first candidate is tried on the two smallest samples, and a and b follow from its seconds. On
recorded searches (benchmarks/make_searches_at_sizes.py), five candidates on a sample save about one
on the whole table. So none is tried on a sample where q is above a third, as of boosting on few
rows, and where it is smaller, as many as take the seconds of one or two candidates on the whole
table. The number is one of a few, so that noise in the seconds rarely has an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_LEAST_ROWS = 1_500  # of the smallest sample on which candidates are compared
_LEAST_GROWTH = 3  # smallest ratio between the table and that sample
_GROWTH = 4  # approximate ratio between a sample and the next one
_PROBE = 3  # ratio between the smallest compared sample, and the one that only times are read from
_COUNTS, _LATER_COUNTS = (3, 5, 10, 20), (3, 6)
# Samples take this share of the seconds of all candidates on the whole table, and the seconds of so
# many of them, at most. A sample on which a candidate costs more of one's seconds is left out.
_SHARES, _MOST, _MOST_COST = (0.25, 0.1), (1.5, 0.75), (0.35, 0.15)
_PROPOSAL = 0.03  # seconds
_SHARE_OF_BUDGET = 0.25  # of a time budget that samples may take


@dataclass(frozen=True)
class SamplePlan:
    """The samples of a search, the smallest one first.

    Attributes
    ----------
    n_rows : int
        Rows of the whole table.
    n_iter : int
        Number of candidates on the whole table.
    n_given : int or None
        Number of candidates on the smallest sample, as the user gave it; None if it follows from
        seconds.
    time_budget : float or None
        Seconds of the whole search.
    """

    n_rows: int
    n_iter: int
    n_given: int | None = None
    time_budget: float | None = None

    @classmethod
    def of(cls, samples: Any, n_rows: int, n_iter: int, time_budget: float | None) -> "SamplePlan":
        """Return the plan for the parameter of a search."""
        if isinstance(samples, bool | str):
            return cls(n_rows if samples else 0, n_iter, None, time_budget)
        return cls(n_rows, n_iter, int(samples), time_budget)

    @property
    def sizes(self) -> list[int]:
        """Return the rows of the samples; none if the table is small."""
        if self.n_rows < _LEAST_GROWTH * _LEAST_ROWS:
            return []
        n = max(1, round(np.log(self.n_rows / _LEAST_ROWS) / np.log(_GROWTH)))
        sizes = np.geomspace(_LEAST_ROWS, self.n_rows, n + 1)[:-1].round().astype(int).tolist()
        return sizes if self.n_given is not None else [_LEAST_ROWS // _PROBE, *sizes]

    @property
    def compared_at(self) -> int | None:
        """Return the position of the sample that begins with the candidate of the one before.

        The seconds of the two are compared.
        """
        return 1 if self.n_given is None else None

    @property
    def seconds(self) -> float | None:
        """Return the seconds that samples may take at most; None is without end."""
        return None if self.time_budget is None else _SHARE_OF_BUDGET * self.time_budget

    def n_candidates(self, position: int, probed: Sequence[float]) -> int:
        """Return how many candidates to try on a sample.

        Parameters
        ----------
        position : int
            Of the sample among `sizes`.
        probed : sequence of float
            Seconds of the first candidate on the samples so far.

        Returns
        -------
        int
            1 if the seconds of the first candidate are needed to tell.
        """
        if self.n_given is not None:
            return self.n_given if position == 0 else min(self.n_given, _LATER_COUNTS[-1])
        if len(probed) < 2:
            return 1
        later = int(position != self.compared_at)
        least = 1 - later  # the first candidate has been tried
        cost = self._cost(self.sizes[position], probed)
        if cost > _MOST_COST[later]:
            return least
        affordable = min(_SHARES[later] * self.n_iter, _MOST[later]) / cost
        return max([least, *(n for n in (_COUNTS, _LATER_COUNTS)[later] if n <= affordable)])

    def most(self, position: int) -> int:
        """Return the largest number of candidates on a sample."""
        if self.n_given is not None:
            return self.n_candidates(position, ())
        return (1, _COUNTS[-1], _LATER_COUNTS[-1])[min(position, 2)]

    def _cost(self, n: int, probed: Sequence[float]) -> float:
        """Return q(n)."""
        (few, many), (s_few, s_many) = self.sizes[:2], probed[:2]
        b = max(s_many - s_few, 0.0) / (many - few)
        a = max(s_many - b * many, 0.0)
        return (a + b * n + _PROPOSAL) / (a + b * self.n_rows + _PROPOSAL)
