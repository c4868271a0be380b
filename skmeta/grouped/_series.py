"""Series of several columns of groups: with an order of rows in time, all keys name one together.

Each key is a category beside that, so that a new series of known groups is not wholly unknown.

Notation: n rows, F columns of groups, s series.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

# A group of a column has an indicator if it has this many rows.
_MIN_ROWS = 10


class GroupIndicators(NamedTuple):
    """Columns that say which groups a row has: an indicator of each that has several rows."""

    groups: list[np.ndarray]  # by column of groups, those with an indicator
    has_other: list[bool]  # whether all others share one

    @classmethod
    def learn(cls, codes: np.ndarray, but: int | None = None) -> Self:
        """Learn from groups (n, F) of all columns `but` one."""
        groups, has_other = [], []
        for f, column in enumerate(codes.T):
            large = np.flatnonzero(np.bincount(column) >= _MIN_ROWS)
            has_other.append(f != but and len(large) <= column.max())
            # Of two groups, one indicator says all.
            large = large[1:] if len(large) == 2 and not has_other[f] else large
            groups.append(large[:0] if f == but else large)
        return cls(groups, has_other)

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Return the indicators (n, k) of groups (n, F)."""
        parts = [np.empty((len(codes), 0))]
        for column, groups, has_other in zip(codes.T, self.groups, self.has_other, strict=True):
            parts.append((column[:, None] == groups) * 1.0)
            if has_other:
                parts.append(1.0 - parts[-1].sum(1, keepdims=True))
        return np.hstack(parts)


class Series(NamedTuple):
    """Numbers of series, and the indicators of their keys."""

    known: np.ndarray  # groups (s, F) of each
    indicators: GroupIndicators

    @classmethod
    def learn(cls, codes: np.ndarray) -> Self | None:
        """Learn from groups (n, F); None if each row has a series of its own."""
        known = np.unique(codes, axis=0)
        return None if len(known) == len(codes) else cls(known, GroupIndicators.learn(codes))

    def grown(self, codes: np.ndarray) -> Self:
        """Return numbers of more series; those that are known keep theirs."""
        new = np.unique(codes[self.numbers(codes) < 0], axis=0)
        return self._replace(known=np.vstack([self.known, new]))

    def numbers(self, codes: np.ndarray) -> np.ndarray:
        """Return the numbers (n,) of series; -1 for one without known rows."""
        both = np.unique(np.vstack([self.known, codes]), axis=0, return_inverse=True)[1].ravel()
        numbers = np.full(both.max() + 1, -1)
        numbers[both[: len(self.known)]] = np.arange(len(self.known))
        return numbers[both[len(self.known) :]]

    def __call__(self, X: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns (n, d) after the indicators, and groups (n, 1 + F) after the series."""
        numbers = self.numbers(codes)
        return np.hstack([self.indicators(codes), X]), np.column_stack([numbers, codes])
