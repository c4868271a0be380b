"""A second view of a task with words: an indicator for each category in place of its code.

A code is a number, and categories without an order have none. But a prior learns from tables of
codes, too, and the order of names often says something, as that of quarters does. So the prior
learns and predicts both views of a task, and their predictions are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Each category has an indicator where a column has at most this many, as a share of the rows;
# otherwise those of two rows and more have one, and the others share one.
_SHARE_OF_ROWS, _MIN_ROWS = 0.6, 2
# Most indicators of a column, and most columns: those that a prior sees at once.
_MAX_OF_COLUMN, _MAX_COLUMNS = 30, 64


class Indicators(NamedTuple):
    """Replaces codes of categories by indicators; the columns `numbers` stay as they are.

    `levels` has for each other column its position, the codes that have an indicator, and whether
    all others share one. A missing value has none.
    """

    numbers: tuple[int, ...]
    levels: tuple[tuple[int, tuple[float, ...], bool], ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return rows (m, k) of numbers and indicators for rows (m, d) of numbers and codes."""
        parts = [x[:, list(self.numbers)]]
        for column, codes, has_others in self.levels:
            at = x[:, column, None]
            is_code = at == np.array(codes)
            parts.append(is_code)
            if has_others:
                parts.append(~is_code.any(1, keepdims=True) & ~np.isnan(at))
        return np.concatenate(parts, 1).astype(float)


def choose_indicators(
    X: np.ndarray, nominal: Sequence[int], weight: np.ndarray
) -> Indicators | None:
    """Choose the categories of `nominal` columns that have an indicator; None if too many."""
    counts = {k: _count(X[:, k], weight) for k in nominal}
    counts = {k: counted for k, counted in counts.items() if len(counted[0]) > 2}
    numbers = tuple(k for k in range(X.shape[1]) if k not in counts)
    for most in range(_MAX_OF_COLUMN, 1, -1):
        levels = tuple((k, *_frequent(*counted, most)) for k, counted in counts.items())
        n_columns = len(numbers) + sum(len(codes) + others for _, codes, others in levels)
        if 0 < n_columns <= _MAX_COLUMNS and counts:
            return Indicators(numbers, levels)
    return None


def _count(codes: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of a column that are there, and the weight of their rows."""
    known = ~np.isnan(codes)
    levels, position = np.unique(codes[known], return_inverse=True)
    return levels, np.bincount(position, weight[known])


def _frequent(codes: np.ndarray, count: np.ndarray, most: int) -> tuple[tuple[float, ...], bool]:
    """Return the codes that have an indicator, and whether there are others."""
    least = 1 if len(codes) <= _SHARE_OF_ROWS * count.sum() else _MIN_ROWS
    order = np.argsort(-count, kind="stable")[:most]
    kept = tuple(sorted(codes[order][count[order] >= least].tolist()))
    # An indicator that all rows have says nothing.
    return kept, 0 < len(kept) < len(codes)
