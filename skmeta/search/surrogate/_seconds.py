"""Expected seconds of a candidate, by its estimator.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
s       (m,)             seconds of the candidates that were evaluated
m_k     scalar           number of those with estimator k
g       scalar           mean of log s over all estimators
======  ===============  ====================================================================

The mean of log s of estimator k is shrunken towards g as if `_N_PRIOR` candidates with this mean
had been seen, so an estimator that was not tried yet is expected to take as long as the others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration

Array = NDArray[np.float64]

_N_PRIOR = 0.5
_MIN_SECONDS = 2e-3  # faster fits save nothing, as the search itself takes about as long


class SecondsModel:
    """Learns how long candidates take. The names of its parameters identify an estimator.

    Parameters
    ----------
    pool : sequence of dict
        The candidates.
    """

    def __init__(self, pool: Sequence[Configuration]) -> None:
        self._kinds: dict[frozenset[str], int] = {}
        self._kind_of: list[int] = []
        self._sums: list[float] = []
        self._counts: list[int] = []
        self.extend(pool)

    def extend(self, configurations: Sequence[Configuration]) -> None:
        """Append candidates."""
        for configuration in configurations:
            kind = self._kinds.setdefault(frozenset(configuration), len(self._kinds))
            if kind == len(self._sums):
                self._sums.append(0.0)
                self._counts.append(0)
            self._kind_of.append(kind)

    def observe(self, index: int, seconds: float) -> None:
        """Take note of how long a candidate took; NaN is ignored.

        Parameters
        ----------
        index : int
            Position of the candidate.
        seconds : float
        """
        if np.isfinite(seconds):
            kind = self._kind_of[index]
            self._sums[kind] += float(np.log(max(seconds, _MIN_SECONDS)))
            self._counts[kind] += 1

    def log_seconds(self) -> Array:
        """Return the expected logarithm of each candidate's seconds, of shape (n,).

        All are 0 if nothing was observed.
        """
        sums, counts = np.array(self._sums), np.array(self._counts)
        if not counts.any():
            return np.zeros(len(self._kind_of))
        tried = counts > 0
        overall = float((sums[tried] / counts[tried]).mean())
        by_kind = (sums + _N_PRIOR * overall) / (counts + _N_PRIOR)
        return np.asarray(by_kind[self._kind_of])
