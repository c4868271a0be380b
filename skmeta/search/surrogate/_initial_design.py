"""The first candidates of a search, before any score.

Notation: F of shape (n_tasks, n) are past tasks' surfaces over the pool; R of the same shape is
their regret, 0 at a task's best candidate and 1 at its worst.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def design_from_surfaces(F: Array, task_weights: Array, seen: Sequence[int], is_open: Mask) -> int:
    """The open candidate that, with those seen, leaves past tasks the least mean regret.

    Parameters
    ----------
    F : ndarray of shape (n_tasks, n)
        Surfaces.
    task_weights : ndarray of shape (n_tasks,)
        Weights of the tasks; they sum to 1.
    seen : sequence of int
        Candidates chosen before.
    is_open : ndarray of bool of shape (n,)
        Which candidates can be chosen.
    """
    best = F.max(1, keepdims=True)
    spread = best - F.min(1, keepdims=True)
    R = (best - F) / np.where(spread > 0, spread, 1.0)
    so_far = R[:, list(seen)].min(1, initial=1.0)
    expected = task_weights @ np.minimum(R, so_far[:, None])
    # Once every past task is at its best, a candidate that is good on average.
    expected += 1e-6 * task_weights @ R
    return int(np.where(is_open, expected, np.inf).argmin())


def design_that_fills_space(
    X: Array, seen: Sequence[int], is_open: Mask, rng: np.random.Generator
) -> int:
    """A random open candidate first, then the one farthest from those seen.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Candidates, encoded.
    seen : sequence of int
        Candidates chosen before.
    is_open : ndarray of bool of shape (n,)
        Which candidates can be chosen.
    rng : numpy.random.Generator
        For the first.
    """
    if len(seen) == 0:
        return int(rng.choice(np.flatnonzero(is_open)))
    distance = np.min([((X - X[i]) ** 2).sum(1) for i in seen], axis=0)
    return int(np.where(is_open, distance, -np.inf).argmax())
