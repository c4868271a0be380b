"""The tree of tasks for scikit-learn's callbacks. Before scikit-learn 1.9, nothing is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skmeta.search._fit_params import FitData

__all__ = ["fit_task", "refit_task", "subtask"]


@contextmanager
def subtask(
    parent: Any, caller: Any, name: str, n_subtasks: int, *, sequential: bool = True
) -> Iterator[Any]:
    """Call the callbacks at the beginning and the end of a part of a search.

    Parameters
    ----------
    parent : callback context or None
    caller : MetaLearnedSearchCV
    name : str
    n_subtasks : int
        The most parts that this part has itself.
    sequential : bool, default=True
        Whether those come one after the other.

    Yields
    ------
    context : callback context or None
    """
    if parent is None:
        yield None
        return
    context = parent.subcontext(
        task_name=name, max_subtasks=n_subtasks, sequential_subtasks=sequential
    )
    with fit_task(context, caller):
        yield context


@contextmanager
def refit_task(parent: Any, caller: Any, estimator: Any, data: FitData) -> Iterator[None]:
    """Call the callbacks when the best candidate is fitted, and pass them on to it.

    Parameters
    ----------
    parent : callback context or None
    caller : MetaLearnedSearchCV
    estimator : estimator
        The best candidate.
    data : FitData
    """
    if parent is None:
        yield
        return
    context = parent.subcontext(task_name="refit-with-best-params")
    with (
        context.propagate_callback_context(estimator),
        fit_task(context, caller, X=data.X, y=data.y, metadata=data.metadata),
    ):
        yield


@contextmanager
def fit_task(context: Any, caller: Any, **data: Any) -> Iterator[None]:
    """Call the callbacks at the beginning and the end of a task, also if it ends early.

    Parameters
    ----------
    context : callback context or None
    caller : MetaLearnedSearchCV
    **data : dict
        ``X``, ``y`` and ``metadata`` of the task.
    """
    if context is None:
        yield
        return
    context.call_on_fit_task_begin(estimator=caller, **data)
    try:
        yield
    finally:
        context.call_on_fit_task_end(estimator=caller, **data)
