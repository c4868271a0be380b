"""Warnings that show the line of the caller's own code."""

from __future__ import annotations

import contextlib
import inspect
import os
import warnings
from pathlib import Path

import joblib
import sklearn

# Frames of these packages stand between a user's line and what it is about, and those of Python's
# context managers that are used as decorators.
_BETWEEN = (
    *(f"{Path(file).parent}{os.sep}" for file in (__file__, sklearn.__file__, joblib.__file__)),
    contextlib.__file__,
)


def warn_caller(
    message: str, category: type[Warning], issued: set[tuple[str, int]] | None = None
) -> None:
    """Issue a warning at the line that called this package, directly or through scikit-learn.

    Python's filters show it once for each line, but scikit-learn resets them for each fold of a
    cross-validation. With `issued`, the places that were warned, they are asked for what they mean.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(_BETWEEN):
        frame, level = frame.f_back, level + 1
    if issued is not None and frame is not None:
        place = frame.f_code.co_filename, frame.f_lineno
        if place in issued and _is_shown_once(message, category):
            return
        issued.add(place)
    # Without a frame outside, this is a thread or a process of the package.
    warnings.warn(message, category, stacklevel=2 if frame is None else level)


def _is_shown_once(message: str, category: type[Warning]) -> bool:
    """Whether the filters show a warning once; `always` and `error` mean each time."""
    for action, pattern, kind, *_ in warnings.filters:
        if issubclass(category, kind) and (pattern is None or pattern.match(message)):
            return action in ("default", "module", "once")
    return True
