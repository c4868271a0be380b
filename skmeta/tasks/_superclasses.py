"""Classes that belong together, such as the characters of an alphabet."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from skmeta._validation import quote, quote_some
from skmeta.exceptions import EpisodeError

Superclass = Mapping[Any, Any] | Callable[[Any], Any]


def usable_superclasses(
    names: np.ndarray, superclass: Superclass, n_way: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the superclass of each class, and which have enough classes for a task.

    Parameters
    ----------
    names : ndarray of shape (n_names,)
        Distinct classes.
    superclass : mapping or callable
        From a class to its superclass.
    n_way : int
        Number of classes of a task.

    Returns
    -------
    positions : ndarray of shape (n_names,), int64
        Position of the superclass of each class.
    usable : ndarray of int64
        Positions of superclasses with ``n_way`` classes or more.

    Raises
    ------
    EpisodeError
        If a class has no superclass, or none has enough classes.
    """
    keys = names.tolist()
    if callable(superclass):
        assigned = [superclass(key) for key in keys]
    else:
        missing = [key for key in keys if key not in superclass]
        if missing:
            raise EpisodeError(
                f"superclass has no entry for {quote_some(missing)}. Give every class of y one."
            )
        assigned = [superclass[key] for key in keys]
    try:
        labels, positions = np.unique(np.array(assigned), return_inverse=True)
    except TypeError as error:
        raise EpisodeError(
            f"superclass must give labels of one kind, such as strings, but they cannot be sorted: "
            f"{error}."
        ) from error
    counts = np.bincount(positions)
    usable = np.flatnonzero(counts >= n_way)
    if len(usable) == 0:
        k = int(counts.argmax())
        raise EpisodeError(
            f"The largest superclass, {quote(labels[k])}, has {counts[k]} classes, but "
            f"n_way={n_way}. Lower n_way, or set superclass=None."
        )
    return positions.astype(np.int64), usable
