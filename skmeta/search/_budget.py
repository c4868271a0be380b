"""The time budget of a search: no fit is begun that is predicted to end too late.

Seconds grow with a power of the rows. The exponent is learned from fits on the sample and on all
rows, so the sample predicts fits on all rows, and fits of folds predict the refit. The exponent is
1 without a sample. It is lower before the first fit on all rows, since without that fit candidates
are compared on the sample only.
"""

import math
import time
from typing import Self

import numpy as np

from skmeta.search._trials import Output, Trial

# Share of the fits so far that are faster than the next one is expected to be.
_NEXT_FIT_QUANTILE = 0.9
_BEFORE_ALL_ROWS = 0.5  # measured of boosting on 2,000 and 20,000 rows: 0.43 to 0.55
# Exponents of rows: of an estimator that nearly ignores their number, and of a kernel machine.
_MIN_EXPONENT, _MAX_EXPONENT = 0.25, 2.0
_MIN_SECONDS = 1e-6  # of a fit; clocks may say 0
# Until a candidate is finished on all rows, fits may end late by this share of the budget: the
# prediction is rough, and without such a candidate the search compares them on the sample only.
_TOLERANCE = 0.05


class BudgetSpent(Exception):
    """Raised when the time budget is used up, to end the search."""


class Budget:
    """The time of a search from its first fit on; None is without end.

    `refit_ratio` is the rows of the refit over those of a fold's fit; 0 without refit. A new
    candidate needs time for `n_ahead` fits, one after the other.
    """

    def __init__(
        self, seconds: float | None, refit_ratio: float = 0.0, *, n_ahead: int = 1
    ) -> None:
        self.begun = time.monotonic()
        self.refit_ratio = refit_ratio
        self.first_fit: float | None = None
        self._seconds = math.inf if seconds is None else seconds
        self._n_ahead = n_ahead
        self._fold_seconds: list[float] = []
        self._best_score = -math.inf
        self._best_fit: float | None = None  # its seconds; None before the first candidate
        self._sample: Self | None = None
        self._sample_ratio = 1.0  # all rows over those of the sample

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

    def learn(self, sample: Self, ratio: float) -> None:
        """Learn from a sample; `ratio` is the number of all rows over that of its rows."""
        self.first_fit = sample.first_fit
        self._sample, self._sample_ratio = sample, ratio

    def check(self, trial: Trial | None = None) -> None:
        """Raise `BudgetSpent` if another fit and the refit would probably not end in time.

        At least one candidate is finished, on the sample if there is one. The next fit takes as
        long as the longest one of an unfinished `trial`, else longer than most.
        """
        refit = self._refit_seconds()
        if refit is None:
            return
        if trial is not None and not trial.is_finished:
            ahead = max(trial.seconds)
        else:
            known = self._known_seconds()
            ahead = self._n_ahead * float(np.quantile(known, _NEXT_FIT_QUANTILE)) if known else 0.0
        begun = self.begun if self.first_fit is None else self.first_fit
        seconds = self._seconds * (1.0 if self._best_fit is not None else 1 + _TOLERANCE)
        if time.monotonic() + ahead + refit > begun + seconds:
            raise BudgetSpent

    def _known_seconds(self) -> list[float]:
        """Return the seconds of folds so far, those of the sample as they would be on all rows."""
        if self._sample is None:
            return self._fold_seconds
        exponent = self._exponent(self._sample._fold_seconds, self._fold_seconds)
        scale = self._sample_ratio**exponent
        return [*self._fold_seconds, *(scale * one for one in self._sample._fold_seconds)]

    def _refit_seconds(self) -> float | None:
        """Return the expected seconds of the refit; None before there is a candidate to refit."""
        sample, fit, ratio = self._sample, self._best_fit, self.refit_ratio
        if sample is None:
            return None if fit is None else fit * ratio
        if fit is None:
            fit, ratio = sample._best_fit, ratio * self._sample_ratio
        exponent = self._exponent(sample._fold_seconds, self._fold_seconds)
        return None if fit is None else fit * ratio**exponent

    def _exponent(self, few: list[float], many: list[float]) -> float:
        """Return the power of the rows with which seconds grow, from those on few and all rows."""
        if not few:
            return 1.0
        if not many:
            return _BEFORE_ALL_ROWS
        growth = max(float(np.median(many)), _MIN_SECONDS) / max(
            float(np.median(few)), _MIN_SECONDS
        )
        exponent = math.log(growth) / math.log(self._sample_ratio)
        return min(max(exponent, _MIN_EXPONENT), _MAX_EXPONENT)
