"""Keep track of the finished candidates of a search, and write them to the history."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning, SearchStoppedWarning
from skmeta.search._metrics import Metrics
from skmeta.search._racing import Race
from skmeta.search._report import Progress
from skmeta.search.history import retry
from skmeta.search.record import Evaluation
from skmeta.search.space import Candidate, CandidateDescriber, SearchSpace, candidate_key

__all__ = [
    "BudgetSpent",
    "Output",
    "Trial",
    "TrialRecorder",
    "n_since_best",
    "warn_of_interrupt",
]

# What scikit-learn's _fit_and_score returns: test_scores, fit_time, score_time, ...
Output = dict[str, Any]


class BudgetSpent(Exception):
    """Raised when the time budget is used up, to end the search."""


@dataclass(frozen=True)
class Trial:
    """A candidate of a search, and why it is tried.

    Attributes
    ----------
    params : dict
    key : str
        Digest of `params`.
    source : str
        Why it is tried.
    predicted_mean, predicted_std : float
        Mean and standard deviation of the predicted score; NaN without a model.
    """

    params: Candidate
    key: str
    source: str
    predicted_mean: float = float("nan")
    predicted_std: float = float("nan")

    @classmethod
    def of(cls, params: Candidate, source: str, mean: float = np.nan, std: float = np.nan) -> Any:
        """Return the trial of a candidate."""
        return cls(params, candidate_key(params), source, mean, std)


class TrialRecorder:
    """Keeps track of the results of a search, in memory and in the history.

    Parameters
    ----------
    estimator : estimator
    space : SearchSpace
    metrics : Metrics
    n_splits : int
    history : history or None
        A candidate is written to it when its last fold is finished.
    search_id : int or None
        The search's number in the history.
    deadline : float or None
        In seconds of `time.monotonic`; after it, `observe` raises `BudgetSpent`.
    race : Race or None
        Decides which candidates are stopped before their last fold.
    progress : Progress
        Shows each finished candidate.
    write_timeout : float, default=None
        Seconds for which a history that fails is tried again, before its error is raised. None
        only warns.

    Attributes
    ----------
    outputs : dict of (key, fold) -> output
        All results so far, including those on record.
    recalled : dict of str -> Evaluation
        The candidates that this very search finished before, by key, in the order of the record.
    evaluated : set of str
        Keys of the candidates that were finished here.
    """

    def __init__(
        self,
        *,
        estimator: Any,
        space: SearchSpace,
        metrics: Metrics,
        n_splits: int,
        history: Any,
        search_id: Any,
        deadline: float | None,
        race: Race | None,
        progress: Progress,
        write_timeout: float | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.race = race
        self.outputs: dict[tuple[str, int], Output] = {}
        self.recalled: dict[str, Evaluation] = {}
        self.evaluated: set[str] = set()
        self._describe = CandidateDescriber(estimator)
        self._space = space
        self._metrics = metrics
        self._history = history
        self._search_id = search_id
        self._deadline = deadline
        self._progress = progress
        self._write_timeout = write_timeout
        self._warned = False
        # Of the candidates that were stopped.
        self._n_folds: dict[str, int] = {}
        self._estimates: dict[str, float] = {}
        self._fit_times: list[float] = []

    # -- what is on record ---------------------------------------------------------------------

    def recall(self, with_train_scores: bool, keys: Collection[str] | None = None) -> None:
        """Read the candidates that this very search finished before.

        Parameters
        ----------
        with_train_scores : bool
            Whether the scores on training parts are needed.
        keys : collection of str, default=None
            Of the wanted candidates; None for all.
        """
        if self._history is None:
            return
        for evaluation in self._history.evaluations(self._search_id, keys):
            n_folds = len(evaluation.fit_times)
            if (
                not (self.race is not None or n_folds == self.n_splits)
                or not 1 <= n_folds <= self.n_splits
                or len(evaluation.n_test_samples) != n_folds
                or (with_train_scores and not evaluation.train_scores)
            ):
                continue
            if n_folds < self.n_splits:
                self._n_folds[evaluation.key] = n_folds
            for fold in range(n_folds):
                output = self._metrics.output_of(evaluation, fold)
                if not with_train_scores:
                    output.pop("train_scores", None)
                self.outputs[evaluation.key, fold] = output
            self.recalled[evaluation.key] = evaluation

    def recalled_trials(self, but: Sequence[Trial]) -> list[Trial]:
        """Return the candidates on record that are not among some trials, in order.

        Parameters
        ----------
        but : sequence of Trial
        """
        known = {trial.key for trial in but}
        trials = []
        for key, evaluation in self.recalled.items():
            params = self._space.decode(evaluation.params)
            if key not in known and params is not None and candidate_key(params) == key:
                trials.append(self.as_recorded(Trial(params, key, evaluation.source)))
        return trials

    def as_recorded(self, trial: Trial) -> Trial:
        """Return a trial with the prediction that is on record for it, if there is one."""
        known = self.recalled.get(trial.key)
        if known is None or np.isnan(known.predicted_mean_score):
            return trial
        return replace(
            trial,
            predicted_mean=known.predicted_mean_score,
            predicted_std=known.predicted_std_score,
        )

    # -- what is finished ----------------------------------------------------------------------

    def is_finished(self, trial: Trial) -> bool:
        """Whether a candidate was stopped, or every fold of it has been evaluated."""
        return all((trial.key, fold) in self.outputs for fold in range(self.n_folds(trial)))

    def n_folds(self, trial: Trial) -> int:
        """Return the number of folds that a candidate gets: all of them, unless it was stopped."""
        return self._n_folds.get(trial.key, self.n_splits)

    def outputs_of(self, trial: Trial) -> list[Output]:
        """Return the result of each fold that was run of a finished candidate."""
        return [self.outputs[trial.key, fold] for fold in range(self.n_folds(trial))]

    def scores(self, trials: Sequence[Trial]) -> NDArray[np.float64]:
        """Return the score of each finished candidate; NaN if a fit failed.

        The score of a stopped candidate is an estimate from the folds that were run. It is never
        above that of the best candidate.
        """
        return np.array([self._score(trial) for trial in trials])

    def seconds(self, trials: Sequence[Trial]) -> NDArray[np.float64]:
        """Return the seconds of a fold of each candidate, on average over those that were run."""
        return np.array(
            [
                np.mean([o["fit_time"] + o["score_time"] for o in self.outputs_of(trial)])
                for trial in trials
            ]
        )

    # -- what happens --------------------------------------------------------------------------

    def observe(self, trial: Trial, fold: int, output: Output) -> None:
        """Store one result, and write the candidate to the history if this was its last fold.

        If the candidate was stopped while this fold ran, the result is dropped, so that the number
        of processors has no effect on the search.

        Raises
        ------
        BudgetSpent
            If the time is over and at least one candidate was finished.
        ValueError
            If a callable returned several metrics, and `refit` chooses none of them.
        """
        if self.is_finished(trial):
            return
        scores = output.get("test_scores")
        if isinstance(scores, Mapping):
            self._metrics.check_refit(scores)
        self.outputs[trial.key, fold] = output
        self._stop_if_lost(trial)
        if self.is_finished(trial):
            outputs = self.outputs_of(trial)
            self._fit_times.append(float(np.mean([output["fit_time"] for output in outputs])))
            self.evaluated.add(trial.key)
            self.show([trial])
            if self._history is not None:
                self._write(self._history.record, self._evaluation(trial, outputs))
        if self._fit_times:
            self.check_time()

    def check_time(self) -> None:
        """Raise `BudgetSpent` if the time is over."""
        if self._deadline is None:
            return
        # The budget includes the refit, which takes about as long as the fit of a fold.
        reserve = float(np.median(self._fit_times)) if self._fit_times else 0.0
        if time.monotonic() + reserve > self._deadline:
            raise BudgetSpent

    def admit(self, trials: Sequence[Trial]) -> None:
        """In a race, compare later candidates with the best of these and earlier ones."""
        for trial in trials:
            if self.race is not None and self.n_folds(trial) == self.n_splits:
                self.race.enter(self._fold_scores(self.outputs_of(trial)))

    def show(self, trials: Sequence[Trial]) -> None:
        """Show finished candidates to the user."""
        for trial, score in zip(trials, self.scores(trials), strict=True):
            outputs = self.outputs_of(trial)
            seconds = sum(output["fit_time"] + output["score_time"] for output in outputs)
            source = "on record" if trial.key in self.recalled else trial.source
            if len(outputs) < self.n_splits:
                source += f", stopped after {len(outputs)} of {self.n_splits} folds"
            folds = self._fold_scores(outputs)
            self._progress.show(trial.params, source, float(score), seconds, folds)

    def finish(self) -> None:
        """Write to the history that the search is finished."""
        if self._history is not None:
            self._write(self._history.finish)

    def _stop_if_lost(self, trial: Trial) -> None:
        """Stop a candidate after the first fold that shows that it will not win."""
        if self.race is None:
            return
        outputs: list[Output] = []
        # After the last fold, there is nothing to save.
        for fold in range(self.n_splits - 1):
            if (trial.key, fold) not in self.outputs:
                return
            outputs.append(self.outputs[trial.key, fold])
            if self.race.is_lost(self._fold_scores(outputs)):
                self._n_folds[trial.key] = fold + 1
                return

    def _write(self, write: Callable[..., None], *what: Any) -> None:
        if self._write_timeout is not None:
            retry(partial(write, self._search_id, *what), self._write_timeout)
            return
        try:
            write(self._search_id, *what)
        except Exception as error:  # a history that fails in any way must not end the search
            if not self._warned:
                self._warned = True
                warn_caller(
                    f"The history could not be written: {error} The search continues. If it is "
                    "run again, candidates that are not on record will be evaluated again.",
                    HistoryWarning,
                )

    def _evaluation(self, trial: Trial, outputs: list[Output]) -> Evaluation:
        errors = [str(o["fit_error"]) for o in outputs if o.get("fit_error") is not None]
        has_train_scores = any("train_scores" in output for output in outputs)
        return Evaluation(
            configuration=self._describe([trial.params])[0],
            key=trial.key,
            params=self._space.encode(trial.params),
            scores=self._by_metric(outputs, "test_scores"),
            train_scores=self._by_metric(outputs, "train_scores") if has_train_scores else {},
            fit_times=tuple(float(output["fit_time"]) for output in outputs),
            score_times=tuple(float(output["score_time"]) for output in outputs),
            n_test_samples=tuple(int(output["n_test_samples"]) for output in outputs),
            n_rounds=tuple(output["n_rounds"] for output in outputs if "n_rounds" in output),
            error=errors[0].strip().splitlines()[-1] if errors else None,
            source=trial.source,
            predicted_mean_score=trial.predicted_mean,
            predicted_std_score=trial.predicted_std,
        )

    def _by_metric(self, outputs: list[Output], kind: str) -> dict[str, tuple[float, ...]]:
        scores = [self._metrics.scores_of(output, kind) for output in outputs]
        names = self._metrics.names
        # A callable `scoring` may return metrics that were not known before.
        keys = max(scores, key=lambda found: sum(value == value for value in found.values()))
        return {
            names.get(key, key): tuple(float(found.get(key, np.nan)) for found in scores)
            for key in keys
        }

    def _score(self, trial: Trial) -> float:
        scores = self._fold_scores(self.outputs_of(trial))
        if self.race is None or len(scores) == self.n_splits:
            return float(np.mean(scores))
        # Computed once, so that later candidates do not change it.
        return self._estimates.setdefault(trial.key, self.race.estimate(scores))

    def _fold_scores(self, outputs: list[Output]) -> list[float]:
        scores = [self._metrics.scores_of(output) for output in outputs]
        key = self._metrics.objective(scores[0])
        return [found.get(key, np.nan) for found in scores]


def n_since_best(scores: NDArray[np.float64]) -> int:
    """Return the number of candidates since the best one; of all if each of them failed.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates,)
    """
    if np.isnan(scores).all():
        return len(scores)
    return len(scores) - 1 - int(np.nanargmax(scores))


def warn_of_interrupt(n_done: int, n_iter: int) -> None:
    """Warn that a user stopped a search.

    Parameters
    ----------
    n_done, n_iter : int
        Numbers of finished and of wanted candidates.
    """
    warn_caller(
        f"The search was interrupted after {n_done} of {n_iter} candidates. The best of them is "
        "kept. With a history, the same search continues from there.",
        SearchStoppedWarning,
    )
