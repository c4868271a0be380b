"""Mixed-effects models with several grouping factors, nested or crossed: an effect of each level.

Notation: n rows, q fixed effects, F factors. X (n, q) are rows with a leading 1 and standardised
columns. ``codes`` (n, F) are the levels of each row; -1 is a level that is not known: its effect is
0, with its variance over levels. The levels of a factor that is nested in another one are numbered
throughout (casks 0 and 1 of the first batch, 2 and 3 of the second), not within. Effects b of the
levels of factor f are drawn from N(0, sigma^2 theta_f^2). Targets are X beta + Z b + noise, where Z
holds indicators of the levels. With b = Lambda u, where Lambda is diagonal, u is drawn from
N(0, sigma^2 I), and M = Lambda Z'WZ Lambda + I with weights W of the rows, which are 1 in a
regression. Slopes of beta may be drawn from N(0, tau^2), where tau is estimated, too.

For given theta, beta and u solve a penalised least-squares problem. sigma and beta are profiled out
of the restricted likelihood. Newton's method finds its other parameters, log(1 + theta^2) and
log tau, with differences for derivatives. M has a diagonal corner: the levels of the factor with
the most levels. It is eliminated first. What is left is small, or sparse if factors are nested.

Classifications of two classes are logistic models with Laplace's approximation: W and the working
targets are those of penalised iteratively reweighted least squares, and sigma is 1.

References: Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using
lme4, sections 2 and 3; Breslow and Clayton (1993), Approximate inference in generalized linear
mixed models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from skmeta.mixed._newton import Evaluation, minimise
from skmeta.mixed._sparse_system import Levels, System

# Bounds of log(1 + theta^2) and of log tau, and where they start.
_THETA_BOUNDS, _LOG_RIDGE_BOUNDS = (0.0, 9.0), (-6.0, 4.0)
_START_THETA, _START_LOG_RIDGE = 0.22, 0.0
# Differences of the parameters, their longest step, and the decrease that ends the optimisation.
_DIFFERENCE, _LONGEST_STEP, _PRECISE = 1e-3, 1.0, 1e-11
# Relative addition to the diagonal of the information on beta, against rounding errors.
_ROUNDING = 1e-10
# The least sum of squares that is left, as a share of that of the targets.
_LEAST_LEFT = 1e-14
# Precision of the intercept of a classification: its standard deviation is 10 logits.
_FLAT_LOGIT = 0.01
# Reweighted least squares ends when no linear predictor changes by more than this.
_TOLERANCE, _MOST_STEPS = 1e-8, 50
# Nodes of the quadrature of a probability.
_N_NODES = 20


def fit_crossed(
    X: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    *,
    is_classification: bool = False,
    ridge: bool = False,
) -> CrossedFit:
    """Estimate a mixed-effects model with several grouping factors.

    Parameters
    ----------
    X : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets, or 0 and 1 for the two classes.
    codes : ndarray of shape (n, F), int64
        Level of each row in each factor, from 0 on; -1 for none.
    is_classification : bool, default=False
        Whether y are classes.
    ridge : bool, default=False
        Whether slopes of beta are drawn from N(0, tau^2).

    Returns
    -------
    CrossedFit
        The estimates.
    """
    problem = _Problem(X, y, codes, is_classification, ridge)
    n_factors = codes.shape[1]
    start = np.append(np.full(n_factors, _START_THETA), [_START_LOG_RIDGE] * ridge)
    bounds = np.array([_THETA_BOUNDS] * n_factors + [_LOG_RIDGE_BOUNDS] * ridge)
    at = minimise(problem.evaluate, start, bounds, tolerance=_PRECISE, longest=_LONGEST_STEP)
    return problem.solve(at)


class _Problem:
    """The profiled deviance as a function of the parameters: theta, and log tau."""

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        is_classification: bool,
        ridge: bool,
    ) -> None:
        self.X, self.y = X, np.asarray(y, float)
        self.is_classification, self.ridge = is_classification, ridge
        self.n_factors = codes.shape[1]
        self.levels = Levels([int(c) + 1 for c in codes.max(0)])
        self.z = self.levels.indicators(codes)
        self._products = () if is_classification else self._cross_products(None, self.y)
        share = np.clip(self.y.mean(), 0.01, 0.99)
        self._eta = np.full(len(X), np.log(share / (1 - share)))

    def deviance(self, at: np.ndarray) -> float:
        """Return minus twice the profiled restricted log likelihood."""
        return self.solve(at).deviance

    def evaluate(self, at: np.ndarray) -> Evaluation:
        """Return the deviance and differences for its derivatives, inside of the bounds."""
        value, steps = self.deviance(at), _DIFFERENCE * np.eye(len(at))
        inside = np.append(np.maximum(at[: self.n_factors], _DIFFERENCE), at[self.n_factors :])
        centre = value if (inside == at).all() else self.deviance(inside)
        above, below = (np.array([self.deviance(inside + s * e) for e in steps]) for s in (1, -1))

        def curvature() -> np.ndarray:
            hessian = np.diag(above - 2 * centre + below)
            for i, j in zip(*np.tril_indices(len(at), -1), strict=True):
                both = self.deviance(inside + steps[i] + steps[j])
                hessian[i, j] = hessian[j, i] = both - above[i] - above[j] + centre
            return hessian / _DIFFERENCE**2

        return Evaluation(value, (above - below) / (2 * _DIFFERENCE), curvature)

    def solve(self, at: np.ndarray) -> CrossedFit:
        """Return beta and u at given parameters."""
        if self.is_classification:
            solution, deviance, sigma = *self._reweighted(at), 1.0
        else:
            solution = self._solve(at, self._products)
            n = len(self.X) - (1 if self.ridge else self.X.shape[1])
            sigma = float(np.sqrt(solution.squares / n))
            deviance = float(n * (1 + np.log(2 * np.pi * sigma**2)))
        log_det = solution.system.log_det + 2 * float(
            np.log(np.diag(solution.information[0])).sum()
        )
        if self.ridge:
            log_det += 2 * (self.X.shape[1] - 1) * float(at[-1])
        theta = self._theta(at)
        options = self.is_classification, self.ridge
        return CrossedFit(self.levels, solution, theta, sigma, deviance + log_det, at, options)

    def _theta(self, at: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.expm1(at[: self.n_factors])))

    def _cross_products(self, w: np.ndarray | None, y: np.ndarray) -> tuple[Any, ...]:
        right = np.column_stack([self.X, y])
        if w is None:
            return sparse.csr_array(self.z.T @ self.z), self.z.T @ right, right.T @ right
        z = self.z.multiply(w[:, None]).tocsr()
        return sparse.csr_array(z.T @ self.z), z.T @ right, (w[:, None] * right).T @ right

    def _solve(self, at: np.ndarray, products: tuple[Any, ...]) -> _Solution:
        (gram, right, inner), q = products, self.X.shape[1]
        scaling = self.levels.scaling(self._theta(at))
        scaled = sparse.dia_array((scaling[None], [0]), shape=gram.shape)
        m = sparse.csr_array(scaled @ gram @ scaled + sparse.eye_array(len(scaling)))
        system = System(m, self.levels.n_first)
        right = scaling[:, None] * right
        solved = system.solve(right)
        left = inner - right.T @ solved
        precision = np.zeros(q)
        precision[0] = _FLAT_LOGIT * self.is_classification
        if self.ridge:
            precision[1:] = np.exp(-2 * at[-1])
        precision += _ROUNDING * np.diag(inner)[:q]
        information = cho_factor(left[:q, :q] + np.diag(precision), lower=True)
        beta = cho_solve(information, left[:q, q])
        u = solved[:, q] - solved[:, :q] @ beta
        squares = float(left[q, q] - beta @ left[:q, q])
        squares = max(squares, _LEAST_LEFT * float(inner[q, q]), 1e-300)
        return _Solution(beta, u, scaling, system, solved[:, :q], information, squares)

    def _penalised(self, found: _Solution, eta: np.ndarray, at: np.ndarray) -> float:
        """Return minus twice the log likelihood, with the penalties of u and beta."""
        log_likelihood = self.y @ eta - np.logaddexp(0, eta).sum()
        penalty = found.u @ found.u + _FLAT_LOGIT * found.beta[0] ** 2
        if self.ridge:
            penalty += np.exp(-2 * at[-1]) * (found.beta[1:] ** 2).sum()
        return float(penalty - 2 * log_likelihood)

    def _reweighted(self, at: np.ndarray) -> tuple[_Solution, float]:
        """Find the mode by penalised iteratively reweighted least squares."""
        eta, value, best = self._eta, np.inf, None
        for _ in range(_MOST_STEPS):
            p = expit(eta)
            w = np.maximum(p * (1 - p), 1e-10)
            solution = self._solve(at, self._cross_products(w, eta + (self.y - p) / w))
            after = self.X @ solution.beta + self.z @ (solution.scaling * solution.u)
            new_value = self._penalised(solution, after, at)
            if best is not None:
                # Halve steps that raise the deviance.
                size = 1.0
                while not new_value <= value + 1e-9 * abs(value) and size > 1e-3:
                    size /= 2
                    solution = solution._replace(
                        beta=(solution.beta + best.beta) / 2, u=(solution.u + best.u) / 2
                    )
                    after = (after + eta) / 2
                    new_value = self._penalised(solution, after, at)
            change = float(np.abs(after - eta).max())
            eta, value, best = after, new_value, solution
            if change < _TOLERANCE:
                break
        assert best is not None
        self._eta = eta
        return best, value


class _Solution(NamedTuple):
    """Solution of a penalised least-squares problem, and what its uncertainty follows from."""

    beta: np.ndarray  # (q,)
    u: np.ndarray  # (width,)
    scaling: np.ndarray  # diagonal (width,) of Lambda
    system: System
    on_fixed: np.ndarray  # M^-1 Lambda Z'WX (width, q)
    information: Any  # Cholesky factor, for cho_solve, of the information on beta
    squares: float  # weighted sum of squares, with the penalties


@dataclass(frozen=True)
class CrossedFit:
    """Estimates of a mixed-effects model with several factors.

    Attributes
    ----------
    levels, solution : object
        Numbers of levels of the factors; beta, u and their uncertainty.
    theta : ndarray of shape (F,)
        Standard deviations of the effects of each factor over that of the noise.
    sigma : float
        Standard deviation of the noise; 1 for a classification.
    deviance : float
        Minus twice the restricted log likelihood at the estimates.
    parameters : ndarray
        log(1 + theta^2), and log tau.
    options : tuple of bool
        Whether it is a classification, and slopes are shrunken.
    """

    levels: Levels
    solution: _Solution
    theta: np.ndarray
    sigma: float
    deviance: float
    parameters: np.ndarray
    options: tuple[bool, bool]

    def condition(self, X: np.ndarray, y: np.ndarray, codes: np.ndarray) -> CrossedFit:
        """Return the effects given other rows, with the same relative variances.

        Parameters
        ----------
        X, y, codes
            As for :func:`fit_crossed`. Levels may be new.
        """
        return _Problem(X, y, codes, *self.options).solve(self.parameters)

    @property
    def beta(self) -> np.ndarray:
        """Fixed effects (q,)."""
        return self.solution.beta

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviation (F,) of the effects over the levels of each factor."""
        return np.asarray(self.sigma * self.theta)

    @property
    def effects(self) -> list[np.ndarray]:
        """Effects (n_levels,) of the levels of each factor: their conditional means."""
        b, slices = self.solution.scaling * self.solution.u, self.levels.slices
        return [b[slices[f]] for f in range(len(slices))]

    def effect_std(self, f: int) -> np.ndarray:
        """Return conditional standard deviations (n_levels,) of the effects of a factor."""
        rows = sparse.eye_array(self.levels.width, format="csr")[self.levels.slices[f]]
        fixed = np.zeros((rows.shape[0], len(self.beta)))
        return np.asarray(np.sqrt(self._variance(fixed, rows)))

    def predict(
        self, X: np.ndarray, codes: np.ndarray, *, noise: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows.

        Parameters
        ----------
        X : ndarray of shape (m, q)
            Rows with a leading 1.
        codes : ndarray of shape (m, F), int64
            Their levels; -1 for new ones.
        noise : bool, default=False
            Whether the standard deviations are those of targets, with the noise.

        Returns
        -------
        mean, std : ndarray of shape (m,)
            Means and standard deviations.
        """
        rows = self.levels.indicators(codes)
        mean = X @ self.beta + rows @ (self.solution.scaling * self.solution.u)
        variance = self._variance(X, rows) + (codes < 0) @ self.deviations**2
        return mean, np.sqrt(variance + noise * self.sigma**2)

    def predict_proba(self, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return probabilities (m,) of the second class, with uncertain logits averaged out."""
        mean, std = self.predict(X, codes)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
        return np.asarray(expit(mean[:, None] + std[:, None] * nodes) @ (weights / weights.sum()))

    def _variance(self, fixed: np.ndarray, rows: sparse.csr_array) -> np.ndarray:
        """Return variances (m,) of sums of fixed effects (m, q) and of effects (m, width)."""
        scaled = sparse.csr_array(rows.multiply(self.solution.scaling))
        left = fixed - scaled @ self.solution.on_fixed
        fixed_variance = (left * cho_solve(self.solution.information, left.T).T).sum(1)
        return np.asarray(self.sigma**2 * (self.solution.system.quadratic(scaled) + fixed_variance))
