"""Packages that only some of skmeta needs, imported where they are used."""

from importlib import import_module
from types import ModuleType


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
