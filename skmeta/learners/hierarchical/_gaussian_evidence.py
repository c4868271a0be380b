"""The marginal likelihood of a linear mixed-effects model, and its derivatives.

Notation: G tasks, q coefficients. The sufficient statistics of a task's rows are A = Z'Z
(G, q, q), b = Z'y (G, q), c = y'y (G,) and n (G,). Coefficients of a task are drawn from N(m, S),
targets from N(Z b, sigma^2). V = Z S Z' + sigma^2 I is the covariance of a task's targets, L a
matrix with S = L L', and M = I + L'AL / sigma^2.

m is integrated out. Its prior is normal with variance tau^2 for slopes, and flat for the
intercept. With a flat prior for all, the marginal likelihood is the restricted likelihood (REML).

All is computed from the sufficient statistics, so the number of rows does not matter.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Bates, Maechler,
Bolker and Walker (2015), Fitting linear mixed-effects models using lme4, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._groups import GroupStatistics, group_statistics
from skmeta.learners.hierarchical._newton import Evaluation

LOG_NOISE_BOUNDS = (-9.0, 3.0)
LOG_RIDGE_BOUNDS = (-6.0, 4.0)
# Precision of a flat prior; positive, so that matrices with constant columns can be inverted.
_FLAT = 1e-5
# Relative addition to the diagonal of the information on m, against rounding errors.
_ROUNDING = 1e-10


def task_statistics(z: np.ndarray, y: np.ndarray, codes: np.ndarray) -> GroupStatistics:
    """Compute the sufficient statistics of the rows of each task.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.

    Returns
    -------
    GroupStatistics
        A, b, c and n.
    """
    of_z, of_y, of_tasks = (torch.from_numpy(values) for values in (z, y, codes))
    return group_statistics(of_z, of_y, None, of_tasks, int(codes.max()) + 1)


class Effects(NamedTuple):
    """Estimates at given parameters.

    Attributes
    ----------
    mean : Tensor of shape (q,)
        m.
    covariance : Tensor of shape (q, q)
        S.
    mean_covariance : Tensor of shape (q, q)
        Covariance of the estimate of m.
    effects : Tensor of shape (G, q)
        Effects of the tasks.
    factor : Tensor of shape (q, k)
        L.
    """

    mean: Tensor
    covariance: Tensor
    mean_covariance: Tensor
    effects: Tensor
    factor: Tensor


class _Parts(NamedTuple):
    """Quantities that the likelihood and its derivatives share."""

    factor: Tensor  # L (q, k)
    root: Tensor  # Cholesky factors of M (G, k, k)
    x_gram: Tensor  # X (G, k, q) of root X = L'A / sigma^2
    x_moment: Tensor  # (G, k, 1), the same of b
    weights: Tensor  # Z' V^-1 Z (G, q, q)
    precision: Tensor  # of the prior of m (q,)
    h_root: Tensor  # Cholesky factor (q, q) of the information on m
    mean: Tensor  # (q,)
    score: Tensor  # Z' V^-1 (y - Z m) (G, q)


class GaussianEvidence:
    """Marginal likelihood of all tasks as a function of the parameters.

    The parameters are those of the covariance, then the logarithms of sigma and of tau.

    Parameters
    ----------
    statistics : GroupStatistics
        Sufficient statistics of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    """

    def __init__(self, statistics: GroupStatistics, shape: CovarianceShape) -> None:
        self.statistics, self.shape = statistics, shape

    def evaluate(self, values: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        at, shape = torch.from_numpy(values), self.shape
        parts = self._parts(at)
        _, _, square, n_rows = self.statistics
        log_noise, n = at[shape.n_parameters], n_rows.sum()
        whole = parts.weights.sum(0)
        # y' C^-1 y, where C is the covariance of all targets, with that of m.
        quadratic = square.sum() * torch.exp(-2 * log_noise) - (parts.x_moment**2).sum()
        quadratic = quadratic - (parts.score.sum(0) + whole @ parts.mean) @ parts.mean
        log_dets = 2 * (_log_diagonal(parts.root).sum() + _log_diagonal(parts.h_root).sum())
        log_dets = log_dets - torch.log(parts.precision).sum()
        value = 0.5 * (2 * n * log_noise + log_dets + quadratic) + shape.penalty(at)

        inverse = torch.cholesky_inverse(parts.h_root)
        of_estimate = torch.einsum("gpq,gqr->pr", parts.weights @ inverse, parts.weights)
        of_covariance = 0.5 * (whole - of_estimate - parts.score.T @ parts.score)
        # Times tau^2: of the variances of the prior of m.
        of_prior = 0.5 * (1 - parts.precision * (torch.diagonal(inverse) + parts.mean**2))
        # C is homogeneous in its variances, which gives the derivative in sigma^2.
        of_noise = 0.5 * (n - quadratic) - of_prior.sum()
        of_noise = of_noise - ((parts.factor.T @ of_covariance).T * parts.factor).sum()
        of_ridge = of_prior[1:].sum() if shape.shrinkage else torch.zeros_like(of_noise)
        of_penalty, penalty_curvature = shape.penalty_derivatives(at)
        of_shape = shape.gradient(at, of_covariance[None]) + of_penalty
        gradient = torch.cat([of_shape, 2 * torch.stack([of_noise, of_ridge])])

        def curvature() -> np.ndarray:
            k = shape.n_parameters
            found = torch.zeros(len(at), len(at), dtype=at.dtype)
            weights, scores = parts.weights[:, None, :, None], parts.score[:, None]
            own, mixed = shape.curvature(at, weights, scores)
            # The mean moves with the parameters.
            half = torch.linalg.solve_triangular(parts.h_root, mixed, upper=False)
            found[:k, :k] = own - half.T @ half + torch.diag(penalty_curvature)
            found[:k, :k] += shape.parameter_curvature(at, of_covariance[None])
            # M^-1 L'A / sigma^2, and Z' V^-2 Z sigma^2 summed over the tasks.
            pulled = torch.linalg.solve_triangular(parts.root.mT, parts.x_gram, upper=True)
            twice = whole - torch.einsum("gpk,gkq->pq", parts.weights @ parts.factor, pulled)
            found[k, :k] = found[:k, k] = shape.gradient(at, twice[None])
            m_inverse = torch.cholesky_inverse(parts.root)
            n_free = n - parts.root.shape[0] * parts.root.shape[1] + (m_inverse**2).sum()
            found[k, k] = 2 * n_free + 2 * gradient[k]
            if shape.shrinkage:
                scale = parts.precision[1:].sqrt()
                determined = torch.eye(len(scale), dtype=at.dtype) - scale * (
                    scale[:, None] * inverse[1:, 1:]
                )
                found[k + 1, k + 1] = 2 * (determined**2).sum() + 2 * gradient[k + 1]
            return found.numpy()

        return Evaluation(float(value), gradient.numpy(), curvature)

    def estimates(self, values: np.ndarray) -> Effects:
        """Return the estimates at given parameters."""
        at = torch.from_numpy(values)
        parts = self._parts(at)
        inverse = torch.cholesky_inverse(parts.h_root)
        covariance = self.shape.covariance(at)[0]
        effects = parts.score @ parts.factor @ parts.factor.T
        return Effects(parts.mean, covariance, inverse, effects, parts.factor)

    def _parts(self, at: Tensor) -> _Parts:
        gram, moment, _, _ = self.statistics
        log_noise, log_ridge = at[self.shape.n_parameters :]
        variance = torch.exp(2 * log_noise)
        factor = self.shape.root(at)
        lg = factor.T @ gram / variance
        root = torch.linalg.cholesky(torch.eye(factor.shape[1], dtype=at.dtype) + lg @ factor)
        lb = (moment @ factor / variance)[..., None]
        both = torch.linalg.solve_triangular(root, torch.cat([lg, lb], -1), upper=False)
        x_gram, x_moment = both[..., :-1], both[..., -1:]
        weights = gram / variance - x_gram.mT @ x_gram
        right = moment / variance - (x_gram.mT @ x_moment)[..., 0]
        precision = self._precision(log_ridge)
        rounding = _ROUNDING * torch.diagonal(gram.sum(0)) / variance
        h_root = torch.linalg.cholesky(torch.diag(precision + rounding) + weights.sum(0))
        mean = torch.cholesky_solve(right.sum(0)[:, None], h_root)[:, 0]
        score = right - weights @ mean
        return _Parts(factor, root, x_gram, x_moment, weights, precision, h_root, mean, score)

    def _precision(self, log_ridge: Tensor) -> Tensor:
        """Return the precision (q,) of the prior of m."""
        precision = torch.full((len(self.shape.varies),), _FLAT, dtype=log_ridge.dtype)
        if self.shape.shrinkage:
            precision[1:] = torch.exp(-2 * log_ridge)
        return precision


def _log_diagonal(root: Tensor) -> Tensor:
    found: Tensor = torch.log(torch.diagonal(root, dim1=-2, dim2=-1))
    return found
