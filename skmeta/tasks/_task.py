"""A task: its rows and targets; how a table is divided by tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skmeta._validation import check_labels, check_rng, quote, quote_some
from skmeta.exceptions import EpisodeError


@dataclass(frozen=True, eq=False)
class Task:
    """One task: int64 row positions of its support and query set in a table, and their targets.

    Targets are int64 positions in `classes`, or float64 in a regression (`classes` is None). A
    weight of 0 marks a row that only fills the task up to the shape of its neighbours. `name` is
    the group that the task came from, if any.

    >>> import numpy as np
    >>> from skmeta.tasks import ClassEpisodes
    >>> y = np.array(["cat", "cat", "dog", "dog"])
    >>> sampler = ClassEpisodes(y, n_way=2, n_shot=1, n_query=1)
    >>> task = sampler.sample(np.random.default_rng(0))
    >>> bool(np.all(task.classes[task.y_query] == y[task.query]))
    True
    """

    support: np.ndarray
    query: np.ndarray
    y_support: np.ndarray
    y_query: np.ndarray
    w_support: np.ndarray
    w_query: np.ndarray
    classes: np.ndarray | None = None
    name: Any = None

    @property
    def n_classes(self) -> int | None:
        """Number of classes, or None in a regression."""
        return None if self.classes is None else len(self.classes)

    def take(self, X: Any) -> tuple[Any, np.ndarray, Any, np.ndarray]:
        """Return X and y of the support set and of the query set, without rows of weight 0.

        X may be an array, a sparse matrix or a data frame, and its parts have the same type.
        """
        rows = X.iloc if hasattr(X, "iloc") else X
        in_support, in_query = self.w_support > 0, self.w_query > 0
        return (
            rows[self.support[in_support]],
            self.y_support[in_support],
            rows[self.query[in_query]],
            self.y_query[in_query],
        )


class TaskBatch(NamedTuple):
    """Tasks of one shape: arrays of :class:`Task`, (n_tasks, n_rows) each, and `n_classes`."""

    support: np.ndarray
    query: np.ndarray
    y_support: np.ndarray
    y_query: np.ndarray
    w_support: np.ndarray
    w_query: np.ndarray
    n_classes: int | None


def stack_tasks(tasks: Sequence[Task]) -> TaskBatch:
    """Stack tasks of one shape."""
    names = TaskBatch._fields[:-1]
    arrays: Any = {name: np.stack([getattr(t, name) for t in tasks]) for name in names}
    return TaskBatch(**arrays, n_classes=tasks[0].n_classes)


Superclass = Mapping[Any, Any] | Callable[[Any], Any]


def usable_superclasses(
    names: np.ndarray, superclass: Superclass, n_way: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the superclass of each class, and of usable superclasses.

    A usable superclass has at least `n_way` classes. An EpisodeError is raised if a class has no
    superclass, or none is usable.
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


def split_tasks(
    labels: Any, sizes: Sequence[float] = (0.6, 0.2, 0.2), *, random_state: Any = None
) -> tuple[np.ndarray, ...]:
    """Divide a table so that no class, or no group, is in two parts.

    With ``y`` as labels, the parts have no class in common: what few-shot classification needs.
    With ``groups``, they have no group in common.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        The class or the group of each row.
    sizes : sequence of float or of int, default=(0.6, 0.2, 0.2)
        How many of the distinct labels go to each part: fractions that sum to at most 1, or
        numbers of labels. Remaining labels are in no part.
    random_state : int, Generator, RandomState or None, default=None
        Decides which label goes where. Pass an int for the same parts each time.

    Returns
    -------
    tuple of ndarray of shape (n_rows,), int64
        The positions of each part's rows, in ascending order.

    Raises
    ------
    EpisodeError
        If there are too few labels, or a part would have none.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import split_tasks
    >>> y = np.array(["ant", "bee", "cat", "ant", "bee", "cat"])
    >>> train, test = split_tasks(y, (2, 1), random_state=0)
    >>> print(y[train], y[test])
    ['ant' 'cat' 'ant' 'cat'] ['bee' 'bee']
    """
    names, codes = np.unique(check_labels(labels, "labels"), return_inverse=True)
    counts = _label_counts(sizes, len(names))
    part = np.full(len(names), -1)
    part[check_rng(random_state).permutation(len(names))[: sum(counts)]] = np.repeat(
        np.arange(len(counts)), counts
    )
    return tuple(np.flatnonzero(part[codes] == k) for k in range(len(counts)))


def _label_counts(sizes: Sequence[float], n_labels: int) -> np.ndarray:
    given = np.asarray(sizes)
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "iuf":
        raise ValueError(
            f"sizes must be fractions or numbers of labels, one for each part, got {sizes!r}."
        )
    if given.dtype.kind in "iu":
        counts, total, limit = given, given.sum(), n_labels
    else:
        bounds = np.rint(np.cumsum(given) * n_labels).astype(np.int64)
        # Rounding errors: 0.7 + 0.2 + 0.1 is not exactly 1.
        counts, total, limit = np.diff(bounds, prepend=0), round(given.sum(), 9), 1
    if total > limit:
        raise EpisodeError(
            f"sizes={sizes!r} sum to {total}, but there are {n_labels} distinct labels, so they "
            f"can sum to {limit} at most. Lower the sizes."
        )
    if (counts < 1).any():
        raise EpisodeError(
            f"sizes={sizes!r} leave part {(counts < 1).argmax()} without any of the {n_labels} "
            "distinct labels, but each part needs one. Enlarge it, or pass numbers of labels."
        )
    return counts
