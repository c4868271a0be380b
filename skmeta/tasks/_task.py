"""A task: its support rows, its query rows and their targets."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Task:
    """One task: row positions of its support and query set in a table, and their targets.

    Parameters
    ----------
    support : ndarray of shape (n_support,), int64
        Row positions of the support set.
    query : ndarray of shape (n_query,), int64
        Row positions of the query set.
    y_support : ndarray of shape (n_support,)
        Targets of the support rows: int64 positions in ``classes``, or float64 in a regression.
    y_query : ndarray of shape (n_query,)
        Targets of the query rows.
    w_support : ndarray of shape (n_support,), float64
        Weights of the support rows; 0 marks a row that only fills the task up to the shape of
        its neighbours.
    w_query : ndarray of shape (n_query,), float64
        Weights of the query rows.
    classes : ndarray of shape (n_classes,) or None, default=None
        The labels behind the class positions; None in a regression.
    name : Any, default=None
        The group that the task came from, if it came from one.

    Examples
    --------
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
        """Return the rows of this task, without those that only fill it up.

        Parameters
        ----------
        X : {ndarray, sparse matrix, dataframe} of shape (n_samples, n_features)
            The table that the task was drawn from.

        Returns
        -------
        X_support : same type as ``X``, of shape (n_real_support, n_features)
        y_support : ndarray of shape (n_real_support,)
        X_query : same type as ``X``, of shape (n_real_query, n_features)
        y_query : ndarray of shape (n_real_query,)
        """
        rows = X.iloc if hasattr(X, "iloc") else X
        in_support, in_query = self.w_support > 0, self.w_query > 0
        return (
            rows[self.support[in_support]],
            self.y_support[in_support],
            rows[self.query[in_query]],
            self.y_query[in_query],
        )
