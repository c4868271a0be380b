"""The models of a search strategy: several learned from past tasks, and one without history.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
F       (T, n)           surfaces of T past tasks at n candidates, low values raised to a floor
w       (T,)             probabilities of the past tasks to be like the new one, with sum 1
p       (T,)             weights of the past tasks in the covariance, with sum 1
mu      (n,)             their mean, with weights w
U       (T, n)           sqrt(p_t / (1 - sum p^2)) (F_t - mu): U' U is their covariance
G       (T, n)           sqrt(p_t) F_t without the floor: G' G is their second moment
C       (T, n)           prior means of the new task: the past surfaces, shrunken towards mu
M       (n, n)           Matern 5/2 correlation of the candidates
t^2     scalar           variance of what past tasks do not explain, the remainder
e^2     scalar           variance of the noise
y       (m,)             observed scores
======  ===============  ====================================================================

Each model observes scores, has an evidence, and predicts all candidates on demand. A model with
negligible evidence makes no predictions, which saves most of the time of a suggestion.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta.search.surrogate._gp import (
    KernelPrior,
    fit_kernel,
    group_distances,
    matern,
    posterior,
    scale_columns,
)
from skmeta.search.surrogate._kriging import (
    Factor,
    GrowingColumns,
    Kriging,
    WhitenedCandidates,
    krige,
)

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Index = Sequence[int] | slice

# Type of arrays with a column per candidate. Twice as many digits take twice as long to read.
_PRECISION = np.float32

# Chosen on the development half of benchmarks/search_tables.py.
_FLOOR = 0.0  # smallest value of past surfaces, in standard deviations from their mean
_BANDWIDTH = 0.3  # share of the past tasks' covariance that each component of the mixture has
_LOG_WEIGHT_WITHOUT_MEAN = -2.0  # log prior weight of the models that use the covariance only


class PlainModel:
    """Gaussian process that learns from the observations of this search alone.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Candidates, encoded.
    groups : ndarray of shape (d,)
        Columns that share a length scale.
    log_weight : float, default=0.0
        Log prior weight.
    prior : KernelPrior, default=None
        Prior distribution of the kernel's hyperparameters.
    refit : float, default=1.1
        The kernel is fitted again when the number of scores has grown by more than this factor.
    """

    def __init__(
        self,
        X: Array,
        groups: Rows,
        log_weight: float = 0.0,
        prior: KernelPrior | None = None,
        refit: float = 1.1,
    ) -> None:
        self._X = GrowingColumns(X.T)
        self._groups = groups
        self._n_groups = int(groups.max()) + 1 if len(groups) else 0
        self._log_weight = log_weight
        self._prior = KernelPrior() if prior is None else prior
        self._refit = refit
        self._theta = self._prior.moments(self._n_groups)[0]
        self._fitted_on = 0
        self._observed: tuple[Rows, Array, int] = (np.empty(0, np.intp), np.empty(0), 0)

    @property
    def X(self) -> Array:
        """Candidates, encoded, of shape (n, d)."""
        return self._X.values.T

    def extend(self, X: Array) -> None:
        """Append candidates."""
        self._X.append(X.T)

    def observe(self, rows: Rows, y: Array, n_measured: int) -> None:
        """Replace the observations.

        Parameters
        ----------
        rows : ndarray of shape (m,)
            Positions of the candidates.
        y : ndarray of shape (m,)
            Their scores, approximately standardised.
        n_measured : int
            Number of measured scores, which come first. The others are expected scores of
            pending candidates, and the kernel does not learn from them.
        """
        self._observed = rows, y, n_measured
        # The evidence of a fitted kernel would be too large, so the mean of its prior is used.
        _, noise, Z = self._kernel(self._prior.moments(self._n_groups)[0], rows)
        K = matern(Z, Z) + (noise + 1e-6) * np.eye(len(rows))
        [kriging] = krige(Factor.of(K, np.zeros((1, len(rows)))), y, np.ones(1))
        self.log_weight = self._log_weight + kriging.evidence

    def predict(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of all candidates' scores, each of shape (n,)."""
        rows, y, n_measured = self._observed
        if n_measured > self._refit * self._fitted_on:
            D = group_distances(self.X[rows[:n_measured]], self._groups, self._n_groups)
            self._theta = fit_kernel([D], [y[:n_measured]], self._prior, self._theta, max_iter=15)
            self._fitted_on = n_measured
        amplitude, noise, Z = self._kernel(self._theta, slice(None))
        cross = amplitude * matern(Z[rows], Z)
        K = cross[:, rows] + (noise + 1e-6) * np.eye(len(rows))
        mean, variance, _ = posterior(K, cross, np.full(len(Z), amplitude), y)
        return mean, np.sqrt(variance)

    def forget(self) -> None:
        """Do nothing: this model keeps no large arrays."""

    def _kernel(self, theta: Array, rows: Rows | slice) -> tuple[float, float, Array]:
        amplitude, noise = np.exp(theta[self._n_groups :])
        scales = np.exp(theta[: self._n_groups])
        return float(amplitude), float(noise), scale_columns(self.X[rows], self._groups, scales)


class LearnedModels:
    """Gaussian processes whose means and covariance are those of past tasks' surfaces.

    There are two models for each variance of the remainder. The first is a mixture, as in a
    kernel density estimate: each component has the surface of one past task as its mean, and a
    share of the past tasks' covariance. The surfaces are shrunken towards their mean, so that
    mean and covariance of the mixture are those of the past tasks (West, 1993). The second model
    has a constant mean and the covariance of the past tasks only, which stay the same if good and
    bad candidates are exchanged.

    Parameters
    ----------
    F : ndarray of shape (n_tasks, n)
        Surfaces of the past tasks at the candidates.
    Z : ndarray of shape (n, d)
        Candidates, encoded and divided by the length scales.
    task_weights : ndarray of shape (n_tasks,)
        Probability of each past task to be like the new one.
    pooled_weights : ndarray of shape (n_tasks,)
        Weights of the past tasks in the covariance, since few similar ones have a poor one.
    remainders : sequence of float
        Variances that past tasks do not explain.
    noise : float
        Variance of the noise.

    References
    ----------
    M. West (1993), "Approximating posterior distributions by mixtures", Journal of the Royal
    Statistical Society, Series B, 55(2).
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
        self._w = task_weights
        # A single past task has no covariance.
        self._weights = np.sqrt(pooled_weights)[:, None]
        self._n_free = max(1 - float(pooled_weights @ pooled_weights), 1e-9)
        floored, *columns = self._columns(F)
        self._F = GrowingColumns(floored)
        self._Z = GrowingColumns(Z.T.astype(_PRECISION))
        C, U, G = (GrowingColumns(values.astype(_PRECISION)) for values in columns)
        self._shared = [_Shared(f) for f in (_second_moment(U), _second_moment(G), self._matern)]
        deviation_covariance, second_moment, correlation = self._shared
        self._p = pooled_weights
        self._mean_variance = float((pooled_weights @ floored).var())
        no_mean = np.ones(1)
        with_mean = _Past(U, deviation_covariance, C, correlation)
        without = _Past(G, second_moment, None, correlation)
        self._groups = [
            _Group(with_mean, remainders, noise, task_weights, 0.0),
            _Group(without, remainders, noise, no_mean, _LOG_WEIGHT_WITHOUT_MEAN),
        ]
        self._growing = (self._F, C, U, G)
        self._order = _Order()

    @property
    def F(self) -> Array:
        """Standardised surfaces at the candidates, of shape (n_tasks, n)."""
        return self._F.values

    @property
    def mean_task_correlation(self) -> float:
        """Mean correlation between the surfaces of two past tasks; 1 if there is only one task."""
        squared = float(self._p @ self._p)
        if squared > 1 - 1e-9:
            return 1.0
        return (self._mean_variance - squared) / (1 - squared)

    def extend(self, F: Array, Z: Array) -> None:
        """Append candidates."""
        for growing, columns in zip(self._growing, self._columns(F), strict=True):
            growing.append(columns)
        self._Z.append(Z.T)
        for shared in self._shared:
            shared.clear()

    def observe(self, rows: Rows, y: Array) -> list["_Component"]:
        """Replace the observations.

        Parameters
        ----------
        rows : ndarray of shape (m,)
            Positions of the candidates.
        y : ndarray of shape (m,)
            Their scores, approximately standardised.

        Returns
        -------
        list of _Component
            One per variance of the remainder and kind of model.
        """
        if not self._order.update(rows, y):
            for group in self._groups:
                group.restart()
        for group in self._groups:
            group.observe(self._order.rows, self._order.y)
        return [component for group in self._groups for component in group.components]

    def agreement(self, rows: Rows, y: Array) -> Array:
        """Return the probability of each past task, if the new task is like one of them."""
        Z = self._Z.values.T[rows]
        residual = 0.3 * matern(Z, Z) + 0.1 * np.eye(len(rows))
        [kriging] = krige(Factor.of(residual, self.F[:, rows]), y, self._w)
        return np.asarray(kriging.shares)

    def _matern(self, rows: Index, columns: Index) -> Array:
        Z = self._Z.values.T
        return np.asarray(matern(Z[rows], Z[columns]))

    def _columns(self, F: Array) -> tuple[Array, Array, Array, Array]:
        """Return F with the floor, C, U and G.

        Surfaces have mean 0 and standard deviation 1 over the first pool.
        """
        (floored_mean, floored_scale), (mean, scale) = self._floored_moments, self._moments
        floored = (np.maximum(F, _FLOOR) - floored_mean) / floored_scale
        mu = self._w @ floored
        deviations = floored - mu
        C = mu + np.sqrt(1 - _BANDWIDTH) * deviations
        U = self._weights * deviations * np.sqrt(_BANDWIDTH / self._n_free)
        return floored, C, U, self._weights * ((F - mean) / scale)


class _Order:
    """Observations in the order in which they became known, since factors grow in that order.

    Attributes
    ----------
    rows : list of int
        Positions of the candidates.
    y : ndarray of shape (m,)
        Their scores.
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.y: Array = np.empty(0)

    def update(self, rows: Rows, y: Array) -> bool:
        """Replace the observations; return whether all that were known before are among them."""
        known = dict(zip(rows.tolist(), y, strict=True))
        grows = known.keys() >= set(self.rows)
        if not grows:
            self.rows = []
        seen = set(self.rows)
        self.rows += [row for row in known if row not in seen]
        self.y = np.array([known[row] for row in self.rows])
        return grows


class _Shared:
    """A function of two sets of candidates, cached because several components call it."""

    def __init__(self, between: Callable[[Index, Index], Array]) -> None:
        self._between = between
        self._found: dict[Any, Array] = {}

    def __call__(self, rows: Sequence[int], columns: Index) -> Array:
        """Return the values of the function, of shape (n_rows, n_columns)."""
        same = (columns.start, columns.stop) if isinstance(columns, slice) else tuple(columns)
        key = isinstance(columns, slice), tuple(rows), same
        if key not in self._found:
            self._found[key] = self._between(rows, columns)
        return self._found[key]

    def clear(self) -> None:
        """Empty the cache."""
        self._found.clear()


class _Past(NamedTuple):
    """What Gaussian processes know from past tasks, but for the variance t^2 of the remainder.

    Attributes
    ----------
    U : GrowingColumns
        Deviations of the past surfaces at the candidates.
    covariance : _Shared
        U' U of two sets of candidates.
    C : GrowingColumns or None
        Prior means at the candidates; None is a mean of 0.
    correlation : _Shared
        M of two sets of candidates.
    """

    U: GrowingColumns
    covariance: _Shared
    C: GrowingColumns | None
    correlation: _Shared


class _Group:
    """Gaussian processes of `LearnedModels` with covariance U' U + t^2 M, one for each t^2.

    They have the same prior means and the same observations.
    """

    def __init__(
        self,
        past: _Past,
        remainders: Sequence[float],
        noise: float,
        p: Array,
        log_weight: float,
    ) -> None:
        self._past = past
        self._remainders = np.array(remainders)
        self._noise = noise
        self._p = p
        self._log_weight = log_weight
        self.components = [_Component(past, t) for t in remainders]
        self.restart()

    def restart(self) -> None:
        """Forget all observations."""
        self._factor = Factor(len(self._p), len(self.components))
        for component in self.components:
            component.forget()

    def observe(self, rows: list[int], y: Array) -> None:
        """Replace the observations; `rows` begins with the rows of the previous call."""
        for m in range(len(self._factor), len(rows)):
            row, seen = rows[m], rows[: m + 1]
            correlation = self._past.correlation([row], seen)[0]
            remainder = self._remainders[:, None] * correlation
            covariance = self._past.covariance([row], seen)[0] + remainder
            means = np.zeros(1) if self._past.C is None else self._past.C.values[:, row]
            self._factor.append(covariance[:, :m], covariance[:, m] + self._noise, means)
        posteriors = krige(self._factor, y, self._p)
        parts = zip(self.components, posteriors, self._factor.L, self._factor.ones, strict=True)
        for component, kriging, L, ones in parts:
            component.observe(rows, kriging, L, ones)
            component.log_weight = self._log_weight + kriging.evidence


class _Component:
    """One Gaussian process of a group, which predicts."""

    log_weight: float
    _kriging: Kriging
    _variance: Array

    def __init__(self, past: _Past, remainder: float) -> None:
        self._past = past
        self._remainder = remainder
        self.forget()

    def observe(self, rows: list[int], kriging: Kriging, L: Array, ones: Array) -> None:
        """Replace the observations, their posterior and what is whitened by their covariance."""
        self._rows, self._kriging, self._L, self._ones = rows, kriging, L, ones

    def predict(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of all candidates' scores, each of shape (n,)."""
        U = self._past.U.values

        def cross(observed: slice, candidates: slice) -> Array:
            rows = self._rows[observed]
            remainder = self._remainder * self._past.correlation(rows, candidates)
            return np.asarray(self._past.covariance(rows, candidates) + remainder)

        self._candidates.update(self._L, self._ones, U.shape[1], cross)
        n_before = len(self._variance)
        if n_before < U.shape[1]:
            more = U[:, n_before:]
            self._variance = np.append(self._variance, (more * more).sum(0) + self._remainder)
        C = None if self._past.C is None else self._past.C.values
        mean, variance = self._kriging.predict(self._candidates, self._variance, C)
        return mean.astype(np.float64), np.sqrt(variance.astype(np.float64))

    def forget(self) -> None:
        """Free the arrays that only predictions need."""
        self._candidates = WhitenedCandidates(_PRECISION)
        self._variance = np.empty(0, _PRECISION)


Model = PlainModel | _Component


def _second_moment(U: GrowingColumns) -> Callable[[Index, Index], Array]:
    return lambda rows, columns: U.values[:, rows].T @ U.values[:, columns]


def _moments(F: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each row; 1 as the deviation of a constant row."""
    scale = F.std(1, keepdims=True)
    return F.mean(1, keepdims=True), np.where(scale < 1e-9, 1.0, scale)
