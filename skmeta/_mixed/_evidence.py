"""The marginal likelihood of a mixed-effects model, and its derivatives.

Notation as in `_model`: G groups, n rows, q coefficients, j linear predictors, c classes.
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

import itertools

import numpy as np
from scipy.linalg import block_diag

from skmeta._mixed._covariance import CovarianceShape
from skmeta._mixed._integrated import Integrated
from skmeta._mixed._modes import LAST_STEP, FactorRows
from skmeta._mixed._newton import Evaluation, Optimum, minimise

_MEAN_BOUNDS, _LOG_RIDGE_BOUNDS, _FAMILY_BOUNDS = (-20.0, 20.0), (-6.0, 3.0), (-9.0, 9.0)
_LOG_NOISE_BOUNDS, _START_LOG_RIDGE = (-9.0, 3.0), -1.0
# Precisions of the intercepts of regressions and of others, and of slopes without shrinkage.
_FLAT_TARGET, _FLAT_LOGIT, _FLAT_SLOPE = 1e-5, 0.01, 1e-6
# Relative addition to the diagonal of the information on m, against rounding errors.
_ROUNDING = 1e-10
# Decrease of minus the log likelihood that ends a rough optimisation, and the longest step of the
# parameters that do not belong to the covariance.
_COARSE, _LONGEST_STEP = 1e-2, 2.0


class Evidence:
    """Marginal likelihood of all groups as a function of the parameters.

    The parameters are those of the covariance of each factor, m by predictor, log tau, and those of
    the likelihood: log sigma of a regression. There is one shape per factor. `n_columns` is q, by
    default that of the first shape. With `is_restricted`, m is integrated out; else the likelihood
    is that of the estimate of m.
    """

    def __init__(
        self,
        rows: FactorRows,
        shapes: list[CovarianceShape],
        n_columns: int,
        is_restricted: bool = True,
    ) -> None:
        self.rows, self.shapes, self.is_restricted = rows, shapes, is_restricted
        self.j, self.q = shapes[0].n_predictors, n_columns
        self._is_slope = np.arange(self.j * self.q) % self.q > 0
        ends = np.cumsum([0, *(shape.n_parameters for shape in shapes)]).tolist()
        self._parts = [slice(*pair) for pair in itertools.pairwise(ends)]
        # Positions of m, of log tau and of the parameters of the likelihood.
        self._ridge = ends[-1] + self.j * self.q
        self._mean = slice(ends[-1], self._ridge)
        self.family = slice(self._ridge + 1, None)

    @property
    def _shrinks(self) -> bool:
        return any(shape.shrinkage > 0 for shape in self.shapes)

    def start(self) -> np.ndarray:
        """Return initial parameters."""
        mean = np.zeros((self.j, self.q))
        mean[:, 0] = self.rows.mean_start()
        covariances = [shape.start() for shape in self.shapes]
        rest = [_START_LOG_RIDGE], self.rows.family.parameters
        return np.concatenate([*covariances, mean.ravel(), *rest])

    def maximise(self, start: np.ndarray, coarse: bool = False) -> Optimum:
        """Return parameters (p,) of the maximum; a rough one near the start if `coarse`."""
        at, rest = start, [_MEAN_BOUNDS] * (self.j * self.q) + [_LOG_RIDGE_BOUNDS]
        family = _LOG_NOISE_BOUNDS if self.rows.is_normal else _FAMILY_BOUNDS
        rest += [family] * (len(start) - self._ridge - 1)
        longest = np.concatenate(
            [*(shape.longest_steps() for shape in self.shapes), np.full(len(rest), _LONGEST_STEP)]
        )
        is_first = [
            shape.rank > 0 and not at[part][shape.n_scales :].any()
            for shape, part in zip(self.shapes, self._parts, strict=True)
        ]
        if any(is_first):
            each = zip(self.shapes, is_first, strict=True)
            free = itertools.chain(*(shape.bounds(not first) for shape, first in each))
            bounds = np.array([*free, *rest])
            at = minimise(self.evaluate, at, bounds, tolerance=_COARSE, longest=longest).at.copy()
            for k, effects in enumerate(self.effects(at)):
                if is_first[k]:
                    part = self._parts[k]
                    at[part] = self.shapes[k].with_correlations(at[part], effects)
        free = itertools.chain(*(shape.bounds(True) for shape in self.shapes))
        bounds = np.array([*free, *rest])
        tolerance = _COARSE if coarse else self.rows.precise
        return minimise(self.evaluate, at, bounds, tolerance=tolerance, longest=longest)

    def evaluate(self, at: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        mean, precision, parts = at[self._mean], self.precision(at), self.split(at)
        integral = self.integrate(at)
        if not integral.largest < LAST_STEP:
            # Far from a mode the approximation says nothing, and could promise anything.
            return Evaluation(np.inf, np.zeros(len(at)), lambda: np.eye(len(at)))
        information, inverse, half_log_det = self._information(integral, precision)
        removed = inverse if self.is_restricted else np.zeros_like(inverse)
        value = integral.log_det - integral.joint + half_log_det * self.is_restricted
        value += 0.5 * ((precision * mean**2).sum() - np.log(precision).sum())
        value += sum(shape.penalty(part) for shape, part in zip(self.shapes, parts, strict=True))
        mean_gradient = precision * mean - integral.score
        less = integral.removed(removed)
        on_factors = [one - 0.5 * b for one, b in zip(integral.on_factors, less, strict=True)]
        # In the logarithm of each precision.
        determined = precision * (mean**2 + np.diagonal(removed))
        ridge_gradient = (1 - determined)[self._is_slope].sum() * float(self._shrinks)
        if self.rows.is_normal:
            # V is homogeneous in S and sigma^2, which gives the derivative in log sigma.
            n, log_noise = integral.n_rows, at[-1]
            quadratic = -2 * (integral.joint + n * log_noise)
            kept = (removed * integral.whole).sum()
            each = zip(less, integral.solution.roots, strict=True)
            lost = sum((one * (root @ root.T)).sum() for one, root in each)
            on_family = np.array([n - quadratic - kept - 2 * integral.along() + lost])
        else:
            on_family = -integral.on_family()
        moved = integral.moved(removed)
        if moved is not None:
            value += moved.value
            mean_gradient = mean_gradient + moved.on_mean
            on_factors = [a + b for a, b in zip(on_factors, moved.on_factors, strict=True)]
            on_family = on_family + moved.on_family
        gradients, curvatures, blocks = [], [], []
        for shape, part, one in zip(self.shapes, parts, on_factors, strict=True):
            blocks.append(_blocks(one, self.j))
            penalty_gradient, penalty_curvature = shape.penalty_derivatives(part)
            gradients.append(shape.gradient(part, blocks[-1]) + penalty_gradient)
            curvatures.append(penalty_curvature)
        gradient = np.concatenate([*gradients, mean_gradient, [ridge_gradient], on_family])

        def curvature() -> np.ndarray:
            hessian = np.zeros((len(at), len(at)))
            n, m, ridge = self._mean.start, self._mean, self._ridge
            own, mixed = integral.curvature(removed)
            places = np.concatenate([np.arange(n), np.arange(ridge + 1, len(at))])
            hessian[np.ix_(places, places)] = own
            hessian[m, places] = mixed
            hessian[m, m] = information
            each = zip(self.shapes, parts, blocks, curvatures, strict=True)
            hessian[:n, :n] += block_diag(
                *(
                    np.diag(penalty) + shape.parameter_curvature(part, block)
                    for shape, part, block, penalty in each
                )
            )
            if self._shrinks:
                hessian[ridge, m] = -2 * precision * mean * self._is_slope
                hessian[ridge, ridge] = 2 * determined[self._is_slope].sum()
            if self.rows.is_normal:
                hessian[-1, -1] += 2 * gradient[-1]
            hessian[places, m.start : m.stop] = mixed.T
            hessian[m, ridge] = hessian[ridge, m]
            return hessian

        return Evaluation(float(value), gradient, curvature)

    def log_likelihood(self, at: np.ndarray, integral: Integrated | None = None) -> float:
        """Return the marginal log likelihood without priors, restricted if m is integrated out."""
        integral = self.integrate(at) if integral is None else integral
        value = integral.joint - integral.log_det
        n_free = integral.n_rows
        if self.is_restricted:
            value -= self._information(integral, self.precision(at))[2]
            n_free -= self.j * self.q
        return float(value - 0.5 * n_free * np.log(2 * np.pi) * self.rows.is_normal)

    def effects(self, at: np.ndarray) -> list[np.ndarray]:
        """Return the effects (L_f, j, q_f) of the levels of each factor."""
        solution = self.integrate(at).solution
        each = zip(solution.u, solution.roots, strict=True)
        return [(u @ root.T).reshape(len(u), self.j, -1) for u, root in each]

    def mean(self, at: np.ndarray) -> np.ndarray:
        """Return m (j, q)."""
        return at[self._mean].reshape(self.j, -1)

    def mean_covariance(self, at: np.ndarray, integral: Integrated) -> np.ndarray:
        """Return the covariance (j q, j q) of the estimate of m."""
        j, inverse = self.j, self._information(integral, self.precision(at))[1]
        if j > 1:
            # A constant added to all classes changes no probability, and is not identified.
            centre = np.kron(np.eye(j) - 1 / j, np.eye(self.q))
            inverse = centre @ inverse @ centre
        return np.asarray(0.5 * (inverse + inverse.T))

    # ------------------------------------------------------------------------------ its parts

    def integrate(self, at: np.ndarray) -> Integrated:
        """Return the effects, integrated out."""
        parts = self.split(at)
        roots = [s.cholesky(part) for s, part in zip(self.shapes, parts, strict=True)]
        solution = self.rows.solve(at[self._mean], roots, at[self.family])
        return Integrated(self.rows, self.shapes, parts, solution)

    def split(self, at: np.ndarray) -> list[np.ndarray]:
        """Return the parameters of the covariance of each factor."""
        return [at[part] for part in self._parts]

    def precision(self, at: np.ndarray) -> np.ndarray:
        """Return the precision (j q,) of the prior of m."""
        slope = np.exp(-2 * at[self._ridge]) if self._shrinks else _FLAT_SLOPE
        flat = _FLAT_TARGET if self.rows.is_normal else _FLAT_LOGIT
        return np.where(self._is_slope, slope, flat)

    def _information(
        self, integral: Integrated, precision: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the information (j q, j q) on m, its inverse, and half its log determinant."""
        information = np.diag(precision + _ROUNDING * integral.scale) + integral.whole
        root = np.linalg.cholesky(information)
        half = np.linalg.inv(root)
        return information, half.T @ half, float(np.log(np.diag(root)).sum())


def _blocks(matrix: np.ndarray, j: int) -> np.ndarray:
    """Return the diagonal blocks (j, q, q) of a matrix (j q, j q)."""
    q = len(matrix) // j
    each = matrix.reshape(j, q, j, q)
    return np.stack([each[k, :, k] for k in range(j)])
