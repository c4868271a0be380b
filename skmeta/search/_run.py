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
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skmeta._progress import fit_task, subtask
from skmeta._sklearn_compat import (
    callback_context,
    format_results,
    insert_error_scores,
    judge_failures,
    scorers_by_name,
    select_best_index,
)
from skmeta._warnings import warn_caller
from skmeta.exceptions import SearchWarning, SkmetaWarning
from skmeta.search._arguments import Arguments, Search, resolve_arguments, with_one_estimator
from skmeta.search._batches import SharedBatches, SoloBatches
from skmeta.search._budget import Budget, BudgetSpent
from skmeta.search._evaluate import FitData, FoldEvaluator, Folds, Stage, check_fit_data, draw_folds
from skmeta.search._open_record import OpenRecord, TrialRecord, open_record
from skmeta.search._propose import AS_GIVEN, GridProposer, ModelProposer, Proposer
from skmeta.search._trials import FoldRace, Output, Progress, Trial

# From this many candidates on, the estimator as given is scored too if the space excludes it.
_MIN_CANDIDATES = 10


def run_search(search: Search, X: Any, y: Any, params: Mapping[str, Any]) -> None:
    """Run a search, and set its attributes."""
    budget = Budget(search.time_budget)
    single = with_one_estimator(search)
    arguments = resolve_arguments(single, y)
    data = check_fit_data(single, X, y, params)
    callbacks = callback_context(search, max_subtasks=1 + (search.refit is not False))
    with fit_task(callbacks, search, X=data.X, y=data.y, metadata=data.metadata):
        folds = draw_folds(search.cv, arguments.estimator, data)
        budget.refit_ratio = _refit_ratio(search, data, folds)
        stage = Stage(search, arguments, data, folds, budget, FoldRace(search.racing))
        record = open_record(single, stage)
        outcome = _evaluate_candidates(stage, record, callbacks)
        # An earlier fit may have set attributes that this one does not set.
        for name in [name for name in vars(search) if name.endswith("_")]:
            delattr(search, name)
        search.n_splits_ = len(folds.splits)
        search.n_samples_fit_ = data.n_rows
        search.prior_ = record.prior
        search.prior_report_ = outcome.report
        search.stopped_by_ = outcome.stopped_by
        if outcome.stopped_by not in ("time_budget", "interrupt"):
            _warn_if_behind(stage, record, outcome.trials)
        search.n_resumed_ = sum(trial.is_on_record for trial in outcome.trials)
        search.search_time_ = time.monotonic() - budget.begun
        _set_results(search, arguments, outcome.trials)
        if search.refit:
            _refit_best(search, arguments, data, callbacks)


def _refit_ratio(search: Search, data: FitData, folds: Folds) -> float:
    """Return the rows of the refit over those that a fit on a fold learns from; 0 without one."""
    if search.refit is False:
        return 0.0
    return data.n_rows / max(1.0, float(np.mean([len(train) for train, _ in folds.splits])))


# -- candidates -----------------------------------------------------------------------------------


class _Outcome(NamedTuple):
    """Finished trials of a search in the order of their proposal, and what ended it."""

    trials: list[Trial]
    report: dict[str, Any]  # weights of past searches and models
    stopped_by: str


def _evaluate_candidates(stage: Stage, record: OpenRecord, callbacks: Any) -> _Outcome:
    """Evaluate candidates until there are enough, the time is over, or the user stops it."""
    search, arguments, n_splits = stage.search, stage.arguments, len(stage.folds.splits)
    budget = stage.budget
    proposer: Proposer = (
        GridProposer(arguments.space)
        if arguments.walks_grid
        else ModelProposer(search, arguments, record.prior, record.seed, stage.data.n_rows)
    )
    trial_record = TrialRecord(stage, record.history, record.fingerprint)
    common = stage, proposer, trial_record
    batches: SoloBatches | SharedBatches
    if record.leases is None:
        batches = SoloBatches(*common, is_replayed=record.is_replayed)
    else:
        batches = SharedBatches(*common, leases=record.leases)
    # Callbacks see a grid as one task of all fits. A worker may take over candidates one by one.
    is_one_batch = arguments.walks_grid and record.leases is None
    batch_size = search.batch_size if record.leases is None else 1
    n_parts = arguments.n_iter * n_splits if is_one_batch else -(-arguments.n_iter // batch_size)
    with (
        Progress(stage) as progress,
        subtask(callbacks, search, "search", n_parts, sequential=not is_one_batch) as whole,
        FoldEvaluator(stage, survives=record.leases is None) as evaluator,
    ):

        def task_of(batch: list[Trial]) -> Any:
            if is_one_batch:
                return nullcontext(whole)
            return subtask(whole.context, search, "batch", len(batch) * n_splits, sequential=False)

        try:
            with record.leases or nullcontext():
                while batch := batches.next_batch():
                    if not all(trial.is_finished for trial in batch):
                        budget.check()
                    with (
                        task_of(batch) as part,
                        closing(evaluator.evaluate(batch, part.context)) as results,
                    ):
                        for trial in results:
                            if trial.is_finished:
                                budget.add(trial)
                                progress.show(trial)
                                trial_record.write(trial)
                            budget.check(trial)
                    for trial in batches.take_back(batch):
                        budget.add(trial)
                        progress.show(trial)
            for trial in batches.take_back([]):
                progress.show(trial)
            trial_record.write()
            stopped_by = batches.stopped_by
            keys = [trial.key for trial in batches.finished()]
            if stopped_by == "n_iter" and arguments.space.is_exhausted(keys):
                stopped_by = "exhausted"
        except BudgetSpent:
            stopped_by = "time_budget"
        except KeyboardInterrupt:
            if not batches.finished():
                raise
            warn_caller(
                f"The search was interrupted after {len(batches.finished())} of {arguments.n_iter} "
                "candidates. The best of them is kept. With a history and a name, the same search "
                "continues from there.",
                SearchWarning,
            )
            stopped_by = "interrupt"
    return _Outcome(batches.finished(), proposer.report(), stopped_by)


def _warn_if_behind(stage: Stage, record: OpenRecord, trials: Sequence[Trial]) -> None:
    """Score the estimator as given if the space excludes it; warn if no candidate is as good."""
    arguments, search = stage.arguments, stage.search
    is_whole = len(trials) >= _MIN_CANDIDATES and not any(trial.is_on_record for trial in trials)
    is_cheap = is_whole and record.leases is None and search.time_budget is None
    if not (arguments.excluded and is_cheap) or search.error_score == "raise":
        return
    untuned = Trial({}, "", AS_GIVEN)
    stage = stage._replace(race=FoldRace(False))
    with FoldEvaluator(stage) as evaluator:
        for _ in evaluator.evaluate([untuned]):
            pass
    scores = [trial.score for trial in trials if not trial.is_stopped]
    best = max((score for score in scores if np.isfinite(score)), default=math.inf)
    if untuned.score > best:
        warn_caller(
            f"The estimator as given has a score of {untuned.score:.5g}, and the best of "
            f"{len(trials)} candidates {best:.5g}. It was not a candidate, as the space does not "
            f"contain {arguments.excluded}. Widen the space, or pass these values in start=[...].",
            SkmetaWarning,
        )


# -- results --------------------------------------------------------------------------------------


def _set_results(search: Search, arguments: Arguments, trials: list[Trial]) -> None:
    """Set ``cv_results_`` and the best candidate."""
    by_trial = [trial.results for trial in trials]
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
    columns: dict[str, list[Any]] = {}
    if not arguments.walks_grid:
        columns["source"] = [trial.source for trial in trials]
        columns["predicted_mean_score"] = [trial.predicted_mean for trial in trials]
        columns["predicted_std_score"] = [trial.predicted_std for trial in trials]
    if search.racing:
        columns["n_folds"] = [len(own) for own in by_trial]
    filled = [one for own in by_trial for one in _filled(own, search.n_splits_)]
    with warnings.catch_warnings():
        if any(trial.is_stopped for trial in trials):
            warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite")
        candidates = [trial.params for trial in trials]
        results = format_results(search, candidates, search.n_splits_, filled, columns)
    # A callable `refit` that fails costs no results.
    search.scorer_ = scorers_by_name(arguments.metrics.scorers) or arguments.metrics.scorers
    search.cv_results_ = results
    if search.refit or not search.multimetric_:
        search.best_index_ = select_best_index(search, refit_metric, results)
        if not callable(search.refit):
            # The estimator as given is kept if no other candidate is better.
            rank, sources = results[f"rank_test_{refit_metric}"], [one.source for one in trials]
            if AS_GIVEN in sources:
                given = sources.index(AS_GIVEN)
                if rank[given] == rank[search.best_index_]:
                    search.best_index_ = given
            search.best_score_ = results[f"mean_test_{refit_metric}"][search.best_index_]
        search.best_params_ = results["params"][search.best_index_]


def _filled(own: list[Output], n_splits: int) -> list[Output]:
    """Return a candidate's results for all folds: one not run has NaN scores and mean times."""
    missing = dict(own[0])
    for kind in missing.keys() & {"test_scores", "train_scores"}:
        one = missing[kind]
        missing[kind] = dict.fromkeys(one, math.nan) if isinstance(one, Mapping) else math.nan
    for kind in ("fit_time", "score_time"):
        missing[kind] = float(np.mean([output[kind] for output in own]))
    return [*own, *[missing] * (n_splits - len(own))]


def _refit_best(search: Search, arguments: Arguments, data: FitData, callbacks: Any) -> None:
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
