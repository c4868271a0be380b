"""The time budget of a search: no fit is begun that is predicted to end too late."""

import math
import time

import numpy as np

from skmeta.search._trials import Output, Trial

# Share of the fits so far that are faster than the next one is expected to be.
_NEXT_FIT_QUANTILE = 0.9


class BudgetSpent(Exception):
    """Raised when the time budget is used up, to end the search."""


class Budget:
    """The time of a search from its first fit on; None is without end.

    `refit_ratio` is the rows of the refit over those of a fold's fit; 0 without refit. Seconds are
    proportional to rows.
    """

    def __init__(self, seconds: float | None, refit_ratio: float = 0.0) -> None:
        self.begun = time.monotonic()
        self.refit_ratio = refit_ratio
        self.first_fit: float | None = None
        self._seconds = math.inf if seconds is None else seconds
        self._fold_seconds: list[float] = []
        self._best_score = -math.inf
        self._best_fit: float | None = None  # its seconds; None before the first candidate

    def note(self, output: Output) -> None:
        """Take note of the result of a fold that was fitted now."""
        took = output["fit_time"] + output["score_time"]
        self._fold_seconds.append(took)
        if self.first_fit is None:
            self.first_fit = max(self.begun, time.monotonic() - took)

    def add(self, trial: Trial) -> None:
        """Take note of a finished candidate: the best one will be fitted again."""
        fit_seconds = float(np.mean([output["fit_time"] for output in trial.results]))
        if self._best_fit is None or trial.score > self._best_score:
            self._best_fit = fit_seconds
            self._best_score = trial.score if np.isfinite(trial.score) else -math.inf

    def check(self, trial: Trial | None = None) -> None:
        """Raise `BudgetSpent` if another fit and the refit would probably not end in time.

        At least one candidate is finished. The next fit takes as long as the longest one of an
        unfinished `trial`, else longer than most.
        """
        if self._best_fit is None:
            return
        if trial is not None and not trial.is_finished:
            ahead = max(trial.seconds)
        else:
            known = self._fold_seconds
            ahead = float(np.quantile(known, _NEXT_FIT_QUANTILE)) if known else 0.0
        begun = self.begun if self.first_fit is None else self.first_fit
        if time.monotonic() + ahead + self._best_fit * self.refit_ratio > begun + self._seconds:
            raise BudgetSpent
