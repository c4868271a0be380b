"""The tree of tasks for scikit-learn's callbacks. Before scikit-learn 1.9, nothing is done."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from skmeta.exceptions import OverlapWarning


@dataclass
class FitTask:
    """What :func:`fit_task` is told during a task, and what it tells at the end.

    `fitted` returns the attributes that the estimator would have if its fit ended with this task;
    `is_stopped` says whether a callback asked for an end of the work when the task ended.
    """

    context: Any
    fitted: Callable[[], dict[str, Any]] | None = None
    is_stopped: bool = False


IterationTask = Callable[[], AbstractContextManager[FitTask]]
"""Opens the task of one iteration."""


@contextmanager
def fit_task(context: Any, caller: Any, **data: Any) -> Iterator[FitTask]:
    """Call the callbacks at the beginning and the end of a task, also if it ends early."""
    task = FitTask(context)
    if context is None:
        yield task
        return
    context.call_on_fit_task_begin(estimator=caller, **data)
    try:
        yield task
    finally:
        with warnings.catch_warnings():
            if task.fitted:  # Callbacks score the rows of the fit.
                warnings.simplefilter("ignore", OverlapWarning)
            task.is_stopped = context.call_on_fit_task_end(
                estimator=caller, reconstruction_attributes=task.fitted, **data
            )


@contextmanager
def subtask(
    parent: Any,
    caller: Any,
    name: str,
    n_subtasks: int | None = 0,
    *,
    sequential: bool = True,
    estimator: Any = None,
    **data: Any,
) -> Iterator[FitTask]:
    """Call the callbacks at the beginning and the end of a part of a task.

    The part has at most `n_subtasks` parts itself (None: unknown), one after the other if
    `sequential`. If it fits an `estimator`, callbacks are passed on to it.
    """
    if parent is None:
        yield FitTask(None)
        return
    context = parent.subcontext(
        task_name=name, max_subtasks=n_subtasks, sequential_subtasks=sequential
    )
    passed_on = (
        context.propagate_callback_context(estimator) if estimator is not None else nullcontext()
    )
    with passed_on, fit_task(context, caller, **data) as task:
        yield task
