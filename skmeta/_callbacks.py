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

    Attributes
    ----------
    context : callback context or None
        The task in scikit-learn's tree.
    fitted : callable or None
        Returns the attributes that the estimator would have if its fit ended with this task.
    is_stopped : bool
        Whether a callback asked for an end of the work when the task ended.
    """

    context: Any
    fitted: Callable[[], dict[str, Any]] | None = None
    is_stopped: bool = False


IterationTask = Callable[[], AbstractContextManager[FitTask]]
"""Opens the task of one iteration."""


@contextmanager
def fit_task(context: Any, caller: Any, **data: Any) -> Iterator[FitTask]:
    """Call the callbacks at the beginning and the end of a task, also if it ends early.

    Parameters
    ----------
    context : callback context or None
    caller : estimator
    **data : dict
        ``X``, ``y`` and ``metadata`` of the task.

    Yields
    ------
    task : FitTask
    """
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

    Parameters
    ----------
    parent : callback context or None
    caller : estimator
    name : str
    n_subtasks : int or None, default=0
        The most parts that this part has itself; None: not known.
    sequential : bool, default=True
        Whether those come one after the other.
    estimator : estimator, default=None
        What is fitted in this part; callbacks are passed on to it.
    **data : dict
        ``X``, ``y`` and ``metadata`` of the task.

    Yields
    ------
    task : FitTask
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
