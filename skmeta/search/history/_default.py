"""The history that searches use when none is given to them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from skmeta.search.history._history import ReadOnlyHistory, SearchHistory, open_history

VARIABLE = "SKMETA_HISTORY"

History = SearchHistory | ReadOnlyHistory | str | os.PathLike[str] | None

# A block's choice, in a tuple so that "no history" differs from "no choice".
_block: ContextVar[tuple[SearchHistory | ReadOnlyHistory | None] | None] = ContextVar(
    "skmeta_history", default=None
)
# A script's choice. Threads do not inherit context variables, so it is a global.
_script: list[SearchHistory | ReadOnlyHistory] = []


@contextmanager
def use_history(history: History) -> Iterator[SearchHistory | ReadOnlyHistory | None]:
    """Give a history to the searches in a block that have none of their own.

    It holds for the thread that runs the block, and not for worker processes: set the environment
    variable ``SKMETA_HISTORY`` for those.

    Parameters
    ----------
    history : SearchHistory, ReadOnlyHistory, str, path-like or None
        The history, or its path or URL; None switches the default off.

    Yields
    ------
    history : SearchHistory, ReadOnlyHistory or None
        The history, opened.

    Examples
    --------
    >>> from skmeta.search import default_history, use_history
    >>> with use_history(":memory:") as history:
    ...     default_history() is history
    True
    """
    opened = open_history(history)
    before = _block.set((opened,))
    try:
        yield opened
    finally:
        _block.reset(before)
        if opened is not None and opened is not history:
            opened.close()


def set_default_history(history: History) -> None:
    """Give a history to all searches of this process that have none of their own.

    Searches in joblib's worker processes are in other processes: name the history in the
    environment variable ``SKMETA_HISTORY``, or give it to the search.

    Parameters
    ----------
    history : SearchHistory, ReadOnlyHistory, str, path-like or None
        The history, or its path or URL; None returns to what the environment variable
        ``SKMETA_HISTORY`` says.

    Examples
    --------
    >>> from skmeta.search import SearchHistory, default_history, set_default_history
    >>> history = SearchHistory()
    >>> set_default_history(history)
    >>> default_history() is history
    True
    >>> set_default_history(None)
    """
    opened = open_history(history)
    _script[:] = [] if opened is None else [opened]


def default_history() -> SearchHistory | ReadOnlyHistory | None:
    """Return the history that a search without its own uses.

    In this order: the innermost `use_history` block, `set_default_history`, the environment
    variable ``SKMETA_HISTORY`` (a path or URL), none.

    Returns
    -------
    history : SearchHistory, ReadOnlyHistory or None

    Examples
    --------
    >>> from skmeta.search import default_history, use_history
    >>> with use_history(None):
    ...     print(default_history())
    None
    """
    chosen = _block.get()
    if chosen is not None:
        return chosen[0]
    return _script[0] if _script else open_history(os.environ.get(VARIABLE) or None)
