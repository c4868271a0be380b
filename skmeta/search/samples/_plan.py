"""How many rows the sample has, and how many candidates are tried on it.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
n, N    scalar           rows of the sample, and of the whole table
s(n)    scalar           seconds of a candidate on n rows, all folds: a + b n
======  ===============  ====================================================================

The first candidate is tried on a third of the sample and on the sample, and a and b follow from its
seconds. If s(N) is short, the search is over before a sample pays. Otherwise, as many candidates
are tried as take the seconds of one or two on the whole table. The number is one of two, so that
noise in the seconds rarely has an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LEAST_ROWS = 15_000  # of a table that has a sample
_SHARE_OF_ROWS = 0.1
_PROBE = 3
_COUNTS = (5, 10)
_LEAST_SECONDS = 1.0  # of a candidate on the whole table
_MOST_FITS = 1.5  # on the whole table, that take as long as the sample
_SHARE_OF_BUDGET = 0.25  # of a time budget that samples may take


@dataclass(frozen=True)
class SamplePlan:
    """The samples of a search, the smallest one first.

    Attributes
    ----------
    n_rows : int
        Rows of the whole table; 0 if no sample is wanted.
    n_given : int or None
        Number of candidates on the sample, as the user gave it; None if it follows from seconds.
    time_budget : float or None
        Seconds of the whole search.
    """

    n_rows: int
    n_given: int | None = None
    time_budget: float | None = None

    @classmethod
    def of(cls, samples: Any, n_rows: int, time_budget: float | None) -> "SamplePlan":
        """Return the plan for the parameter of a search."""
        if isinstance(samples, bool | str):
            return cls(n_rows if samples else 0, None, time_budget)
        return cls(n_rows, int(samples), time_budget)

    @property
    def sizes(self) -> dict[int, int]:
        """Return the rows of each sample, and the largest number of candidates on it."""
        if self.n_rows < _LEAST_ROWS:
            return {}
        n = round(_SHARE_OF_ROWS * self.n_rows)
        return {n: self.n_given} if self.n_given is not None else {n // _PROBE: 1, n: _COUNTS[-1]}

    @property
    def seconds(self) -> float | None:
        """Return the seconds that samples may take at most; None is without end."""
        return None if self.time_budget is None else _SHARE_OF_BUDGET * self.time_budget

    def n_candidates(self, probed: Sequence[float]) -> int:
        """Return how many candidates to try on the current sample.

        Parameters
        ----------
        probed : sequence of float
            Seconds of the first candidate on the samples so far, the current one included.

        Returns
        -------
        int
            1 if the seconds of the first candidate on more rows are needed to tell.
        """
        if self.n_given is not None:
            return self.n_given
        if len(probed) < 2:
            return 1
        (few, many), (s_few, s_many) = self.sizes, probed
        b = max(s_many - s_few, 0.0) / (many - few)
        s_whole = s_many + b * (self.n_rows - many)
        affordable = _MOST_FITS * s_whole / s_many if s_whole >= _LEAST_SECONDS else 0
        return max(n for n in (1, *_COUNTS) if n <= max(affordable, 1))
