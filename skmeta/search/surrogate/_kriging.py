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

Several covariances of the same observations are handled together, as arrays with one more axis.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike, NDArray
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
_MIN_VARIANCE = 1e-6


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
        self._buffer = np.asarray(values)
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
            shape = len(self._buffer), max(end, self._n + self._n // 2)
            larger = np.empty(shape, self._buffer.dtype)
            larger[:, : self._n] = self.values
            self._buffer = larger
        self._buffer[:, self._n : end] = values
        self._n = end


class Factor:
    """Cholesky factors of several covariances of the same observations.

    Parameters
    ----------
    n_means : int
        Number of prior means, k.
    n_covariances : int, default=1
        Number of covariances, s. They have the same observations and prior means.

    Attributes
    ----------
    L : ndarray of shape (s, m, m)
        The factors.
    ones : ndarray of shape (s, m)
        L^-1 1.
    means : ndarray of shape (s, m, k)
        L^-1 C', the whitened prior means at the observations.
    """

    def __init__(self, n_means: int, n_covariances: int = 1) -> None:
        self._n = 0
        self._L: Array = np.zeros((n_covariances, 0, 0))
        self._ones: Array = np.empty((n_covariances, 0))
        self._means: Array = np.empty((n_covariances, 0, n_means))

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
        L = cholesky(K)
        factor._n = len(K)
        factor._L = L[None]
        factor._ones = _solve(L, np.ones(len(K)))[None]
        factor._means = _solve(L, C.T)[None]
        return factor

    def __len__(self) -> int:
        return self._n

    @property
    def L(self) -> Array:
        return self._L[:, : self._n, : self._n]

    @property
    def ones(self) -> Array:
        return self._ones[:, : self._n]

    @property
    def means(self) -> Array:
        return self._means[:, : self._n]

    def append(self, covariance: Array, variance: Array, means: Array) -> None:
        """Append one observation.

        Parameters
        ----------
        covariance : ndarray of shape (s, m)
            Its covariance with the observations so far.
        variance : ndarray of shape (s,)
            Its variance, noise included.
        means : ndarray of shape (k,)
            Prior means at the observation.
        """
        m = self._n
        rows = np.empty((len(self._L), m))
        for row, L, right in zip(rows, self.L, covariance, strict=True):
            row[:] = _solve(L, right)
        pivots = np.sqrt(np.maximum(variance - (rows * rows).sum(1), _MIN_PIVOT * variance))
        before = rows[:, None]
        ones = (1 - (rows * self.ones).sum(1)) / pivots
        whitened = (means - (before @ self.means)[:, 0]) / pivots[:, None]
        self._reserve(m + 1)
        self._L[:, m, :m], self._L[:, m, m] = rows, pivots
        self._ones[:, m], self._means[:, m] = ones, whitened
        self._n = m + 1

    def _reserve(self, n: int) -> None:
        n_reserved = self._L.shape[1]
        if n > n_reserved:
            more = max(n, 16, n_reserved + n_reserved // 2) - n_reserved
            self._L = np.pad(self._L, ((0, 0), (0, more), (0, more)))
            self._ones = np.pad(self._ones, ((0, 0), (0, more)))
            self._means = np.pad(self._means, ((0, 0), (0, more), (0, 0)))


class WhitenedCandidates:
    """V and the sums over its rows that predictions need, updated incrementally.

    Parameters
    ----------
    dtype : dtype, default=float64
        Type of the arrays below.

    Attributes
    ----------
    V : ndarray of shape (m, n)
        L^-1 X.
    explained : ndarray of shape (n,)
        Variance of each candidate that the observations explain.
    unexplained : ndarray of shape (n,)
        One minus the weight of the unknown offset in the prediction of each candidate by the
        observations.
    """

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        # Row 0 is for the mean of a prediction, row 1 is `unexplained`, and V follows.
        self._buffer: Array = np.empty((2, 0), dtype)
        self._shape = (0, 0)
        self.explained: Array = np.empty(0, dtype)

    @property
    def V(self) -> Array:
        m, n = self._shape
        return self._buffer[2 : m + 2, :n]

    @property
    def unexplained(self) -> Array:
        return self._buffer[1, : self._shape[1]]

    def with_mean(self, mean: Array) -> Array:
        """Return an array with the rows `mean`, `unexplained` and V, of shape (m + 2, n)."""
        m, n = self._shape
        self._buffer[0, :n] = mean
        return self._buffer[: m + 2, :n]

    def update(self, L: Array, ones: Array, n: int, cross: CrossCovariance) -> None:
        """Add the rows of new observations, then the columns of new candidates.

        Parameters
        ----------
        L : ndarray of shape (m, m)
            Cholesky factor of the observations' covariance.
        ones : ndarray of shape (m,)
            L^-1 1.
        n : int
            Number of candidates.
        cross : callable
            Covariances of a slice of the observations and a slice of the candidates.
        """
        (m0, n0), m = self._shape, len(L)
        self._reserve(m + 2, n)
        unexplained, V = self._buffer[1], self._buffer[2:]
        L_rows = L[m0:].astype(V.dtype)
        for i in range(m0, m):
            row = V[i, :n0]
            known = L_rows[i - m0, :i] @ V[:i, :n0]
            np.subtract(cross(slice(i, i + 1), slice(0, n0))[0], known, out=row)
            row /= L[i, i]
            self.explained += row * row
            unexplained[:n0] -= ones[i] * row
        if n > n0:
            V[:m, n0:n] = _solve(L, cross(slice(0, m), slice(n0, n)))
            more = V[:m, n0:n]
            self.explained = np.append(self.explained, (more * more).sum(0))
            unexplained[n0:n] = 1 - ones @ more
        self._shape = (m, n)

    def _reserve(self, n_rows: int, n: int) -> None:
        capacity = self._buffer.shape
        if n_rows > capacity[0] or n > capacity[1]:
            shape = [
                max(need, had + had // 2) if need > had else had
                for need, had in zip((n_rows, n), capacity, strict=True)
            ]
            larger = np.empty(shape, self._buffer.dtype)
            m, n0 = self._shape
            larger[: m + 2, :n0] = self._buffer[: m + 2, :n0]
            self._buffer = larger


class Kriging:
    """Posterior and evidence of f, for scores whose offset and scale are unknown.

    Make one for each covariance of a factor with `krige`.

    Attributes
    ----------
    evidence : float
        Logarithm of the density of the observations.
    shares : ndarray of shape (k,)
        Posterior probabilities of the prior means.
    c : ndarray of shape (k,)
        Most probable inverse scale of the new task, for each prior mean.
    """

    def __init__(
        self, y: Array, ones: Array, means: Array, evidence: float, shares: Array, c: Array
    ) -> None:
        self._y, self._ones, self._means = y, ones, means  # all whitened
        self.evidence = evidence
        self.shares = shares
        self.c = c

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
        precision = float(self._ones @ self._ones)  # of the offset
        # Column i of these has the share of prior mean i: its scores, and its offset.
        whitened = shares * self._y[:, None] - weights * self._means[:, kept]
        offsets = self._ones @ whitened / precision
        V, unexplained = candidates.V, candidates.unexplained
        mean = whitened.sum(1).astype(V.dtype) @ V + float(offsets.sum()) * unexplained
        kept_C = None if C is None else C[kept]
        if kept_C is not None:
            mean += weights.astype(kept_C.dtype) @ kept_C
        variance = variance - candidates.explained + unexplained**2 / precision
        variance = np.maximum(variance, _MIN_VARIANCE) * float(weights @ (1 / self.c[kept]))
        if len(kept) > 1:
            # Deviations of the components' means from `mean`, times the root of their share.
            roots = np.sqrt(shares)
            left = np.column_stack([-shares, offsets, whitened.T]) / roots[:, None]
            deviations = left.astype(V.dtype) @ candidates.with_mean(mean)
            if kept_C is not None:
                kept_C *= (weights / roots).astype(kept_C.dtype)[:, None]
                deviations += kept_C
            variance += np.einsum("ij,ij->j", deviations, deviations)
        return mean, variance


def krige(factor: Factor, y: Array, p: Array) -> list[Kriging]:
    """Return the posterior for each covariance of a factor.

    Parameters
    ----------
    factor : Factor
        Cholesky factors of s covariances of the observations.
    y : ndarray of shape (m,)
        Observations, approximately standardised.
    p : ndarray of shape (k,)
        Probabilities of the prior means.

    Returns
    -------
    list of Kriging
        Of length s.
    """
    whitened = np.array([_solve(L, y) for L in factor.L])
    log_density = _log_density_of_scale(factor, whitened)
    c = _SCALES[np.argmax(log_density, axis=-1)]
    with np.errstate(divide="ignore"):
        joint = _log_sum_exp(log_density) - np.log(len(_LOG_SCALES) - 1) + np.log(p)
    evidence = _log_sum_exp(joint)
    shares = np.exp(joint - evidence[:, None])
    parts = zip(whitened, factor.ones, factor.means, evidence.tolist(), shares, c, strict=True)
    return [Kriging(*part) for part in parts]


def _log_density_of_scale(factor: Factor, y: Array) -> Array:
    """Return the log density of whitened y and c, of shape (s, k, n_scales).

    The offset is integrated out.
    """
    # With the offset integrated out, only what is orthogonal to `along` counts.
    precision = (factor.ones * factor.ones).sum(1)
    along = factor.ones / np.sqrt(precision)[:, None]
    y = y - along * (along * y).sum(1)[:, None]
    means = factor.means
    n = y.shape[1] - 1
    mean_dot_y, mean_dot_offset = (np.stack([y, along], axis=1) @ means).swapaxes(0, 1)
    squares = np.einsum("sij,sij->sj", means, means) - mean_dot_offset**2
    determinant = np.log(factor.L.diagonal(0, 1, 2)).sum(1) + 0.5 * np.log(precision)
    scale_density = n * _LOG_SCALES + _LOG_PRIOR_OF_SCALES - 0.5 * n * _LOG_2PI
    scale_density = scale_density - 0.5 * (y * y).sum(1)[:, None] * _SQUARED_SCALES
    scale_density = scale_density - determinant[:, None]
    density = mean_dot_y[..., None] * _SCALES
    density += scale_density[:, None]
    density -= 0.5 * squares[..., None]
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
