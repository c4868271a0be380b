"""Progress of long work: a bar in terminals and notebooks, lines of text in logs."""

import sys
import time
from typing import Any, Self

from tqdm.auto import tqdm

from skmeta._validation import count

# Seconds between two lines of a log.
_EVERY = 30.0


def progress_bar(
    total: int | None,
    description: str,
    unit: str,
    *,
    shown: bool,
    initial: int = 0,
    delay: float = 0.0,
) -> Any:
    """Return what shows the progress of work on standard error.

    Parameters
    ----------
    total : int or None
        Number of steps; None if it is not known.
    description, unit : str
        What is done, and what a step is.
    shown : bool
        Whether anything is shown.
    initial : int, default=0
        Steps that were finished before.
    delay : float, default=0.0
        Seconds until a bar appears.

    Returns
    -------
    object
        A context with ``update`` and ``set_postfix``: a bar of tqdm in a terminal or a notebook.
        Where standard error is a file or a pipe, lines without control characters: the first and
        the last step, and every half minute.
    """
    if not shown:
        return _Silent()
    if not is_interactive():
        return _Lines(total, description, unit, initial)
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=unit,
        delay=delay,
        file=sys.stderr,
    )


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


class _Lines(_Silent):
    """Writes a line now and then."""

    def __init__(self, total: int | None, description: str, unit: str, initial: int) -> None:
        self._total, self._description, self._unit = total, description, unit
        self._done = initial
        self._values = ""
        self._began = self._last = time.monotonic()
        self._written = -1  # steps that the last line told

    def __exit__(self, *exception: Any) -> None:
        if self._done > self._written:
            self._write()

    def update(self, n: int = 1) -> None:
        """Add finished steps."""
        is_first = self._written < 0
        self._done += n
        # The last line is written at the end, when all values are known.
        is_due = is_first or time.monotonic() - self._last >= _EVERY
        if is_due and (self._total is None or self._done < self._total):
            self._write()

    def set_postfix(self, values: dict[str, str], refresh: bool = True) -> None:
        """Set what is written after the number of steps."""
        self._values = "".join(f", {name}={value}" for name, value in values.items())

    def _write(self) -> None:
        self._last, self._written = time.monotonic(), self._done
        steps = count(self._done, self._unit)
        if self._total is not None:
            steps = f"{self._done}/{self._total} {self._unit}"
        text = f"{self._description}: {steps}"
        seconds = f"{self._last - self._began:.0f} s"
        print(f"{text}, {seconds}{self._values}", file=sys.stderr, flush=True)
