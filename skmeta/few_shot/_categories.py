"""Encode the categories of a data frame's columns as numbers."""

from __future__ import annotations

import re
from numbers import Number
from typing import Any

import numpy as np

from skmeta._validation import quote_some

# Types of pandas and polars columns of categories, in lower case, without their settings.
_TYPES = frozenset({"category", "categorical", "enum", "str", "string", "large_string"})
_TIMES = frozenset({"datetime64", "datetime", "timedelta64", "duration", "date", "time", "period"})


class CategoryCodes:
    """Codes of the categories of a data frame's columns.

    Codes follow the order of the labels, or the order of an ordered categorical of pandas. They do
    not depend on the order of rows. Missing values and new categories become NaN.

    Parameters
    ----------
    X : data frame or array-like of shape (n_samples, n_features)
        The rows that define the categories. Only a data frame has categories. A column of times
        is an error.

    Attributes
    ----------
    codes : dict of int to dict
        Position of a column -> the code of each of its categories.
    """

    def __init__(self, X: Any) -> None:
        self.codes: dict[int, dict[Any, float]] = {}
        for k, column in enumerate(_columns(X)):
            if _kind(column) in _TIMES:
                raise ValueError(
                    f"Column {column.name!r} holds times ({column.dtype}), which cannot be used as "
                    "numbers. Convert it to numbers, such as days since a date, or leave it out."
                )
            if _has_categories(column):
                self.codes[k] = {label: float(i) for i, label in enumerate(_sorted(column))}

    def encode(self, X: Any) -> Any:
        """Replace categories by their codes.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Rows with the same columns.

        Returns
        -------
        data frame or array-like of shape (n_samples, n_features)
            ``X`` itself if it has no categories.

        Raises
        ------
        ValueError
            If a column had numbers and now has categories, or the other way round.
        """
        columns = _columns(X)
        if self.codes and not columns:
            raise ValueError(
                f"X had columns of categories at fit ({len(self.codes)} of them), so it must be a "
                f"data frame now, got {type(X).__name__}."
            )
        codes = {}
        for k, column in enumerate(columns):
            had, has = k in self.codes, _has_categories(column)
            if has != had and _labels(column):
                was, now = (("numbers", "categories")[x] for x in (had, has))
                raise ValueError(
                    f"Column {column.name!r} had {was} at fit, but has {now} now: "
                    f"{quote_some(_labels(column))}. Give it the same type in both."
                )
            if had:
                known = self.codes[k]
                codes[k] = np.array([known.get(label, np.nan) for label in column])
        return _replace(X, codes) if codes else X


def is_data_frame(X: Any) -> bool:
    """Return whether X is a data frame of pandas or polars."""
    return hasattr(X, "get_columns") or hasattr(X, "iloc")


def _columns(X: Any) -> list[Any]:
    """Return the columns of a data frame; an empty list for anything else."""
    if hasattr(X, "get_columns"):
        return list(X.get_columns())
    return [column for _, column in X.items()] if is_data_frame(X) else []


def _replace(X: Any, columns: dict[int, np.ndarray]) -> Any:
    if hasattr(X, "get_columns"):
        frame = X.clone()
        for k, values in columns.items():
            old = frame.to_series(k)
            frame.replace_column(k, type(old)(old.name, values))
        return frame
    frame = X.copy(deep=False)
    for k, values in columns.items():
        frame.isetitem(k, values)
    return frame


def _kind(column: Any) -> str:
    """Return the name of a column's type, in lower case, without its settings."""
    return re.split(r"\W", str(column.dtype).lower())[0]


def _has_categories(column: Any) -> bool:
    kind = _kind(column)
    if kind != "object":
        return kind in _TYPES
    return any(not isinstance(label, Number) for label in _labels(column))


def _labels(column: Any) -> list[Any]:
    """Return the distinct values that are not missing."""
    there = column.drop_nulls() if hasattr(column, "drop_nulls") else column.dropna()
    try:
        return list(there.unique())
    except TypeError as error:
        raise ValueError(
            f"Column {column.name!r} holds values that are no categories: {error}. Convert them "
            "to strings or numbers, or drop the column."
        ) from error


def _sorted(column: Any) -> list[Any]:
    if getattr(column.dtype, "ordered", False):
        return list(column.dtype.categories)
    labels = _labels(column)
    try:
        return sorted(labels)
    except TypeError as error:
        raise ValueError(
            f"Column {column.name!r} has categories that cannot be put in an order: "
            f"{quote_some(labels)}. Convert them to one type, for example with astype(str)."
        ) from error
