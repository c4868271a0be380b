"""The rows that a task is learned from."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from skmeta._sklearn_compat import check_sample_weight

_MAX_WEIGHT = 1e9


class SupportSet(NamedTuple):
    """The support set of a task.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_encoded)
        Rows.
    y : ndarray of shape (n_samples,)
        Positions of the classes, or targets.
    weight : ndarray of shape (n_samples,)
        Weights of the rows.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def check(cls, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> Self:
        """Make a support set, and check its weights.

        Parameters
        ----------
        X, y
            As of the attributes.
        sample_weight : array-like of shape (n_samples,), number or None
            What the user gave.

        Returns
        -------
        SupportSet
            The support set.

        Raises
        ------
        ValueError
            If a weight is negative, not finite or larger than 1e9.
        """
        weight = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if weight.max() > _MAX_WEIGHT:
            raise ValueError(
                f"sample_weight is {weight.max():g} in row {weight.argmax()}, but at most "
                f"{_MAX_WEIGHT:g} is allowed: a weight says how many rows a row stands for. "
                "Divide all weights by their mean."
            )
        return cls(X, y, weight)

    def join(self, other: SupportSet) -> SupportSet:
        """Return the rows of both."""
        return SupportSet(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))
