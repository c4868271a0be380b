"""Columns of data frames: which of them hold categories, and how a family's are encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from numbers import Integral, Number
from typing import Any, Self

import numpy as np

from skmeta._validation import quote_some, suggest

# Types of pandas and polars columns of categories, in lower case, without their settings.
_TYPES = frozenset(
    {"category", "categorical", "dictionary", "enum", "str", "string", "large_string"}
)
_TIMES = frozenset(
    {"datetime64", "datetime", "timedelta64", "duration", "date", "time", "period", "timestamp"}
    | {"date32", "date64", "time32", "time64"}
)
# A category with fewer rows in the family is encoded as "other".
_LEAST_ROWS = 10


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


def check_no_times(column: Any) -> None:
    """Raise an error that says what to do if a column holds times."""
    kind = kind_of(column)
    # A database gives dates as objects of Python.
    if kind in _TIMES or (
        kind == "object" and any(isinstance(v, (date, time, timedelta)) for v in labels_of(column))
    ):
        raise ValueError(
            f"Column {column.name!r} holds times ({column.dtype}), which cannot be used as "
            "numbers. Convert it to numbers, such as days since a date, put TableVectorizer of the "
            "package skrub in front, or leave it out."
        )


def has_categories(column: Any) -> bool:
    """Return whether a column holds categories."""
    kind = kind_of(column)
    if kind != "object":
        return kind in _TYPES
    return any(not isinstance(label, Number) for label in labels_of(column))


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


def check_type(column: Any, had_categories: bool, when: str) -> None:
    """Raise an error if a column with values has categories now, but had none, or vice versa."""
    has = has_categories(column)
    labels = labels_of(column) if has != had_categories else []
    if labels:
        was, now = (("numbers", "categories")[x] for x in (had_categories, has))
        raise ValueError(
            f"Column {column.name!r} had {was} {when}, but has {now} now: {quote_some(labels)}. "
            "Give it the same type in both."
        )


def sorted_labels(column: Any) -> list[Any]:
    """Return the categories in their order."""
    if getattr(column.dtype, "ordered", False):
        return list(column.dtype.categories)
    labels = labels_of(column)
    try:
        return sorted(labels)
    except TypeError as error:
        raise ValueError(
            f"Column {column.name!r} has categories that cannot be put in an order: "
            f"{quote_some(labels)}. Convert them to one type, for example with astype(str)."
        ) from error


def resolve_columns(X: Any, names: Any, parameter: str) -> list[int]:
    """Return the positions of columns that were named.

    Parameters
    ----------
    X : data frame or array-like of shape (n_samples, n_features)
        The table.
    names : str, int, or sequence of them
        Names or positions of columns.
    parameter : str
        The parameter that has them, for errors.

    Returns
    -------
    list of int
        Positions, in the order given.

    Raises
    ------
    ValueError
        If a column is not there.
    """
    known = [str(column.name) for column in frame_columns(X)]
    n_columns = len(known) or int(np.shape(X)[1])
    given = [names] if isinstance(names, (str, Integral)) else list(names)
    found = []
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
            found.append(known.index(name))
        elif isinstance(name, Integral) and not isinstance(name, bool):
            if not -n_columns <= int(name) < n_columns:
                raise ValueError(
                    f"{parameter}={name} is no position of a column: X has {n_columns} columns, "
                    f"0 to {n_columns - 1}."
                )
            found.append(int(name) % n_columns)
        else:
            raise ValueError(f"{parameter} must be names or positions of columns, got {name!r}.")
    if len(set(found)) < len(found):
        raise ValueError(f"{parameter}={names!r} names a column twice. Name each once.")
    return found


def take_column(X: Any, position: int) -> np.ndarray:
    """Return the values of a column; a missing one is None or NaN."""
    if is_data_frame(X):
        column = frame_columns(X)[position]
        values = np.array(column.to_list(), dtype=object)
        values[_missing(column)] = None
        return values
    return np.asarray(X)[:, position]


def times_of(X: Any, name: str | int) -> np.ndarray:
    """Return the ranks of the values of a column in ascending order, such as those of dates.

    Parameters
    ----------
    X : data frame or array-like of shape (n_samples, n_features)
        The table.
    name : str or int
        Name or position of the column.

    Returns
    -------
    ndarray of shape (n_samples,)
        Equal values have the same rank.

    Raises
    ------
    ValueError
        If the column is not there, or cannot be sorted.
    """
    values = take_column(X, resolve_columns(X, name, "order")[0])
    missing = np.array([v is None or v != v for v in values.tolist()], bool)
    try:
        ranks = np.unique(values, return_inverse=True)[1] if not missing.any() else None
    except TypeError:
        ranks = None
    if ranks is None:
        raise ValueError(
            f"Column {name!r}, which order names, cannot be sorted. Fill missing values, and give "
            "it one type."
        )
    return np.asarray(ranks, dtype=np.float64)


class FrameEncoder:
    """Encode data frames of a family of tasks as numbers, in the same way for each task.

    It learns from the rows of all tasks, and a prior keeps it. A category becomes an indicator.
    Rare categories, and those that the family does not have, share one. A row whose category is
    missing has no indicator. Numbers stay as they are, and missing ones too if the learner takes
    them. Otherwise they are replaced by the median, and get an indicator.

    Parameters
    ----------
    columns : sequence of mapping
        What :attr:`columns` of another encoder holds.

    Attributes
    ----------
    columns : tuple of dict
        For each column its ``name`` and either ``categories`` and ``has_other``, or ``fill`` (a
        number, or None for missing values that stay) and ``has_indicator``. All values can be
        written as JSON.
    """

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.columns = tuple(dict(column) for column in columns)

    @classmethod
    def learn(cls, X: Any, allow_nan: bool) -> Self | None:
        """Learn the columns of a family.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows of all tasks.
        allow_nan : bool
            Whether the learner takes missing numbers.

        Returns
        -------
        FrameEncoder or None
            None if the rows can be used as they are.

        Raises
        ------
        ValueError
            If a column holds times, or categories of several types.
        """
        columns, is_needed = [], False
        for column in frame_columns(X):
            check_no_times(column)
            if has_categories(column):
                columns.append(_learn_categories(column))
                is_needed = True
                continue
            values = numbers_of(column)
            missing = np.isnan(values)
            fill = None if allow_nan else 0.0 if missing.all() else float(np.nanmedian(values))
            has_indicator = bool(missing.any()) and not allow_nan
            columns.append({"name": str(column.name), "fill": fill, "has_indicator": has_indicator})
            is_needed = is_needed or has_indicator
        return cls(columns) if is_needed else None

    def encode(self, X: Any, when: str = "in the prior's family") -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : data frame of shape (n_samples, n_features)
            Rows with the columns of the family, in their order.
        when : str, default="in the prior's family"
            Where these columns were learned, for errors.

        Returns
        -------
        ndarray of shape (n_samples, n_encoded)
            The numbers.

        Raises
        ------
        ValueError
            If X is no data frame, or a column holds numbers in place of categories, or the other
            way round.
        """
        columns = frame_columns(X)
        if len(columns) != len(self.columns):
            raise ValueError(
                f"The prior's family has data frames of {len(self.columns)} columns, some of them "
                f"categories, got {type(X).__name__} with {len(columns)} columns. Pass a data "
                "frame with the columns of the family."
            )
        parts: list[np.ndarray] = []
        for column, known in zip(columns, self.columns, strict=True):
            had = "categories" in known
            check_no_times(column)
            check_type(column, had, when)
            parts += _indicators(column, known) if had else _filled(column, known)
        return np.column_stack(parts).astype(np.float64)


def _learn_categories(column: Any) -> dict[str, Any]:
    counts: dict[Any, int] = {}
    for value in column:
        counts[value] = counts.get(value, 0) + 1
    labels = sorted_labels(column)
    often = [label for label in labels if counts.get(label, 0) >= _LEAST_ROWS]
    categories = tuple(_plain(label) for label in often)
    # Of two categories, one indicator says all.
    has_other = len(often) < len(labels)
    if len(categories) == 2 and not has_other:
        categories = categories[1:]
    return {"name": str(column.name), "categories": categories, "has_other": has_other}


def _plain(label: Any) -> Any:
    """Return a label as a value of Python that can be written as JSON, such as a string."""
    label = label.item() if isinstance(label, np.generic) else label
    return label if isinstance(label, (bool, int, float, str)) else str(label)


def _missing(column: Any) -> np.ndarray:
    """Whether each value of a column is missing."""
    return np.array(column.is_null() if hasattr(column, "is_null") else column.isna(), bool)


def _indicators(column: Any, known: Mapping[str, Any]) -> list[np.ndarray]:
    missing = _missing(column)
    # A missing value of pandas cannot be compared with a label.
    values = [None if m else _plain(v) for m, v in zip(missing, column, strict=True)]
    parts = [np.array([v == label for v in values], bool) for label in known["categories"]]
    if known["has_other"]:
        parts.append(~missing & ~np.any([*parts, np.zeros(len(values), bool)], axis=0))
    return [part.astype(float) for part in parts]


def numbers_of(column: Any) -> np.ndarray:
    """Return a column of numbers; a missing one is NaN."""
    values = column.to_numpy()
    if values.dtype.kind in "biuf":
        return np.asarray(values, dtype=np.float64)
    known = zip(_missing(column), values, strict=True)
    return np.asarray([np.nan if m else v for m, v in known], dtype=np.float64)


def _filled(column: Any, known: Mapping[str, Any]) -> list[np.ndarray]:
    values = numbers_of(column)
    missing = np.isnan(values)
    if known["fill"] is None:
        return [values]
    parts = [np.where(missing, known["fill"], values)]
    return [*parts, missing.astype(float)] if known["has_indicator"] else parts
