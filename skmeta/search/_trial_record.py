"""The trials of a search in its history: read, checked, rebuilt, written."""

from collections.abc import Collection, Iterable

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning
from skmeta.search._evaluate import Stage
from skmeta.search._metrics import NUMBERS_OF_FOLDS
from skmeta.search._trials import Trial
from skmeta.search.history import SearchHistory
from skmeta.search.record import CandidateRecord
from skmeta.search.space import CandidateDescriber


class TrialRecord:
    """The trials of one search in a history, which must have train scores if they are returned."""

    def __init__(self, stage: Stage, history: SearchHistory | None, fingerprint: str) -> None:
        self._history, self._fingerprint = history, fingerprint
        self._space, self._metrics = stage.arguments.space, stage.arguments.metrics
        self._describe = CandidateDescriber(stage.arguments.estimator)
        self._stage = stage
        self._with_train_scores = stage.search.return_train_score
        self._known: dict[str, CandidateRecord] = {}
        self._unwritten: list[CandidateRecord] = []
        # Failed fits are kept back until one succeeds. If all fail, as without memory, the same
        # search evaluates them again. Workers of a shared search wait for each.
        self._may_write = history is not None and history.shared
        self._has_warned = False

    # -- reading ------------------------------------------------------------------------------

    def read(self, keys: Collection[str] | None = None) -> None:
        """Read finished candidates, all or those of some keys."""
        if self._history is not None:
            candidates = self._history.candidates(self._fingerprint, keys)
            self._known |= {one.key: one for one in candidates if self._is_usable(one)}
            self._may_write |= any(one.error is None for one in self._known.values())

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
        self._stage.finish(trial, n_folds)
        trial.is_on_record = True

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
        if params is None:
            return None
        predicted = candidate.predicted_mean_score, candidate.predicted_std_score
        trial = Trial(params, candidate.source, *predicted)
        return trial if trial.key == candidate.key else None

    def _is_usable(self, candidate: CandidateRecord) -> bool:
        n_folds = len(candidate.fit_times)
        n_splits = len(self._stage.folds.splits)
        return (1 if self._stage.race.is_on else n_splits) <= n_folds <= n_splits and (
            bool(candidate.train_scores) or not self._with_train_scores
        )

    # -- writing ------------------------------------------------------------------------------

    def write(self, trial: Trial | None = None) -> None:
        """Write a finished trial, and those that could not be written before."""
        if self._history is None:
            return
        if trial is not None:
            self._unwritten.append(self.encode(trial))
            self._may_write |= self._unwritten[-1].error is None
        if not self._unwritten or not self._may_write:
            return
        try:
            self._history.record(self._fingerprint, *self._unwritten)
            self._unwritten.clear()
        except Exception as error:  # a failing history must not end the search
            if self._history.shared:
                raise
            if not self._has_warned:
                self._has_warned = True
                warn_caller(
                    f"The history could not be written: {error} The search continues, and tries "
                    "again after the next candidate. Candidates that are not on record are "
                    "evaluated again if the search is run again.",
                    HistoryWarning,
                )

    def encode(self, trial: Trial) -> CandidateRecord:
        """Return what the history keeps of a trial."""
        outputs = trial.results
        errors = [str(o["fit_error"]) for o in outputs if o.get("fit_error") is not None]
        trained = self._metrics.by_name(outputs, "train_scores") if self._with_train_scores else {}
        return CandidateRecord(
            configuration=self._describe([trial.params])[0],
            key=trial.key,
            params=self._space.encode(trial.params),
            scores=self._metrics.by_name(outputs, "test_scores"),
            train_scores=trained,
            error=errors[0].strip().splitlines()[-1] if errors else None,
            source=trial.source,
            predicted_mean_score=trial.predicted_mean,
            predicted_std_score=trial.predicted_std,
            **{
                name: tuple(output[key] for output in outputs if key in output)
                for name, key in NUMBERS_OF_FOLDS.items()
            },
        )
