"""Choose the first candidates of a search, before any score.

Notation: F of shape (n_tasks, n) holds the surfaces of past tasks over the pool. R of the same
shape is their regret, 0 at a task's best candidate and 1 at its worst.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from skmeta.search.surrogate._gp import cholesky, matern

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Chosen on the development half of benchmarks/search_tables.py.
_LENGTH_SCALE = 2.0
_NOISE = 0.01
_N_REFERENCE = 256  # candidates over which the variance is averaged


def design_from_surfaces(
    F: Array, task_weights: Array, seen: Sequence[int], is_available: Mask
) -> int:
    """Return the available candidate that most reduces the mean regret of past tasks.

    The regret of a task is that of its best candidate among those seen and the new one.

    Parameters
    ----------
    F : ndarray of shape (n_tasks, n)
        Surfaces.
    task_weights : ndarray of shape (n_tasks,)
        Weights of the tasks; they sum to 1.
    seen : sequence of int
        Candidates chosen before.
    is_available : ndarray of bool of shape (n,)
        Which candidates can be chosen.
    """
    best = F.max(1, keepdims=True)
    spread = best - F.min(1, keepdims=True)
    R = (best - F) / np.where(spread > 0, spread, 1.0)
    so_far = R[:, list(seen)].min(1, initial=1.0)
    expected = task_weights @ np.minimum(R, so_far[:, None])
    # Once the best candidate of every past task is chosen, prefer one that is good on average.
    expected += 1e-6 * task_weights @ R
    return int(np.where(is_available, expected, np.inf).argmin())


def design_of_least_variance(X: Array, seen: Sequence[int], is_available: Mask) -> int:
    """Return the available candidate whose score most reduces the mean variance over the pool.

    The variance is that of a Gaussian process. Each candidate chosen this way represents many
    others. Candidates as far as possible from each other would lie at the borders of the space.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Candidates, encoded.
    seen : sequence of int
        Candidates chosen before.
    is_available : ndarray of bool of shape (n,)
        Which candidates can be chosen.

    References
    ----------
    D. Cohn (1996), "Neural network exploration using optimal experiment design", Neural Networks
    9(6). S. Seo et al. (2000), "Gaussian process regression: active data selection and test point
    rejection", section 2.
    """
    scaled = X / _LENGTH_SCALE
    reference = scaled[np.unique(np.linspace(0, len(X) - 1, _N_REFERENCE).astype(np.intp))]
    covariance, variance = matern(reference, scaled), np.ones(len(X))
    if len(seen):
        known = scaled[list(seen)]
        L = cholesky(matern(known, known) + _NOISE * np.eye(len(seen)))
        whitened = solve_triangular(L, matern(known, scaled), lower=True)
        covariance -= solve_triangular(L, matern(known, reference), lower=True).T @ whitened
        variance -= (whitened * whitened).sum(0)
    gain = (covariance * covariance).sum(0) / (np.maximum(variance, 0) + _NOISE)
    return int(np.where(is_available, gain, -np.inf).argmax())
