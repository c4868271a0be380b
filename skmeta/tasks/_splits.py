"""Divide a table by its episodes, for scikit-learn's ``cv=``."""

from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.multiclass import type_of_target

from skmeta._columns import time_numbers
from skmeta._validation import check_count, check_labels, check_rng
from skmeta.exceptions import EpisodeError
from skmeta.tasks._samplers import ClassEpisodes, GroupEpisodes
from skmeta.tasks._task import Task


class EpisodeSplit(BaseCrossValidator):
    """Cross-validation by episodes: fit on a support set, score on its query set.

    Each split is one task. Pass it as ``cv`` to
    :func:`~sklearn.model_selection.cross_val_score`,
    :class:`~sklearn.model_selection.GridSearchCV` and the like; the mean score is the usual
    few-shot figure of merit.

    Without ``groups``, an episode draws classes and rows of each. With ``groups``, an episode is
    one group; all groups are visited in random order before one is visited again.

    Parameters
    ----------
    n_way : int, tuple of two ints or None, default=None
        Number of classes in an episode that is drawn from classes; a range ``(low, high)`` draws
        it, and None takes all.
    n_shot : int or tuple of two ints, default=1
        Number of support rows of each class; in a regression, of each group. A range draws it.
    n_query : int, default=15
        Number of query rows of each class; in a regression, of each group. With ``groups``, an
        episode has fewer where a group has fewer.
    n_episodes : int, default=100
        Number of splits.
    target_type : {"auto", "classification", "regression"}, default="auto"
        What ``y`` is. A regression needs ``groups``. "auto" asks
        :func:`~sklearn.utils.multiclass.type_of_target`, which takes whole numbers for classes:
        set it to "regression" if your targets are whole numbers.
    order : str, int or None, default=None
        Name or position of a column of ``X`` that holds times. With ``groups``, the support rows
        of a group are then its earliest, and the query rows those that follow. Validation with
        random rows is too optimistic if groups drift.
    prior : MetaPrior, MetaLearner or None, default=None
        The prior of an estimator that is evaluated. If it was trained on rows of this table,
        ``split`` warns. Few-shot estimators warn by themselves, of the rows that they are fitted
        to.
    random_state : int, Generator, RandomState or None, default=None
        Pass an int for the same episodes at each call of ``split``.

    See Also
    --------
    split_tasks : One split into parts with no class or group in common.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skmeta.tasks import EpisodeSplit
    >>> X, y = load_digits(return_X_y=True)
    >>> cv = EpisodeSplit(n_way=5, n_shot=1, n_episodes=10, random_state=0)
    >>> cross_val_score(KNeighborsClassifier(1), X, y, cv=cv).shape
    (10,)
    """

    # Lets scikit-learn's metadata routing pass ``groups`` on without being asked.
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(
        self,
        n_way: int | tuple[int, int] | None = None,
        n_shot: int | tuple[int, int] = 1,
        n_query: int = 15,
        n_episodes: int = 100,
        *,
        target_type: Literal["auto", "classification", "regression"] = "auto",
        order: str | int | None = None,
        prior: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_way = n_way
        self.n_shot = n_shot
        self.n_query = n_query
        self.n_episodes = n_episodes
        self.target_type = target_type
        self.order = order
        self.prior = prior
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return ``n_episodes``.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
        """
        return check_count(self.n_episodes, "n_episodes")

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Draw the episodes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Its number of rows, the column that ``order`` names, and rows that ``prior`` knows.
        y : array-like of shape (n_samples,)
            Classes or targets.
        groups : array-like of shape (n_samples,) or None, default=None
            The group of each row, where each task is a group.

        Yields
        ------
        support : ndarray of shape (n_support,), int64
            Rows to fit on.
        query : ndarray of shape (n_query,), int64
            Rows to score on.

        Raises
        ------
        EpisodeError
            If the rows cannot form such episodes. It is raised here, before the first episode.

        Warns
        -----
        PriorWarning
            If ``prior`` was trained on rows of this table.
        """
        rng, n_episodes = check_rng(self.random_state), self.get_n_splits()
        y = check_labels(y, "y", X.shape[0] if hasattr(X, "shape") else len(X))
        if self.prior is not None:
            getattr(self.prior, "prior_", self.prior).check_new_rows(X, y)
        if groups is None:
            tasks = self._class_episodes(y, rng)
        else:
            times = None if self.order is None else time_numbers(X, self.order)
            tasks = self._group_episodes(y, check_labels(groups, "groups", len(y)), times, rng)
        return (
            (task.support[task.w_support > 0], task.query[task.w_query > 0])
            for task in islice(tasks, n_episodes)
        )

    def _class_episodes(self, y: np.ndarray, rng: np.random.Generator) -> Iterator[Task]:
        if not self._is_classification(y):
            raise EpisodeError(
                "y holds regression targets, and without groups an episode is drawn from the "
                "classes of y. Pass groups, the task of each row."
            )
        n_way = len(np.unique(y)) if self.n_way is None else self.n_way
        sampler = ClassEpisodes(y, n_way, self.n_shot, self.n_query)
        return (sampler.sample(rng) for _ in repeat(None))

    def _group_episodes(
        self, y: np.ndarray, groups: np.ndarray, times: np.ndarray | None, rng: np.random.Generator
    ) -> Iterator[Task]:
        classes = np.unique(y) if self._is_classification(y) else None
        settings: dict[str, Any] = {"classes": classes, "order": times}
        sampler = GroupEpisodes(y, groups, self.n_shot, self.n_query, **settings)
        if self.n_way is not None:
            raise EpisodeError(
                f"n_way={self.n_way} is for tasks that are drawn from classes, but groups was "
                "passed. Leave n_way out: a task has the classes of its group."
            )
        return (sampler.episode(k, rng) for k in _rounds(len(sampler.names), rng))

    def _is_classification(self, y: np.ndarray) -> bool:
        kinds = ("auto", "classification", "regression")
        if self.target_type not in kinds:
            raise ValueError(f"target_type must be one of {kinds}, got {self.target_type!r}.")
        if self.target_type == "auto":
            return type_of_target(y) in ("binary", "multiclass")
        return self.target_type == "classification"


def _rounds(n: int, rng: np.random.Generator) -> Iterator[int]:
    """Visit all positions in random order, again and again."""
    while True:
        yield from rng.permutation(n).tolist()
