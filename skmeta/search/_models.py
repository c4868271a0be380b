"""The models that a search strategy lets compete: some learned from past tasks, one did not.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
F       (T, n)           surfaces of T past tasks over a pool of n candidates
mu      (n,)             their mean
U       (T, n)           their deviations from mu, over sqrt(T - 1): U' U is their covariance
M       (n, n)           Matern 5/2 correlation of the candidates
t^2     scalar           variance of what past tasks do not explain, the remainder
e^2     scalar           variance of the noise
K       (m, m)           covariance of m observations, U' U + t^2 M + e^2 I
L       (m, m)           Cholesky factor of K
y       (m,)             observed scores
a, c    scalar           offset and inverse scale of the new task: c y = a + f(x) + noise
======  ===============  ====================================================================

Of the new task's offset nothing is known (a flat prior, integrated out); log c is normal. What
follows is universal kriging (Rasmussen and Williams, 2006, section 2.7) with a scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from skmeta.search._gp import (
    KernelPrior,
    cholesky,
    fit_kernel,
    group_distances,
    matern,
    posterior,
    scale_columns,
)

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_LOG_2PI = float(np.log(2 * np.pi))
_LOG_SCALES = np.linspace(-3, 3, 61)
_FLOOR = -0.5


@dataclass(frozen=True)
class Prediction:
    """What one model expects of every candidate.

    Attributes
    ----------
    mean, std : ndarray of shape (n,)
        Of the score, in the units of the observations.
    evidence : float
        Logarithm of the density of the observations under the model.
    """

    mean: Array
    std: Array
    evidence: float


class PlainModel:
    """Gaussian process that knows nothing but the observations.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Candidates, encoded.
    groups : ndarray of shape (d,)
        Columns that share a length scale.
    prior : KernelPrior
        What is thought of the kernel beforehand.
    """

    def __init__(self, X: Array, groups: Rows, prior: KernelPrior | None = None) -> None:
        self.X = X
        self._groups = groups
        self._n_groups = int(groups.max()) + 1 if len(groups) else 0
        self._prior = KernelPrior() if prior is None else prior
        self._theta = self._prior.moments(self._n_groups)[0]

    def extend(self, X: Array) -> None:
        """Append candidates."""
        self.X = np.concatenate([self.X, X])

    def fit(self, rows: Rows, y: Array) -> None:
        """Learn the kernel's hyperparameters from standardised scores."""
        D = group_distances(self.X[rows], self._groups, self._n_groups)
        self._theta = fit_kernel(D, y, self._prior, self._theta, max_iter=15)

    def predict(self, rows: Rows, y: Array) -> Prediction:
        """Predict every candidate from the observations at `rows`.

        The evidence is that of the kernel thought of beforehand, not of the fitted one, which
        would have the advantage of having been fitted.
        """
        amplitude, noise, Z = self._kernel(self._theta)
        cross = amplitude * matern(Z[rows], Z)
        K = cross[:, rows] + (noise + 1e-6) * np.eye(len(rows))
        mean, variance, _ = posterior(K, cross, np.full(len(Z), amplitude), y)
        return Prediction(mean, np.sqrt(variance), self._evidence(rows, y))

    def _evidence(self, rows: Rows, y: Array) -> float:
        _, noise, Z = self._kernel(self._prior.moments(self._n_groups)[0])
        K = matern(Z[rows], Z[rows]) + (noise + 1e-6) * np.eye(len(rows))
        return _Kriging(K, y, np.zeros(len(y))).evidence

    def _kernel(self, theta: Array) -> tuple[float, float, Array]:
        amplitude, noise = np.exp(theta[self._n_groups :])
        scales = np.exp(theta[: self._n_groups])
        return float(amplitude), float(noise), scale_columns(self.X, self._groups, scales)


class LearnedModel:
    """Gaussian processes whose mean and covariance are those of past tasks' surfaces.

    There is one for each size of the remainder.

    Parameters
    ----------
    F : ndarray of shape (n_tasks, n)
        Surfaces of the past tasks at the candidates.
    Z : ndarray of shape (n, d)
        Candidates, encoded, over their length scales.
    remainders : sequence of float
        Variances of what past tasks do not explain.
    noise : float
        Variance of the noise.
    """

    def __init__(self, F: Array, Z: Array, remainders: Sequence[float], noise: float) -> None:
        floored = np.maximum(F, _FLOOR)
        self._centre = floored.mean(1, keepdims=True)
        self._scale = floored.std(1, keepdims=True)
        self._scale[self._scale < 1e-9] = 1.0
        self._remainders = tuple(remainders)
        self._noise = noise
        self.F, self.Z = self._warp(F), Z
        self._summarise()

    def extend(self, F: Array, Z: Array) -> None:
        """Append candidates."""
        self.F = np.concatenate([self.F, self._warp(F)], axis=1)
        self.Z = np.concatenate([self.Z, Z])
        self._summarise()

    def predict(self, rows: Rows, y: Array) -> list[Prediction]:
        """Predict every candidate from the observations at `rows`, with each remainder."""
        explained = self._U[:, rows].T @ self._U
        correlation = matern(self.Z[rows], self.Z)
        return [
            self._predict(rows, y, explained + remainder * correlation, remainder)
            for remainder in self._remainders
        ]

    def agreement(self, rows: Rows, y: Array) -> Array:
        """Posterior probability of each past task, were the new task just like one of them."""
        residual = 0.3 * matern(self.Z[rows], self.Z[rows]) + 0.1 * np.eye(len(rows))
        evidence = np.array([_Kriging(residual, y, f).evidence for f in self.F[:, rows]])
        weights = np.exp(evidence - evidence.max())
        return np.asarray(weights / weights.sum())

    def _predict(self, rows: Rows, y: Array, cross: Array, remainder: float) -> Prediction:
        K = cross[:, rows] + self._noise * np.eye(len(rows))
        kriging = _Kriging(K, y, self._mu[rows])
        mean, variance = kriging.predict(cross, self._mu, self._explained + remainder)
        return Prediction(mean, np.sqrt(variance), kriging.evidence)

    def _warp(self, F: Array) -> Array:
        # How bad a bad configuration is does not matter, and would dominate the covariance.
        return np.asarray((np.maximum(F, _FLOOR) - self._centre) / self._scale)

    def _summarise(self) -> None:
        self._mu = self.F.mean(0)
        self._U = (self.F - self._mu) / np.sqrt(max(1, len(self.F) - 1))
        self._explained = (self._U**2).sum(0)


class _Kriging:
    """Posterior of f, and the evidence, with offset and scale of the scores unknown.

    Parameters
    ----------
    K : ndarray of shape (m, m)
        Covariance of the observations.
    y : ndarray of shape (m,)
        Observations, about standardised.
    mu : ndarray of shape (m,)
        Prior mean of f there.
    """

    def __init__(self, K: Array, y: Array, mu: Array) -> None:
        self._L = cholesky(K)
        right = np.column_stack([y, mu, np.ones(len(y))])
        self._Ly, self._Lmu, self._L1 = solve_triangular(
            self._L, right, lower=True, check_finite=False
        ).T
        self._precision = float(self._L1 @ self._L1)  # of the offset
        log_density = self._log_density_of_scale()
        best = int(log_density.argmax())
        self.c = float(np.exp(_LOG_SCALES[best]))
        peak = log_density[best]
        self.evidence = float(peak + np.log(np.exp(log_density - peak).mean()))

    def predict(self, cross: Array, mu: Array, variance: Array) -> tuple[Array, Array]:
        """Mean and variance of scores at candidates, in the units of y."""
        V = solve_triangular(self._L, cross, lower=True, check_finite=False)
        whitened = self.c * self._Ly - self._Lmu
        offset = float(self._L1 @ whitened) / self._precision
        unexplained = 1 - self._L1 @ V
        mean = mu + whitened @ V + offset * unexplained
        variance = variance - (V * V).sum(0) + unexplained**2 / self._precision
        return mean / self.c, np.maximum(variance, 1e-12) / self.c**2

    def _log_density_of_scale(self) -> Array:
        """Log density of y and c, the offset integrated out, at each of `_LOG_SCALES`."""
        along = self._L1 / np.sqrt(self._precision)
        y = self._Ly - along * (along @ self._Ly)
        mu = self._Lmu - along * (along @ self._Lmu)
        c = np.exp(_LOG_SCALES)
        n = len(y) - 1
        fit = -0.5 * (c * c * (y @ y) - 2 * c * (y @ mu) + mu @ mu)
        determinant = np.log(np.diag(self._L)).sum() + 0.5 * np.log(self._precision)
        prior = -0.5 * _LOG_SCALES**2
        return np.asarray(n * _LOG_SCALES + fit + prior - determinant - 0.5 * n * _LOG_2PI)
