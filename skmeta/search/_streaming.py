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

from skmeta._sklearn_compat import BaseSearchCV, Parallel, delayed, judge_failures
from skmeta.search._describe import candidate_key

__all__ = ["Output", "fit_streaming"]

# What scikit-learn's _fit_and_score returns: test_scores, fit_time, score_time, ...
Output = dict[str, Any]
Cell = tuple[str, int]  # a candidate's key and the number of a fold


def fit_streaming(
    search: BaseSearchCV,
    X: Any,
    y: Any,
    params: Mapping[str, Any],
    *,
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
    recorded : mapping of (key, fold) -> output
        What need not be evaluated. Looked up when a task is about to be made, so that it may
        grow meanwhile.
    observe : callable of (cell, parameters, output)
        Called in this process for each result that was computed, in the order in which they
        finish. What it raises ends the tasks that are running.
    """
    fit = unwrap(BaseSearchCV.fit)
    streaming = partial(_StreamingParallel, recorded=recorded, observe=observe)
    # The same code with two global names exchanged: nothing is patched for others.
    exchanged = {"Parallel": streaming, judge_failures.__name__: lambda *args: None}
    own = FunctionType(
        fit.__code__, {**fit.__globals__, **exchanged}, fit.__name__, fit.__defaults__
    )
    own(search, X, y, **params)


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
