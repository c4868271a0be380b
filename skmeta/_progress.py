"""Progress of long work: a bar, lines of text in logs, the tasks that callbacks see.

Callbacks came with scikit-learn 1.9. Before it, nothing is done for them.
"""

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from skmeta.exceptions import PriorWarning

# Seconds between two lines of a log.
_EVERY = 30.0


def progress_bar(
    total: int | None, description: str, unit: str, *, verbose: int | str, initial: int = 0
) -> Any:
    """Return a context with ``update`` and ``set_postfix`` that shows progress on standard error.

    It is a bar of tqdm in a terminal or a notebook, else a line now and then. If `verbose` is
    ``"auto"``, it is shown in the former only, after two seconds; if 0, never.
    """
    is_auto = verbose == "auto"
    if not (is_interactive() if is_auto else verbose):
        return _Silent()
    from tqdm.auto import tqdm

    bar: dict[str, Any] = {"total": total, "initial": initial, "desc": description, "unit": unit}
    if is_interactive():
        return tqdm(delay=2 if is_auto else 0, file=sys.stderr, **bar)
    done = "{n_fmt}" if total is None else "{n_fmt}/{total_fmt}"
    bar |= {"bar_format": f"{{desc}}: {done} {{unit}}, {{elapsed}}{{postfix}}", "file": _Log()}
    return tqdm(mininterval=_EVERY, maxinterval=math.inf, miniters=1, **bar)


def is_interactive() -> bool:
    """Return whether a bar can be drawn: in a terminal or a notebook."""
    return _is_notebook() or bool(getattr(sys.stderr, "isatty", lambda: False)())


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", ())


class _Silent:
    """Shows nothing. Tqdm would take a lock of all processes, which one that is killed keeps."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Add finished steps."""

    def set_postfix(self, values: dict[str, str], refresh: bool = True) -> None:
        """Set what is written after the number of steps."""


class _Log:
    """Standard error without control characters: each state of a bar is a line."""

    _last = ""

    def write(self, text: str) -> None:
        """Write what is not blank, and not the line before."""
        line = text.strip()
        if line not in ("", self._last):
            print(line, file=sys.stderr, flush=True)
            self._last = line

    def flush(self) -> None:
        """Do nothing: each line is flushed."""


# ------------------------------------------------------------------------ tasks of callbacks


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
                warnings.simplefilter("ignore", PriorWarning)
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
