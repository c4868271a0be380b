"""The loop of a search that several processes share through one history.

Each worker repeats: read what the others did, propose a candidate, lease it, evaluate it, record
it. A lease is refused if another worker was faster; the worker then reads and proposes again. So
each candidate is proposed with knowledge of all that were proposed before.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from skmeta.exceptions import HistoryError, SearchSpaceError
from skmeta.search._arguments import Arguments
from skmeta.search._evaluate import FoldEvaluator
from skmeta.search._propose import Proposer
from skmeta.search._recorder import (
    BudgetSpent,
    Trial,
    TrialRecorder,
    n_since_best,
    warn_of_interrupt,
)
from skmeta.search.history import Lease, Leases, LeaseState
from skmeta.search.space import candidate_key

__all__ = ["SharedSearch"]

# So many workers may die while they evaluate a candidate; it counts as failed then.
_MOST_LOST = 3
# Seconds between looks at the history, while other workers evaluate the last candidates.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class SharedSearch:
    """One worker's part of a shared search.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Gives ``batch_size``, ``return_train_score`` and ``stop_when_flat``.
    arguments : Arguments
    proposer : Proposer
    recorder : TrialRecorder
    leases : Leases
    evaluator : FoldEvaluator
        Records a candidate as failed.
    """

    def __init__(
        self,
        search: Any,
        arguments: Arguments,
        proposer: Proposer,
        recorder: TrialRecorder,
        leases: Leases,
        evaluator: FoldEvaluator,
    ) -> None:
        self._batch_size = search.batch_size
        self._with_train_scores = search.return_train_score
        self._patience = search.stop_when_flat
        self._arguments = arguments
        self._proposer = proposer
        self._recorder = recorder
        self._leases = leases
        self._evaluator = evaluator
        self._trials: dict[str, Trial] = {}
        self._order: list[str] = []  # keys of all candidates
        self._told: set[str] = set()

    def run(self, evaluate: Callable[[list[Trial]], None]) -> tuple[list[Trial], str]:
        """Evaluate candidates until those of all workers are finished.

        Parameters
        ----------
        evaluate : callable
            Evaluates a batch of candidates.

        Returns
        -------
        trials : list of Trial
            The finished candidates of all workers, in the order in which they were proposed.
        stopped_by : str

        Raises
        ------
        KeyboardInterrupt
            If no candidate is finished.
        """
        n_iter = self._arguments.n_iter
        try:
            with self._leases:
                while batch := self._next_batch():
                    evaluate(batch)
                    self._leases.drop([trial.key for trial in batch])
        except BudgetSpent:
            return self._finished(), "time_budget"
        except KeyboardInterrupt:
            done = self._finished()
            if not done:
                raise
            warn_of_interrupt(len(done), n_iter)
            return done, "interrupt"
        self._recorder.finish()
        done = self._finished()
        if self._is_flat():
            return done, "flat"
        return done, "n_iter" if len(done) >= n_iter else "exhausted"

    def _next_batch(self) -> list[Trial]:
        """Return candidates that this worker has leased; none if all are finished.

        While other workers evaluate the last candidates, it waits, since one of them may die.
        """
        pause = _FIRST_PAUSE
        while True:
            state = self._catch_up()
            unfinished = self._unfinished(state)
            if any(lease.is_expired for lease in unfinished):
                n_lost = self._leases.take_over(self._batch_size, within=self._n_within(state))
                if taken := self._without_fatal(n_lost):
                    return taken
                if n_lost:
                    continue
            batch = self._propose(state)
            if batch:
                leases = [self._lease(trial) for trial in batch]
                batch = [self._decode(lease) for lease in leases]  # as other workers see them
                # Whether the search goes on may depend on the latest score.
                has_patience = self._patience is not None
                if self._leases.claim(leases, state, if_none_finished=has_patience):
                    self._add(batch)
                    self._order += [trial.key for trial in batch]
                    return batch
                continue
            if not unfinished:
                return []
            if self._told:
                self._recorder.check_time()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _without_fatal(self, n_lost: dict[str, int]) -> list[Trial]:
        """Return the candidates to evaluate; the others killed too many workers, and failed."""
        taken = [self._trials[key] for key in n_lost]
        fatal = [trial for trial in taken if n_lost[trial.key] >= _MOST_LOST]
        for trial in fatal:
            self._evaluator.fail(
                trial,
                f"{n_lost[trial.key]} workers of the shared search died while they evaluated the "
                f"candidate {trial.params}, so it is not tried again. It may take more memory than "
                "there is.",
            )
        self._leases.drop([trial.key for trial in fatal])
        return [trial for trial in taken if trial not in fatal]

    def _catch_up(self) -> LeaseState:
        """Read what all workers did, and pass it on to the proposer."""
        state = self._leases.read()
        new = [key for key in state.finished if key not in self._told]
        if new:
            self._recorder.recall(self._with_train_scores, new)
        self._add(self._decode(lease) for lease in state.leases if lease.key not in self._trials)
        if not all(key in self._trials for key in new):  # recorded before the search was shared
            self._add(self._recorder.recalled_trials(but=[*self._trials.values()]))
        self._order = state.order
        finished = [self._usable(key) for key in new]
        self._told.update(new)
        recorder = self._recorder
        recorder.show([trial for trial in finished if trial.key not in recorder.evaluated])
        self._proposer.tell(finished, recorder.scores(finished), recorder.seconds(finished))
        recorder.admit(finished)
        pending = [self._trials[lease.key] for lease in self._unfinished(state, all_of_them=True)]
        self._proposer.sync(pending, len(self._order))
        return state

    def _propose(self, state: LeaseState) -> list[Trial]:
        n_left = self._arguments.n_iter - len(self._order)
        if n_left <= 0 or self._is_flat():
            return []
        known = set(self._order)
        # A grid proposes all of its candidates.
        proposed = [trial for trial in self._proposer.ask(n_left) if trial.key not in known]
        return proposed[: min(self._batch_size, n_left)]

    def _unfinished(self, state: LeaseState, all_of_them: bool = False) -> list[Lease]:
        """Return the leases of unfinished candidates; only those that count, unless all."""
        leases = state.leases if all_of_them else state.leases[: self._n_within(state)]
        return [lease for lease in leases if lease.key not in self._told]

    def _n_within(self, state: LeaseState) -> int:
        """Return the number of leases that are among the first ``n_iter`` candidates."""
        n_before = len(self._order) - len(state.leases)
        return max(0, self._arguments.n_iter - n_before)

    def _finished(self) -> list[Trial]:
        """Return the finished candidates among the first ``n_iter``."""
        recorder, n_iter = self._recorder, self._arguments.n_iter
        if self._arguments.walks_grid:  # in the order of GridSearchCV, equal ones included
            trials = self._proposer.ask(n_iter)
        else:
            trials = [self._trials[key] for key in self._order]
        return [recorder.as_recorded(t) for t in trials[:n_iter] if recorder.is_finished(t)]

    def _is_flat(self) -> bool:
        """Return whether the best score stopped improving.

        Only candidates before the first unfinished one are compared, so that all workers agree.
        """
        if self._patience is None:
            return False
        n = next((k for k, key in enumerate(self._order) if key not in self._told), None)
        trials = [self._trials[key] for key in self._order[:n]]
        scores = self._recorder.scores(trials)
        return any(n_since_best(scores[:k]) >= self._patience for k in range(1, len(scores) + 1))

    def _add(self, trials: Iterable[Trial]) -> None:
        self._trials.update((trial.key, trial) for trial in trials)

    def _lease(self, trial: Trial) -> Lease:
        text = self._arguments.space.encode(trial.params)
        decoded = self._arguments.space.decode(text)
        if decoded is None or candidate_key(decoded) != trial.key:
            raise SearchSpaceError(
                f"shared=True needs candidates that can be written to the history, and "
                f"{trial.params} cannot. Use distributions of numbers, or lists of values."
            )
        return Lease(trial.key, text, trial.source, trial.predicted_mean, trial.predicted_std)

    def _decode(self, lease: Lease) -> Trial:
        params = self._arguments.space.decode(lease.params)
        if params is None or candidate_key(params) != lease.key:
            raise HistoryError(
                f"A candidate of the shared search cannot be read from the history "
                f"({lease.params:.200}). Use the same version of skmeta for all workers."
            )
        return Trial(params, lease.key, lease.source, lease.predicted_mean, lease.predicted_std)

    def _usable(self, key: str) -> Trial:
        """Return a finished candidate, checked for what this worker needs of it."""
        trial = self._trials.get(key)
        if trial is None or not self._recorder.is_finished(trial):
            raise HistoryError(
                f"The history has a candidate of the shared search (key {key}) that lacks "
                "parameters, folds, or scores on training rows, or that is damaged. Use the same "
                "return_train_score in all workers; SearchHistory.remove_damaged_rows deletes "
                "damaged candidates."
            )
        return trial
