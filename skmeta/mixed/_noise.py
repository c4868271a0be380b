"""How the noise sigma and the scale s of the effects differ between the tasks of a family.

Their logarithms are normal over tasks, on even grids.

Notation as in `_gaussian_evidence`, with k levels of log sigma and l scales. Given the mean m and
the covariance S of the coefficients, the likelihood of a task depends on the eigenvalues of L'AL,
with S = L L', and on few other numbers.

Reference: West (1987), On scale mixtures of normal distributions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from skmeta.mixed._gaussian_evidence import LOG_NOISE_BOUNDS, Effects
from skmeta.mixed._newton import Evaluation, minimise
from skmeta.mixed._statistics import GroupStatistics

N_NOISE_LEVELS, N_SCALES = 13, 7
_FURTHEST_LEVEL, FURTHEST_SCALE = 3.0, 2.5
LOG_SPREAD_BOUNDS = (-6.0, 0.5)
LOG_SCALE_SPREAD_BOUNDS = (-3.0, 0.0)
# Decrease of minus the log likelihood that ends the optimisation.
_PRECISE = 1e-5
# Grid that estimates the spread of the noise. It is fine, because many rows determine the noise
# of a task well.
_N_FINE_LEVELS = 61
# Grid of log s that estimates its spread.
_LOG_SCALES = np.linspace(-2.4, 2.4, 25)
# Tasks computed together, and factors of a product whose logarithm is taken.
_TOGETHER, _FACTORS_PER_LOG = 512, 8


@lru_cache
def noise_grid(n_levels: int = N_NOISE_LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Return an even grid over a standard normal distribution, and log probabilities, (k,)."""
    nodes = np.linspace(-_FURTHEST_LEVEL, _FURTHEST_LEVEL, n_levels)
    return nodes, log_softmax(-0.5 * nodes**2)


def noise_levels(
    log_noise: float, log_spread: float | None, n_levels: int = N_NOISE_LEVELS
) -> tuple[np.ndarray, np.ndarray]:
    """Return standard deviations of the noise and their log probabilities, (k,).

    Parameters
    ----------
    log_noise : float
        Mean over groups of log sigma.
    log_spread : float or None
        Logarithm of the standard deviation of log sigma over groups; None for the same noise in
        all groups, a single level.
    n_levels : int
        k.
    """
    if log_spread is None:
        return np.exp([log_noise]), np.zeros(1)
    nodes, log_weight = noise_grid(n_levels)
    return np.exp(log_noise + np.exp(log_spread) * nodes), log_weight


def effect_scales(
    log_spread: float | None, n_scales: int = N_SCALES
) -> tuple[np.ndarray, np.ndarray]:
    """Return scales of the effects and their log probabilities, (l,).

    Parameters
    ----------
    log_spread : float or None
        Logarithm of the standard deviation of log s over groups; None for the same scale, 1.
    n_scales : int
        l.
    """
    if log_spread is None:
        return np.ones(1), np.zeros(1)
    nodes = np.linspace(-FURTHEST_SCALE, FURTHEST_SCALE, n_scales)
    return np.exp(np.exp(log_spread) * nodes), log_softmax(-0.5 * nodes**2)


def estimate_noise(
    statistics: GroupStatistics, effects: Effects, log_noise: float, log_spread: float
) -> tuple[float, float, np.ndarray]:
    """Estimate mean and spread of log sigma over tasks by marginal likelihood, given m and S.

    Returns
    -------
    log_noise, log_spread : float
        The estimates.
    ratio : np.ndarray of shape (G,)
        Expected precision of each task's noise, divided by that at the mean of log sigma.
    """
    parts = _principal_residuals(statistics, effects).split(_TOGETHER)
    nodes, log_weight = noise_grid(_N_FINE_LEVELS)

    def at_levels(at: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return log p (k, G) of levels and rows, and the derivatives in log sigma."""
        log_sigma = at[0] + np.exp(at[1]) * nodes
        each = [part.log_likelihood(log_sigma) for part in parts]
        value, first, second = (np.concatenate(of, 1) for of in zip(*each, strict=True))
        value += log_weight[:, None]
        return value, softmax(value, axis=0), first, second

    def evaluate(at: np.ndarray) -> Evaluation:
        value, p, first, second = at_levels(at)
        # Derivatives of log sigma of a level in the two parameters: 1, and moves.
        moves = np.exp(at[1]) * nodes
        weighted = p * first
        task_gradient = np.stack([weighted.sum(0), moves @ weighted])

        def curvature() -> np.ndarray:
            both = (p * (first**2 + second)).sum(1)
            bent = np.array([[both.sum(), moves @ both], [moves @ both, moves**2 @ both]])
            bent[1, 1] += task_gradient[1].sum()
            return np.asarray(task_gradient @ task_gradient.T - bent)

        return Evaluation(-float(logsumexp(value, axis=0).sum()), -task_gradient.sum(1), curvature)

    at = minimise(
        evaluate,
        np.array([log_noise, log_spread]),
        np.array([LOG_NOISE_BOUNDS, LOG_SPREAD_BOUNDS]),
        tolerance=_PRECISE,
    )
    ratio = np.exp(-2 * np.exp(at[1]) * nodes) @ at_levels(at)[1]
    return float(at[0]), float(at[1]), ratio


def expected_ratio(
    statistics: GroupStatistics, effects: Effects, log_noise: float, log_spread: float
) -> np.ndarray:
    """Return the ratio (G,) of :func:`estimate_noise` for a known distribution of sigma."""
    noise, log_weight = noise_levels(log_noise, log_spread, _N_FINE_LEVELS)
    parts = _principal_residuals(statistics, effects).split(_TOGETHER)
    value = np.concatenate([part.log_likelihood(np.log(noise))[0] for part in parts], 1)
    return np.asarray(np.exp(2 * log_noise) / noise**2 @ softmax(value + log_weight[:, None], 0))


def estimate_scales(
    statistics: GroupStatistics, effects: Effects, log_noise: float, log_spread: float | None
) -> float:
    """Estimate log tau by marginal likelihood, given m, S and the distribution of sigma."""
    parts = _principal_residuals(statistics, effects).split(_TOGETHER)
    noise, log_weight = noise_levels(log_noise, log_spread, _N_FINE_LEVELS)
    each = [part.evidence_of_scales(np.log(noise), log_weight) for part in parts]
    evidence = np.concatenate(each, 1)

    def risk(log_tau: float) -> float:
        log_share = log_softmax(-0.5 * (_LOG_SCALES / np.exp(log_tau)) ** 2)
        return -float(logsumexp(log_share[:, None] + evidence, axis=0).sum())

    return float(minimize_scalar(risk, bounds=LOG_SCALE_SPREAD_BOUNDS, method="bounded").x)


class _PrincipalResiduals(NamedTuple):
    """What the likelihood of the noise and of the scale of each task depends on.

    Attributes
    ----------
    eigenvalues : np.ndarray of shape (k, G)
        Eigenvalues of L' A L, with L L' = S and k columns of L.
    shift : np.ndarray of shape (k, G)
        Squares of L' (b - A m) in the basis of the eigenvectors.
    misfit : np.ndarray of shape (G,)
        Squared distance of the targets to Z m.
    n_rows : np.ndarray of shape (G,)
        Numbers of rows.
    """

    eigenvalues: np.ndarray
    shift: np.ndarray
    misfit: np.ndarray
    n_rows: np.ndarray

    def split(self, n_tasks: int) -> list[_PrincipalResiduals]:
        """Divide into parts of so many tasks, whose arrays fit into the cache of a processor."""
        starts = range(0, len(self.n_rows), n_tasks)
        return [_PrincipalResiduals(*(v[..., k : k + n_tasks] for v in self)) for k in starts]

    def log_likelihood(self, log_sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the log likelihood of levels (k,) of log sigma, and two derivatives, (k, G)."""
        log_sigma = log_sigma[:, None]
        variance = np.exp(2 * log_sigma)
        squares = self.misfit / variance
        value = -self.n_rows * log_sigma - 0.5 * squares
        first, second = squares - self.n_rows, -2 * squares
        product = np.ones_like(value)
        for k, (eigenvalue, shift) in enumerate(zip(self.eigenvalues, self.shift, strict=True)):
            share = variance / (variance + eigenvalue)
            fit = share * (shift / variance**2)
            value += 0.5 * fit
            rest = 1 - share
            first += rest - fit * (1 + share)
            second += fit * (2 + 2 * share + 4 * share**2) - 2 * share * rest
            product *= share
            # Logarithms are slow, and a product of many shares could underflow.
            if k % _FACTORS_PER_LOG == _FACTORS_PER_LOG - 1 or k == len(self.shift) - 1:
                value += 0.5 * np.log(product)
                product.fill(1.0)
        return value, first, second

    def evidence_of_scales(self, log_sigma: np.ndarray, log_weight: np.ndarray) -> np.ndarray:
        """Return the log likelihood (l, G) of the grid of scales, with the noise summed out."""
        variance = np.exp(2 * log_sigma)[:, None]
        known = log_weight[:, None] - self.n_rows * log_sigma[:, None]
        known -= 0.5 * self.misfit / variance
        scale_values = []
        for square in np.exp(2 * _LOG_SCALES):
            value, product = known.copy(), np.ones_like(known)
            for k, (eigenvalue, shift) in enumerate(zip(self.eigenvalues, self.shift, strict=True)):
                share = variance / (variance + square * eigenvalue)
                value += share * ((0.5 * square) * shift / variance**2)
                product *= share
                if k % _FACTORS_PER_LOG == _FACTORS_PER_LOG - 1 or k == len(self.shift) - 1:
                    value += 0.5 * np.log(product)
                    product.fill(1.0)
            scale_values.append(logsumexp(value, axis=0))
        return np.stack(scale_values)


def _principal_residuals(statistics: GroupStatistics, effects: Effects) -> _PrincipalResiduals:
    factor = effects.factor
    if factor.shape[1] > len(factor):
        factor = np.linalg.cholesky(effects.covariance)
    residuals = statistics.centred(effects.mean)
    eigenvalues, vectors = np.linalg.eigh(factor.T @ statistics.gram @ factor)
    shift = (vectors.swapaxes(1, 2) @ (residuals.moment @ factor)[..., None])[..., 0] ** 2
    eigenvalues = np.ascontiguousarray(np.maximum(eigenvalues, 0.0).T)
    return _PrincipalResiduals(
        eigenvalues, np.ascontiguousarray(shift.T), residuals.square, statistics.n_rows
    )
