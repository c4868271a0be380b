"""Whether a column looks like one of times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# A column looks like time if it rises in this share of the groups that have so many rows.
_LEAST_SHARE, _LEAST_ROWS, _LEAST_GROUPS = 0.9, 3, 5


def rising_columns(numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the columns that rise from row to row within nearly all groups.

    Parameters
    ----------
    numbers : ndarray of shape (n, d)
        Columns.
    codes : ndarray of shape (n,), int64
        Groups.
    """
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    large = sizes >= _LEAST_ROWS
    if large.sum() < _LEAST_GROUPS:
        return np.empty(0, dtype=np.int64)
    same = np.diff(codes[order]) == 0
    group = codes[order][1:][same]
    with np.errstate(invalid="ignore"):
        falls = ~(np.diff(numbers[order], axis=0)[same] > 0)
    n_falls = np.column_stack([np.bincount(group, column, len(sizes)) for column in falls.T])
    share = (n_falls[large] == 0).mean(0)
    return np.flatnonzero(share >= _LEAST_SHARE)


def warn_of_time(numbers: np.ndarray, codes: np.ndarray, names: Sequence[str]) -> None:
    """Warn if a column of numbers (n, d) rises within nearly all groups (n,)."""
    rising = rising_columns(numbers, codes)
    if len(rising):
        warn_caller(
            f"Column {names[rising[0]]!r} rises from row to row within the groups, as time does: "
            "with order=, the name or position of the column, later rows are predicted from "
            "earlier ones, beyond the times seen too.",
            UnusedDataWarning,
        )
