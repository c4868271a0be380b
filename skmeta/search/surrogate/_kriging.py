"""Universal kriging that adds one observation, or some candidates, at a time.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
y       (m,)             observed scores
a, c    scalar           offset and inverse scale of the new task: c y = a + f(x) + noise
C       (k, n)           k possible prior means of f at n candidates, with probabilities p
K       (m, m)           covariance of the observations, noise included
X       (m, n)           covariance of observations and candidates
L       (m, m)           Cholesky factor of K
V       (m, n)           L^-1 X
======  ===============  ====================================================================

The offset has a flat prior and is integrated out; log c is normal. This is universal kriging
(Rasmussen and Williams, 2006, section 2.7) with a scale and several prior means, which share K.

An observation adds a row to L and to V, and a candidate adds a column to V. This costs O(m n). A
new factorisation and solution would cost O(m^2 n).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtrs

from skmeta.search.surrogate._gp import cholesky

Array = NDArray[np.float64]
# Covariances of some observations and some candidates, each a range of positions.
CrossCovariance = Callable[[slice, slice], Array]

_LOG_2PI = float(np.log(2 * np.pi))
_LOG_SCALES = np.linspace(-3, 3, 31)
_SCALES = np.exp(_LOG_SCALES)
_SQUARED_SCALES = _SCALES**2
_LOG_PRIOR_OF_SCALES = -0.5 * _LOG_SCALES**2
_NEGLIGIBLE = 1e-2  # probability of a prior mean, relative to the most probable one
_MIN_PIVOT = 1e-8


class GrowingColumns:
    """A matrix that grows by columns. Its buffer is larger than needed, so copies are rare.

    Parameters
    ----------
    values : ndarray of shape (k, n)
        The first columns.

    Attributes
    ----------
    values : ndarray of shape (k, n)
        All columns so far.
    """

    def __init__(self, values: Array) -> None:
        self._buffer = np.asarray(values, dtype=np.float64)
        self._n = values.shape[1]

    @property
    def values(self) -> Array:
        return self._buffer[:, : self._n]

    def append(self, values: Array) -> None:
        """Append columns.

        Parameters
        ----------
        values : ndarray of shape (k, n_more)
            The columns.
        """
        end = self._n + values.shape[1]
        if end > self._buffer.shape[1]:
            larger = np.empty((len(self._buffer), max(end, self._n + self._n // 2)))
            larger[:, : self._n] = self.values
            self._buffer = larger
        self._buffer[:, self._n : end] = values
        self._n = end


class Factor:
    """Cholesky factor of the observations' covariance, and vectors whitened by it.

    Parameters
    ----------
    n_means : int
        Number of prior means, k.

    Attributes
    ----------
    L : ndarray of shape (m, m)
        The factor.
    ones : ndarray of shape (m,)
        L^-1 1.
    means : ndarray of shape (m, k)
        L^-1 C', the whitened prior means at the observations.
    """

    def __init__(self, n_means: int) -> None:
        self.L: Array = np.empty((0, 0))
        self.ones: Array = np.empty(0)
        self.means: Array = np.empty((0, n_means))

    @classmethod
    def of(cls, K: Array, C: Array) -> "Factor":
        """Factorise the covariance of all observations at once.

        Parameters
        ----------
        K : ndarray of shape (m, m)
            Covariance of the observations, noise included.
        C : ndarray of shape (k, m)
            Prior means at the observations.

        Returns
        -------
        Factor
            The factor.
        """
        factor = cls(len(C))
        factor.L = cholesky(K)
        factor.ones = _solve(factor.L, np.ones(len(K)))
        factor.means = _solve(factor.L, C.T)
        return factor

    def __len__(self) -> int:
        return len(self.L)

    def append(self, covariance: Array, variance: float, means: Array) -> None:
        """Append one observation.

        Parameters
        ----------
        covariance : ndarray of shape (m,)
            Its covariance with the observations so far.
        variance : float
            Its variance, noise included.
        means : ndarray of shape (k,)
            Prior means at the observation.
        """
        m = len(self)
        row = _solve(self.L, covariance)
        pivot = max(variance - float(row @ row), _MIN_PIVOT * variance) ** 0.5
        L = np.zeros((m + 1, m + 1))
        L[:m, :m], L[m, :m], L[m, m] = self.L, row, pivot
        self.L = L
        self.ones = np.append(self.ones, (1 - row @ self.ones) / pivot)
        self.means = np.vstack([self.means, (means - row @ self.means) / pivot])


class WhitenedCandidates:
    """V and the sums over its rows that predictions need, updated incrementally.

    Attributes
    ----------
    V : ndarray of shape (m, n)
        L^-1 X.
    explained : ndarray of shape (n,)
        Variance of each candidate that the observations explain.
    level : ndarray of shape (n,)
        Weight of the unknown offset in the prediction of each candidate by the observations.
    """

    def __init__(self) -> None:
        self._buffer = np.empty((0, 0))
        self._shape = (0, 0)
        self.explained: Array = np.empty(0)
        self.level: Array = np.empty(0)

    @property
    def V(self) -> Array:
        m, n = self._shape
        return self._buffer[:m, :n]

    def update(self, factor: Factor, n: int, cross: CrossCovariance) -> None:
        """Add the rows of new observations, then the columns of new candidates.

        Parameters
        ----------
        factor : Factor
            Cholesky factor of all observations.
        n : int
            Number of candidates.
        cross : callable
            Covariances of a slice of the observations and a slice of the candidates.
        """
        (m0, n0), m = self._shape, len(factor)
        self._reserve(m, n)
        V = self._buffer
        for i in range(m0, m):
            found = cross(slice(i, i + 1), slice(0, n0))[0] - factor.L[i, :i] @ V[:i, :n0]
            V[i, :n0] = found / factor.L[i, i]
            self.explained = self.explained + V[i, :n0] ** 2
            self.level = self.level + factor.ones[i] * V[i, :n0]
        if n > n0:
            V[:m, n0:n] = _solve(factor.L, cross(slice(0, m), slice(n0, n)))
            more = V[:m, n0:n]
            self.explained = np.append(self.explained, (more * more).sum(0))
            self.level = np.append(self.level, factor.ones @ more)
        self._shape = (m, n)

    def _reserve(self, m: int, n: int) -> None:
        capacity = self._buffer.shape
        if m > capacity[0] or n > capacity[1]:
            shape = [
                max(need, had + had // 2) if need > had else had
                for need, had in zip((m, n), capacity, strict=True)
            ]
            larger = np.empty(shape)
            larger[: self._shape[0], : self._shape[1]] = self.V
            self._buffer = larger


class Kriging:
    """Posterior and evidence of f, for scores whose offset and scale are unknown.

    Parameters
    ----------
    factor : Factor
        Cholesky factor of the observations' covariance.
    y : ndarray of shape (m,)
        Observations, approximately standardised.
    p : ndarray of shape (k,)
        Probabilities of the prior means.

    Attributes
    ----------
    evidence : float
        Logarithm of the density of the observations.
    shares : ndarray of shape (k,)
        Posterior probabilities of the prior means.
    c : ndarray of shape (k,)
        Most probable inverse scale of the new task, for each prior mean.
    """

    def __init__(self, factor: Factor, y: Array, p: Array) -> None:
        self._factor = factor
        self._y = _solve(factor.L, y)
        self._precision = float(factor.ones @ factor.ones)  # of the offset
        log_density = self._log_density_of_scale()
        self.c = _SCALES[np.argmax(log_density, axis=1)]
        with np.errstate(divide="ignore"):
            joint = _log_sum_exp(log_density) - np.log(len(_LOG_SCALES) - 1) + np.log(p)
        self.evidence = float(_log_sum_exp(joint))
        self.shares = np.exp(joint - self.evidence)

    def predict(
        self, candidates: WhitenedCandidates, variance: Array, C: Array | None
    ) -> tuple[Array, Array]:
        """Predict the scores of candidates.

        Parameters
        ----------
        candidates : WhitenedCandidates
            V, up to date.
        variance : ndarray of shape (n,)
            Prior variance of each candidate.
        C : ndarray of shape (k, n) or None
            Prior means; None for a single one that is 0.

        Returns
        -------
        mean, variance : ndarray of shape (n,)
            Mean and variance of the scores, in the units of y.
        """
        kept = np.flatnonzero(self.shares > _NEGLIGIBLE * self.shares.max())
        shares = self.shares[kept] / self.shares[kept].sum()
        weights = shares / self.c[kept]
        # Row i of these has the share of prior mean i: its scores, and its offset.
        whitened = shares * self._y[:, None] - weights * self._factor.means[:, kept]
        offsets = self._factor.ones @ whitened / self._precision
        unexplained = 1 - candidates.level
        mean = whitened.sum(1) @ candidates.V + offsets.sum() * unexplained
        kept_C = None if C is None else C[kept]
        if kept_C is not None:
            mean += weights @ kept_C
        variance = variance - candidates.explained + unexplained**2 / self._precision
        variance = np.maximum(variance, 1e-12) * (weights @ (1 / self.c[kept]))
        if len(kept) > 1:
            # Deviations of the components' means from `mean`, times the root of their share.
            roots = np.sqrt(shares)
            left = np.column_stack([whitened.T, offsets, -shares]) / roots[:, None]
            deviations = left @ np.vstack([candidates.V, unexplained, mean])
            if kept_C is not None:
                kept_C *= (weights / roots)[:, None]
                deviations += kept_C
            variance += np.einsum("ij,ij->j", deviations, deviations)
        return mean, variance

    def _log_density_of_scale(self) -> Array:
        """Return the log density of y and c for each prior mean and value of `_LOG_SCALES`.

        The offset is integrated out.
        """
        # With the offset integrated out, only what is orthogonal to `along` counts.
        along = self._factor.ones / np.sqrt(self._precision)
        y = self._y - along * (along @ self._y)
        means = self._factor.means
        n = len(y) - 1
        squares = np.einsum("ij,ij->j", means, means) - (along @ means) ** 2
        determinant = np.log(self._factor.L.diagonal()).sum() + 0.5 * np.log(self._precision)
        of_scale = n * _LOG_SCALES + _LOG_PRIOR_OF_SCALES - 0.5 * (y @ y) * _SQUARED_SCALES
        of_scale -= determinant + 0.5 * n * _LOG_2PI
        density = np.multiply.outer(y @ means, _SCALES)
        density += of_scale
        density -= 0.5 * squares[:, None]
        return np.asarray(density)


def _solve(L: Array, right: Array) -> Array:
    """Solve L x = right without checks, on which `solve_triangular` spends most of its time."""
    if not right.size:
        return np.empty_like(right)
    return np.asarray(dtrtrs(L, right, lower=1)[0])


def _log_sum_exp(values: Array) -> Array:
    """Return `logsumexp` over the last axis. Checks of scipy's took a fifth of a suggestion."""
    top = values.max(axis=-1)
    shifted = values - top[..., None]
    return np.asarray(top + np.log(np.exp(shifted, out=shifted).sum(axis=-1)))
