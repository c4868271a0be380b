"""How groups of one column differ in those of other columns: mixed slopes on their indicators.

The covariance of the slopes has a low rank, so that a few patterns, which groups follow more or
less, are learned from all pairs of groups.

Notation: n rows, F columns of groups, k indicators.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmeta._tabular import Table

# Groups of the other columns, in all, and rows of the table, at most; and rows per group of the
# largest column, at least.
_MAX_LEVELS, _MAX_ROWS, _MIN_SIZE = 25, 5000, 4


class FactorColumns(NamedTuple):
    """The column whose groups differ, and the others, with their numbers of groups."""

    factor: int
    others: tuple[int, ...]
    n_levels: tuple[int, ...]

    def __call__(self, table: Table) -> Table:
        """Return a table of one column of groups, with the indicators of the others in front."""
        each = zip(self.others, self.n_levels, strict=True)
        parts = [(table.codes[:, [f]] == np.arange(n)) * 1.0 for f, n in each]
        return table._replace(X=np.hstack([*parts, table.X]), codes=table.codes[:, [self.factor]])


def columns_of_interactions(
    codes: np.ndarray, start: FactorColumns | None = None
) -> FactorColumns | None:
    """Return the column with the most groups and small others, given codes (n, F); None without.

    With a `start`, the columns are those.
    """
    n_groups = codes.max(0) + 1
    if start is not None:
        return start._replace(n_levels=tuple(n_groups[list(start.others)].tolist()))
    factor = int(n_groups.argmax())
    others = [f for f in range(len(n_groups)) if f != factor and 3 <= n_groups[f] <= _MAX_LEVELS]
    n_levels = n_groups[others]
    is_small = len(codes) <= _MAX_ROWS and n_levels.sum() <= _MAX_LEVELS
    if not others or not is_small or len(codes) < _MIN_SIZE * n_groups[factor]:
        return None
    return FactorColumns(factor, tuple(others), tuple(n_levels.tolist()))
