"""The data and the folds of a search, and candidates evaluated on them, one fold at a time.

scikit-learn's searches receive the results of a batch together. This one receives them one by one,
so that it can record each candidate, keep to a time budget, and resume from its record.
"""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, suppress
from inspect import Parameter, signature
from typing import Any, NamedTuple, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable

from skmeta._fold_evaluation import evaluate_fold
from skmeta._sklearn_compat import (
    Parallel,
    check_method_params,
    delayed,
    has_callbacks,
    is_routing_enabled,
    route_fit_params,
)
from skmeta._validation import suggest
from skmeta.search._arguments import Arguments, Search, lines_per_candidate
from skmeta.search._budget import Budget
from skmeta.search._trials import FoldRace, Trial


class FitData(NamedTuple):
    """The arguments of `fit`, by who takes them, and all of them as `given` by name."""

    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    split_params: Mapping[str, Any]
    given: Mapping[str, Any]

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return int(self.X.shape[0]) if hasattr(self.X, "shape") else len(self.X)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """Return the metadata for callbacks, in addition to X and y."""
        weight = self.given.get("sample_weight")
        return None if weight is None else {"sample_weight": weight}


def check_fit_data(search: Search, X: Any, y: Any, params: Mapping[str, Any]) -> FitData:
    """Check the data and the parameters of `fit`, and route these."""
    X, y = indexable(X, y)
    given = check_method_params(X, params=params)
    # With metadata routing, scikit-learn itself refuses metadata that was not requested.
    if not is_routing_enabled():
        _check_taken(search.estimator, given)
    routed = route_fit_params(search, dict(given))
    return FitData(
        X, y, routed.estimator.fit, routed.scorer.score, routed.splitter.split, dict(given)
    )


def _check_taken(estimator: Any, given: Mapping[str, Any]) -> None:
    """Raise if ``fit`` of the estimator takes one of the parameters by no name."""
    try:
        known = signature(estimator.fit).parameters
    except (TypeError, ValueError):  # not a Python function: it may take anything
        return
    if any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):  # such as of a pipeline
        return
    for name in given:
        if name not in known and name != "groups":
            hint = suggest(name, known) or f" It takes: {', '.join(known)}."
            raise TypeError(
                f"fit got the parameter {name!r}, which {type(estimator).__name__}.fit does not "
                f"take; every fit would fail.{hint}"
            )


class Folds(NamedTuple):
    """The folds of a search. They are drawn once, so all candidates are scored on the same rows."""

    splitter: Any
    splits: Any

    @property
    def digest(self) -> str:
        """Return a digest of the rows of all folds."""
        whole = hashlib.sha256()
        for split in self.splits:
            for rows in map(np.asarray, split):
                whole.update(f"{rows.dtype}{rows.shape}".encode())
                whole.update(np.ascontiguousarray(rows).tobytes())
        return whole.hexdigest()


def draw_folds(cv: Any, estimator: Any, data: FitData) -> Folds:
    """Draw the folds."""
    splitter = check_cv(cv, data.y, classifier=is_classifier(estimator))
    n_splits = splitter.get_n_splits(data.X, data.y, **data.split_params)
    splits = list(splitter.split(data.X, data.y, **data.split_params))
    if len(splits) != n_splits:
        raise ValueError(
            "cv.split and cv.get_n_splits return inconsistent results. "
            f"Expected {n_splits} splits, got {len(splits)}. Fix the splitter's get_n_splits."
        )
    if not splits:
        raise ValueError(
            "No fits were performed. Was the CV iterator empty? Were there no candidates? "
            "Pass a splitter, or a list of splits: an iterator is empty after its first use."
        )
    return Folds(splitter, splits)


def check_same_folds(folds: Folds, data: FitData) -> None:
    """Raise if a splitter draws other folds each time, as other processes draw them too."""
    again = Folds(folds.splitter, folds.splitter.split(data.X, data.y, **data.split_params))
    if folds.digest != again.digest:
        raise ValueError(
            "A shared history needs the same folds in all processes, but "
            f"cv={folds.splitter!r} draws others each time. Give it an integer as random_state, or "
            "pass a list of splits."
        )


class Stage(NamedTuple):
    """What the parts of a search share, while it tries candidates on a sample or on all rows."""

    search: Search
    arguments: Arguments
    data: FitData
    folds: Folds
    budget: Budget  # receives each result
    race: FoldRace  # decides which candidates stop before their last fold

    def settle(self, trial: Trial) -> None:
        """Finish a trial if it has all folds, or if the first ones show that it will not win."""
        n_splits = len(self.folds.splits)
        n_first = next((k for k in range(n_splits) if k not in trial.outputs), n_splits)
        scores = self.arguments.metrics.fold_scores(trial.results[:n_first]) if n_first else []
        # After the last fold, there is nothing to save.
        ends = (n for n in range(1, min(n_first + 1, n_splits)) if self.race.is_lost(scores[:n]))
        n_folds = next(ends, n_splits if n_first == n_splits else None)
        if n_folds is not None:
            self.finish(trial, n_folds)

    def finish(self, trial: Trial, n_folds: int) -> None:
        """Set the score of a trial from its first folds."""
        trial.n_folds = n_folds
        trial.is_stopped = n_folds < len(self.folds.splits)
        scores = trial.fold_scores = self.arguments.metrics.fold_scores(trial.results)
        trial.score = self.race.estimate(scores) if trial.is_stopped else float(np.mean(scores))


class FoldEvaluator:
    """Evaluates candidates on the folds of a search, as a context with worker processes.

    If `survives`, a candidate at which a process dies counts as failed; else joblib's error is
    raised.
    """

    def __init__(self, stage: Stage, *, survives: bool = True) -> None:
        search, arguments, data = stage.search, stage.arguments, stage.data
        self._stage, self._splits = stage, stage.folds.splits
        self._estimator = clone(arguments.estimator)
        # The search goes along with each fit, but only if callbacks are to receive it.
        self._caller = search if has_callbacks(search) else None
        self._n_workers = effective_n_jobs(search.n_jobs)
        self._survives = survives
        self._parallel = _make_parallel(search)
        self._settings = {
            "scorer": arguments.metrics.scorers,
            "fit_params": data.fit_params,
            "score_params": data.score_params,
            "return_train_score": search.return_train_score,
            "return_n_test_samples": True,
            "return_times": True,
            "return_parameters": False,
            "error_score": search.error_score,
            # Up to 2, the search itself says more than scikit-learn does.
            "verbose": lines if (lines := lines_per_candidate(search)) > 2 else 0,
        }

    def __enter__(self) -> Self:
        self._parallel.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._parallel.__exit__(*exception)

    def evaluate(
        self, trials: Sequence[Trial], context: Any = None
    ) -> Generator[Trial, None, None]:
        """Evaluate the missing folds, and yield each candidate that received a result."""
        is_alone = False
        while tasks := self._next_tasks(trials, context, is_alone=is_alone):
            try:
                with closing(self._run(tasks)) as results:
                    for position, fold, output in results:
                        trial = trials[position]
                        # The number of processors must have no effect on the search, so the result
                        # of a fold that ran while its candidate was stopped is dropped.
                        if not trial.is_finished:
                            scores = output.get("test_scores")
                            if isinstance(scores, Mapping):
                                self._stage.arguments.metrics.check_refit(scores)
                            self._stage.budget.note(output)
                            trial.outputs[fold] = output
                            self._stage.settle(trial)
                            yield trial
            except BrokenExecutor:
                if not self._survives:
                    raise
                context = None  # callbacks have seen these fits begin
                self._restart()
                # Which candidate it was is only known of one that is evaluated alone.
                lost = {task["candidate_progress"][0] for task in tasks}
                if len(lost) == 1:
                    trial = trials[lost.pop()]
                    trial.obstacle = (
                        f"A worker process died while it evaluated {trial.params}, which counts as "
                        "failed. It may take more memory than there is."
                    )
                is_alone = True

    def _restart(self) -> None:
        """Start worker processes anew, after one of them has died."""
        with suppress(Exception):  # what is left of the others may fail too
            self._parallel.__exit__(None, None, None)
        self._parallel = _make_parallel(self._stage.search)
        self._parallel.__enter__()

    def _next_tasks(
        self, trials: Sequence[Trial], context: Any, *, is_alone: bool
    ) -> list[dict[str, Any]]:
        """Return the missing fits, all or of one candidate; in a race, as many as processors."""
        unfinished: dict[str, int] = {}
        for position, trial in enumerate(trials):
            if not trial.is_finished:
                unfinished.setdefault(trial.key, position)
        if is_alone:
            unfinished = dict([*unfinished.items()][:1])
        most = len(self._splits)
        if self._stage.race.has_begun:
            most = max(1, self._n_workers // max(1, len(unfinished)))
        tasks = []
        for position in unfinished.values():
            outputs = trials[position].outputs
            missing = [fold for fold in range(len(self._splits)) if fold not in outputs]
            tasks += [self._task(trials, position, fold, context) for fold in missing[:most]]
        return tasks

    def _task(
        self, trials: Sequence[Trial], position: int, fold: int, context: Any
    ) -> dict[str, Any]:
        train, test = self._splits[fold]
        n_splits, obstacle = len(self._splits), trials[position].obstacle
        failing = {"estimator": _Failing(obstacle), "parameters": None, "caller": None}
        return {
            "X": self._stage.data.X,
            "y": self._stage.data.y,
            "train": train,
            "test": test,
            "parameters": trials[position].params,
            "split_progress": (fold, n_splits),
            "candidate_progress": (position, len(trials)),
            "caller": self._caller,
            "callback_context": context
            and context.subcontext(
                task_name="candidate-split-evaluation", task_id=position * n_splits + fold
            ),
            **self._settings,
            **(failing if obstacle else {}),
        }

    def _run(
        self, tasks: list[dict[str, Any]]
    ) -> Generator[tuple[int, int, dict[str, Any]], None, None]:
        if not tasks:
            return
        # Each estimator is cloned when its fit is about to begin.
        results = self._parallel(
            delayed(evaluate_fold)({"estimator": clone(self._estimator), **task}) for task in tasks
        )
        try:
            yield from results
        finally:
            if hasattr(results, "close"):  # ends the tasks that are running
                results.close()


def _make_parallel(search: Search) -> Any:
    settings = {"n_jobs": search.n_jobs, "pre_dispatch": search.pre_dispatch}
    try:
        return Parallel(return_as="generator_unordered", **settings)
    except ValueError:  # a backend that cannot: results come when all are there
        return Parallel(**settings)


class _Failing(BaseEstimator):
    """An estimator whose fit fails."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Raise an error."""
        raise RuntimeError(self.reason)
