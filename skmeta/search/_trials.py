"""Candidates of a running search, and their record in the history."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning
from skmeta.search._arguments import Arguments
from skmeta.search._metrics import Metrics
from skmeta.search._stopping import FoldRace
from skmeta.search.history import retry
from skmeta.search.record import CandidateRecord
from skmeta.search.space import Candidate, CandidateDescriber, candidate_key


@dataclass(eq=False)
class Trial:
    """A candidate of a search: why it is tried, and its results so far.

    Attributes
    ----------
    params : dict
    key : str
        Digest of `params`.
    source : str
        Why it is tried.
    predicted_mean, predicted_std : float
        Mean and standard deviation of the predicted score; NaN without a model.
    obstacle : str or None
        Why it is not evaluated, and counts as failed.
    outputs : dict of int -> dict
        What scikit-learn's ``_fit_and_score`` returned, by fold.
    n_folds : int or None
        Number of folds, once it is finished: fewer than all if it was stopped in a race.
    fold_scores : list of float
        Scores of these folds by the metric that the search maximises.
    score : float
        Their mean; if it was stopped, the expected mean over all folds. NaN if a fit failed.
    is_stopped : bool
        Whether it has fewer folds than the others.
    is_on_record : bool
        Whether its results come from the history.
    """

    params: Candidate
    key: str
    source: str
    predicted_mean: float = float("nan")
    predicted_std: float = float("nan")
    obstacle: str | None = None
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    n_folds: int | None = None
    fold_scores: list[float] = field(default_factory=list)
    score: float = float("nan")
    is_stopped: bool = False
    is_on_record: bool = False

    @classmethod
    def propose(
        cls, params: Candidate, source: str, mean: float = np.nan, std: float = np.nan
    ) -> Self:
        """Return the trial of a candidate."""
        return cls(params, candidate_key(params), source, mean, std)

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

    @property
    def cost(self) -> float:
        """Return the seconds of all folds together, less what other work on the machine took."""
        pairs = zip(self.results, self.seconds, strict=True)
        return float(sum(output.get("cost", seconds) for output, seconds in pairs))

    def settle(self, metrics: Metrics, race: FoldRace, n_splits: int) -> None:
        """Finish it if it has all folds, or if the first ones show that it will not win."""
        n_first = next((k for k in range(n_splits) if k not in self.outputs), n_splits)
        scores = metrics.fold_scores(self.results[:n_first]) if n_first else []
        # After the last fold, there is nothing to save.
        ends = (n for n in range(1, min(n_first + 1, n_splits)) if race.is_lost(scores[:n]))
        self.finish(next(ends, n_splits if n_first == n_splits else None), metrics, race, n_splits)

    def finish(self, n_folds: int | None, metrics: Metrics, race: FoldRace, n_splits: int) -> None:
        """Set its score from the first folds; None leaves it unfinished."""
        self.n_folds = n_folds
        if n_folds is not None:
            self.is_stopped = n_folds < n_splits
            scores = self.fold_scores = metrics.fold_scores(self.results)
            self.score = race.estimate(scores) if self.is_stopped else float(np.mean(scores))


def prediction_columns(trials: list[Trial]) -> dict[str, list[Any]]:
    """Return the columns of ``cv_results_`` that scikit-learn's searches do not have."""
    return {
        "source": [trial.source for trial in trials],
        "predicted_mean_score": [trial.predicted_mean for trial in trials],
        "predicted_std_score": [trial.predicted_std for trial in trials],
    }


class TrialRecord:
    """The trials of one search in a history.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Gives ``return_train_score``: if it is set, candidates on record without scores on training
        parts are of no use.
    arguments : Arguments
    record : OpenRecord
    n_splits : int
    race : FoldRace
    """

    def __init__(
        self, search: Any, arguments: Arguments, record: Any, n_splits: int, race: FoldRace
    ) -> None:
        self._history, self._search_id = record.history, record.search_id
        self._space, self._metrics = arguments.space, arguments.metrics
        self._describe = CandidateDescriber(arguments.estimator)
        self._n_splits, self._race = n_splits, race
        self._with_train_scores = search.return_train_score
        self._known: dict[str, CandidateRecord] = {}
        self._has_warned = False

    # -- reading ------------------------------------------------------------------------------

    def read(self, keys: Collection[str] | None = None) -> None:
        """Read finished candidates, all or those of some keys."""
        if self._history is not None:
            candidates = self._history.candidates(self._search_id, keys)
            self._known |= {one.key: one for one in candidates if self._is_usable(one)}

    def restore(self, trial: Trial) -> None:
        """Give a trial the results that are on record for it, if there are any."""
        known = self._known.get(trial.key)
        if known is None:
            return
        if not np.isnan(known.predicted_mean_score):
            trial.predicted_mean = known.predicted_mean_score
            trial.predicted_std = known.predicted_std_score
        n_folds = len(known.fit_times)
        trial.outputs = {fold: self._metrics.output_of(known, fold) for fold in range(n_folds)}
        if not self._with_train_scores:
            for output in trial.outputs.values():
                output.pop("train_scores", None)
        is_own, score = trial.is_finished and not trial.is_on_record, trial.score
        trial.finish(n_folds, self._metrics, self._race, self._n_splits)
        trial.is_on_record = not is_own
        if is_own and trial.is_stopped:
            trial.score = score  # as it was expected when it was stopped

    def others(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the candidates on record that are not among some trials, in order."""
        proposed = {trial.key for trial in trials}
        unknown = [one for key, one in self._known.items() if key not in proposed]
        others = [trial for trial in map(self.decode, unknown) if trial is not None]
        for trial in others:
            self.restore(trial)
        return others

    def decode(self, candidate: CandidateRecord) -> Trial | None:
        """Return the trial of a candidate, without results; None if the space has none."""
        params = self._space.decode(candidate.params)
        if params is None or candidate_key(params) != candidate.key:
            return None
        predicted = candidate.predicted_mean_score, candidate.predicted_std_score
        return Trial(params, candidate.key, candidate.source, *predicted)

    def _is_usable(self, candidate: CandidateRecord) -> bool:
        n_folds = len(candidate.fit_times)
        least = 1 if self._race.is_on else self._n_splits
        return (
            least <= n_folds <= self._n_splits
            and len(candidate.n_test_samples) == n_folds
            and (bool(candidate.train_scores) or not self._with_train_scores)
        )

    # -- writing ------------------------------------------------------------------------------

    def write(self, trial: Trial) -> None:
        """Write a finished trial."""
        if self._history is not None:
            self._write(partial(self._history.record, self._search_id, self.encode(trial)))

    def end(self) -> None:
        """Write that the search is finished."""
        if self._history is not None:
            self._write(partial(self._history.finish, self._search_id))

    def encode(self, trial: Trial) -> CandidateRecord:
        """Return what the history keeps of a trial."""
        outputs = trial.results
        errors = [str(o["fit_error"]) for o in outputs if o.get("fit_error") is not None]
        has_train_scores = any("train_scores" in output for output in outputs)
        return CandidateRecord(
            configuration=self._describe([trial.params])[0],
            key=trial.key,
            params=self._space.encode(trial.params),
            scores=self._metrics.by_name(outputs, "test_scores"),
            train_scores=(
                self._metrics.by_name(outputs, "train_scores") if has_train_scores else {}
            ),
            fit_times=tuple(float(output["fit_time"]) for output in outputs),
            score_times=tuple(float(output["score_time"]) for output in outputs),
            costs=tuple(float(output["cost"]) for output in outputs if "cost" in output),
            n_test_samples=tuple(int(output["n_test_samples"]) for output in outputs),
            n_rounds=tuple(output["n_rounds"] for output in outputs if "n_rounds" in output),
            error=errors[0].strip().splitlines()[-1] if errors else None,
            source=trial.source,
            predicted_mean_score=trial.predicted_mean,
            predicted_std_score=trial.predicted_std,
        )

    def _write(self, write: Callable[[], None]) -> None:
        if self._history.shared:
            retry(write, self._history.lease_timeout)
            return
        try:
            write()
        except Exception as error:  # a failing history must not end the search
            if not self._has_warned:
                self._has_warned = True
                warn_caller(
                    f"The history could not be written: {error} The search continues. If it is "
                    "run again, candidates that are not on record will be evaluated again.",
                    HistoryWarning,
                )
