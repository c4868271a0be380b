"""Tasks that are held out: what learners are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skmeta._validation import check_plain_labels
from skmeta.exceptions import EpisodeError
from skmeta.learners._core import make_problem
from skmeta.tasks import ClassEpisodes, GroupEpisodes, Task, check_shots

# With fewer groups, each of them is held out once (cross-fitting).
_FEW_GROUPS, _N_FOLDS = 60, 3
_MOST_HELD_OUT = 60
# Tasks that are drawn from the classes held out, and from each group held out.
_N_EPISODES, _N_DRAWS = 40, 2
# A group counts by its number of query rows, up to this number.
_MOST_WEIGHT = 20


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
    task_size : dict
        ``n_shot`` (fewest and most support rows), ``n_query`` and ``n_way`` in meta-training.
    train_rows : list of ndarray of int
        Rows to learn from, for each fold.
    tasks : list of tuple of Task
        Held-out tasks: draws from one group, or one task drawn from classes.
    fold : ndarray of shape (n_tasks,)
        The fold that learners for a task are trained on.
    """

    kind: str
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    input_shape: tuple[int, ...]
    task_size: dict[str, Any]
    train_rows: list[np.ndarray]
    tasks: list[tuple[Task, ...]]
    fold: np.ndarray

    @property
    def is_image(self) -> bool:
        """Whether a row is an image."""
        return len(self.input_shape) > 1

    @property
    def weights(self) -> np.ndarray:
        """Weights of the tasks, (n_tasks,)."""
        sizes = [draws[0].w_query.sum() for draws in self.tasks]
        return np.minimum(sizes, np.inf if self.groups is None else _MOST_WEIGHT)


def design_groups(
    kind: str, X: np.ndarray, y: Any, groups: Any, n_shot: Any, n_query: int, rng: Any
) -> Design:
    """Hold out groups; the arguments are those of :class:`AutoLearner`."""
    groups = check_plain_labels(groups, "groups", len(X))
    shots = _resolve_shots(n_shot, groups, largest=20, smallest=3)
    names, sizes = np.unique(groups, return_counts=True)
    if (n_usable := int((sizes > shots[0]).sum())) < 3:
        raise EpisodeError(
            f"AutoLearner compares learners on groups that are held out, but {n_usable} of the "
            f"{len(names)} groups have more than the {shots[0]} rows that a task is learned from. "
            "Pass rows of at least 3 such groups, or lower n_shot."
        )
    size: dict[str, Any] = {"n_way": 2, "n_shot": shots, "n_query": n_query}
    train = make_problem(kind, X, y, groups, **size, shots_per="task").train
    assert isinstance(train.sampler, GroupEpisodes)
    order = rng.permutation(len(train.sampler.names))
    parts = [order[k::_N_FOLDS] for k in range(_N_FOLDS)]
    if len(order) >= _FEW_GROUPS:
        parts = [order[: min(len(order) // 3, _MOST_HELD_OUT)]]
    tasks = [
        tuple(train.sampler.episode(k, rng) for _ in range(_N_DRAWS))
        for part in parts
        for k in part
    ]
    held_out = [train.sampler.names[part] for part in parts]
    rows = [np.flatnonzero(~np.isin(groups, names)) for names in held_out]
    fold = np.repeat(range(len(parts)), [len(part) for part in parts])
    return Design(kind, X, train.y, groups, X.shape[1:], size, rows, tasks, fold)


def design_classes(
    X: np.ndarray,
    y: Any,
    input_shape: tuple[int, ...],
    n_way: int,
    n_shot: Any,
    n_query: int,
    rng: Any,
) -> Design:
    """Hold out classes, and draw tasks from them; the arguments are those of AutoLearner."""
    y = check_plain_labels(y, "y", len(X))
    names, sizes = np.unique(y, return_counts=True)
    n_way = min(n_way, len(names) // 2)
    if n_way < 2:
        raise EpisodeError(
            f"AutoLearner draws tasks from the classes of y and holds classes out, but y has "
            f"{len(names)} and 4 are needed. Add classes or, if each task is a group of rows, "
            "pass groups."
        )
    shots = _resolve_shots(n_shot, y, largest=5, smallest=1)
    n_query = max(1, min(n_query, int(sizes.min()) - shots[1]))
    names = rng.permutation(names)
    # Few classes are held out in two halves, one after the other.
    parts = np.array_split(names, 2)
    if len(names) >= 4 * n_way:
        parts = [names[: max(n_way, len(names) // 3)]]
    samplers = [ClassEpisodes(y, n_way, shots, n_query, classes=part) for part in parts]
    n_episodes = _N_EPISODES // len(parts)
    tasks: list[tuple[Task, ...]]
    tasks = [(sampler.sample(rng),) for sampler in samplers for _ in range(n_episodes)]
    rows = [np.flatnonzero(~np.isin(y, part)) for part in parts]
    size = {"n_way": n_way, "n_shot": shots, "n_query": n_query}
    fold = np.repeat(range(len(parts)), n_episodes)
    return Design("classification", X, y, None, input_shape, size, rows, tasks, fold)


def _resolve_shots(
    n_shot: Any, labels: np.ndarray, *, largest: int, smallest: int
) -> tuple[int, int]:
    if not isinstance(n_shot, str):
        return check_shots(n_shot)
    sizes = np.unique(labels, return_counts=True)[1]
    high = int(min(largest, max(1, np.median(sizes) // 2)))
    return min(smallest, high), high
