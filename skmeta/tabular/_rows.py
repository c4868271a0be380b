"""Rows with weights, and the units of their columns and targets."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from skmeta._sklearn_compat import check_sample_weight

_MAX_WEIGHT = 1e9
# A column whose standard deviation is below this share of its mean is constant.
_CONSTANT = 64 * np.finfo(float).eps
# In units beyond these, squares overflow or underflow.
_LARGEST_UNIT = np.finfo(float).max ** 0.4


class WeightedRows(NamedTuple):
    """Rows with weights.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Rows; NaN is a missing value.
    y : ndarray of shape (n,)
        Positions of the classes, or targets.
    weight : ndarray of shape (n,)
        Weights of the rows.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def check(cls, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> Self:
        """Return the rows, and raise an error if a weight is negative, not finite or above 1e9."""
        weight = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if weight.max() > _MAX_WEIGHT:
            raise ValueError(
                f"sample_weight is {weight.max():g} in row {weight.argmax()}, but at most "
                f"{_MAX_WEIGHT:g} is allowed: a weight says how many rows a row stands for. "
                "Divide all weights by their mean."
            )
        return cls(X, y, weight)

    def take(self, rows: np.ndarray) -> WeightedRows:
        """Return some of the rows, by their positions or a mask."""
        return WeightedRows(*(part[rows] for part in self))

    def join(self, other: WeightedRows) -> WeightedRows:
        """Return the rows of both."""
        return WeightedRows(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


def relative_weight(weight: np.ndarray) -> np.ndarray:
    """Divide weights (n,) that are not whole numbers by their mean over rows that have one."""
    is_whole = (weight == weight.round()).all()
    return weight if is_whole else weight * ((weight > 0).sum() / weight.sum())


def location_and_scale(X: np.ndarray, weight: np.ndarray) -> tuple[Any, Any]:
    """Return weighted means and standard deviations of columns (n, d), or of targets (n,).

    NaN is left out. The scale of a constant column is its absolute value, or 1 for 0, so that
    another value of a row to predict is large.
    """
    known = np.where(np.isnan(X), 0.0, weight.reshape(-1, *[1] * (X.ndim - 1)))
    value = np.nan_to_num(X)
    largest = abs(value).max(0, initial=0.0)
    is_extreme = (largest > _LARGEST_UNIT) | ((largest < 1 / _LARGEST_UNIT) & (largest > 0))
    unit = np.where(is_extreme, largest, 1.0)
    total = np.maximum(known.sum(0), 1e-12)
    mean = (known * (value / unit)).sum(0) / total
    centred = value / unit - mean
    scale = np.sqrt((known * centred * centred).sum(0) / total) * unit
    mean = mean * unit
    size = abs(mean) + (mean == 0)
    return mean, np.where(scale > _CONSTANT * size, scale, size)
