"""The batches of a search, of one process or of several that share it through one history.

Each worker of a shared search repeats: read what the others did, propose a candidate, lease it,
evaluate it, record it. A lease is refused if another worker was faster; the worker then reads and
proposes again. So each candidate is proposed with knowledge of all that were proposed before.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryError, SearchWarning
from skmeta.search._arguments import may_end_early
from skmeta.search._evaluate import Stage
from skmeta.search._open_record import TrialRecord
from skmeta.search._propose import Proposer
from skmeta.search._trials import Trial
from skmeta.search.record import CandidateRecord

if TYPE_CHECKING:
    from skmeta.search.history import Leases, LeaseState

# A candidate counts as failed when this many workers have died while they evaluated it.
_MAX_LOST = 3
# Seconds between looks at the history, while other workers evaluate the last candidates.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class _Batches:
    """What all batches have in common."""

    def __init__(self, stage: Stage, proposer: Proposer, record: TrialRecord) -> None:
        self._search, self._race = stage.search, stage.race
        self._n_iter = stage.arguments.n_iter
        self._budget = stage.budget
        self._walks_grid = stage.arguments.walks_grid
        self._proposer, self._record = proposer, record
        self._unshown: list[Trial] = []

    def _tell(self, trials: Iterable[Trial]) -> None:
        """Pass scores on to the proposer and to the race."""
        trials = list(trials)
        self._proposer.tell(trials)
        for trial in trials:
            if not trial.is_stopped:
                self._race.enter(trial.fold_scores)

    def _reason_to_end(self, scores: Sequence[float]) -> str | None:
        """Return why a search with some scores ends; None if it goes on."""
        patience, target = self._search.patience, self._search.target_score
        if target is not None and any(score >= target for score in scores):
            return "target_score"
        if patience is None:
            return None
        best = -1 if np.isnan(scores).all() else int(np.nanargmax(scores))
        return "patience" if len(scores) - 1 - best >= patience else None

    def _take_unshown(self) -> list[Trial]:
        unshown, self._unshown = self._unshown, []
        return unshown


class SoloBatches(_Batches):
    """The batches of one process; a resumed search proposes the same, and takes recorded scores."""

    def __init__(self, *common: Any, is_replayed: bool) -> None:
        super().__init__(*common)
        self.stopped_by = "n_iter"
        self._is_replayed = is_replayed
        self._agrees = True  # all proposals so far were on record
        self._trials: list[Trial] = []
        self._record.read()

    def next_batch(self) -> list[Trial]:
        """Return the next batch."""
        n_left = self._n_iter - len(self._trials)
        if n_left <= 0 or self.stopped_by != "n_iter":
            return []
        batch = self._proposer.ask(n_left)
        if not batch:
            self.stopped_by = "exhausted"
        for trial in batch:
            if not trial.is_finished:
                self._record.restore(trial)
        if self._agrees and not all(trial.is_finished for trial in batch):
            self._agrees = False
            others = self._record.others([*self._trials, *batch])[:n_left]
            if others:
                self._take_over(others)
            batch = batch[: n_left - len(others)]
        self._trials += batch
        return batch

    def take_back(self, batch: list[Trial]) -> list[Trial]:
        """Pass the scores on to the proposer."""
        self._tell(batch)
        reason = self._reason_to_end([trial.score for trial in self._trials])
        self.stopped_by = reason or self.stopped_by
        return [*self._take_unshown(), *(trial for trial in batch if trial.is_on_record)]

    def finished(self) -> list[Trial]:
        """Return the finished candidates."""
        return [trial for trial in self._trials if trial.is_finished]

    def _take_over(self, others: list[Trial]) -> None:
        """Keep candidates on record that the search does not propose itself."""
        if self._is_replayed:
            warn_caller(
                f"The history has {len(others)} candidates of this search that it would not "
                "propose now, because batch_size, the prior or the version of skmeta has changed, "
                "or past searches were removed. They are kept, and the search continues from "
                "there.",
                SearchWarning,
            )
        self._trials += others
        self._unshown += others
        self._tell(others)


class SharedBatches(_Batches):
    """One worker's batches of a shared search."""

    def __init__(self, *common: Any, leases: "Leases") -> None:
        super().__init__(*common)
        self._leases = leases
        self._trials: dict[str, Trial] = {}
        self._order: list[str] = []  # keys of all candidates
        self._told: set[str] = set()

    @property
    def stopped_by(self) -> str:
        """Why the search has ended."""
        at_end = "n_iter" if len(self.finished()) >= self._n_iter else "exhausted"
        return self._ended_by() or at_end

    def next_batch(self) -> list[Trial]:
        """Lease candidates; none if those of all are finished, else wait, as a worker may die."""
        pause = _FIRST_PAUSE
        while True:
            state = self._catch_up()
            within = state.leased[: self._n_within(state)]
            unfinished = [one.key for one in within if one.key not in self._told]
            if not state.expired.isdisjoint(unfinished):
                n_lost = self._leases.take_over(
                    self._search.batch_size, within=self._n_within(state)
                )
                for key, n in n_lost.items():
                    if n >= _MAX_LOST:
                        self._trials[key].obstacle = (
                            f"{n} workers of the shared search died while they evaluated the "
                            f"candidate {self._trials[key].params}, so it is not tried again. It "
                            "may take more memory than there is."
                        )
                if n_lost:
                    return [self._trials[key] for key in n_lost]
            batch = self._propose(state)
            if batch:
                candidates = [self._encode(trial) for trial in batch]
                batch = [self._decode(one) for one in candidates]  # as other workers see them
                # Whether the search goes on may depend on the latest score.
                may_end = may_end_early(self._search)
                if self._leases.claim(candidates, state, if_none_finished=may_end):
                    self._add(batch)
                    self._order += [trial.key for trial in batch]
                    return batch
                continue
            if not unfinished:
                return []
            self._budget.check()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def take_back(self, batch: list[Trial]) -> list[Trial]:
        """Drop the leases of a batch; return what other workers did meanwhile."""
        self._leases.drop([trial.key for trial in batch])
        return self._take_unshown()

    def finished(self) -> list[Trial]:
        """Return the finished candidates among the first ``n_iter``."""
        if self._walks_grid:  # in the order of GridSearchCV, equal ones included
            keys = [trial.key for trial in self._proposer.ask(self._n_iter)]
        else:
            keys = self._order
        trials = [self._trials[key] for key in keys[: self._n_iter] if key in self._trials]
        return [trial for trial in trials if trial.is_finished]

    def _catch_up(self) -> "LeaseState":
        """Read what all workers did, and pass it on to the proposer."""
        state = self._leases.read()
        new = [key for key in state.finished if key not in self._told]
        if new:
            self._record.read(new)
        self._add(self._decode(one) for one in state.leased if one.key not in self._trials)
        if not all(key in self._trials for key in new):  # recorded before the search was shared
            self._add(self._record.others(self._trials.values()))
        self._order = state.order
        finished = [self._restore(key) for key in new]
        self._told.update(new)
        for trial in finished:
            if trial.is_on_record:
                self._unshown.append(trial)
                self._budget.add(trial)
        self._tell(finished)
        pending = [self._trials[one.key] for one in state.leased if one.key not in self._told]
        self._proposer.sync(pending, len(self._order))
        return state

    def _propose(self, state: "LeaseState") -> list[Trial]:
        n_left = self._n_iter - len(self._order)
        if n_left <= 0 or self._ended_by() is not None:
            return []
        known = set(self._order)
        # A grid proposes all of its candidates.
        proposed = {trial.key: trial for trial in self._proposer.ask(n_left)}
        new = [trial for key, trial in proposed.items() if key not in known]
        return new[: min(self._search.batch_size, n_left)]

    def _n_within(self, state: "LeaseState") -> int:
        """Return the number of leases that are among the first ``n_iter`` candidates."""
        n_before = len(self._order) - len(state.leased)
        return max(0, self._n_iter - n_before)

    def _ended_by(self) -> str | None:
        """Return why proposals end, from the candidates before the first unfinished one."""
        n = next((k for k, key in enumerate(self._order) if key not in self._told), None)
        scores = [self._trials[key].score for key in self._order[:n]]
        reasons = (self._reason_to_end(scores[: k + 1]) for k in range(len(scores)))
        return next(filter(None, reasons), None)

    def _add(self, trials: Iterable[Trial]) -> None:
        self._trials.update((trial.key, trial) for trial in trials)

    def _encode(self, trial: Trial) -> CandidateRecord:
        candidate = self._record.encode(trial)
        if self._record.decode(candidate) is None:
            raise ValueError(
                f"A shared history needs candidates that can be written to it, and {trial.params} "
                "cannot. Use distributions of numbers, or lists of values."
            )
        return candidate

    def _decode(self, candidate: CandidateRecord) -> Trial:
        trial = self._record.decode(candidate)
        if trial is None:
            raise HistoryError(
                f"A candidate of the shared search cannot be read from the history "
                f"({candidate.params:.200}). Use the same version of skmeta for all workers."
            )
        return trial

    def _restore(self, key: str) -> Trial:
        """Return a finished candidate, checked for what this worker needs of it."""
        trial = self._trials.get(key)
        if trial is not None and not trial.is_finished:  # this worker has those of its own
            self._record.restore(trial)
        if trial is None or not trial.is_finished:
            raise HistoryError(
                f"The history has a candidate of the shared search (key {key}) that lacks "
                "parameters, folds, or scores on training rows, or that is damaged. Use the same "
                "return_train_score in all workers. SearchHistory.remove(dataset) deletes damaged "
                "searches."
            )
        return trial
