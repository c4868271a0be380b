"""Sums of kernels over the evaluations of each past task, computed block by block."""

import numpy as np
from numpy.typing import NDArray

from skmeta.search.surrogate import matern

# The kernels of so many evaluations and configurations stay in the processor's cache.
_N_ROWS, _N_COLUMNS = 512, 128


def weighted_kernel_sums(
    X: NDArray[np.float32],
    weights: NDArray[np.float32],
    ends: NDArray[np.intp],
    Z: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return, for each task, the weighted sum of the kernels of its evaluations.

    Parameters
    ----------
    X : ndarray of shape (n_evaluations, d)
        Evaluations of all tasks, one task after the other, columns scaled.
    weights : ndarray of shape (n_evaluations,)
        Weight of each evaluation.
    ends : ndarray of shape (n_tasks + 1,)
        Evaluations ``ends[t]`` to ``ends[t + 1]`` are those of task `t`; each has at least one.
    Z : ndarray of shape (n, d)
        Configurations, columns scaled.

    Returns
    -------
    ndarray of shape (n_tasks, n)
    """
    sums = np.empty((len(ends) - 1, len(Z)))
    for first, last in _blocks_of_tasks(ends):
        start, end = ends[[first, last]]
        for column in range(0, len(Z), _N_COLUMNS):
            columns = slice(column, column + _N_COLUMNS)
            terms = matern(X[start:end], Z[columns])
            terms *= weights[start:end, None]
            sums[first:last, columns] = np.add.reduceat(terms, ends[first:last] - start, axis=0)
    return sums


def _blocks_of_tasks(ends: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return ranges of tasks that have at most `_N_ROWS` evaluations together, or one task."""
    firsts = [0]
    for t in range(1, len(ends) - 1):
        if ends[t + 1] - ends[firsts[-1]] > _N_ROWS:
            firsts.append(t)
    return list(zip(firsts, [*firsts[1:], len(ends) - 1], strict=True))
