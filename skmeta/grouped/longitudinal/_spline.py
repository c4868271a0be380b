"""Natural cubic splines: curves between the outer knots, and straight lines beyond them."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np


class Spline(NamedTuple):
    """A constant, a straight line, and curves; orthonormal over the times they were learned from.

    References: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning,
    equations 5.4 and 5.5.

    Attributes
    ----------
    knots : ndarray of shape (k,)
        Knots, ascending.
    turn : ndarray of shape (k, q)
        From the natural splines to orthonormal columns.
    """

    knots: np.ndarray
    turn: np.ndarray

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.turn.shape[1])

    @classmethod
    def learn(cls, times: np.ndarray, n_columns: int) -> Self:
        """Return a spline with so many columns, at most one for each distinct time."""
        distinct = np.unique(times)
        q = min(n_columns, len(distinct))
        if q == 1:
            return cls(np.array([distinct[0], distinct[0] + 1.0]), np.eye(2)[:, :1])
        knots = np.quantile(distinct, np.linspace(0, 1, q))
        turn = np.linalg.qr(_natural(times, knots), mode="r") / np.sqrt(len(times))
        return cls(knots, np.linalg.inv(turn * np.sign(np.diag(turn))[:, None]))

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Return columns (..., q) at times (...)."""
        return np.asarray(_natural(times, self.knots) @ self.turn)


def _natural(times: np.ndarray, knots: np.ndarray) -> np.ndarray:
    scale = knots[-1] - knots[0]
    u, k = (times - knots[0]) / scale, (knots - knots[0]) / scale
    cubes = [np.maximum(u - knot, 0.0) ** 3 for knot in k]
    slopes = [(cube - cubes[-1]) / (1 - at) for cube, at in zip(cubes[:-1], k[:-1], strict=True)]
    curves = [slope - slopes[-1] for slope in slopes[:-1]]
    return np.stack([np.ones_like(u), u, *curves], axis=-1)
