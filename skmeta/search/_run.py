"""One search from its arguments to the fitted model, stage by stage.

1. Resolve the arguments, and draw the folds.
2. Open the record, and learn the prior from what is on record.
3. Until there are enough candidates: propose some, evaluate them, write them down.
4. Set the results.
5. Refit the best candidate.

No stage calls back into the one before it.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone

from skmeta._callbacks import FitTask, fit_task, subtask
from skmeta._sklearn_compat import (
    callback_context,
    format_results,
    insert_error_scores,
    judge_failures,
    scorers_by_name,
    select_best_index,
)
from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning, SearchStoppedWarning
from skmeta.search._arguments import (
    Arguments,
    resolve_arguments,
    with_one_estimator,
)
from skmeta.search._evaluate import (
    FoldEvaluator,
    Folds,
    draw_folds,
)
from skmeta.search._fit_params import FitData, check_fit_data
from skmeta.search._open_record import OpenRecord, open_record
from skmeta.search._propose import AS_GIVEN, GridProposer, ModelProposer, Proposer
from skmeta.search._report import Progress
from skmeta.search._shared import SharedBatches
from skmeta.search._stopping import (
    Budget,
    BudgetSpent,
    FoldRace,
    expect_stopped,
    fill_folds,
    resolve_racing,
)
from skmeta.search._trials import Trial, TrialRecord, enter_race, n_since_best, reaches
from skmeta.search.early_stopping import refit_params, rounds_columns
from skmeta.search.space import replace_parts


def run_search(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> None:
    """Run a search, and set its attributes.

    Parameters
    ----------
    search : MetaLearnedSearchCV
    X, y : array-like
    params : dict
        Parameters of ``fit``.
    """
    begun = time.monotonic()
    single = with_one_estimator(search)
    arguments = resolve_arguments(single, y)
    data = check_fit_data(single, X, y, params)
    callbacks = callback_context(search, max_subtasks=1 + (search.refit is not False))
    with fit_task(callbacks, search, X=data.X, y=data.y, metadata=data.metadata):
        folds = draw_folds(search.cv, arguments.estimator, data)
        with open_record(single, arguments, data, folds) as record:
            outcome = _evaluate_candidates(
                search, arguments, data, folds, record, begun=begun, callbacks=callbacks
            )
        # An earlier fit may have set attributes that this one does not set.
        for name in [name for name in vars(search) if name.endswith("_")]:
            delattr(search, name)
        search.n_splits_ = len(folds.splits)
        search.n_samples_fit_ = data.n_rows
        search.prior_ = record.prior
        search.prior_report_ = outcome.report
        search.stopped_by_ = outcome.stopped_by
        search.n_resumed_ = sum(trial.is_on_record for trial in outcome.trials)
        search.search_time_ = time.monotonic() - begun
        _set_results(search, arguments, outcome.trials)
        if search.refit:
            _refit_best(search, arguments, data, callbacks)


# -- candidates -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outcome:
    """What a search found.

    Attributes
    ----------
    trials : list of Trial
        The finished candidates, in the order in which they were proposed.
    report : dict
        Weights of past searches and of the models.
    stopped_by : str
    """

    trials: list[Trial]
    report: dict[str, Any]
    stopped_by: str


def _evaluate_candidates(
    search: Any,
    arguments: Arguments,
    data: FitData,
    folds: Folds,
    record: OpenRecord,
    *,
    begun: float,
    callbacks: Any,
) -> _Outcome:
    """Evaluate candidates until there are enough, the time is over, or the user stops it."""
    n_splits = len(folds.splits)
    race = FoldRace(resolve_racing(search.racing))
    budget = Budget(search.time_budget, begun)
    proposer = _make_proposer(search, arguments, record)
    trial_record = TrialRecord(
        arguments, record.history, record.search_id, n_splits, race, search.return_train_score
    )
    batches: _SoloBatches | SharedBatches
    if record.leases is None:
        batches = _SoloBatches(search, arguments, proposer, trial_record, race, record.is_replayed)
    else:
        batches = SharedBatches(
            search, arguments, proposer, trial_record, race, budget, record.leases
        )
    with (
        Progress(search, arguments, begun) as progress,
        _search_task(callbacks, search, arguments, record, n_splits) as whole,
        FoldEvaluator(search, arguments, data, folds, race) as evaluator,
    ):
        progress.begin(n_splits)
        try:
            with record.leases or nullcontext():
                while batch := batches.next_batch():
                    with (
                        _batch_task(whole, search, arguments, record, batch, n_splits) as part,
                        closing(evaluator.evaluate(batch, part.context)) as results,
                    ):
                        for trial in results:
                            if trial.is_finished:
                                budget.add(trial.results)
                                progress.show(trial)
                                trial_record.write(trial)
                            budget.check()
                    for trial in batches.take_back(batch):
                        progress.show(trial)
            for trial in batches.take_back([]):
                progress.show(trial)
            trial_record.end()
            stopped_by = batches.stopped_by
        except BudgetSpent:
            stopped_by = "time_budget"
        except KeyboardInterrupt:
            if not batches.finished():
                raise
            _warn_of_interrupt(len(batches.finished()), arguments.n_iter)
            stopped_by = "interrupt"
    return _Outcome(batches.finished(), proposer.report(), stopped_by)


class _SoloBatches:
    """The batches of a search that one process runs.

    A resumed search proposes the same candidates again. Those on record are not evaluated: the
    model receives their recorded scores.
    """

    def __init__(
        self,
        search: Any,
        arguments: Arguments,
        proposer: Proposer,
        record: TrialRecord,
        race: FoldRace,
        is_replayed: bool,
    ) -> None:
        self.stopped_by = "n_iter"
        self._n_iter = arguments.n_iter
        self._patience = search.stop_when_flat
        self._target = search.target_score
        self._proposer = proposer
        self._record = record
        self._race = race
        self._is_replayed = is_replayed
        self._agrees = True  # all proposals so far were on record
        self._trials: list[Trial] = []
        self._unshown: list[Trial] = []
        record.read()

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
        if reaches(self._scores(), self._target):
            self.stopped_by = "target_score"
        elif self._patience is not None and n_since_best(self._scores()) >= self._patience:
            self.stopped_by = "flat"
        unshown = [*self._unshown, *(trial for trial in batch if trial.is_on_record)]
        self._unshown = []
        return unshown

    def finished(self) -> list[Trial]:
        """Return the finished candidates."""
        return [trial for trial in self._trials if trial.is_finished]

    def _scores(self) -> list[float]:
        return [trial.score for trial in self._trials]

    def _tell(self, trials: list[Trial]) -> None:
        self._proposer.tell(trials)
        enter_race(trials, self._race)

    def _take_over(self, others: list[Trial]) -> None:
        """Keep candidates on record that the search does not propose itself."""
        if self._is_replayed:
            warn_caller(
                f"The history has {len(others)} candidates of this search that it would not "
                "propose now, because batch_size, the prior or the version of skmeta has changed, "
                "or past searches were removed. They are kept, and the search continues from "
                "there.",
                HistoryWarning,
            )
        self._trials += others
        self._unshown += others
        self._tell(others)


def _make_proposer(search: Any, arguments: Arguments, record: OpenRecord) -> Proposer:
    if arguments.walks_grid:
        return GridProposer(arguments.space)
    return ModelProposer(
        arguments.estimator,
        arguments.space,
        record.prior,
        record.seed,
        search.batch_size,
        arguments.as_given,
        is_timed=search.time_budget is not None,
        target_scale=arguments.target_scale,
        start=arguments.start,
    )


def _search_task(
    callbacks: Any, search: Any, arguments: Arguments, record: OpenRecord, n_splits: int
) -> Any:
    """Return the task that callbacks see: of all fits of a grid, else of all batches."""
    if arguments.walks_grid and record.leases is None:
        return subtask(callbacks, search, "search", arguments.n_iter * n_splits, sequential=False)
    # A worker may take over candidates of others one by one.
    size = search.batch_size if record.leases is None else 1
    return subtask(callbacks, search, "search", math.ceil(arguments.n_iter / size))


@contextmanager
def _batch_task(
    whole: FitTask,
    search: Any,
    arguments: Arguments,
    record: OpenRecord,
    batch: list[Trial],
    n_splits: int,
) -> Iterator[FitTask]:
    """Return the task of a batch for callbacks; a grid is one batch, the whole search."""
    if arguments.walks_grid and record.leases is None:
        yield whole
        return
    with subtask(whole.context, search, "batch", len(batch) * n_splits, sequential=False) as part:
        yield part


def _warn_of_interrupt(n_done: int, n_iter: int) -> None:
    warn_caller(
        f"The search was interrupted after {n_done} of {n_iter} candidates. The best of them is "
        "kept. With a history, the same search continues from there.",
        SearchStoppedWarning,
    )


# -- results --------------------------------------------------------------------------------------


def _set_results(search: Any, arguments: Arguments, trials: list[Trial]) -> None:
    """Set ``cv_results_``, and the best candidate."""
    by_trial = [[dict(output) for output in trial.results] for trial in trials]
    outputs = [output for own in by_trial for output in own]
    judge_failures(outputs, search.error_score)
    if callable(search.scoring):
        insert_error_scores(outputs, search.error_score)
    first_scores = outputs[0]["test_scores"]
    search.multimetric_ = isinstance(first_scores, dict)
    refit_metric = arguments.refit_metric
    # Which metrics a callable returns is not known before.
    if callable(search.scoring) and search.multimetric_:
        arguments.metrics.check_refit(first_scores)
        refit_metric = search.refit
    columns = {} if arguments.walks_grid else _prediction_columns(trials)
    if search.racing:
        columns["n_folds"] = [len(own) for own in by_trial]
    if search.early_stopping is not None:
        columns |= rounds_columns(by_trial, search.n_splits_)
    with expect_stopped(by_trial, search.n_splits_):
        filled = fill_folds(by_trial, search.n_splits_)
        candidates = [trial.params for trial in trials]
        results = format_results(search, candidates, search.n_splits_, filled, columns)
    # A callable `refit` that fails costs no results.
    search.scorer_ = scorers_by_name(arguments.scorers) or arguments.scorers
    search.cv_results_ = results
    if search.refit or not search.multimetric_:
        search.best_index_ = select_best_index(search, refit_metric, results)
        if not callable(search.refit):
            rank = results[f"rank_test_{refit_metric}"]
            search.best_index_ = _prefer_as_given(trials, search.best_index_, rank)
            search.best_score_ = results[f"mean_test_{refit_metric}"][search.best_index_]
        search.best_params_ = results["params"][search.best_index_]
        if search.early_stopping is not None:
            n_rounds = results["n_rounds"][search.best_index_]
            best = replace_parts(arguments.estimator, search.best_params_)
            search.best_params_ = {**search.best_params_, **refit_params(best, n_rounds)}


def _prediction_columns(trials: list[Trial]) -> dict[str, list[Any]]:
    """Return the columns of ``cv_results_`` that scikit-learn's searches do not have."""
    return {
        "source": [trial.source for trial in trials],
        "predicted_mean_score": [trial.predicted_mean for trial in trials],
        "predicted_std_score": [trial.predicted_std for trial in trials],
    }


def _prefer_as_given(trials: list[Trial], best: int, rank: NDArray[Any]) -> int:
    """Return the estimator as given in place of a best candidate that is no better."""
    sources = [trial.source for trial in trials]
    given = sources.index(AS_GIVEN) if AS_GIVEN in sources else best
    return given if rank[given] == rank[best] else best


def _refit_best(search: Any, arguments: Arguments, data: FitData, callbacks: Any) -> None:
    """Fit the best candidate on all rows."""
    # Parameters are cloned too: they may be estimators.
    best = clone(arguments.estimator).set_params(**clone(search.best_params_, safe=False))
    targets = () if data.y is None else (data.y,)
    search.best_estimator_ = best
    task = "refit-with-best-params"
    given = {"X": data.X, "y": data.y, "metadata": data.metadata}
    with subtask(callbacks, search, task, estimator=best, **given):
        begun = time.time()
        best.fit(data.X, *targets, **data.fit_params)
        search.refit_time_ = time.time() - begun
    if hasattr(best, "feature_names_in_"):
        search.feature_names_in_ = best.feature_names_in_
