"""A column of times as numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from numbers import Real
from typing import Any

import numpy as np

from skmeta._columns._frames import resolve_columns, take_column
from skmeta._validation import count, quote_some


def time_numbers(X: Any, name: str | int) -> np.ndarray:
    """Return the times of a column, dates in days; a ValueError if one is missing or no time."""
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


def kind_of_times(X: Any, name: str | int) -> str:
    """Return whether a column of times holds dates, durations or numbers; a mixture is an error."""
    values = take_column(X, resolve_columns(X, name, "order")[0]).tolist()
    known = (value for value in values if value is not None and value == value)
    kinds = list(dict.fromkeys(map(_kind, known))) or ["numbers"]
    if len(kinds) > 1:
        raise ValueError(
            f"Column {name!r}, which order names, mixes {' and '.join(kinds)}. Convert its values "
            "to one type, for example by pandas.to_datetime."
        )
    return kinds[0]


def _kind(value: Any) -> str:
    if isinstance(value, (date, np.datetime64)) or hasattr(value, "to_timestamp"):  # Or a period.
        return "dates"
    return "durations" if hasattr(value, "total_seconds") else "numbers"


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
