"""Cross-validation over groups of which some rows are known, or the earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from skmeta._columns import time_numbers
from skmeta._validation import check_count, check_labels, check_rng
from skmeta.exceptions import EpisodeError


class GroupDivision(BaseCrossValidator):
    """Base class of cross-validations that divide the rows of each group."""

    # Lets scikit-learn's metadata routing pass ``groups`` on without being asked.
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}
    least_splits: ClassVar[int] = 2
    n_splits: int

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return ``n_splits``.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
        """
        return check_count(self.n_splits, "n_splits", self.least_splits)

    def _groups(self, X: Any, groups: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the names of the groups, and the position of each row's among them."""
        if groups is None:
            raise EpisodeError(
                f"{type(self).__name__} divides groups, but groups is None. Pass groups, one label "
                "per row, for example cross_val_score(model, X, y, groups=X['school'], cv=...)."
            )
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        names, codes = np.unique(check_labels(groups, "groups", n_rows), return_inverse=True)
        return names, codes


class KnownRowsGroupKFold(GroupDivision):
    """Cross-validation over groups, with some known rows of each group held out.

    The groups are divided into folds. In each split, ``n_known`` rows of each group of a fold go
    into the training rows, and its other rows are the test rows. So any model of scikit-learn
    competes fairly on groups of which few rows are known: as a column of groups, as dummies, or
    without groups. :class:`~sklearn.model_selection.KFold` measures known groups, and
    :class:`~sklearn.model_selection.GroupKFold` new groups without rows.

    Parameters
    ----------
    n_known : int, default=5
        Number of known rows of each group held out. With 0, this is a
        :class:`~sklearn.model_selection.GroupKFold`. A group with no more rows has no test rows.
    n_splits : int, default=5
        Number of folds of groups, at least 2.
    order : str, int or None, default=None
        Name or position of a column of ``X`` that holds times. The known rows of a group are then
        its earliest; otherwise they are drawn at random.
    random_state : int, Generator, RandomState or None, default=None
        Draws the folds and the known rows. Pass an int for the same splits at each call.

    See Also
    --------
    LaterRowsSplit : The later rows of each group are held out.
    EpisodeSplit : One group in each split, and nothing else to learn from.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import KnownRowsGroupKFold
    >>> groups = np.repeat(["a", "b", "c"], 4)
    >>> cv = KnownRowsGroupKFold(n_known=1, n_splits=3, random_state=0)
    >>> for train, test in cv.split(np.zeros((12, 1)), groups=groups):
    ...     print(len(train), groups[test])
    9 ['c' 'c' 'c']
    9 ['b' 'b' 'b']
    9 ['a' 'a' 'a']
    """

    def __init__(
        self,
        n_known: int = 5,
        n_splits: int = 5,
        *,
        order: str | int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_known = n_known
        self.n_splits = n_splits
        self.order = order
        self.random_state = random_state

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Divide the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Only its number of rows matters, and the column that ``order`` names.
        y : object
            Ignored.
        groups : array-like of shape (n_samples,)
            The group of each row.

        Yields
        ------
        train, test : ndarray of shape (n_rows,), int64
            Rows to fit on, and rows to score on.

        Raises
        ------
        EpisodeError
            If there are fewer groups than splits, or a fold has no test rows.
        """
        n_splits, n_known = self.get_n_splits(), check_count(self.n_known, "n_known", 0)
        names, codes = self._groups(X, groups)
        n_rows = len(codes)
        if len(names) < n_splits:
            raise EpisodeError(
                f"n_splits={n_splits}, but there are {len(names)} groups. Lower n_splits."
            )
        rng = check_rng(self.random_state)
        # Drawn without an order in time too, so that the folds do not depend on it.
        ranks = rng.permutation(n_rows).astype(np.float64)
        fold_of_group = rng.permutation(len(names)) % n_splits
        if self.order is not None:
            ranks = time_numbers(X, self.order)
        place = places_in_groups(codes, ranks)
        folds = np.where(place < n_known, -1, fold_of_group[codes])
        counts = np.bincount(folds[folds >= 0], minlength=n_splits)
        if counts.min() == 0:
            raise EpisodeError(
                f"Fold {counts.argmin()} has no test rows: none of its groups has more than "
                f"n_known={n_known} rows. Lower n_known or n_splits."
            )
        return (
            (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
            for fold in range(n_splits)
        )


def places_in_groups(codes: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the place (n,) of each row in its group, from 0 on, by ascending ranks (n,)."""
    order, sizes = np.lexsort((ranks, codes)), np.bincount(codes)
    place = np.empty(len(codes), dtype=np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return place


class LaterRowsSplit(GroupDivision):
    """Cross-validation over time: the later rows of each group are held out.

    In each split, consecutive rows of each group are the test rows, and all earlier rows of the
    groups are the training rows. The last split tests the last rows. It measures forecasts of known
    groups; :class:`KnownRowsGroupKFold` with ``order`` measures new groups from their first rows.

    Parameters
    ----------
    order : str or int
        Name or position of the column of ``X`` that holds times.
    test_size : float, default=0.2
        Share of the rows of a group that a split tests, between 0 and 1, rounded down; at least one
        row. A group with too few rows to keep one for training has no test rows.
    n_splits : int, default=1
        Number of splits, each of which tests the rows before those of the next.

    See Also
    --------
    KnownRowsGroupKFold : Groups are held out, but for some known rows.
    sklearn.model_selection.TimeSeriesSplit : The same for a table without groups.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.tasks import LaterRowsSplit
    >>> day, groups = np.tile(np.arange(5), 2)[:, None], np.repeat(["a", "b"], 5)
    >>> cv = LaterRowsSplit(order=0, test_size=0.4)
    >>> for train, test in cv.split(day, groups=groups):
    ...     print(day[train, 0], day[test, 0])
    [0 1 2 0 1 2] [3 4 3 4]
    """

    least_splits: ClassVar[int] = 1

    def __init__(self, order: str | int, *, test_size: float = 0.2, n_splits: int = 1) -> None:
        self.order = order
        self.test_size = test_size
        self.n_splits = n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Divide the rows.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Holds the column that ``order`` names.
        y : object
            Ignored.
        groups : array-like of shape (n_samples,)
            The group of each row.

        Yields
        ------
        train, test : ndarray of shape (n_rows,), int64
            Rows to fit on, and rows to score on.

        Raises
        ------
        ValueError
            If ``test_size`` is not between 0 and 1, or ``order`` names no column of times.
        EpisodeError
            If ``groups`` is None, or a split has no test rows.
        """
        n_splits = self.get_n_splits()
        if not isinstance(self.test_size, Real) or not 0 < self.test_size < 1:
            raise ValueError(
                "test_size must be a share of the rows of a group between 0 and 1, both excluded, "
                f"got {self.test_size!r}. Pass 0.2, for example."
            )
        codes = self._groups(X, groups)[1]
        sizes = np.bincount(codes)[codes]
        place = places_in_groups(codes, time_numbers(X, self.order))
        n_test = np.maximum(np.floor(float(self.test_size) * sizes), 1).astype(np.int64)
        divisions = []
        for split in range(n_splits):
            start = sizes - (n_splits - split) * n_test
            is_test = (place >= start) & (place < start + n_test) & (start > 0)
            if not is_test.any():
                raise EpisodeError(
                    f"Split {split} has no test rows: the largest group has {sizes.max()} rows, "
                    f"and n_splits={n_splits} with test_size={self.test_size} need more. Lower one."
                )
            divisions.append((np.flatnonzero(place < start), np.flatnonzero(is_test)))
        return iter(divisions)
