"""Packages that only some of skmeta needs, imported where they are used."""

from importlib import import_module
from types import ModuleType


def import_optional(name: str, extra: str) -> ModuleType:
    """Import a package, or say how to install it.

    Parameters
    ----------
    name : str
        The module to import, such as ``"matplotlib.pyplot"``.
    extra : str
        The extra of skmeta that installs it.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.

    Examples
    --------
    >>> import_optional("math", "plot").sqrt(4)
    2.0
    """
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
