"""Columns of data frames of pandas and polars, whatever their library and type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, time, timedelta
from numbers import Integral, Number
from typing import Any

import numpy as np

from skmeta._validation import quote_some, suggest

_TIMES = frozenset(
    {"datetime64", "datetime", "timedelta64", "duration", "date", "time", "period", "timestamp"}
    | {"date32", "date64", "time32", "time64"}
)
# Bits of whole numbers in floats that are not double, by a part of the name of their type.
_WHOLE_BITS = {"float16": 11, "halffloat": 11, "float32": 24, "float[pyarrow]": 24}
_NESTED = frozenset({"list", "large_list", "fixed_size_list", "array", "struct", "map"})


def is_data_frame(X: Any) -> bool:
    """Return whether X is a data frame of pandas or polars."""
    is_table = len(getattr(X, "shape", ())) == 2
    return is_table and (hasattr(X, "get_columns") or hasattr(X, "iloc"))


def frame_columns(X: Any) -> list[Any]:
    """Return the columns of a data frame; an empty list for anything else."""
    if not is_data_frame(X):
        return []
    return list(X.get_columns()) if hasattr(X, "get_columns") else [c for _, c in X.items()]


def kind_of(column: Any) -> str:
    """Return the name of a column's type, in lower case, without its settings."""
    return re.split(r"\W", str(column.dtype).lower())[0]


def check_frame(X: Any) -> None:
    """Raise an error that says what to do if a table, or a column of it, cannot be read."""
    if hasattr(X, "collect") and hasattr(X, "lazy"):
        raise ValueError("X is a lazy frame, which has no rows yet. Pass X.collect().")
    columns = frame_columns(X)
    names = [str(column.name) for column in columns]
    if len(set(names)) < len(names):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        raise ValueError(
            f"X has several columns of one name: {quote_some(twice)}. Rename or drop all but one."
        )
    for column in columns:
        kind = kind_of(column)
        if kind in _NESTED:
            raise ValueError(
                f"Column {column.name!r} holds several values in each row ({column.dtype}). Make "
                "a column of each of them, or drop it."
            )
        if kind == "sparse":
            raise ValueError(
                f"Column {column.name!r} is sparse ({column.dtype}). Convert it by "
                f"X[{column.name!r}].sparse.to_dense()."
            )
        if kind.startswith("complex"):
            raise ValueError(
                f"Column {column.name!r} holds complex numbers. Make a column of the real and one "
                "of the imaginary parts."
            )


def check_no_times(column: Any, hint: str = "") -> None:
    """Raise an error that says what to do, the hint first, if a column holds times."""
    kind = kind_of(column)
    # A database gives dates as objects of Python.
    if kind in _TIMES or (
        kind == "object" and any(isinstance(v, (date, time, timedelta)) for v in labels_of(column))
    ):
        raise ValueError(
            f"Column {column.name!r} holds times ({column.dtype}), which cannot be used as "
            f"numbers. {hint + ' if rows come in its order, or convert' if hint else 'Convert'} it "
            "to numbers, such as days since a date, put TableVectorizer of the package skrub in "
            "front, or leave it out."
        )


def labels_of(column: Any) -> list[Any]:
    """Return the distinct values that are not missing."""
    values = column.drop_nulls() if hasattr(column, "drop_nulls") else column.dropna()
    try:
        # Not the method of polars, which does not know objects.
        return list(dict.fromkeys(values)) if kind_of(column) == "object" else list(values.unique())
    except TypeError as error:
        raise ValueError(
            f"Column {column.name!r} holds values that are no categories: {error}. Convert them "
            "to strings or numbers, or drop the column."
        ) from error


def check_one_type(values: Iterable[Any], column: str, known: Any = None) -> None:
    """Raise an error if values mix numbers with strings, or differ in this from a known label."""
    given = list(values)
    kinds: dict[str, Any] = {}
    for value in dict.fromkeys(given):
        if value is not None and value == value:
            kinds.setdefault(_type_of(value), value)
    where = [f"{kind} (row {given.index(value)}: {value!r})" for kind, value in kinds.items()]
    if len(kinds) > 1:
        raise ValueError(
            f"{column} mixes {' and '.join(where)}, which are different labels. Convert it to one "
            "type, for example with astype(str)."
        )
    if known is not None and kinds and _type_of(known) not in kinds:
        raise ValueError(
            f"{column} had {_type_of(known)} such as {known!r} at fit, but has {where[0]} now. "
            "Give it the same type in both."
        )


def _type_of(label: Any) -> str:
    if isinstance(label, (Number, np.bool_)):
        return "numbers"
    return "strings" if isinstance(label, str) else f"values of type {type(label).__name__}"


def largest_label(X: Any, position: int) -> int:
    """Return the number from which on floats of a column leave out whole numbers."""
    columns = frame_columns(X)
    dtype = str(columns[position].dtype if columns else X.dtype).lower()
    return next((2**bits for name, bits in _WHOLE_BITS.items() if name in dtype), 2**53)


def resolve_columns(X: Any, names: Any, parameter: str) -> list[int]:
    """Return the positions of named columns, or raise an error that names the parameter."""
    columns = frame_columns(X)
    known = [str(column.name) for column in columns]
    n_columns = len(known) or int(np.shape(X)[1])
    given = [names] if isinstance(names, (str, Integral)) else list(names)
    positions = []
    for name in given:
        if isinstance(name, str):
            if not known:
                raise ValueError(
                    f"{parameter}={name!r} is a name, but X is {type(X).__name__}, which has no "
                    "names of columns. Pass a data frame, or the position of the column. In a "
                    "pipeline, set_output(transform='pandas') keeps the names."
                )
            if name not in known:
                hint = suggest(name, known) or f" It has {quote_some(known, 8)}."
                raise ValueError(f"X has no column {name!r}, which {parameter} names.{hint}")
            positions.append(known.index(name))
        elif isinstance(name, Integral) and not isinstance(name, bool):
            if not -n_columns <= int(name) < n_columns:
                raise ValueError(
                    f"{parameter}={name} is no position of a column: X has {n_columns} columns, "
                    f"0 to {n_columns - 1}."
                )
            at = int(name) % n_columns
            label = columns[at].name if columns else at
            if isinstance(label, Integral) and int(label) != at:
                raise ValueError(
                    f"{parameter}={name} may be a position or a name: the column at position {at} "
                    f"is named {label}. Rename the columns, X.columns = X.columns.astype(str), and "
                    f"give {parameter} the name as a string."
                )
            positions.append(at)
        else:
            raise ValueError(f"{parameter} must be names or positions of columns, got {name!r}.")
    if len(set(positions)) < len(positions):
        raise ValueError(f"{parameter}={names!r} names a column twice. Name each once.")
    return positions


def take_column(X: Any, position: int) -> np.ndarray:
    """Return the values of a column; a missing one is None or NaN."""
    if is_data_frame(X):
        column = frame_columns(X)[position]
        values = np.empty(len(column), dtype=object)
        values[:] = column.to_list()
        values[is_missing(column)] = None
        return values
    return np.asarray(X)[:, position]


def is_missing(column: Any) -> np.ndarray:
    """Whether each value of a column is missing."""
    return np.array(column.is_null() if hasattr(column, "is_null") else column.isna(), bool)


def numbers_of(column: Any) -> np.ndarray:
    """Return a column of numbers; a missing one is NaN."""
    values = column.to_numpy()
    if values.dtype.kind in "biuf":
        return np.asarray(values, dtype=np.float64)
    known = zip(is_missing(column), values, strict=True)
    return np.asarray([np.nan if m else v for m, v in known], dtype=np.float64)
