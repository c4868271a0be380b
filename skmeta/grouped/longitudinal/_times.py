"""A column of times as numbers, and whether a column looks like one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from numbers import Real
from typing import Any

import numpy as np

from skmeta._columns import resolve_columns, take_column
from skmeta._validation import count, quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# A column looks like time if it rises in this share of the groups that have so many rows.
_LEAST_SHARE, _LEAST_ROWS, _LEAST_GROUPS = 0.9, 3, 5


def time_numbers(X: Any, name: str | int) -> np.ndarray:
    """Return the times of a column: numbers as they are, and dates in days.

    Parameters
    ----------
    X : data frame or array-like of shape (n_samples, n_features)
        The table.
    name : str or int
        Name or position of the column.

    Returns
    -------
    ndarray of shape (n_samples,)
        Times.

    Raises
    ------
    ValueError
        If the column is not there, has a missing value, or holds neither numbers nor dates.
    """
    values = take_column(X, resolve_columns(X, name, "order")[0]).tolist()
    missing = [k for k, value in enumerate(values) if value is None or value != value]
    if missing:
        raise ValueError(
            f"Column {name!r}, which order names, is missing in {count(len(missing), 'rows')}: "
            f"{quote_some(missing, 5)}. Fill the times, or drop these rows."
        )
    try:
        times = np.array([_number(value) for value in values], dtype=np.float64)
    except TypeError as error:
        raise ValueError(
            f"Column {name!r}, which order names, holds {error}. Give it numbers or dates, for "
            "example by pandas.to_datetime."
        ) from None
    if np.isinf(times).any():
        raise ValueError(f"Column {name!r}, which order names, holds infinity. Drop these rows.")
    return times


def _number(value: Any) -> float:
    value = value.to_timestamp() if hasattr(value, "to_timestamp") else value  # A period.
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, (date, np.datetime64)):
        return float(np.array([value], "datetime64[us]").astype(np.int64)[0] / 86.4e9)
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds() / 86400)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"{value!r}")


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
