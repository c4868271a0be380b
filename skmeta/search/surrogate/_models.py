"""The models of a search strategy: several learned from past tasks, and one without history.

Notation (symbol, shape, meaning):

F       (T, n)           surfaces of T past tasks at n candidates, low values raised to a floor
w       (T,)             probabilities of the past tasks to be like the new one, with sum 1
p       (T,)             weights of the past tasks in the covariance, with sum 1
mu      (n,)             their mean, with weights w
U       (T, n)           sqrt(p_t / (1 - sum p^2)) (F_t - mu): U' U is their covariance
G       (T, n)           sqrt(p_t) F_t without the floor: G' G is their second moment
M       (n, n)           Matern 5/2 correlation of the candidates
t^2     scalar           variance of what past tasks do not explain, the remainder
e^2     scalar           variance of the noise
y       (m,)             observed scores

Each model has an evidence and predicts all candidates on demand. A model with negligible evidence
makes no predictions, which saves most of the time of a suggestion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta._tabular import cholesky, solve_lower
from skmeta.search.surrogate._gp import (
    Kriging,
    fit_kernel,
    group_distances,
    krige,
    matern,
    prior_moments,
    scale_columns,
)

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# Type of arrays with a column per candidate. Twice as many digits take twice as long to read.
_PRECISION = np.float32

# Chosen on the development half of benchmarks/measure/search_tables.py.
_FLOOR = 0.0  # smallest value of past surfaces, in standard deviations from their mean
_LOG_WEIGHT_WITHOUT_MEAN = -2.0  # log prior weight of the models that use the covariance only


class PlainModel:
    """Gaussian process that learns from this search alone; `groups` (d,) share a length scale.

    The kernel is fitted again when the scores have grown by more than the factor `refit`.
    """

    def __init__(self, X: Array, groups: Rows, log_weight: float = 0.0, refit: float = 1.1) -> None:
        self.X = X
        self._groups = groups
        self._n_groups = int(groups.max()) + 1 if len(groups) else 0
        self._log_weight = log_weight
        self._refit = refit
        self._theta = prior_moments(self._n_groups)[0]
        self._fitted_on = 0
        self._observed: tuple[Rows, Array, int] = (np.empty(0, np.intp), np.empty(0), 0)

    def extend(self, X: Array) -> None:
        """Append candidates."""
        self.X = np.concatenate([self.X, X])

    def observe(self, rows: Rows, y: Array, n_measured: int) -> None:
        """Replace scores y (m,), about standardised; the kernel learns from `n_measured` only."""
        self._observed = rows, y, n_measured
        # The evidence of a fitted kernel would be too large, so the mean of its prior is used.
        _, noise, Z = self._kernel(prior_moments(self._n_groups)[0], rows)
        K = matern(Z, Z)
        K.flat[:: len(rows) + 1] += noise + 1e-6
        kriging = krige(K, np.zeros((1, len(rows))), y, np.ones(1))
        self.log_weight = self._log_weight + kriging.evidence

    def predict(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of all candidates' scores, each of shape (n,)."""
        rows, y, n_measured = self._observed
        if n_measured > self._refit * self._fitted_on:
            D = group_distances(self.X[rows[:n_measured]], self._groups, self._n_groups)
            self._theta = fit_kernel([D], [y[:n_measured]], self._theta, max_iter=15)
            self._fitted_on = n_measured
        amplitude, noise, Z = self._kernel(self._theta, slice(None))
        cross = amplitude * matern(Z[rows], Z)
        K = cross[:, rows]
        K.flat[:: len(rows) + 1] += noise + 1e-6
        L = cholesky(K)
        V = solve_lower(L, cross)
        variance = np.maximum(amplitude - (V * V).sum(0), 1e-12)
        return V.T @ solve_lower(L, y), np.sqrt(variance)

    def _kernel(self, theta: Array, rows: Rows | slice) -> tuple[float, float, Array]:
        amplitude, noise = np.exp(theta[self._n_groups :])
        scales = np.exp(theta[: self._n_groups])
        return float(amplitude), float(noise), scale_columns(self.X[rows], self._groups, scales)


class LearnedModels:
    """Gaussian processes with means and covariance of past tasks' surfaces (n_tasks, n).

    There are two models for each of the `remainders`: one with the mean and the covariance of the
    past tasks, and one with a constant mean and their second moment, which stays the same if good
    and bad candidates are exchanged. `pooled_weights` are those in the covariance, since that of
    few similar tasks is poor.
    """

    def __init__(
        self,
        F: Array,
        Z: Array,
        task_weights: Array,
        pooled_weights: Array,
        remainders: Sequence[float],
        noise: float,
    ) -> None:
        self._moments = _moments(F)
        self._floored_moments = _moments(np.maximum(F, _FLOOR))
        self._w, self._p = task_weights, pooled_weights
        self._remainders, self._noise = remainders, noise
        self._pool = self._columns(F, Z)
        self._mean_variance = float((pooled_weights @ self._pool.F).var())

    @property
    def F(self) -> Array:
        """Standardised surfaces at the candidates, of shape (n_tasks, n)."""
        return self._pool.F

    @property
    def mean_task_correlation(self) -> float:
        """Mean correlation between the surfaces of two past tasks; 1 if there is only one task."""
        squared = float(self._p @ self._p)
        if squared > 1 - 1e-9:
            return 1.0
        return (self._mean_variance - squared) / (1 - squared)

    def extend(self, F: Array, Z: Array) -> None:
        """Append candidates."""
        pairs: Any = zip(self._pool, self._columns(F, Z), strict=True)
        self._pool = _Pool(*(np.concatenate(pair, axis=1) for pair in pairs))

    def observe(self, rows: Rows, y: Array) -> list["LearnedModel"]:
        """Return one model per kind and variance of the remainder, given scores (m,)."""
        pool, models = self._pool, []
        M = matern(pool.Z.T[rows], pool.Z.T)
        kinds = ((pool.U, pool.mu, 0.0), (pool.G, None, _LOG_WEIGHT_WITHOUT_MEAN))
        for deviations, mean, log_weight in kinds:
            X = deviations[:, rows].T @ deviations
            C = np.zeros((1, len(rows))) if mean is None else mean[:, rows].astype(np.float64)
            for t in self._remainders:
                K = (X[:, rows] + t * M[:, rows]).astype(np.float64)
                K.flat[:: len(rows) + 1] += self._noise
                kriging = krige(K, C, y, np.ones(1))
                models.append(
                    LearnedModel(log_weight + kriging.evidence, kriging, X, M, t, deviations, mean)
                )
        return models

    def agreement(self, rows: Rows, y: Array) -> Array:
        """Return the probability of each past task, if the new task is like one of them."""
        Z = self._pool.Z.T[rows]
        residual = 0.3 * matern(Z, Z) + 0.1 * np.eye(len(rows))
        return krige(residual, self.F[:, rows], y, self._w).shares

    def _columns(self, F: Array, Z: Array) -> "_Pool":
        """Return the notation's arrays at candidates; the first pool standardises surfaces."""
        (floored_mean, floored_scale), (mean, scale) = self._floored_moments, self._moments
        floored = (np.maximum(F, _FLOOR) - floored_mean) / floored_scale
        mu = self._w @ floored
        weights = np.sqrt(self._p)[:, None]
        # A single past task has no covariance.
        n_free = max(1 - float(self._p @ self._p), 1e-9)
        U = weights * (floored - mu) / np.sqrt(n_free)
        G = weights * ((F - mean) / scale)
        return _Pool(floored, *(values.astype(_PRECISION) for values in (mu[None], U, G, Z.T)))


class _Pool(NamedTuple):
    """Surfaces and encodings of the candidates, one in each column."""

    F: Array
    mu: NDArray[np.float32]
    U: NDArray[np.float32]
    G: NDArray[np.float32]
    Z: NDArray[np.float32]


@dataclass(frozen=True)
class LearnedModel:
    """A Gaussian process that learned from past tasks, given observations."""

    log_weight: float
    kriging: Kriging
    X: NDArray[Any]  # covariance (m, n) of observations and candidates
    M: NDArray[Any]  # their correlation (m, n)
    remainder: float  # t^2
    deviations: NDArray[Any]  # U or G (T, n)
    mu: NDArray[Any] | None  # prior mean (1, n); None for 0

    def predict(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of all candidates' scores, each of shape (n,)."""
        variance = np.einsum("ij,ij->j", self.deviations, self.deviations) + self.remainder
        X = self.X + _PRECISION(self.remainder) * self.M
        mean, variance = self.kriging.predict(X, variance, self.mu)
        return mean, np.sqrt(variance)


Model = PlainModel | LearnedModel


def _moments(F: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each row; 1 as the deviation of a constant row."""
    scale = F.std(1, keepdims=True)
    return F.mean(1, keepdims=True), np.where(scale < 1e-9, 1.0, scale)
