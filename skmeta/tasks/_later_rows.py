"""Cross-validation over time within groups: later rows are predicted from earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from skmeta._columns import time_numbers
from skmeta.exceptions import EpisodeError
from skmeta.tasks._known_rows import GroupDivision, places_in_groups


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
