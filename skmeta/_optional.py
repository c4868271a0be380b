"""Packages that only some of skmeta needs, imported where they are used."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np


def import_optional(name: str, extra: str) -> ModuleType:
    """Import a package, or raise an ImportError that names the extra of skmeta that installs it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # It is there, but something that it needs is not.
        raise ImportError(
            f"This needs {package}, which is not installed. In a copy of the repository, install "
            f"it with: pip install '.[{extra}]'"
        ) from error


def module_of(values: Any) -> Any:
    """Return numpy or torch, whose array or tensor it is; torch is not imported for an array."""
    return np if isinstance(values, np.ndarray) else sys.modules["torch"]
