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

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._newton import Evaluation
from skmeta.mixed._statistics import GroupStatistics

LOG_NOISE_BOUNDS = (-9.0, 3.0)
LOG_RIDGE_BOUNDS = (-6.0, 4.0)
# Precision of a flat prior; positive, so that matrices with constant columns can be inverted.
_FLAT = 1e-5
# Relative addition to the diagonal of the information on m, against rounding errors.
_ROUNDING = 1e-10


class Effects(NamedTuple):
    """Estimates at given parameters.

    Attributes
    ----------
    mean : np.ndarray of shape (q,)
        m.
    covariance : np.ndarray of shape (q, q)
        S.
    mean_covariance : np.ndarray of shape (q, q)
        Covariance of the estimate of m.
    effects : np.ndarray of shape (G, q)
        Effects of the tasks.
    factor : np.ndarray of shape (q, k)
        L.
    """

    mean: np.ndarray
    covariance: np.ndarray
    mean_covariance: np.ndarray
    effects: np.ndarray
    factor: np.ndarray


class _Parts(NamedTuple):
    """Quantities that the likelihood and its derivatives share."""

    factor: np.ndarray  # L (q, k)
    root: np.ndarray  # Cholesky factors of M (G, k, k)
    root_inverse: np.ndarray
    x_gram: np.ndarray  # X (G, k, q) of root X = L'A / sigma^2
    x_moment: np.ndarray  # (G, k, 1), the same of b
    weights: np.ndarray  # Z' V^-1 Z (G, q, q)
    precision: np.ndarray  # of the prior of m (q,)
    h_root: np.ndarray  # Cholesky factor (q, q) of the information on m
    h_inverse: np.ndarray  # inverse (q, q) of this information
    mean: np.ndarray  # (q,)
    score: np.ndarray  # Z' V^-1 (y - Z m) (G, q)


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

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest values of log sigma and log tau."""
        return [LOG_NOISE_BOUNDS, LOG_RIDGE_BOUNDS]

    def effects(self, values: np.ndarray) -> np.ndarray:
        """Return the effects (G, 1, q) of the tasks."""
        return self.estimates(values).effects[:, None]

    def evaluate(self, values: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        at, shape = values, self.shape
        parts = self._parts(at)
        _, _, square, n_rows = self.statistics
        log_noise, n = at[shape.n_parameters], n_rows.sum()
        whole, weights = parts.weights.sum(0), parts.weights
        # y' C^-1 y, where C is the covariance of all targets, with that of m.
        quadratic = square.sum() * np.exp(-2 * log_noise) - (parts.x_moment**2).sum()
        quadratic = quadratic - (parts.score.sum(0) + whole @ parts.mean) @ parts.mean
        log_dets = 2 * (log_diagonal(parts.root).sum() + log_diagonal(parts.h_root).sum())
        log_dets = log_dets - np.log(parts.precision).sum()
        value = 0.5 * (2 * n * log_noise + log_dets + quadratic) + shape.penalty(at)

        inverse, q = parts.h_inverse, len(parts.mean)
        turned = (weights @ inverse).transpose(1, 0, 2).reshape(q, -1)
        estimate_part = turned @ weights.reshape(-1, q)
        covariance_gradient = 0.5 * (whole - estimate_part - parts.score.T @ parts.score)
        # Times tau^2: of the variances of the prior of m.
        prior_gradient = 0.5 * (1 - parts.precision * (np.diagonal(inverse) + parts.mean**2))
        # C is homogeneous in its variances, which gives the derivative in sigma^2.
        noise_gradient = 0.5 * (n - quadratic) - prior_gradient.sum()
        noise_gradient = (
            noise_gradient - ((parts.factor.T @ covariance_gradient).T * parts.factor).sum()
        )
        ridge_gradient = prior_gradient[1:].sum() if shape.shrinkage else 0.0
        penalty_gradient, penalty_curvature = shape.penalty_derivatives(at)
        shape_gradient = shape.gradient(at, covariance_gradient[None]) + penalty_gradient
        gradient = np.concatenate([shape_gradient, [2 * noise_gradient, 2 * ridge_gradient]])

        def curvature() -> np.ndarray:
            k = shape.n_parameters
            hessian = np.zeros((len(at), len(at)))
            own, mixed = shape.curvature(at, weights[:, None, :, None], parts.score[:, None])
            # The mean moves with the parameters.
            hessian[:k, :k] = own - mixed.T @ inverse @ mixed + np.diag(penalty_curvature)
            hessian[:k, :k] += shape.parameter_curvature(at, covariance_gradient[None])
            # M^-1 L'A / sigma^2, and Z' V^-2 Z sigma^2 summed over the tasks.
            pulled = parts.root_inverse.swapaxes(1, 2) @ parts.x_gram
            along = (weights @ parts.factor).transpose(1, 0, 2).reshape(q, -1)
            twice = whole - along @ pulled.reshape(-1, q)
            hessian[k, :k] = hessian[:k, k] = shape.gradient(at, twice[None])
            m_inverse = parts.root_inverse.swapaxes(1, 2) @ parts.root_inverse
            n_free = n - parts.root.shape[0] * parts.root.shape[1] + (m_inverse**2).sum()
            hessian[k, k] = 2 * n_free + 2 * gradient[k]
            if shape.shrinkage:
                scale = np.sqrt(parts.precision[1:])
                determined = np.eye(len(scale)) - scale * (scale[:, None] * inverse[1:, 1:])
                hessian[k + 1, k + 1] = 2 * (determined**2).sum() + 2 * gradient[k + 1]
            return hessian

        return Evaluation(float(value), gradient, curvature)

    def estimates(self, values: np.ndarray) -> Effects:
        """Return the estimates at given parameters."""
        parts = self._parts(values)
        covariance = self.shape.covariance(values)[0]
        effects = parts.score @ parts.factor @ parts.factor.T
        return Effects(parts.mean, covariance, parts.h_inverse, effects, parts.factor)

    def _parts(self, at: np.ndarray) -> _Parts:
        gram, moment, _, _ = self.statistics
        log_noise, log_ridge = at[self.shape.n_parameters :]
        variance = np.exp(2 * log_noise)
        factor = self.shape.root(at)
        lg = factor.T @ gram / variance
        root = np.linalg.cholesky(np.eye(factor.shape[1]) + lg @ factor)
        root_inverse = np.linalg.inv(root)
        x_gram = root_inverse @ lg
        x_moment = root_inverse @ (moment @ factor / variance)[..., None]
        pulled = x_gram.swapaxes(1, 2)
        weights = gram / variance - pulled @ x_gram
        right = moment / variance - (pulled @ x_moment)[..., 0]
        precision = self._precision(log_ridge)
        rounding = _ROUNDING * np.diagonal(gram.sum(0)) / variance
        h_root = np.linalg.cholesky(np.diag(precision + rounding) + weights.sum(0))
        half = np.linalg.inv(h_root)
        h_inverse = half.T @ half
        mean = h_inverse @ right.sum(0)
        score = right - weights @ mean
        return _Parts(
            factor,
            root,
            root_inverse,
            x_gram,
            x_moment,
            weights,
            precision,
            h_root,
            h_inverse,
            mean,
            score,
        )

    def _precision(self, log_ridge: float) -> np.ndarray:
        """Return the precision (q,) of the prior of m."""
        precision = np.full(len(self.shape.varies), _FLAT)
        if self.shape.shrinkage:
            precision[1:] = np.exp(-2 * log_ridge)
        return precision


def log_diagonal(root: np.ndarray) -> np.ndarray:
    """Return the logarithms (..., k) of the diagonals of matrices (..., k, k)."""
    return np.asarray(np.log(np.diagonal(root, axis1=-2, axis2=-1)))
