"""Progress of long work: a bar in terminals and notebooks, lines of text in logs."""

import math
import sys
from typing import Any, Self

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
    """Return a context with ``update`` and ``set_postfix`` that shows progress on standard error.

    It is a bar of tqdm in a terminal or a notebook, after `delay` seconds; else a line now and
    then.
    """
    if not shown:
        return _Silent()
    from tqdm.auto import tqdm

    bar: dict[str, Any] = {"total": total, "initial": initial, "desc": description, "unit": unit}
    if is_interactive():
        return tqdm(delay=delay, file=sys.stderr, **bar)
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
