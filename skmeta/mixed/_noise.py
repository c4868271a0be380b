"""How the noise and the scale of the effects differ between the tasks of a family of regressions.

Notation as in `_gaussian_evidence`, with k levels of log sigma and l scales. Given the mean m and
the covariance S of the coefficients, the likelihood of a task depends on the eigenvalues of L'AL,
with S = L L', and on few other numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from skmeta.mixed._gaussian_evidence import LOG_NOISE_BOUNDS, Effects
from skmeta.mixed._levels import noise_grid
from skmeta.mixed._newton import Evaluation, minimise
from skmeta.mixed._statistics import GroupStatistics

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


def estimate_noise(
    statistics: GroupStatistics, found: Effects, log_noise: float, log_spread: float
) -> tuple[float, float, np.ndarray]:
    """Estimate mean and spread of log sigma over tasks by marginal likelihood, given m and S.

    Returns
    -------
    log_noise, log_spread : float
        The estimates.
    ratio : np.ndarray of shape (G,)
        Expected precision of each task's noise, divided by that at the mean of log sigma.
    """
    parts = _principal_residuals(statistics, found).split(_TOGETHER)
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
        of_task = np.stack([weighted.sum(0), moves @ weighted])

        def curvature() -> np.ndarray:
            both = (p * (first**2 + second)).sum(1)
            bent = np.array([[both.sum(), moves @ both], [moves @ both, moves**2 @ both]])
            bent[1, 1] += of_task[1].sum()
            return np.asarray(of_task @ of_task.T - bent)

        return Evaluation(-float(logsumexp(value, axis=0).sum()), -of_task.sum(1), curvature)

    at = minimise(
        evaluate,
        np.array([log_noise, log_spread]),
        np.array([LOG_NOISE_BOUNDS, LOG_SPREAD_BOUNDS]),
        tolerance=_PRECISE,
    )
    ratio = np.exp(-2 * np.exp(at[1]) * nodes) @ at_levels(at)[1]
    return float(at[0]), float(at[1]), ratio


def estimate_scales(
    statistics: GroupStatistics, found: Effects, log_noise: float, log_spread: float
) -> float:
    """Estimate log tau by marginal likelihood, given m, S and the distribution of sigma."""
    parts = _principal_residuals(statistics, found).split(_TOGETHER)
    nodes, log_weight = noise_grid(_N_FINE_LEVELS)
    log_sigma = log_noise + np.exp(log_spread) * nodes
    each = [part.evidence_of_scales(log_sigma, log_weight) for part in parts]
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
        of_scale = []
        for square in np.exp(2 * _LOG_SCALES):
            value, product = known.copy(), np.ones_like(known)
            for k, (eigenvalue, shift) in enumerate(zip(self.eigenvalues, self.shift, strict=True)):
                share = variance / (variance + square * eigenvalue)
                value += share * ((0.5 * square) * shift / variance**2)
                product *= share
                if k % _FACTORS_PER_LOG == _FACTORS_PER_LOG - 1 or k == len(self.shift) - 1:
                    value += 0.5 * np.log(product)
                    product.fill(1.0)
            of_scale.append(logsumexp(value, axis=0))
        return np.stack(of_scale)


def _principal_residuals(statistics: GroupStatistics, found: Effects) -> _PrincipalResiduals:
    factor = found.factor
    if factor.shape[1] > len(factor):
        factor = np.linalg.cholesky(found.covariance)
    of_residuals = statistics.centred(found.mean)
    eigenvalues, vectors = np.linalg.eigh(factor.T @ statistics.gram @ factor)
    shift = (vectors.swapaxes(1, 2) @ (of_residuals.moment @ factor)[..., None])[..., 0] ** 2
    eigenvalues = np.ascontiguousarray(np.maximum(eigenvalues, 0.0).T)
    return _PrincipalResiduals(
        eigenvalues, np.ascontiguousarray(shift.T), of_residuals.square, statistics.n_rows
    )
