"""Tasks that are held out: what learners are compared on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmeta._validation import check_plain_labels
from skmeta.exceptions import EpisodeError
from skmeta.learners._core import make_problem
from skmeta.tasks import ClassEpisodes, GroupEpisodes, Task, check_shots

# With fewer groups, each of them is held out once (cross-fitting).
_FEW_GROUPS, _N_FOLDS = 60, 3
_MAX_HELD_OUT = 60
# Tasks that are drawn from the classes held out, and from each group held out.
_N_EPISODES, _N_DRAWS = 40, 2
# A group counts by its number of query rows, up to this number.
_MAX_WEIGHT = 20
# Probabilities are raised to this value, as one query row must not decide a comparison.
_MIN_PROBABILITY = 1e-3

Predict = Callable[[Task], np.ndarray]
"""Learns the support set of a task; returns targets, or probabilities, of its query set."""


@dataclass(frozen=True, eq=False)
class ComparisonDesign:
    """The rows, and how they are divided for the comparison.

    `task_size` has ``n_shot`` (minimum and maximum), ``n_query`` and ``n_way`` of meta-training.
    `folds` are rows to learn from, and held-out tasks: draws from one group, or one task that is
    drawn from classes.
    """

    kind: str
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    input_shape: tuple[int, ...]
    task_size: dict[str, Any]
    folds: list[tuple[np.ndarray, list[tuple[Task, ...]]]]

    @property
    def is_image(self) -> bool:
        """Whether a row is an image."""
        return len(self.input_shape) > 1

    @property
    def weights(self) -> np.ndarray:
        """Weights of the tasks, (n_tasks,)."""
        sizes = [draws[0].w_query.sum() for _, tasks in self.folds for draws in tasks]
        return np.minimum(sizes, np.inf if self.groups is None else _MAX_WEIGHT)

    def losses(self, learn: Callable[[np.ndarray], Predict]) -> np.ndarray:
        """Return the loss (n_tasks,) of each task under a model that was trained without it.

        `learn` takes the rows to learn from and returns what predicts tasks. The loss is the log
        loss, or the squared error over the variance of all targets, as the mean over the draws; it
        is infinite if a prediction is not finite.
        """
        losses = []
        for rows, tasks in self.folds:
            predict = learn(rows)
            losses += [np.mean([self._loss(task, predict(task)) for task in t]) for t in tasks]
        return np.array(losses)

    def _loss(self, task: Task, predicted: np.ndarray) -> float:
        y = task.take(self.X)[3]
        if not np.isfinite(predicted).all():
            return np.inf
        if task.classes is None:
            with np.errstate(over="ignore"):
                return float(np.mean((predicted - y) ** 2) / max(self.y.var(), 1e-300))
        p = np.clip(predicted, _MIN_PROBABILITY, None)
        return float(-np.log(p[np.arange(len(y)), y] / p.sum(1)).mean())


def design_groups(
    kind: str, X: np.ndarray, y: Any, groups: Any, n_shot: Any, n_query: int, rng: Any
) -> ComparisonDesign:
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
    sampler = train.sampler
    assert isinstance(sampler, GroupEpisodes)
    order = rng.permutation(len(sampler.names))
    parts = [order[k::_N_FOLDS] for k in range(_N_FOLDS)]
    if len(order) >= _FEW_GROUPS:
        parts = [order[: min(len(order) // 3, _MAX_HELD_OUT)]]
    folds = []
    for part in parts:
        tasks = [tuple(sampler.episode(k, rng) for _ in range(_N_DRAWS)) for k in part]
        folds.append((np.flatnonzero(~np.isin(groups, sampler.names[part])), tasks))
    return ComparisonDesign(kind, X, train.y, groups, X.shape[1:], size, folds)


def design_classes(
    X: np.ndarray,
    y: Any,
    input_shape: tuple[int, ...],
    n_way: int,
    n_shot: Any,
    n_query: int,
    rng: Any,
) -> ComparisonDesign:
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
    size: dict[str, Any] = {"n_way": n_way, "n_shot": shots}
    size["n_query"] = max(1, min(n_query, int(sizes.min()) - shots[1]))
    names = rng.permutation(names)
    # Few classes are held out in two halves, one after the other.
    parts = np.array_split(names, 2)
    if len(names) >= 4 * n_way:
        parts = [names[: max(n_way, len(names) // 3)]]
    folds = []
    for part in parts:
        sampler = ClassEpisodes(y, **size, classes=part)
        tasks: list[tuple[Task, ...]]
        tasks = [(sampler.sample(rng),) for _ in range(_N_EPISODES // len(parts))]
        folds.append((np.flatnonzero(~np.isin(y, part)), tasks))
    return ComparisonDesign("classification", X, y, None, input_shape, size, folds)


def _resolve_shots(
    n_shot: Any, labels: np.ndarray, *, largest: int, smallest: int
) -> tuple[int, int]:
    if not isinstance(n_shot, str):
        return check_shots(n_shot)
    sizes = np.unique(labels, return_counts=True)[1]
    high = int(min(largest, max(1, np.median(sizes) // 2)))
    return min(smallest, high), high
