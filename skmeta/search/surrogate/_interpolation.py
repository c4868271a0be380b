"""Interpolate the surfaces of past tasks between some of a search's candidates.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
Z       (n, d)           candidates, encoded and divided by the length scales
F       (T, n)           surfaces of T past tasks at the candidates
N       (r, d)           nodes: some of the candidates
m       (T, 1)           mean of each surface over the nodes
K       (r, r)           Matern 5/2 correlations of the nodes
A       (r, T)           K^-1 (F(N) - m)'
======  ===============  ====================================================================

A surface is a sum over all evaluations of its task, and a search asks for it at a thousand
candidates and more. Surfaces are smooth, so a few hundred nodes determine them:
F(z) = m + (k(z, N) A)'. This is kriging with the kernel that the surfaces were learned with.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from skmeta.search.surrogate._gp import cholesky, matern

Array = NDArray[np.float64]

_JITTER = 1e-5


class SurfaceInterpolation:
    """Surfaces that are exact at the nodes and interpolated elsewhere.

    Parameters
    ----------
    surfaces_of : callable
        Returns the exact surfaces, of shape (n_tasks, n), at encoded candidates.
    Z : ndarray of shape (n, d)
        Candidates, among which the nodes are drawn.
    n_nodes : int
        Number of nodes.

    Attributes
    ----------
    F : ndarray of shape (n_tasks, n)
        The surfaces at `Z`.
    """

    def __init__(self, surfaces_of: Callable[[Array], Array], Z: Array, n_nodes: int) -> None:
        # Drawn, since equal steps through a grid would leave out some values of a parameter. The
        # seed is constant, since the surfaces are a property of the past and of the pool.
        drawn = np.random.default_rng(0).permutation(len(Z))[:n_nodes]
        self._nodes = Z[drawn]
        exact = surfaces_of(self._nodes)
        self._mean = exact.mean(1, keepdims=True)
        K = matern(self._nodes, self._nodes) + _JITTER * np.eye(len(drawn))
        self._A = cho_solve((cholesky(K), True), (exact - self._mean).T, check_finite=False)
        self.F = np.empty((len(exact), len(Z)))
        self.F[:, drawn] = exact
        others = np.delete(np.arange(len(Z)), drawn)
        self.F[:, others] = self(Z[others])

    def __call__(self, Z: Array) -> Array:
        """Return the surfaces at encoded candidates, of shape (n_tasks, n)."""
        return np.asarray(self._mean + (matern(Z, self._nodes) @ self._A).T)
