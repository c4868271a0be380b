"""The marginal likelihood of a logistic mixed-effects model, and its derivatives.

Notation as in `_logistic`: G tasks, n rows, q coefficients, j linear predictors, c classes.
Coefficients of a task are m + b, with b drawn from N(0, S); S has one block for each predictor.
Vectors of all j q coefficients are sorted by predictor, then by coefficient. L is a matrix with
S = L L', A (G, j q, j q) the information of a task's rows on its coefficients at the mode, and s
the gradient of its log likelihood. M = I + L'AL, and W = A - A L M^-1 L'A is the information on m
with b integrated out.

The effects of tasks and m are integrated out by Laplace's approximation. The prior of m is normal
with variance tau^2 for slopes, and flat for intercepts.

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 5.5.1, for the
derivatives; Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using
lme4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._forms import Prior
from skmeta.mixed._gaussian_evidence import log_diagonal
from skmeta.mixed._logistic import ClassRows, Mode, find_mode, third_derivatives, transposed
from skmeta.mixed._newton import Evaluation
from skmeta.mixed._statistics import batches_of_groups

LOG_RIDGE_BOUNDS = (-6.0, 2.0)
MEAN_BOUNDS = (-20.0, 20.0)
# Precision of an intercept: its standard deviation is 10 logits.
_FLAT = 0.01
# The same of slopes without shrinkage.
_FLAT_SLOPE = 1e-6
# Newton's method for the modes stops at a step of this size. What the last step changes is added
# to first order, so the error is its square.
_TOLERANCE = 1e-3
# Largest last step of a mode that counts as found.
_LAST_STEP = 0.1


def batch_tasks(z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_classes: int) -> list[ClassRows]:
    """Divide tasks into batches of similar size.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,), int64
        Class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    n_classes : int
        c.

    Returns
    -------
    list of ClassRows
        Batches of all tasks.
    """
    indicators = np.eye(n_classes)
    return [
        ClassRows(z[rows], indicators[y[rows]], there)
        for _, rows, there in batches_of_groups(codes, z.shape[1] * n_classes)
    ]


class ClassEvidence:
    """Marginal likelihood of all tasks as a function of the parameters.

    The parameters are those of the covariance, then m by predictor, then log tau. It stores
    scores and weights at the last parameters, from which the next modes are predicted.

    Parameters
    ----------
    batches : list of ClassRows
        Rows of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    """

    def __init__(self, batches: list[ClassRows], shape: CovarianceShape) -> None:
        self.batches, self.shape, self.tolerance = batches, shape, _TOLERANCE
        self.n_mean = shape.n_scales
        self._last: tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]] | None = None

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest values of m and log tau."""
        return [MEAN_BOUNDS] * self.n_mean + [LOG_RIDGE_BOUNDS]

    def evaluate(self, values: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        at, shape = values, self.shape
        mean, precision = self._split(at)
        factor = shape.root(at)
        modes = self._modes(mean, factor)
        if not all(mode.largest < _LAST_STEP for mode in modes):
            # Far from a mode the approximation says nothing, and could promise anything.
            return Evaluation(np.inf, np.zeros(len(values)), lambda: np.eye(len(values)))
        parts = [_marginal(mode, factor) for mode in modes]
        scores = [mode.score for mode in modes]
        weights_of_parts = [part.weights for part in parts]
        self._last = mean, factor, list(zip(scores, weights_of_parts, strict=True))
        information = np.diag(precision) + sum(weights.sum(0) for weights in weights_of_parts)
        h_root = np.linalg.cholesky(information)
        half_inverse = np.linalg.inv(h_root)
        inverse = half_inverse.T @ half_inverse
        value = 0.5 * ((precision * mean**2).sum() - np.log(precision).sum())
        value = value + log_diagonal(h_root).sum() + shape.penalty(at)
        mean_gradient, covariance_gradient = precision * mean, np.zeros_like(information)
        for batch, mode, part in zip(self.batches, modes, parts, strict=True):
            weights, half, x, log_det = part
            value = value - mode.joint.sum() + log_det
            through_mode = _through_mode(batch, mode, half, inverse, x)
            value = value + 0.5 * (through_mode * mode.late).sum()
            # K' v
            moved = through_mode - (transposed(x) @ (half @ through_mode[..., None]))[..., 0]
            mean_gradient = mean_gradient - mode.score.sum(0) + 0.5 * moved.sum(0)
            turned = (weights @ inverse).transpose(1, 0, 2).reshape(len(mean), -1)
            estimate_part = turned @ weights.reshape(-1, len(mean))
            crossed = moved.T @ mode.score
            covariance_gradient += 0.5 * (
                weights.sum(0) - estimate_part - mode.score.T @ mode.score
            )
            covariance_gradient += 0.25 * (crossed + crossed.T)
        block_gradient = _blocks(covariance_gradient, shape.n_predictors)
        penalty_gradient, penalty_curvature = shape.penalty_derivatives(at)
        shape_gradient = shape.gradient(at, block_gradient) + penalty_gradient
        # In the logarithm of each precision.
        determined = precision * (mean**2 + np.diagonal(inverse))
        ridge_gradient = (1 - determined)[self._is_slope].sum() * float(shape.shrinkage > 0)
        gradient = np.concatenate([shape_gradient, mean_gradient, [ridge_gradient]])

        def curvature() -> np.ndarray:
            hessian = np.zeros((len(at), len(at)))
            n, j, q = shape.n_parameters, shape.n_predictors, len(shape.varies)
            hessian[n:-1, n:-1] = information
            hessian[:n, :n] = np.diag(penalty_curvature)
            for score, weights in zip(scores, weights_of_parts, strict=True):
                own, mixed = shape.curvature(
                    at, weights.reshape(-1, j, q, j, q), score.reshape(-1, j, q)
                )
                hessian[:n, :n] += own
                hessian[n:-1, :n] += mixed
            hessian[:n, :n] += shape.parameter_curvature(at, block_gradient)
            if shape.shrinkage:
                hessian[-1, n:-1] = -2 * precision * mean * self._is_slope
                hessian[-1, -1] = 2 * determined[self._is_slope].sum()
            hessian[:n, n:-1] = hessian[n:-1, :n].T
            hessian[n:-1, -1] = hessian[-1, n:-1]
            return hessian

        return Evaluation(float(value), gradient, curvature)

    def effects(self, values: np.ndarray) -> np.ndarray:
        """Return the effects (G, j, q) of the tasks, in the order of the batches."""
        mean, _ = self._split(values)
        factor = self.shape.root(values)
        task_effects = np.concatenate([mode.u @ factor.T for mode in self._modes(mean, factor)])
        return task_effects.reshape(-1, self.shape.n_predictors, len(self.shape.varies))

    def prior(self, values: np.ndarray) -> Prior:
        """Return the estimates at given parameters."""
        j = self.shape.n_predictors
        mean, precision = self._split(values)
        factor = self.shape.root(values)
        information = np.diag(precision)
        for mode in self._modes(mean, factor):
            information = information + _marginal(mode, factor).weights.sum(0)
        blocks = np.linalg.inv(information).reshape(j, len(mean) // j, j, -1)
        if j > 1:
            # A constant added to all classes changes no probability, and is not identified.
            centre = np.eye(j) - 1 / j
            blocks = np.einsum("ab,bpcq,cd->apdq", centre, blocks, centre)
        each = np.stack([blocks[i, :, i] for i in range(j)])
        each = 0.5 * (each + transposed(each))
        return Prior(mean.reshape(j, -1).T, self.shape.covariance(values), each)

    # ------------------------------------------------------------------------------ its parts

    def _split(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return m (j q,) and the precision (j q,) of its prior."""
        mean = at[self.shape.n_parameters : -1]
        slope = np.exp(-2 * at[-1]) if self.shape.shrinkage else _FLAT_SLOPE
        return mean, np.where(self._is_slope, slope, _FLAT)

    @property
    def _is_slope(self) -> np.ndarray:
        return np.asarray(np.arange(self.n_mean) % len(self.shape.varies) > 0)

    def _modes(self, mean: np.ndarray, factor: np.ndarray) -> list[Mode]:
        modes = []
        for k, batch in enumerate(self.batches):
            u = np.zeros((len(batch.z), factor.shape[1]))
            if self._last is not None:
                # To first order, scores change by -W (dm + dS s).
                last_mean, last_factor, states = self._last
                score, weights = states[k]
                moved = (score @ factor) @ factor.T - (score @ last_factor) @ last_factor.T
                change = (weights @ (mean - last_mean + moved)[..., None])[..., 0]
                u = (score - change) @ factor
            modes.append(find_mode(batch, mean, factor, u, tolerance=self.tolerance))
        return modes


class _Marginal(NamedTuple):
    """What the likelihood with b integrated out needs."""

    weights: np.ndarray  # W (g, j q, j q)
    half: np.ndarray  # root^-1 L' with M = root root'
    x: np.ndarray  # root^-1 L'A
    log_det: float  # sum of log det M / 2


def _marginal(mode: Mode, factor: np.ndarray) -> _Marginal:
    root = np.linalg.cholesky(mode.precision)
    half = np.linalg.inv(root) @ factor.T
    x = half @ mode.information
    weights = mode.information - transposed(x) @ x
    return _Marginal(weights, half, x, float(log_diagonal(root).sum()))


def _through_mode(
    batch: ClassRows, mode: Mode, half: np.ndarray, inverse: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the derivatives v (g, j q) of the log determinants in the modes of b.

    With K = I - C A and C = L M^-1 L', a change dA of the information changes the log determinants
    of M and H by tr(Q dA), where Q = C + K H^-1 K' is the covariance of m + b.
    """
    turned = inverse - transposed(half) @ (x @ inverse)
    q_matrix = transposed(half) @ half + turned - (turned @ transposed(x)) @ half
    return np.asarray(third_derivatives(batch, mode.proba, q_matrix))


def _blocks(matrices: np.ndarray, j: int) -> np.ndarray:
    """Return the diagonal blocks (..., j, q, q) of matrices (..., j q, j q)."""
    q = matrices.shape[-1] // j
    each = matrices.reshape(*matrices.shape[:-2], j, q, j, q)
    return np.stack([each[..., k, :, k, :] for k in range(j)], -3)
