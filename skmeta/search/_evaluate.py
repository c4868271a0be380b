"""The folds of a search, and candidates evaluated on them, one result at a time.

scikit-learn's searches see the results of a batch when the last one is there. A search that
survives being killed, keeps to a time and goes on from its record sees them one by one, and
evaluates only what is not on record.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, NamedTuple, Self

from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv

from skmeta._sklearn_compat import Parallel, delayed, fit_and_score, has_callbacks, safe_indexing
from skmeta.search._fit_params import FitData
from skmeta.search._recorder import Output, Trial, TrialRecorder
from skmeta.search.early_stopping import Held, hold_out, stop_early

__all__ = ["FoldEvaluator", "Folds", "draw_folds"]


class Folds(NamedTuple):
    """The folds of a search, drawn once, so that every candidate is scored on the same rows.

    Attributes
    ----------
    splitter : cross-validation splitter
    splits : list of (train, test)
        Indices of rows.
    """

    splitter: Any
    splits: list[Any]


def draw_folds(cv: Any, estimator: Any, data: FitData) -> Folds:
    """Draw the folds.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        As of the search.
    estimator : estimator
    data : FitData

    Returns
    -------
    Folds

    Raises
    ------
    ValueError
        If there are none, or not as many as the splitter promises.
    """
    splitter = check_cv(cv, data.y, classifier=is_classifier(estimator))
    n_splits = splitter.get_n_splits(data.X, data.y, **data.split_params)
    splits = list(splitter.split(data.X, data.y, **data.split_params))
    if len(splits) != n_splits:
        raise ValueError(
            "cv.split and cv.get_n_splits return inconsistent results. "
            f"Expected {n_splits} splits, got {len(splits)}. Mend the splitter's get_n_splits."
        )
    if not splits:
        raise ValueError(
            "No fits were performed. Was the CV iterator empty? Were there no candidates? "
            "Pass a splitter, or a list of splits: an iterator is empty after its first use."
        )
    return Folds(splitter, splits)


class FoldEvaluator:
    """Evaluates candidates on the folds of a search.

    To be used as a context: worker processes serve all batches.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Gives ``n_jobs``, ``pre_dispatch``, ``verbose``, ``error_score`` and
        ``return_train_score``.
    estimator : estimator
    scorers : scorer
    data : FitData
    folds : Folds
    recorder : TrialRecorder
        Knows what need not be evaluated, and is told each result in the order in which they
        finish. What it raises ends the tasks that are running.
    """

    def __init__(
        self,
        search: Any,
        estimator: Any,
        scorers: Any,
        data: FitData,
        folds: Folds,
        recorder: TrialRecorder,
    ) -> None:
        self._data = data
        self._splits = folds.splits
        self._held = _hold_out(search.early_stopping, estimator, data, folds)
        self._recorder = recorder
        self._estimator = clone(estimator)
        # The search goes along with each fit, but only if callbacks are to receive it.
        self._caller = search if has_callbacks(search) else None
        self._n_workers = effective_n_jobs(search.n_jobs)
        self._parallel = _make_parallel(n_jobs=search.n_jobs, pre_dispatch=search.pre_dispatch)
        self._settings = {
            "scorer": scorers,
            "fit_params": data.fit_params,
            "score_params": data.score_params,
            "return_train_score": search.return_train_score,
            "return_n_test_samples": True,
            "return_times": True,
            "return_parameters": False,
            "error_score": search.error_score,
            # Up to 2, the search itself says more than scikit-learn does.
            "verbose": search.verbose if search.verbose > 2 else 0,
        }

    def __enter__(self) -> Self:
        self._parallel.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._parallel.__exit__(*exception)

    def __call__(self, trials: Sequence[Trial], context: Any = None) -> None:
        """Evaluate what is not on record of some candidates.

        Parameters
        ----------
        trials : sequence of Trial
            Equal ones are evaluated once.
        context : callback context or None
            Becomes the parent of each fit's.
        """
        while tasks := self._next_tasks(trials, context):
            with closing(self._run(tasks)) as results:
                for position, fold, output in results:
                    self._recorder.observe(trials[position], fold, output)

    def _next_tasks(self, trials: Sequence[Trial], context: Any) -> list[dict[str, Any]]:
        """Return the fits that are missing; in a race, as many as there are processors for."""
        unfinished: dict[str, int] = {}
        for position, trial in enumerate(trials):
            if not self._recorder.is_finished(trial):
                unfinished.setdefault(trial.key, position)
        most = len(self._splits)
        if self._recorder.race is not None and self._recorder.race.has_begun:
            most = max(1, self._n_workers // max(1, len(unfinished)))
        tasks = []
        for key, position in unfinished.items():
            outputs = self._recorder.outputs
            missing = [f for f in range(len(self._splits)) if (key, f) not in outputs]
            tasks += [self._task(trials, position, fold, context) for fold in missing[:most]]
        return tasks

    def _task(
        self, trials: Sequence[Trial], position: int, fold: int, context: Any
    ) -> dict[str, Any]:
        train, test = self._splits[fold]
        n_splits = len(self._splits)
        return {
            "estimator": clone(self._estimator),
            "X": self._data.X,
            "y": self._data.y,
            "train": train,
            "test": test,
            "held": self._held[fold],
            "parameters": trials[position].params,
            "split_progress": (fold, n_splits),
            "candidate_progress": (position, len(trials)),
            "caller": self._caller,
            "callback_context": context
            and context.subcontext(
                task_name="candidate-split-evaluation", task_id=position * n_splits + fold
            ),
            **self._settings,
        }

    def _run(self, tasks: list[dict[str, Any]]) -> Generator[tuple[int, int, Output], None, None]:
        if not tasks:
            return
        results = self._parallel(delayed(_evaluate)(task) for task in tasks)
        try:
            yield from results
        finally:
            if hasattr(results, "close"):  # ends the tasks that are running
                results.close()


def _make_parallel(**settings: Any) -> Any:
    try:
        return Parallel(return_as="generator_unordered", **settings)
    except ValueError:  # a backend that cannot: results come when all are there
        return Parallel(**settings)


def _hold_out(
    early_stopping: Any, estimator: Any, data: FitData, folds: Folds
) -> list[Held | None]:
    """Return the rows of each fold on which early stopping computes the loss."""
    if early_stopping is None:
        return [None] * len(folds.splits)
    held: list[Held | None] = []
    for train, _ in folds.splits:
        X, y = (safe_indexing(values, train) for values in (data.X, data.y))
        groups = data.given.get("groups")
        groups = None if groups is None else safe_indexing(groups, train)
        held.append(hold_out(early_stopping, X, y, groups, is_classifier(estimator)))
    return held


def _evaluate(task: dict[str, Any]) -> tuple[int, int, Output]:
    position, fold = task["candidate_progress"][0], task["split_progress"][0]
    held = task.pop("held")
    if held is None:
        return position, fold, fit_and_score(**task)
    with stop_early(task["estimator"], held) as found:
        output = fit_and_score(**task)
    return position, fold, {**output, "n_rounds": found.n_rounds}
