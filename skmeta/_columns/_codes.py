"""The categories of one task's data frame as codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmeta._columns._categories import check_type, has_categories, is_ordered, sorted_labels
from skmeta._columns._doubts import warn_of_doubts
from skmeta._columns._frames import check_no_times, frame_columns


class CategoryCodes:
    """Codes of the categories of a data frame's columns.

    Codes follow the order of the labels, numbers in them by size, or the order of an ordered
    categorical of pandas. They do not depend on the order of rows. Missing values and new
    categories become NaN.

    Parameters
    ----------
    X : data frame or array-like of shape (n_samples, n_features)
        The rows that define the categories. Only a data frame has categories. A column of times
        is an error.

    Attributes
    ----------
    codes : dict of int to dict
        Position of a column -> the code of each of its categories.
    nominal : tuple of int
        Positions of the columns whose categories have no order of their own.

    Warns
    -----
    UnusedDataWarning
        If a column of categories holds numbers, but for a few values, or texts.
    """

    def __init__(self, X: Any) -> None:
        self.codes: dict[int, dict[Any, float]] = {}
        nominal = []
        for k, column in enumerate(frame_columns(X)):
            check_no_times(column)
            if has_categories(column):
                warn_of_doubts(column)
                nominal += [] if is_ordered(column) else [k]
                self.codes[k] = {label: float(i) for i, label in enumerate(sorted_labels(column))}
        self.nominal = tuple(nominal)

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
        columns = frame_columns(X)
        if self.codes and not columns:
            raise ValueError(
                f"X had columns of categories at fit ({len(self.codes)} of them), so it must be a "
                f"data frame now, got {type(X).__name__}."
            )
        codes = {}
        for k, column in enumerate(columns):
            check_type(column, k in self.codes, "at fit")
            if k in self.codes:
                known = self.codes[k]
                codes[k] = np.array([known.get(label, np.nan) for label in column])
        return _replace(X, codes) if codes else X


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
