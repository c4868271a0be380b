"""Candidates of a running search, what ends early, and what a user sees of both.

Racing over folds stops a candidate before its last fold.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from skmeta._progress import progress_bar
from skmeta.search._arguments import lines_per_candidate
from skmeta.search.space import Candidate, short_names, shown_value

# What scikit-learn's _fit_and_score returns: test_scores, fit_time, score_time, ...
Output = dict[str, Any]

# No handler is added: without one, Python shows warnings only.
_LOG = logging.getLogger("skmeta.search")

# Chosen on searches with 3, 5 and 10 folds, see benchmarks/measure/racing.py.
_MIN_PROBABILITY = 0.3
# How many observations the best candidate's variance counts as, as a guess of the variance of
# differences between candidates.
_N_PRIOR = 2


class FoldRace:
    """Decides after each fold of a candidate whether the candidate goes on.

    It is stopped when the probability that it will beat the best candidate, on average over all
    folds, is below 0.3. Both are compared fold by fold, as some folds are harder
    than others. The differences of the folds to come are predicted from those so far, with a flat
    prior on their mean, and a variance that is pooled over all candidates: the predictive power of
    Spiegelhalter, Freedman and Blackburn (1986), Monitoring clinical trials: conditional or
    predictive power?, Controlled Clinical Trials 7(1). See Bergman, Purucker and Hutter (2024),
    Don't waste your time: early stopping cross-validation. A candidate with a failed fold is
    stopped too. The best candidate is that of the batches before, so candidates of a batch may be
    evaluated in any order.
    """

    def __init__(self, is_on: bool = True) -> None:
        self.is_on = is_on  # whether candidates may be stopped
        self._best: NDArray[np.float64] | None = None
        # Sum of squares and degrees of freedom of the differences between candidates.
        self._squares = 0.0
        self._n_free = 0

    @property
    def has_begun(self) -> bool:
        """Whether there is a candidate to compare others with."""
        return self._best is not None

    def is_lost(self, scores: Sequence[float]) -> bool:
        """Return whether a candidate is stopped after its first folds; NaN is a failed fit."""
        if self._best is None or not self.is_on:
            return False
        mean = float(self._differences(scores).mean())
        if not mean < 0:
            return math.isnan(mean)
        variance = self.variance(scores)
        return variance == 0 or bool(ndtr(mean / math.sqrt(variance)) < _MIN_PROBABILITY)

    def estimate(self, scores: Sequence[float]) -> float:
        """Return the expected mean over all folds of a stopped candidate, at most the best's."""
        if self._best is None:
            return float(np.mean(scores))
        return float(self._best.mean() + np.minimum(self._differences(scores).mean(), 0.0))

    def variance(self, scores: Sequence[float]) -> float:
        """Return the variance of the mean over all folds, given some; NaN for a failure."""
        assert self._best is not None
        n, n_run = len(self._best), len(scores)
        own = _sum_of_squares(self._differences(scores))
        squares = self._squares + own + _N_PRIOR * float(self._best.var(ddof=1))
        fold_variance = squares / (self._n_free + n_run - 1 + _N_PRIOR)
        # The mean over all folds is n_run / n of what is known, and (n - n_run) / n of what is
        # predicted, with variance (1 / n_run + 1 / (n - n_run)) of a fold's.
        return fold_variance * (n - n_run) / (n * n_run)

    def enter(self, scores: Sequence[float]) -> None:
        """Compare later candidates with this one (all folds), if it is the best so far."""
        entered = np.array(scores)
        if not self.is_on or not np.isfinite(entered).all():
            return
        if self._best is not None:
            self._squares += _sum_of_squares(self._differences(scores))
            self._n_free += len(scores) - 1
        if self._best is None or entered.mean() > self._best.mean():
            self._best = entered

    def _differences(self, scores: Sequence[float]) -> NDArray[np.float64]:
        """Return the differences from the best candidate on the same folds."""
        assert self._best is not None
        return np.asarray(np.array(scores) - self._best[: len(scores)])


def _sum_of_squares(differences: NDArray[np.float64]) -> float:
    return float(((differences - differences.mean()) ** 2).sum())


@dataclass(eq=False)
class Trial:
    """A candidate of a search: why it is tried, and its results so far."""

    params: Candidate
    key: str  # by which the space knows it
    source: str
    predicted_mean: float = float("nan")  # NaN without a model
    predicted_std: float = float("nan")
    obstacle: str | None = None  # why it is not evaluated; counts as failed
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)  # of _fit_and_score, by fold
    n_folds: int | None = None  # set when finished; smaller if stopped in a race
    fold_scores: list[float] = field(default_factory=list)  # of the metric it maximises
    score: float = float("nan")  # mean over folds, expected if it was stopped
    is_stopped: bool = False
    is_on_record: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether it was stopped, or every fold has been evaluated."""
        return self.n_folds is not None

    @property
    def results(self) -> list[dict[str, Any]]:
        """Return the output of each fold, in their order; only those that count once it is over."""
        return [self.outputs[fold] for fold in sorted(self.outputs)][: self.n_folds]

    @property
    def seconds(self) -> list[float]:
        """Return the seconds of each fold."""
        return [output["fit_time"] + output["score_time"] for output in self.results]


# -- progress --------------------------------------------------------------------------------------


class Progress:
    """Shows finished candidates: a bar, and lines to logger "skmeta.search" or standard output."""

    def __init__(self, stage: Any) -> None:
        arguments, self._verbose = stage.arguments, lines_per_candidate(stage.search)
        # Lines of candidates would break the bar, so it is shown in place of them.
        verbose = stage.search.verbose if isinstance(stage.search.verbose, str) else 0
        self._bar = progress_bar(arguments.n_iter, "search", "candidates", verbose=verbose)
        self._begun, self._notes = stage.budget.begun, arguments.notes
        self._n_iter, self._n_splits = arguments.n_iter, len(stage.folds.splits)
        self._names = short_names(arguments.space.names)
        self._best = -np.inf
        self._n_shown = 0

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._tell(
            f"Fitting {self._n_splits} folds for each of {self._n_iter} candidates, "
            f"totalling {self._n_iter * self._n_splits} fits"
        )
        for note in self._notes:
            self._tell(note)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.__exit__(*exception)

    def show(self, trial: Trial) -> None:
        """Show a finished candidate."""
        params, score = trial.params, trial.score
        source = "on record" if trial.is_on_record else trial.source
        if trial.is_stopped:
            source += f", stopped after {trial.n_folds} of {self._n_splits} folds"
        self._n_shown += 1
        shown = self._spell(params) or "no parameter"
        if score > self._best:
            self._best = score
            self._bar.set_postfix({"best": f"{score:.5g}"}, refresh=False)
        self._bar.update(1)
        width = len(str(self._n_iter))
        best = self._best if np.isfinite(self._best) else math.nan
        line = (
            f"{self._n_shown:>{width}}/{self._n_iter}: score {score:.5g}, best {best:.5g}, "
            f"{source}, fits {_seconds(sum(trial.seconds))}, "
            f"wall {_seconds(time.monotonic() - self._begun)}"
        )
        self._tell(f"{line}, {shown}")
        if self._verbose > 1:
            scores = " ".join(f"{fold:.5g}" for fold in trial.fold_scores)
            self._tell(f"{'':>{2 * width + 3}}folds {scores}")

    def _spell(self, params: Mapping[str, Any]) -> str:
        return " ".join(f"{self._names.get(n, n)}={_spell(v)}" for n, v in params.items())

    def _tell(self, line: str) -> None:
        _LOG.info("%s", line)
        if self._verbose > 0:
            print(line)


def _spell(value: Any) -> str:
    plain = shown_value(value)
    return f"{plain:.4g}" if isinstance(plain, float) else str(plain)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
