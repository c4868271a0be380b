"""Likelihoods of rows given their linear predictors, as values: one class for each.

Notation: n rows, j linear predictors eta (n, j), c classes. A new likelihood needs the logarithm of
its density with three derivatives, the mean of its targets, and where the intercepts start.

References: McCullagh and Nelder (1989), Generalized linear models; Lawless (1987), Negative
binomial and mixed Poisson regression; Christensen (2019), Cumulative link models for ordinal
regression with the R package ordinal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit, gammaln, ndtri

# Nodes of the quadrature of one linear predictor; pairs of draws of several, of predictions and of
# steps.
_N_NODES, _N_PAIRS, _N_STEP_PAIRS = 12, 64, 24
# Added to the variances of linear predictors, so that their covariance has a Cholesky factor.
_JITTER = 1e-9
# Linear predictors of counts are not above this one: exponentials would overflow.
_MAX_LOG_MEAN = 30.0
# Least curvature of the log likelihood of a class between two thresholds.
_MIN_CURVATURE = 1e-12


class Family(ABC):
    """A likelihood of targets y (n,) given linear predictors eta (n, j)."""

    # Whether its logarithm is quadratic in eta.
    is_quadratic: ClassVar[bool] = False

    @property
    def n_predictors(self) -> int:
        """Number of linear predictors."""
        return 1

    @property
    def parameters(self) -> np.ndarray:
        """Parameters beside the linear predictors, without bounds."""
        return np.zeros(0)

    def at(self, parameters: np.ndarray) -> Self:
        """Return the likelihood with other parameters."""
        return self

    @abstractmethod
    def log(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return log likelihoods (n,)."""

    @abstractmethod
    def start(self, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return intercepts (j,) to start from."""

    @abstractmethod
    def means(self, eta: np.ndarray) -> np.ndarray:
        """Return means (n,), or probabilities (n, c)."""

    @abstractmethod
    def score(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return derivatives (n, j) of the logarithm in eta."""

    @abstractmethod
    def curvature(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return minus its second derivatives (n, j, j)."""

    def third(self, y: np.ndarray, eta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return derivatives (n, j) in eta of the sums of the curvature times weights (n, j, j)."""
        return np.zeros(eta.shape)  # of a quadratic logarithm

    def averaged(self, eta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return means over normal linear predictors, given covariances (n, j, j)."""
        drawn = _drawn(eta, covariance, _N_PAIRS)
        return np.asarray(sum(weight * self.means(one) for weight, one in drawn))

    def averages(
        self, y: np.ndarray, eta: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and curvatures, averaged over normal linear predictors."""
        score, curvature = np.zeros(eta.shape), np.zeros(covariance.shape)
        for weight, one in _drawn(eta, covariance, _N_STEP_PAIRS):
            score += weight * self.score(y, one)
            curvature += weight * self.curvature(y, one)
        return score, curvature


def _drawn(
    eta: np.ndarray, covariance: np.ndarray, n_pairs: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield weights, and normal linear predictors (n, j) of this mean and covariance (n, j, j)."""
    root = np.linalg.cholesky(covariance + _JITTER * np.eye(eta.shape[1]))
    for node, weight in zip(*normal_nodes(eta.shape[1], n_pairs), strict=True):
        yield float(weight), eta + root @ node


@lru_cache
def normal_nodes(j: int, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes (d, j) of a standard normal distribution, and their weights (d,).

    Several predictors are filled evenly, by the powers of the root of x^(j + 1) = x + 1.
    """
    if j == 1:
        nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
        return nodes[:, None], weights / weights.sum()
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (j + 1))
    steps = root ** -np.arange(1, j + 1)
    draws = ndtri((0.5 + np.arange(1, n_pairs + 1)[:, None] * steps) % 1)
    return np.concatenate([draws, -draws]), np.full(2 * n_pairs, 0.5 / n_pairs)


@dataclass(frozen=True)
class Normal(Family):
    """Targets with normal noise of standard deviation ``noise``."""

    noise: float = 0.7
    is_quadratic: ClassVar[bool] = True

    @property
    def parameters(self) -> np.ndarray:
        """The logarithm of the noise."""
        return np.log([self.noise])

    def at(self, parameters: np.ndarray) -> Self:
        """Return the likelihood with other noise."""
        return replace(self, noise=float(np.exp(parameters[0])))

    def log(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return log likelihoods (n,), up to a constant."""
        return np.asarray(-0.5 * ((y - eta[:, 0]) / self.noise) ** 2 - np.log(self.noise))

    def start(self, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return 0: targets are standardised."""
        return np.zeros(1)

    def means(self, eta: np.ndarray) -> np.ndarray:
        """Return eta."""
        return np.asarray(eta[:, 0])

    def score(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return derivatives of the logarithm."""
        return np.asarray((y[:, None] - eta) / self.noise**2)

    def curvature(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return minus its second derivatives."""
        return np.full((len(y), 1, 1), self.noise**-2)


@dataclass(frozen=True)
class Classes(Family):
    """Class positions. Two classes share one linear predictor, the logit of the second."""

    n_classes: int

    @property
    def n_predictors(self) -> int:
        """J: 1 for two classes, else one for each."""
        return 1 if self.n_classes <= 2 else self.n_classes

    def means(self, eta: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c)."""
        if eta.shape[1] == 1:
            second = expit(eta)
            return np.hstack([1 - second, second])
        p = np.exp(eta - eta.max(1, keepdims=True))
        return np.asarray(p / p.sum(1, keepdims=True))

    def log(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return log likelihoods (n,)."""
        if eta.shape[1] == 1:
            return np.asarray(-np.logaddexp(0.0, (1 - 2 * y) * eta[:, 0]))
        top = eta.max(1)
        total = top + np.log(np.exp(eta - top[:, None]).sum(1))
        return np.asarray(eta[np.arange(len(y)), y] - total)

    def start(self, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return intercepts that give each class its share of the rows."""
        counts = np.bincount(y, w, self.n_classes) + 0.5
        share = np.log(counts / counts.sum())
        return np.asarray(share[1:] - share[0] if self.n_predictors == 1 else share - share.mean())

    def score(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return derivatives of the logarithm."""
        j = eta.shape[1]
        return np.asarray(np.eye(self.n_classes)[y][:, -j:] - self.means(eta)[:, -j:])

    def curvature(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return minus its second derivatives."""
        p = self.means(eta)[:, -eta.shape[1] :]
        return np.asarray(p[..., None] * np.eye(p.shape[1]) - p[..., None] * p[:, None])

    def third(self, y: np.ndarray, eta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return derivatives of weighted sums of the curvature."""
        p = self.means(eta)[:, -eta.shape[1] :]
        gap = np.diagonal(weights, axis1=1, axis2=2) - 2 * (weights @ p[..., None])[..., 0]
        return np.asarray(p * (gap - (p * gap).sum(1, keepdims=True)))


class _Counts(Family):
    """Counts with a logarithmic link."""

    def start(self, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the logarithm of the mean."""
        return np.log([max(float(np.average(y, weights=w)), 0.1 / len(y))])

    def means(self, eta: np.ndarray) -> np.ndarray:
        """Return exponentials."""
        return np.asarray(np.exp(np.minimum(eta[:, 0], _MAX_LOG_MEAN)))

    def averaged(self, eta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return means over normal linear predictors: those of a lognormal distribution."""
        return self.means(eta + 0.5 * covariance[:, :, 0])


@dataclass(frozen=True)
class Poisson(_Counts):
    """Poisson counts; the linear predictor is the logarithm of the mean."""

    def log(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return log likelihoods (n,)."""
        return np.asarray(y * eta[:, 0] - self.means(eta) - gammaln(y + 1))

    def score(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return derivatives of the logarithm."""
        return np.asarray(y - self.means(eta))[:, None]

    def curvature(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return minus its second derivatives."""
        return np.asarray(self.means(eta)[:, None, None])

    def third(self, y: np.ndarray, eta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return derivatives of weighted sums of the curvature."""
        return np.asarray(self.means(eta)[:, None] * weights[:, 0])


@dataclass(frozen=True)
class NegativeBinomial(_Counts):
    """Negative-binomial counts with variance mu + mu^2 / size (Lawless, 1987)."""

    size: float = 1.0

    @property
    def parameters(self) -> np.ndarray:
        """The logarithm of the size."""
        return np.log([self.size])

    def at(self, parameters: np.ndarray) -> Self:
        """Return the likelihood with another size."""
        return replace(self, size=float(np.exp(np.clip(parameters[0], -12.0, 12.0))))

    def _shares(self, eta: np.ndarray) -> np.ndarray:
        mean = self.means(eta)
        return np.asarray(mean / (mean + self.size))

    def log(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return log likelihoods (n,)."""
        size, mean = self.size, self.means(eta)
        constant = gammaln(y + size) - gammaln(size) - gammaln(y + 1)
        # log(size / (mean + size)) without cancellation for large sizes.
        ratio = np.log1p(mean / size)
        log_mean = np.minimum(eta[:, 0], _MAX_LOG_MEAN)
        return np.asarray(constant + y * (log_mean - np.log(size) - ratio) - size * ratio)

    def score(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return derivatives of the logarithm."""
        return np.asarray(y - (y + self.size) * self._shares(eta))[:, None]

    def curvature(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return minus its second derivatives."""
        share = self._shares(eta)
        return np.asarray((y + self.size) * share * (1 - share))[:, None, None]

    def third(self, y: np.ndarray, eta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return derivatives of weighted sums of the curvature."""
        share = self._shares(eta)
        change = (y + self.size) * share * (1 - share) * (1 - 2 * share)
        return np.asarray(change[:, None] * weights[:, 0])


@dataclass(frozen=True)
class Ordered(Family):
    """Ordered classes by a cumulative logit: P(y <= k) = expit(t_k - eta), with t_0 = 0."""

    gaps: tuple[float, ...]  # logarithms of the differences of further thresholds

    @classmethod
    def of(cls, y: np.ndarray, n_classes: int) -> Self:
        """Return the likelihood with the thresholds of targets without columns."""
        counts = np.bincount(y, minlength=n_classes) + 0.5
        below = np.cumsum(counts)[:-1] / counts.sum()
        thresholds = np.log(below / (1 - below))
        return cls(tuple(np.log(np.diff(thresholds)).tolist()))

    @property
    def thresholds(self) -> np.ndarray:
        """Thresholds (c - 1,) of which the first one is 0."""
        return np.append(0.0, np.cumsum(np.exp(self.gaps)))

    @property
    def parameters(self) -> np.ndarray:
        """Logarithms of the differences of the thresholds."""
        return np.array(self.gaps)

    def at(self, parameters: np.ndarray) -> Self:
        """Return the likelihood with other thresholds."""
        return replace(self, gaps=tuple(np.clip(parameters, -12.0, 6.0).tolist()))

    def means(self, eta: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c)."""
        below = expit(self.thresholds - eta)
        ends = np.zeros((len(eta), 1)), np.ones((len(eta), 1))
        return np.asarray(np.diff(np.hstack([ends[0], below, ends[1]]), axis=1))

    def _ends(self, y: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities (n,) to be below the lower threshold, and the upper one."""
        ends = np.concatenate([[-np.inf], self.thresholds, [np.inf]])
        return expit(ends[y] - eta[:, 0]), expit(ends[y + 1] - eta[:, 0])

    def log(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return log likelihoods (n,)."""
        ends = np.concatenate([[-np.inf], self.thresholds, [np.inf]])
        low, high = ends[y] - eta[:, 0], ends[y + 1] - eta[:, 0]
        # expit(high) - expit(low) in the tail where both are small.
        is_up = low > 0
        below = np.where(is_up, expit(-low), expit(high))
        above = np.where(is_up, expit(-high), expit(low))
        return np.asarray(np.log(np.maximum(below - above, 1e-300)))

    def start(self, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the intercept that gives the first class its share."""
        share = (w[y == 0].sum() + 0.5) / (w.sum() + 1.0)
        return np.array([np.log((1 - share) / share)])

    def score(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return derivatives of the logarithm."""
        low, high = self._ends(y, eta)
        return np.asarray(low + high - 1)[:, None]

    def curvature(self, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return minus its second derivatives."""
        low, high = self._ends(y, eta)
        curvature = low * (1 - low) + high * (1 - high)
        return np.asarray(np.maximum(curvature, _MIN_CURVATURE))[:, None, None]

    def third(self, y: np.ndarray, eta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return derivatives of weighted sums of the curvature."""
        low, high = self._ends(y, eta)
        change = -low * (1 - low) * (1 - 2 * low) - high * (1 - high) * (1 - 2 * high)
        return np.asarray(change[:, None] * weights[:, 0])
