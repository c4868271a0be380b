"""scikit-learn's own search loop, but each fold's result is handed over as it arrives.

`BaseSearchCV.fit` gives its tasks to a `Parallel` and sees the results when the last one is
there. A search that is to survive being killed, to keep to a time, or to take up where it was
left, has to see them one by one, and to answer from its record what was evaluated before. It
also judges failed fits by the batch; where candidates come one by one, that is too soon.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from functools import partial
from inspect import unwrap
from types import FunctionType
from typing import Any

from sklearn.model_selection import check_cv

from skmeta._sklearn_compat import BaseSearchCV, Parallel, delayed, judge_failures
from skmeta.search.space import candidate_key

__all__ = ["Folds", "Output", "fit_streaming"]

# What scikit-learn's _fit_and_score returns: test_scores, fit_time, score_time, ...
Output = dict[str, Any]
Cell = tuple[str, int]  # a candidate's key and the number of a fold


def fit_streaming(
    search: BaseSearchCV,
    X: Any,
    y: Any,
    params: Mapping[str, Any],
    *,
    prepare: Callable[[Any, Any, "Folds"], None],
    recorded: Mapping[Cell, Output],
    observe: Callable[[Cell, Mapping[str, Any], Output], None],
) -> None:
    """Run scikit-learn's `BaseSearchCV.fit`, observing each result.

    Parameters
    ----------
    search : BaseSearchCV
        Its ``_run_search`` is called as by scikit-learn, and has to call `judge_failures` itself.
    X, y : array-like
    params : dict
        Parameters of fit, scorer and splitter.
    prepare : callable of (X, y, folds)
        Called once, with the data as scikit-learn checked them, before the first fit.
    recorded : mapping of (key, fold) -> output
        What need not be evaluated. Looked up when a task is about to be made, so that it may
        grow meanwhile.
    observe : callable of (cell, parameters, output)
        Called in this process for each result that was computed, in the order in which they
        finish. What it raises ends the tasks that are running.
    """
    fit = unwrap(BaseSearchCV.fit)
    streaming = partial(_StreamingParallel, recorded=recorded, observe=observe)
    # The same code with three global names exchanged: nothing is patched for others.
    exchanged = {
        "Parallel": streaming,
        judge_failures.__name__: lambda *args: None,
        "check_cv": lambda *args, **kwargs: Folds(check_cv(*args, **kwargs), prepare),
    }
    own = FunctionType(
        fit.__code__, {**fit.__globals__, **exchanged}, fit.__name__, fit.__defaults__
    )
    own(search, X, y, **params)


class Folds:
    """The folds of a search, drawn once, so that every candidate is scored on the same rows.

    Parameters
    ----------
    cv : splitter
    prepare : callable of (X, y, folds)
        Called when they are drawn, which scikit-learn asks for before its first fit.
    """

    def __init__(self, cv: Any, prepare: Callable[[Any, Any, "Folds"], None]) -> None:
        self.cv = cv
        self._prepare: Callable[[Any, Any, Folds], None] | None = prepare
        self.n_splits = 0
        self.splits: list[Any] = []

    def get_n_splits(self, X: Any, y: Any, **split_params: Any) -> int:
        """Return the number of folds; draw them."""
        self.n_splits = self.cv.get_n_splits(X, y, **split_params)
        self.splits = list(self.cv.split(X, y, **split_params))
        if self._prepare is not None:
            prepare, self._prepare = self._prepare, None
            prepare(X, y, self)
        return self.n_splits

    def split(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the folds that were drawn."""
        return self.splits

    def __reduce__(self) -> Any:
        # scikit-learn sends the search along with each fit, which has its rows already.
        return _as_it_is, (self.cv,)


def _as_it_is(value: Any) -> Any:
    return value


class _StreamingParallel(Parallel):
    def __init__(self, *args: Any, recorded: Any, observe: Any, **settings: Any) -> None:
        try:
            super().__init__(*args, return_as="generator_unordered", **settings)
        except ValueError:  # a backend that cannot: results come when all are there
            super().__init__(*args, **settings)
        self._recorded = recorded
        self._observe = observe

    def __call__(self, iterable: Iterable[Any]) -> list[Output]:
        tasks = list(iterable)
        cells = [_cell(kwargs) for _, _, kwargs in tasks]
        first: dict[Cell, int] = {}  # equal candidates are evaluated once
        for index, cell in enumerate(cells):
            if cell not in self._recorded:
                first.setdefault(cell, index)
        done: dict[Cell, Output] = {}
        with closing(self._run(tasks, list(first.values()))) as results:
            for index, output in results:
                done[cells[index]] = output
                self._observe(cells[index], tasks[index][2]["parameters"], output)
        return [dict(done[cell] if cell in done else self._recorded[cell]) for cell in cells]

    def _run(
        self, tasks: list[Any], chosen: list[int]
    ) -> Generator[tuple[int, Output], None, None]:
        if not chosen:
            return
        results = super().__call__(_tagged(index, *tasks[index]) for index in chosen)
        try:
            yield from results
        finally:
            if hasattr(results, "close"):
                results.close()


def _cell(kwargs: Mapping[str, Any]) -> Cell:
    return candidate_key(kwargs["parameters"]), kwargs["split_progress"][0]


def _tagged(index: int, function: Any, args: Any, kwargs: Any) -> Any:
    return delayed(_call)(index, function.function, args, kwargs)


def _call(index: int, function: Any, args: Any, kwargs: Any) -> tuple[int, Output]:
    return index, function(*args, **kwargs)
