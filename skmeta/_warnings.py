"""Warnings that show the line of the caller's own code."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import joblib
import sklearn

# Frames of these packages stand between a user's line and what it is about.
_BETWEEN = tuple(str(Path(file).parent) for file in (__file__, sklearn.__file__, joblib.__file__))


def warn_caller(message: str, category: type[Warning]) -> None:
    """Issue a warning at the line that called this package, directly or through scikit-learn.

    Parameters
    ----------
    message : str
        What happened, and what to do.
    category : type
        Class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_code.co_filename.startswith(_BETWEEN):
        if frame.f_back is None:  # A thread or a process of this package.
            level = 2
            break
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
