"""The default history, for searches without one of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from skmeta.search.history._history import SearchHistory
from skmeta.search.history._read_only import ReadOnlyHistory

VARIABLE = "SKMETA_HISTORY"

History = SearchHistory | ReadOnlyHistory | str | os.PathLike[str] | None

# The default of a block. It is in a tuple, because None means that no block is active.
_block_default: ContextVar[tuple[SearchHistory | ReadOnlyHistory | None] | None] = ContextVar(
    "skmeta_history", default=None
)
# The default of the process. It is a global, since threads do not inherit context variables.
_process_default: list[SearchHistory | ReadOnlyHistory] = []


@contextmanager
def use_history(history: History) -> Iterator[SearchHistory | ReadOnlyHistory | None]:
    """Set the default history for the searches in a ``with`` block.

    It is set for the thread that runs the block. Worker processes do not have it: set the
    environment variable ``SKMETA_HISTORY`` for them.

    Parameters
    ----------
    history : SearchHistory, ReadOnlyHistory, str, path-like or None
        The history, or its path or URL. None means no default.

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
    before = _block_default.set((opened,))
    try:
        yield opened
    finally:
        _block_default.reset(before)
        if opened is not None and opened is not history:
            opened.close()


def set_default_history(history: History) -> None:
    """Set the default history for all searches of this process.

    Worker processes, such as joblib's, do not see it: set the environment variable
    ``SKMETA_HISTORY`` for them, or give the history to the search.

    Parameters
    ----------
    history : SearchHistory, ReadOnlyHistory, str, path-like or None
        The history, or its path or URL. None restores the default of the environment variable
        ``SKMETA_HISTORY``.

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
    _process_default[:] = [] if opened is None else [opened]


def default_history() -> SearchHistory | ReadOnlyHistory | None:
    """Return the default history.

    It is the first of these that is set: the history of the innermost `use_history` block, that of
    `set_default_history`, and that of the environment variable ``SKMETA_HISTORY``, a path or URL.

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
    chosen = _block_default.get()
    if chosen is not None:
        return chosen[0]
    if _process_default:
        return _process_default[0]
    return open_history(os.environ.get(VARIABLE) or None)


def open_history(
    history: SearchHistory | ReadOnlyHistory | str | os.PathLike[str] | None,
) -> SearchHistory | ReadOnlyHistory | None:
    """Open a history that is given by its path or URL.

    Parameters
    ----------
    history : None, str, path-like, SearchHistory or ReadOnlyHistory
        A path or URL is opened. Anything else is returned as it is.

    Returns
    -------
    SearchHistory, ReadOnlyHistory or None
        The history.
    """
    if history is None or isinstance(history, SearchHistory | ReadOnlyHistory):
        return history
    return SearchHistory(history)
