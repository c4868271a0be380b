"""How scores change with the rows of a data set, learned from tables searched at several sizes.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
F       (T, n)           surfaces of T past tasks
z       (T,)             logarithm of the rows of their data sets
g       (T,)             the table that each data set was cut from
u       (T,)             z less its mean over the table's tasks; 0 for a table of one size
b       (n,)             slope: the change of a surface per unit of z
======  ===============  ====================================================================

The slope is that of a regression of the surfaces on z with a level for each table,
b = u' F / u' u. A surface at z* is expected to be F_t + r (z* - z_t) b. The share r is that of the
least squared error if the change of each table, from its fewest to its most rows, is predicted by
the slope of the other tables. It is 0 if rows say nothing, and at most 1. So surfaces of small
tables are moved to more rows, also beyond the largest table of the past.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import name_of_whole

Array = NDArray[np.float64]

_LEAST_TABLES = 5  # fewer say little of others
_LEAST_RANGE = 0.5  # of z within a table
_MOST_STEP = float(np.log(100))  # how far a surface is moved
_FLOOR = -1.0  # how bad a bad candidate is does not count
_ROWS = "log_rows"


class Growth(NamedTuple):
    """Moves surfaces to the rows of the data set at hand.

    Attributes
    ----------
    slope : ndarray of shape (n_tasks,)
        Weights of the surfaces in b.
    steps : ndarray of shape (n_tasks,)
        By how much of b each surface is moved.
    """

    slope: Array
    steps: Array

    def move(self, F: Array) -> Array:
        """Return surfaces at the rows of the data set at hand, of the shape of F."""
        return np.asarray(F + np.outer(self.steps, self.slope @ F))


def learn_growth(
    surfaces: Array,
    datasets: Sequence[str],
    past: Sequence[Mapping[str, float]],
    present: Mapping[str, float],
) -> Growth | None:
    """Learn how to move past surfaces to the rows of the data set at hand.

    Parameters
    ----------
    surfaces : ndarray of shape (n_tasks, n)
        Scores of the same configurations on each past data set.
    datasets : sequence of str of length n_tasks
        Names of the past data sets.
    past : sequence of dict of length n_tasks
        Their features.
    present : dict
        Features of the data set at hand.

    Returns
    -------
    Growth or None
        None if there are fewer than five tables of several sizes, or if rows say nothing.
    """
    if _ROWS not in present:
        return None
    z = np.array([features.get(_ROWS, np.nan) for features in past])
    tables = _tables(datasets, z)
    if len(tables) < _LEAST_TABLES:
        return None
    u = np.zeros(len(z))
    for rows in tables:
        u[rows] = z[rows] - z[rows].mean()
    share = _share(np.maximum(surfaces, _FLOOR), z, u, tables)
    steps = np.clip(present[_ROWS] - z, -_MOST_STEP, _MOST_STEP)
    steps[np.isnan(steps)] = 0.0
    return Growth(u / (u @ u), share * steps) if share > 0 else None


def _tables(datasets: Sequence[str], z: Array) -> list[NDArray[np.intp]]:
    """Return the tasks of each table of several sizes."""
    by_table: dict[str, list[int]] = {}
    for t, name in enumerate(datasets):
        if np.isfinite(z[t]):
            by_table.setdefault(name_of_whole(name), []).append(t)
    return [np.array(rows) for rows in by_table.values() if np.ptp(z[rows]) > _LEAST_RANGE]


def _share(F: Array, z: Array, u: Array, tables: Sequence[NDArray[np.intp]]) -> float:
    """Return r."""
    every, squares = u @ F, u @ u
    product = square = 0.0
    for rows in tables:
        own = u[rows]
        slope = (every - own @ F[rows]) / (squares - own @ own)
        few, many = rows[np.argmin(z[rows])], rows[np.argmax(z[rows])]
        expected = (z[many] - z[few]) * (slope - slope.mean())
        found = F[many] - F[few]
        product += float(expected @ found)
        square += float(expected @ expected)
    return float(np.clip(product / square, 0, 1)) if square else 0.0
