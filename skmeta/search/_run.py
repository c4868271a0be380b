"""The loop of a search: propose, evaluate, record, until done."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning
from skmeta.search._arguments import Arguments
from skmeta.search._callbacks import subtask
from skmeta.search._evaluate import FoldEvaluator, Folds
from skmeta.search._fit_params import FitData
from skmeta.search._open_record import OpenRecord
from skmeta.search._propose import AS_GIVEN, GridProposer, ModelProposer, Proposer
from skmeta.search._racing import Race, resolve_racing
from skmeta.search._recorder import (
    BudgetSpent,
    Output,
    Trial,
    TrialRecorder,
    n_since_best,
    warn_of_interrupt,
)
from skmeta.search._report import Progress
from skmeta.search._shared import SharedSearch

__all__ = ["SearchOutcome", "run_search"]


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Attributes
    ----------
    trials : list of Trial
        The finished candidates, in the order in which they were proposed.
    outputs : list of list of dict
        The results of each candidate's folds. There are fewer than folds if it was stopped.
    report : dict
        Weights of past searches and of the models.
    stopped_by : str
    n_resumed : int
        Number of candidates that were on record.
    seconds : float
    """

    trials: list[Trial]
    outputs: list[list[Output]]
    report: dict[str, Any]
    stopped_by: str
    n_resumed: int
    seconds: float

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of ``cv_results_`` that scikit-learn's searches do not have."""
        return {
            "source": [trial.source for trial in self.trials],
            "predicted_mean_score": [trial.predicted_mean for trial in self.trials],
            "predicted_std_score": [trial.predicted_std for trial in self.trials],
        }

    def prefer_as_given(self, best: int, rank: NDArray[Any]) -> int:
        """Return the estimator as given in place of a best candidate that is no better.

        Parameters
        ----------
        best : int
            Position of the best candidate.
        rank : ndarray of shape (n_candidates,)
        """
        sources = [trial.source for trial in self.trials]
        given = sources.index(AS_GIVEN) if AS_GIVEN in sources else best
        return given if rank[given] == rank[best] else best


def run_search(
    search: Any,
    arguments: Arguments,
    data: FitData,
    folds: Folds,
    record: OpenRecord,
    *,
    begun: float,
    callbacks: Any,
) -> SearchOutcome:
    """Evaluate candidates until there are enough, the time is over, or the user stops it.

    Parameters
    ----------
    search : MetaLearnedSearchCV
    arguments : Arguments
    data : FitData
    folds : Folds
    record : OpenRecord
    begun : float
        When the search began, in seconds of `time.monotonic`.
    callbacks : callback context or None

    Returns
    -------
    SearchOutcome

    Raises
    ------
    KeyboardInterrupt
        If no candidate is finished.
    """
    least = resolve_racing(search.racing)
    with (
        Progress(search, arguments.estimator, arguments.space.names, arguments.n_iter) as progress,
        _search_task(callbacks, search, arguments, folds) as context,
    ):
        recorder = TrialRecorder(
            estimator=arguments.estimator,
            space=arguments.space,
            metrics=arguments.metrics,
            n_splits=len(folds.splits),
            history=record.history,
            search_id=record.search_id,
            deadline=None if search.time_budget is None else begun + search.time_budget,
            race=None if least is None else Race(least),
            progress=progress,
            write_timeout=search.lease_timeout if search.shared else None,
        )
        if record.leases is None:
            recorder.recall(with_train_scores=search.return_train_score)
        progress.begin(len(folds.splits))
        proposer: Proposer
        if arguments.walks_grid:
            proposer = GridProposer(arguments.space)
        else:
            proposer = ModelProposer(
                arguments.estimator,
                arguments.space,
                record.prior,
                record.seed,
                search.batch_size,
                arguments.as_given,
                is_timed=search.time_budget is not None,
                target_scale=arguments.target_scale,
            )
        evaluator = FoldEvaluator(
            search, arguments.estimator, arguments.scorers, data, folds, recorder
        )
        with evaluator:

            def evaluate(batch: list[Trial]) -> None:
                if arguments.walks_grid and not search.shared:
                    evaluator(batch, context)
                    return
                n_fits = len(batch) * len(folds.splits)
                with subtask(context, search, "batch", n_fits, sequential=False) as part:
                    evaluator(batch, part)

            if record.leases is not None:
                shared = SharedSearch(
                    search, arguments, proposer, recorder, record.leases, evaluator
                )
                done, stopped_by = shared.run(evaluate)
            else:
                done, stopped_by = _propose_and_evaluate(
                    proposer,
                    evaluate,
                    recorder,
                    arguments.n_iter,
                    record.is_replayed,
                    search.stop_when_flat,
                )
    return SearchOutcome(
        trials=done,
        outputs=[[dict(output) for output in recorder.outputs_of(trial)] for trial in done],
        report=proposer.report(),
        stopped_by=stopped_by,
        n_resumed=sum(trial.key not in recorder.evaluated for trial in done),
        seconds=time.monotonic() - begun,
    )


def _propose_and_evaluate(
    proposer: Proposer,
    evaluate: Callable[[list[Trial]], None],
    recorder: TrialRecorder,
    n_iter: int,
    is_replayed: bool,
    patience: int | None,
) -> tuple[list[Trial], str]:
    """Return the finished candidates, and why the search stopped.

    A resumed search proposes the same candidates again. Those on record are not evaluated: the
    model receives their recorded scores.
    """
    done: list[Trial] = []
    stopped_by = "n_iter"
    agrees = True  # all proposals so far were on record
    try:
        while len(done) < n_iter:
            batch = proposer.ask(n_iter - len(done))
            if not batch:
                stopped_by = "exhausted"
                break
            if agrees and not all(map(recorder.is_finished, batch)):
                agrees = False
                strays = recorder.recalled_trials(but=[*done, *batch])[: n_iter - len(done)]
                if strays:
                    _take_over(strays, proposer, recorder, is_replayed)
                    done += strays
                    batch = batch[: n_iter - len(done)]
            try:
                evaluate(batch)
            finally:
                finished = [trial for trial in batch if recorder.is_finished(trial)]
                done += map(recorder.as_recorded, finished)
            recorder.show([trial for trial in batch if trial.key in recorder.recalled])
            _tell(proposer, batch, recorder)
            recorder.admit(batch)
            if patience is not None and n_since_best(recorder.scores(done)) >= patience:
                stopped_by = "flat"
                break
    except BudgetSpent:
        return done, "time_budget"
    except KeyboardInterrupt:
        if not done:
            raise
        warn_of_interrupt(len(done), n_iter)
        return done, "interrupt"
    recorder.finish()
    return done, stopped_by


def _tell(proposer: Proposer, trials: list[Trial], recorder: TrialRecorder) -> None:
    proposer.tell(trials, recorder.scores(trials), recorder.seconds(trials))


def _take_over(
    strays: list[Trial], proposer: Proposer, recorder: TrialRecorder, is_replayed: bool
) -> None:
    """Keep candidates on record that the search does not propose itself."""
    if is_replayed:
        warn_caller(
            f"The history has {len(strays)} candidates of this search that it would not propose "
            "now, because batch_size, the prior or the version of skmeta has changed, or past "
            "searches were removed. They are kept, and the search continues from there.",
            HistoryWarning,
        )
    recorder.show(strays)
    _tell(proposer, strays, recorder)
    recorder.admit(strays)


def _search_task(callbacks: Any, search: Any, arguments: Arguments, folds: Folds) -> Any:
    """Return the task that callbacks see: of all fits of a grid, else of all batches."""
    if arguments.walks_grid and not search.shared:
        n_fits = arguments.n_iter * len(folds.splits)
        return subtask(callbacks, search, "search", n_fits, sequential=False)
    # A worker may take over candidates of others one by one.
    size = 1 if search.shared else search.batch_size
    return subtask(callbacks, search, "search", math.ceil(arguments.n_iter / size))
