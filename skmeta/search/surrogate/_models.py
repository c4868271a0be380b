"""The models that a search strategy lets compete: some learned from past tasks, one did not.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
F       (T, n)           surfaces of T past tasks over a pool of n candidates, bad scores floored
w       (T,)             weights of the past tasks, with sum 1
mu      (n,)             their weighted mean
U       (T, n)           sqrt(w_t / (1 - sum w^2)) (F_t - mu): U' U is their covariance
G       (T, n)           sqrt(w_t) F_t, bad scores not floored: G' G is their second moment
M       (n, n)           Matern 5/2 correlation of the candidates
t^2     scalar           variance of what past tasks do not explain, the remainder
e^2     scalar           variance of the noise
K       (m, m)           covariance of m observations, noise included
L       (m, m)           Cholesky factor of K
y       (m,)             observed scores
a, c    scalar           offset and inverse scale of the new task: c y = a + f(x) + noise
C       (k, n)           prior means that f may have, one of k with probability p
======  ===============  ====================================================================

Of the new task's offset nothing is known (a flat prior, integrated out); log c is normal. What
follows is universal kriging (Rasmussen and Williams, 2006, section 2.7) with a scale and several
prior means, which share K and therefore cost little more than one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from skmeta.search.surrogate._gp import (
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
# Chosen on the development half of benchmarks/search_tables.py.
_FLOOR = 0.0  # of past tasks' surfaces, in deviations from their mean
_BANDWIDTH = 0.3  # share of the past's covariance that is left to each of its tasks
_LOG_WEIGHT_WITHOUT_MEAN = -2.0  # of the models that keep co-variation only, before any score
_NEGLIGIBLE = 1e-3  # probability of a prior mean, relative to the likeliest one


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
        return _Kriging(K, y, np.zeros((1, len(y))), np.ones(1)).evidence

    def _kernel(self, theta: Array) -> tuple[float, float, Array]:
        amplitude, noise = np.exp(theta[self._n_groups :])
        scales = np.exp(theta[: self._n_groups])
        return float(amplitude), float(noise), scale_columns(self.X, self._groups, scales)


class LearnedModel:
    """Gaussian processes whose means and covariance are those of past tasks' surfaces.

    For each size of the remainder there are two. One takes the past at its word: the new task is
    one of the past, but for deviations that co-vary as past tasks do. As in a kernel density
    estimate, its means are the past surfaces, drawn towards their mean so that mean and
    covariance of the mixture are those of the past (West, 1993). The other keeps how scores
    co-vary and not which of them are good: its mean is constant, and a past whose good and bad
    were exchanged would say the same.

    Parameters
    ----------
    F : ndarray of shape (n_tasks, n)
        Surfaces of the past tasks at the candidates.
    Z : ndarray of shape (n, d)
        Candidates, encoded, over their length scales.
    task_weights : ndarray of shape (n_tasks,)
        Weights of the past tasks; they sum to 1.
    remainders : sequence of float
        Variances of what past tasks do not explain.
    noise : float
        Variance of the noise.

    References
    ----------
    M. West (1993), "Approximating posterior distributions by mixtures", Journal of the Royal
    Statistical Society, Series B, 55(2).
    """

    def __init__(
        self, F: Array, Z: Array, task_weights: Array, remainders: Sequence[float], noise: float
    ) -> None:
        self._moments = _moments(F)
        self._floored_moments = _moments(np.maximum(F, _FLOOR))
        self._w = task_weights
        self._remainders = tuple(remainders)
        self._noise = noise
        self.Z = Z
        self.F, self._whole = self._standardise(F)
        self._summarise()

    @property
    def mean_task_correlation(self) -> float:
        """Mean correlation between the surfaces of two past tasks; 1 where there is only one."""
        squared = float(self._w @ self._w)
        if squared > 1 - 1e-9:
            return 1.0
        return float((self._mu.var() - squared) / (1 - squared))

    def extend(self, F: Array, Z: Array) -> None:
        """Append candidates."""
        floored, whole = self._standardise(F)
        self.F = np.concatenate([self.F, floored], axis=1)
        self._whole = np.concatenate([self._whole, whole], axis=1)
        self.Z = np.concatenate([self.Z, Z])
        self._summarise()

    def predict(self, rows: Rows, y: Array) -> list[Prediction]:
        """Predict every candidate from the observations at `rows`, with each remainder."""
        correlation = matern(self.Z[rows], self.Z)
        covariance = _BANDWIDTH * self._U[:, rows].T @ self._U
        variance = _BANDWIDTH * (self._U**2).sum(0)
        as_before = [
            self._predict(rows, y, covariance + t * correlation, variance + t, self._C, self._w)
            for t in self._remainders
        ]
        covariance, variance = self._G[:, rows].T @ self._G, (self._G**2).sum(0)
        flat = np.zeros((1, len(self.Z)))
        without_mean = [
            self._predict(rows, y, covariance + t * correlation, variance + t, flat, np.ones(1))
            for t in self._remainders
        ]
        return as_before + [
            replace(p, evidence=p.evidence + _LOG_WEIGHT_WITHOUT_MEAN) for p in without_mean
        ]

    def agreement(self, rows: Rows, y: Array) -> Array:
        """Posterior probability of each past task, were the new task just like one of them."""
        residual = 0.3 * matern(self.Z[rows], self.Z[rows]) + 0.1 * np.eye(len(rows))
        kriging = _Kriging(residual, y, self.F[:, rows], self._w)
        return np.asarray(kriging.shares)

    def _predict(
        self, rows: Rows, y: Array, cross: Array, variance: Array, C: Array, p: Array
    ) -> Prediction:
        kriging = _Kriging(cross[:, rows] + self._noise * np.eye(len(rows)), y, C[:, rows], p)
        mean, variance = kriging.predict(cross, variance, C)
        return Prediction(mean, np.sqrt(variance), kriging.evidence)

    def _standardise(self, F: Array) -> tuple[Array, Array]:
        """Surfaces with mean 0 and deviation 1 over the first candidates: floored, and whole."""
        (floored_mean, floored_scale), (mean, scale) = self._floored_moments, self._moments
        return (np.maximum(F, _FLOOR) - floored_mean) / floored_scale, (F - mean) / scale

    def _summarise(self) -> None:
        self._mu = self._w @ self.F
        deviations = self.F - self._mu
        self._C = self._mu + np.sqrt(1 - _BANDWIDTH) * deviations
        weights = np.sqrt(self._w)[:, None]
        # Of a single past task there is no covariance.
        self._U = weights * deviations / np.sqrt(max(1 - float(self._w @ self._w), 1e-9))
        self._G = weights * self._whole


def _moments(F: Array) -> tuple[Array, Array]:
    """Mean and deviation of each row, the deviation of a constant one being 1."""
    scale = F.std(1, keepdims=True)
    return F.mean(1, keepdims=True), np.where(scale < 1e-9, 1.0, scale)


class _Kriging:
    """Posterior of f, and the evidence, with offset and scale of the scores unknown.

    Parameters
    ----------
    K : ndarray of shape (m, m)
        Covariance of the observations.
    y : ndarray of shape (m,)
        Observations, about standardised.
    C : ndarray of shape (k, m)
        Prior means that f may have there.
    p : ndarray of shape (k,)
        Their probabilities.

    Attributes
    ----------
    evidence : float
        Logarithm of the density of the observations.
    shares : ndarray of shape (k,)
        Posterior probabilities of the prior means.
    c : ndarray of shape (k,)
        Inverse scale of the new task, under each.
    """

    def __init__(self, K: Array, y: Array, C: Array, p: Array) -> None:
        self._L = cholesky(K)
        right = np.column_stack([y, np.ones(len(y)), C.T])
        solved = solve_triangular(self._L, right, lower=True, check_finite=False)
        self._Ly, self._L1, self._LC = solved[:, 0], solved[:, 1], solved[:, 2:]
        self._precision = float(self._L1 @ self._L1)  # of the offset
        log_density = self._log_density_of_scale()
        self.c = np.exp(_LOG_SCALES[np.argmax(log_density, axis=1)])
        with np.errstate(divide="ignore"):
            joint = _log_sum_exp(log_density) - np.log(len(_LOG_SCALES)) + np.log(p)
        self.evidence = float(_log_sum_exp(joint))
        self.shares = np.exp(joint - self.evidence)

    def predict(self, cross: Array, variance: Array, C: Array) -> tuple[Array, Array]:
        """Mean and variance of scores at candidates, in the units of y."""
        kept = np.flatnonzero(self.shares > _NEGLIGIBLE * self.shares.max())
        shares = self.shares[kept] / self.shares[kept].sum()
        c = self.c[kept]
        V = solve_triangular(self._L, cross, lower=True, check_finite=False)
        whitened = c * self._Ly[:, None] - self._LC[:, kept]
        offset = self._L1 @ whitened / self._precision
        unexplained = 1 - self._L1 @ V
        means = (C[kept] + whitened.T @ V + offset[:, None] * unexplained) / c[:, None]
        mean = shares @ means
        variance = variance - (V * V).sum(0) + unexplained**2 / self._precision
        variance = np.maximum(variance, 1e-12) * (shares @ c**-2.0)
        return mean, variance + shares @ (means - mean) ** 2

    def _log_density_of_scale(self) -> Array:
        """Log density of y and c, the offset integrated out, by prior mean and `_LOG_SCALES`."""
        along = self._L1 / np.sqrt(self._precision)
        y = self._Ly - along * (along @ self._Ly)
        C = self._LC - np.outer(along, along @ self._LC)
        c = np.exp(_LOG_SCALES)
        n = len(y) - 1
        fit = -0.5 * (c * c * (y @ y) - 2 * np.outer(y @ C, c) + (C * C).sum(0)[:, None])
        determinant = np.log(np.diag(self._L)).sum() + 0.5 * np.log(self._precision)
        prior = -0.5 * _LOG_SCALES**2
        return np.asarray(n * _LOG_SCALES + fit + prior - determinant - 0.5 * n * _LOG_2PI)


def _log_sum_exp(values: Array) -> Array:
    """Over the last axis; scipy's, which checks a good deal, took a fifth of a suggestion."""
    top = values.max(axis=-1)
    return np.asarray(top + np.log(np.exp(values - top[..., None]).sum(axis=-1)))
