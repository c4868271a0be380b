"""Tasks that are held out: what learners are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skmeta._validation import check_plain_labels, check_targets, quote_some
from skmeta.exceptions import EpisodeError
from skmeta.tasks import ClassEpisodes, check_shots

# With fewer groups, each of them is held out once (cross-fitting).
_FEW_GROUPS, _N_FOLDS = 60, 3
_MOST_HELD_OUT = 60
# Tasks that are drawn from the classes held out, and query rows of a group.
_N_EPISODES, _MOST_QUERIES = 40, 50
# A task counts by its number of query rows, up to this number.
_MOST_WEIGHT = 20


@dataclass(frozen=True, eq=False)
class HeldOutTask:
    """A task that some learners are compared on.

    Attributes
    ----------
    fold : int
        Learners for this task are trained without the rows of this fold.
    supports : tuple of ndarray of int
        Support sets of several sizes, as positions of rows.
    query : ndarray of int
        Query rows.
    labels : ndarray or None
        Labels of the classes of a task that is drawn from classes; else None.
    weight : float
        Weight of the task in a mean over tasks.
    """

    fold: int
    supports: tuple[np.ndarray, ...]
    query: np.ndarray
    labels: np.ndarray | None
    weight: float


@dataclass(frozen=True, eq=False)
class Design:
    """The rows, and how they are divided for the comparison.

    Attributes
    ----------
    kind : {"classification", "regression"}
        What the tasks are.
    X : ndarray of shape (n_samples, n_features)
        The rows.
    y : ndarray of shape (n_samples,)
        Their labels or targets.
    groups : ndarray of shape (n_samples,) or None
        The task of each row, if tasks are groups.
    input_shape : tuple of int
        Shape of one row.
    n_shot : tuple of two ints
        Fewest and most support rows.
    n_query : int
        Query rows of a task in meta-training.
    n_way : int
        Classes of a task that is drawn from classes.
    folds : list of ndarray of int
        Rows to learn from, for the tasks of each fold.
    tasks : list of HeldOutTask
        The tasks.
    """

    kind: str
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    input_shape: tuple[int, ...]
    n_shot: tuple[int, int]
    n_query: int
    n_way: int
    folds: list[np.ndarray]
    tasks: list[HeldOutTask]

    @property
    def is_image(self) -> bool:
        """Whether a row is an image."""
        return len(self.input_shape) > 1

    @property
    def labels(self) -> np.ndarray:
        """All labels of a classification, sorted."""
        return np.unique(self.y)

    @property
    def weights(self) -> np.ndarray:
        """Weights of the tasks, (n_tasks,)."""
        return np.array([task.weight for task in self.tasks])

    def of_fold(self, fold: int) -> list[int]:
        """Return the positions of the tasks of a fold."""
        return [k for k, task in enumerate(self.tasks) if task.fold == fold]


def design_groups(
    kind: str,
    X: np.ndarray,
    y: Any,
    groups: Any,
    n_shot: Any,
    n_query: int,
    rng: np.random.Generator,
) -> Design:
    """Hold out groups.

    Parameters
    ----------
    kind : {"classification", "regression"}
        What the tasks are.
    X, y, groups
        As ``fit`` takes them.
    n_shot : int, tuple of two ints or "auto"
        Support rows of a task, in all.
    n_query : int
        Query rows of a task in meta-training.
    rng : numpy.random.Generator
        Chooses what is held out.

    Returns
    -------
    Design
        The tasks.

    Raises
    ------
    EpisodeError
        If there are too few groups, or classes.
    """
    groups = check_plain_labels(groups, "groups", len(X))
    is_regression = kind == "regression"
    y = check_targets(y, len(X)) if is_regression else check_plain_labels(y, "y", len(X))
    if kind == "classification" and len(np.unique(y)) < 2:
        raise EpisodeError(
            f"y has one class, {quote_some(np.unique(y))}, but a classification needs two. Pass "
            "rows of another class, or task_type='regression'."
        )
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    shots = _resolve_shots(n_shot, sizes, largest=20, smallest=3)
    usable = np.flatnonzero(sizes > shots[0])
    if len(usable) < 3:
        raise EpisodeError(
            f"AutoLearner compares learners on groups that are held out, but {len(usable)} of the "
            f"{len(names)} groups have more than the {shots[0]} rows that a task is learned from. "
            "Pass rows of at least 3 such groups, or lower n_shot."
        )
    usable = rng.permutation(usable)
    fold_of = np.full(len(names), -1)
    if len(usable) < _FEW_GROUPS:
        fold_of[usable] = np.arange(len(usable)) % _N_FOLDS
    else:
        fold_of[usable[: min(len(usable) // 3, _MOST_HELD_OUT)]] = 0
    folds = [np.flatnonzero(fold_of[codes] != f) for f in range(fold_of.max() + 1)]
    tasks = []
    for k in np.flatnonzero(fold_of >= 0):
        rows = rng.permutation(np.flatnonzero(codes == k))
        high = min(shots[1], len(rows) - 1)
        query = rows[high:][:_MOST_QUERIES]
        supports = tuple(rows[:n] for n in dict.fromkeys((min(shots[0], high), high)))
        weight = float(min(len(query), _MOST_WEIGHT))
        tasks.append(HeldOutTask(int(fold_of[k]), supports, query, None, weight))
    return Design(kind, X, y, groups, X.shape[1:], shots, n_query, 0, folds, tasks)


def design_classes(
    X: np.ndarray,
    y: Any,
    input_shape: tuple[int, ...],
    n_way: int,
    n_shot: Any,
    n_query: int,
    rng: np.random.Generator,
) -> Design:
    """Hold out classes, and draw tasks from them.

    Parameters
    ----------
    X, y
        As ``fit`` takes them.
    input_shape : tuple of int
        Shape of one row.
    n_way : int
        Classes of a task; fewer if there are fewer than twice as many.
    n_shot : int, tuple of two ints or "auto"
        Support rows of each class.
    n_query : int
        Query rows of each class.
    rng : numpy.random.Generator
        Chooses what is held out, and draws the tasks.

    Returns
    -------
    Design
        The tasks.

    Raises
    ------
    EpisodeError
        If there are fewer than 4 classes, or classes are too small.
    """
    y = check_plain_labels(y, "y", len(X))
    names, sizes = np.unique(y, return_counts=True)
    n_way = min(n_way, len(names) // 2)
    if n_way < 2:
        raise EpisodeError(
            f"AutoLearner draws tasks from the classes of y and holds classes out, but y has "
            f"{len(names)} and 4 are needed. Add classes or, if each task is a group of rows, "
            "pass groups."
        )
    low, high = _resolve_shots(n_shot, sizes, largest=5, smallest=1)
    n_query = max(1, min(n_query, int(sizes.min()) - high))
    order = rng.permutation(len(names))
    half = len(names) // 2
    # Few classes are held out in two halves, one after the other.
    few = len(names) < 4 * n_way
    parts = [order[:half], order[half:]] if few else [order[: max(n_way, len(names) // 3)]]
    folds, tasks = [], []
    for fold, part in enumerate(parts):
        held_out = names[part]
        folds.append(np.flatnonzero(~np.isin(y, held_out)))
        sampler = ClassEpisodes(y, n_way, high, n_query, classes=held_out)
        for _ in range(_N_EPISODES // len(parts)):
            task = sampler.sample(rng)
            rank = np.arange(len(task.support)) % high
            supports = tuple(task.support[rank < n] for n in dict.fromkeys((low, high)))
            assert task.classes is not None
            tasks.append(HeldOutTask(fold, supports, task.query, np.sort(task.classes), 1.0))
    shots = (low, high)
    return Design("classification", X, y, None, input_shape, shots, n_query, n_way, folds, tasks)


def _resolve_shots(
    n_shot: Any, sizes: np.ndarray, *, largest: int, smallest: int
) -> tuple[int, int]:
    if not isinstance(n_shot, str):
        return check_shots(n_shot)
    high = int(min(largest, max(1, np.median(sizes) // 2)))
    return min(smallest, high), high
