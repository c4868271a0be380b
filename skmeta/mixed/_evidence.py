"""The marginal likelihood of a mixed-effects model, and its derivatives.

Notation as in `_likelihood`: G groups, n rows, q coefficients, j linear predictors, c classes.
Coefficients of a group are m + b, with b drawn from N(0, S); S has one block for each predictor,
and L is a matrix with S = L L'. A (G, j q, j q) is the information of a group's rows on its
coefficients at the mode, and s the gradient of its log likelihood. M = I + L'AL, and
W = A - A L M^-1 L'A is the information on m with b integrated out. Of a regression, with V the
covariance of a group's targets, W = Z'V^-1 Z and s = Z'V^-1 (y - Z m).

The effects of groups and m are integrated out: exactly in a regression, else by Laplace's
approximation. The prior of m is normal with variance tau^2 for slopes, and flat for intercepts.
With a flat prior for all, the marginal likelihood is the restricted likelihood (REML). A regression
is computed from sufficient statistics, so the number of rows does not matter.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Breslow and Clayton
(1993), Approximate inference in generalized linear mixed models; Rasmussen and Williams (2006),
Gaussian Processes for Machine Learning, section 5.5.1, for the derivatives; Bates, Maechler, Bolker
and Walker (2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._likelihood import (
    ClassRows,
    Mode,
    RowSums,
    find_mode,
    gaussian_mode,
    third_derivatives,
    transposed,
)
from skmeta.mixed._newton import Evaluation, minimise

_MEAN_BOUNDS, _LOG_RIDGE_BOUNDS, _LOG_NOISE_BOUNDS = (-20.0, 20.0), (-6.0, 3.0), (-9.0, 3.0)
_START_LOG_RIDGE, _START_LOG_NOISE = -1.0, np.log(0.7)
# Precisions of the intercepts of regressions and of classes, and of slopes without shrinkage.
_FLAT_TARGET, _FLAT_LOGIT, _FLAT_SLOPE = 1e-5, 0.01, 1e-6
# Relative addition to the diagonal of the information on m, against rounding errors.
_ROUNDING = 1e-10
# Newton's method for the modes stops at a step of this size. What the last step changes is added
# to first order, so the error is its square. A mode is not found if the last step is larger.
_TOLERANCE, _LAST_STEP = 1e-3, 0.1
# Decreases of minus the log likelihood that end the optimisation, and the longest step of the
# parameters that do not belong to the covariance.
_COARSE, _PRECISE, _LONGEST_STEP = 1e-2, {False: 1e-5, True: 1e-3}, 2.0


class _Marginal(NamedTuple):
    """What the likelihood with b integrated out needs."""

    weights: np.ndarray  # W (g, j q, j q)
    root_inverse: np.ndarray  # inverse of root, with M = root root'
    half: np.ndarray  # root^-1 L'
    x: np.ndarray  # root^-1 L'A
    log_det: float  # sum of log det M / 2


def _marginal(mode: Mode, factor: np.ndarray) -> _Marginal:
    root = np.linalg.cholesky(mode.precision)
    root_inverse = np.linalg.inv(root)
    half = root_inverse @ factor.T
    x = half @ mode.information
    weights = mode.information - transposed(x) @ x
    return _Marginal(weights, root_inverse, half, x, _log_det(root))


class Evidence:
    """Marginal likelihood of all groups as a function of the parameters.

    The parameters are those of the covariance, m by predictor, log tau, and log sigma of a
    regression. Scores and weights at the last parameters are kept: the next modes of classes are
    predicted from them.

    Parameters
    ----------
    batches : list of RowSums or of ClassRows
        Rows of the groups.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    """

    def __init__(self, batches: list[RowSums] | list[ClassRows], shape: CovarianceShape) -> None:
        self.batches: list[Any] = list(batches)
        self.shape, self.tolerance = shape, _TOLERANCE
        self.has_classes = isinstance(batches[0], ClassRows)
        self._is_slope = np.arange(shape.n_scales) % len(shape.varies) > 0
        # Positions of m and of log tau.
        n = shape.n_parameters
        self._mean, self._ridge = slice(n, n + shape.n_scales), n + shape.n_scales
        self._last: list[tuple[np.ndarray, ...]] | None = None

    def start(self) -> np.ndarray:
        """Return initial parameters."""
        mean = np.zeros((self.shape.n_predictors, len(self.shape.varies)))
        if self.has_classes:
            # Intercepts give each class its share of the rows.
            counts = np.sum([(rows.w[..., None] * rows.p).sum((0, 1)) for rows in self.batches], 0)
            share = np.log((counts + 0.5) / (counts + 0.5).sum())
            mean[:, 0] = share[1] - share[0] if len(mean) == 1 else share - share.mean()
        rest = [_START_LOG_RIDGE] if self.has_classes else [_START_LOG_RIDGE, _START_LOG_NOISE]
        return np.concatenate([self.shape.start(), mean.ravel(), rest])

    def maximise(self, start: np.ndarray, coarse: bool = False) -> np.ndarray:
        """Return the parameters (p,) of the maximum, without correlations at first.

        Parameters
        ----------
        start : ndarray of shape (p,)
            Where to begin.
        coarse : bool, default=False
            Whether a rough optimum, near the start, is enough.
        """
        shape, at = self.shape, start
        n, n_scales = shape.n_parameters, shape.n_scales
        rest = [_MEAN_BOUNDS] * n_scales + [_LOG_RIDGE_BOUNDS]
        rest += [] if self.has_classes else [_LOG_NOISE_BOUNDS]
        longest = np.append(shape.longest_steps(), np.full(len(rest), _LONGEST_STEP))
        if shape.rank > 0 and int(shape.varies.sum()) > 1 and not at[n_scales:n].any():
            bounds = np.array([*shape.bounds(False), *rest])
            at = minimise(self.evaluate, at, bounds, tolerance=_COARSE, longest=longest)
            at = np.append(shape.with_correlations(at[:n], self.effects(at)), at[n:])
        bounds = np.array([*shape.bounds(True), *rest])
        tolerance = _COARSE if coarse else _PRECISE[self.has_classes]
        return minimise(self.evaluate, at, bounds, tolerance=tolerance, longest=longest)

    def evaluate(self, at: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        shape, mean, precision = self.shape, at[self._mean], self._precision(at)
        factor = shape.root(at)
        modes = self._modes(at)
        if not all(mode.largest < _LAST_STEP for mode in modes):
            # Far from a mode the approximation says nothing, and could promise anything.
            return Evaluation(np.inf, np.zeros(len(at)), lambda: np.eye(len(at)))
        parts = [_marginal(mode, factor) for mode in modes]
        both = list(zip(modes, parts, strict=True))
        self._last = [(mean, factor, mode.score, part.weights) for mode, part in both]
        whole = sum(part.weights.sum(0) for part in parts)
        information, inverse, log_det = self._information(whole, modes, precision)
        joint = sum(mode.joint.sum() for mode in modes)
        value = sum(part.log_det for part in parts) - joint + log_det + shape.penalty(at)
        value += 0.5 * ((precision * mean**2).sum() - np.log(precision).sum())
        mean_gradient = precision * mean - sum(mode.score.sum(0) for mode in modes)
        covariance_gradient = 0.5 * (whole - sum(m.score.T @ m.score for m in modes))
        for k, (mode, part) in enumerate(both):
            turned = (part.weights @ inverse).transpose(1, 0, 2).reshape(len(mean), -1)
            covariance_gradient -= 0.5 * turned @ part.weights.reshape(-1, len(mean))
            if self.has_classes:
                v = _through_mode(self.batches[k], mode, part, inverse)
                value += 0.5 * (v * mode.late).sum()
                moved = v - (transposed(part.x) @ (part.half @ v[..., None]))[..., 0]
                mean_gradient += 0.5 * moved.sum(0)
                crossed = moved.T @ mode.score
                covariance_gradient += 0.25 * (crossed + crossed.T)
        blocks = _blocks(covariance_gradient, shape.n_predictors)
        penalty_gradient, penalty_curvature = shape.penalty_derivatives(at)
        # In the logarithm of each precision.
        determined = precision * (mean**2 + np.diagonal(inverse))
        ridge_gradient = (1 - determined)[self._is_slope].sum() * float(shape.shrinkage > 0)
        rest = [ridge_gradient]
        if not self.has_classes:
            # V is homogeneous in S and sigma^2, which gives the derivative in log sigma.
            n = self.batches[0].n_rows.sum()
            quadratic = -2 * (joint + n * at[-1])
            along = ((factor.T @ covariance_gradient).T * factor).sum()
            rest.append(n - quadratic - (inverse * whole).sum() - 2 * along)
        shape_gradient = shape.gradient(at, blocks) + penalty_gradient
        gradient = np.concatenate([shape_gradient, mean_gradient, rest])

        def curvature() -> np.ndarray:
            hessian = np.zeros((len(at), len(at)))
            n, m, ridge, (j, q) = shape.n_parameters, self._mean, self._ridge, blocks.shape[:2]
            hessian[m, m] = information
            hessian[:n, :n] = np.diag(penalty_curvature) + shape.parameter_curvature(at, blocks)
            for mode, part in both:
                own, mixed = shape.curvature(
                    at, part.weights.reshape(-1, j, q, j, q), mode.score.reshape(-1, j, q)
                )
                hessian[:n, :n] += own
                hessian[m, :n] += mixed
            if shape.shrinkage:
                hessian[ridge, m] = -2 * precision * mean * self._is_slope
                hessian[ridge, ridge] = 2 * determined[self._is_slope].sum()
            if not self.has_classes:
                hessian[-1, :] = self._noise_curvature(at, modes[0], parts[0], factor)
                hessian[-1, -1] += 2 * gradient[-1]
            lower = np.tril(hessian, -1)
            return np.asarray(np.tril(hessian) + lower.T)

        return Evaluation(float(value), gradient, curvature)

    def effects(self, at: np.ndarray) -> np.ndarray:
        """Return the effects (G, j, q) of the groups, in the order of the batches."""
        factor = self.shape.root(at)
        group_effects = np.concatenate([mode.u @ factor.T for mode in self._modes(at)])
        return group_effects.reshape(-1, self.shape.n_predictors, len(self.shape.varies))

    def mean(self, at: np.ndarray) -> np.ndarray:
        """Return m (j, q)."""
        return at[self._mean].reshape(self.shape.n_predictors, -1)

    def mean_covariance(self, at: np.ndarray) -> np.ndarray:
        """Return the covariance (j, q, q) of the estimate of m, for each predictor separately."""
        factor, modes, j = self.shape.root(at), self._modes(at), self.shape.n_predictors
        whole = sum(_marginal(mode, factor).weights.sum(0) for mode in modes)
        inverse = self._information(whole, modes, self._precision(at))[1]
        blocks = inverse.reshape(j, len(inverse) // j, j, -1)
        if j > 1:
            # A constant added to all classes changes no probability, and is not identified.
            centre = np.eye(j) - 1 / j
            blocks = np.einsum("ab,bpcq,cd->apdq", centre, blocks, centre)
        each = np.stack([blocks[i, :, i] for i in range(j)])
        return np.asarray(0.5 * (each + transposed(each)))

    # ------------------------------------------------------------------------------ its parts

    def _precision(self, at: np.ndarray) -> np.ndarray:
        """Return the precision (j q,) of the prior of m."""
        slope = np.exp(-2 * at[self._ridge]) if self.shape.shrinkage else _FLAT_SLOPE
        return np.where(self._is_slope, slope, _FLAT_LOGIT if self.has_classes else _FLAT_TARGET)

    def _information(
        self, whole: np.ndarray, modes: list[Mode], precision: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the information (j q, j q) on m, its inverse, and half its log determinant."""
        rounding = _ROUNDING * sum(np.diagonal(mode.information.sum(0)) for mode in modes)
        information = np.diag(precision + rounding) + whole
        root = np.linalg.cholesky(information)
        half = np.linalg.inv(root)
        return information, half.T @ half, _log_det(root)

    def _modes(self, at: np.ndarray) -> list[Mode]:
        mean, factor = at[self._mean], self.shape.root(at)
        if not self.has_classes:
            return [gaussian_mode(rows, mean, factor, np.exp(at[-1])) for rows in self.batches]
        modes = []
        for k, rows in enumerate(self.batches):
            u = np.zeros((len(rows.z), factor.shape[1]))
            if self._last is not None:
                # To first order, scores change by -W (dm + dS s).
                last_mean, last_factor, score, weights = self._last[k]
                moved = (score @ factor) @ factor.T - (score @ last_factor) @ last_factor.T
                change = (weights @ (mean - last_mean + moved)[..., None])[..., 0]
                u = (score - change) @ factor
            modes.append(find_mode(rows, mean, factor, u, tolerance=self.tolerance))
        return modes

    def _noise_curvature(
        self, at: np.ndarray, mode: Mode, part: _Marginal, factor: np.ndarray
    ) -> np.ndarray:
        """Return second derivatives (p,) in log sigma, those in S as expected."""
        # M^-1 L'A, and Z'V^-2 Z sigma^2 and Z'V^-2 (y - Z m) sigma^2 summed over the groups.
        pulled = transposed(part.root_inverse) @ part.x
        along = part.weights @ factor
        twice = part.weights.sum(0) - (along @ pulled).sum(0)
        on_mean = (mode.score - (along @ mode.u[..., None])[..., 0]).sum(0)
        m_inverse = transposed(part.root_inverse) @ part.root_inverse
        n = self.batches[0].n_rows.sum()
        n_free = n - part.root_inverse.shape[0] * factor.shape[1] + (m_inverse**2).sum()
        return np.concatenate(
            [self.shape.gradient(at, twice[None]), 2 * on_mean, [0.0, 2 * n_free]]
        )


def _through_mode(rows: ClassRows, mode: Mode, part: _Marginal, inverse: np.ndarray) -> np.ndarray:
    """Return the derivatives v (g, j q) of the log determinants in the modes of b.

    With K = I - C A and C = L M^-1 L', a change dA of the information changes the log determinants
    of M and H by tr(Q dA), where Q = C + K H^-1 K' is the covariance of m + b.
    """
    half, x = part.half, part.x
    turned = inverse - transposed(half) @ (x @ inverse)
    q_matrix = transposed(half) @ half + turned - (turned @ transposed(x)) @ half
    return np.asarray(third_derivatives(rows, mode.proba, q_matrix))


def _blocks(matrix: np.ndarray, j: int) -> np.ndarray:
    """Return the diagonal blocks (j, q, q) of a matrix (j q, j q)."""
    q = len(matrix) // j
    each = matrix.reshape(j, q, j, q)
    return np.stack([each[k, :, k] for k in range(j)])


def _log_det(root: np.ndarray) -> float:
    """Return half the log determinants, summed, of matrices with Cholesky factors (..., k, k)."""
    return float(np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum())
