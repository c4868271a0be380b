"""Which of a fold's training rows are held out for early stopping."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)
from sklearn.utils.multiclass import type_of_target

# All candidates have the same held rows, whatever the seed of the search.
_SEED = 0


class Held(NamedTuple):
    """The rows of a fold's training part that are held out, and the others.

    Attributes
    ----------
    kept, held : ndarray of int
        Positions within the training part.
    """

    kept: NDArray[np.intp]
    held: NDArray[np.intp]


def hold_out(early_stopping: Any, X: Any, y: Any, groups: Any, is_classification: bool) -> Held:
    """Choose the rows on which early stopping computes the loss.

    Parameters
    ----------
    early_stopping : float or splitter
        Share of the rows, or a splitter, whose last split is used.
    X, y : array-like
        A fold's training part.
    groups : array-like or None
        Rows of a group stay together.
    is_classification : bool
        Whether the share is that of each class.

    Returns
    -------
    Held
        A class that would have no row left to fit on keeps its rows.

    Raises
    ------
    ValueError
        If no row is held out, or none is left.
    """
    if isinstance(early_stopping, Real):
        kept, held = _hold_share(float(early_stopping), y, groups, is_classification)
    else:
        splits = list(early_stopping.split(X, y, groups))
        kept, held = map(np.asarray, splits[-1]) if splits else (np.arange(0), np.arange(0))
    if is_classification and len(held) and _fewest(y):
        # A loss needs the probability of each class, and the scores of a fold its prediction.
        labels = np.asarray(y)
        lost = ~np.isin(labels[held], np.unique(labels[kept]))
        kept, held = np.sort(np.concatenate([kept, held[lost]])), held[~lost]
    if not len(kept) or not len(held):
        raise ValueError(
            f"early_stopping={early_stopping!r} holds out {len(held)} and leaves {len(kept)} rows "
            "of a fold's training part. Both need at least one. Pass another share or splitter."
        )
    return Held(kept, held)


def _hold_share(share: float, y: Any, groups: Any, is_classification: bool) -> Any:
    n = len(y)
    rows = np.zeros((n, 1))
    if groups is not None:
        if len(np.unique(groups)) < 2:
            raise ValueError(
                f"early_stopping={share} keeps the rows of a group together, but a fold's training "
                "part has one group only. Pass a splitter that divides it, or use other folds."
            )
        # Classes are stratified as far as whole groups allow.
        n_splits = round(1 / share)
        if is_classification and _fewest(y) >= n_splits >= 2 and _n(groups) >= n_splits:
            stratified = StratifiedGroupKFold(n_splits, shuffle=True, random_state=_SEED)
            return next(stratified.split(rows, y, groups))
        grouped = GroupShuffleSplit(1, test_size=share, random_state=_SEED)
        return next(grouped.split(rows, y, groups))
    n_held = max(1, round(share * n))
    if is_classification and _fewest(y) >= 2 and min(n_held, n - n_held) >= len(np.unique(y)):
        stratified = StratifiedShuffleSplit(1, test_size=n_held, random_state=_SEED)
        return next(stratified.split(rows, y))
    if n < 2:
        return np.arange(n), np.arange(0)
    return next(ShuffleSplit(1, test_size=min(n_held, n - 1), random_state=_SEED).split(rows))


def _fewest(y: Any) -> int:
    """Return the number of rows of the rarest class; 0 if rows have several labels."""
    if type_of_target(y) not in ("binary", "multiclass"):
        return 0
    return int(np.unique(np.asarray(y), return_counts=True)[1].min())


def _n(values: Any) -> int:
    return len(np.unique(values))
