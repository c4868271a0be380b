"""The profiled deviance of a mixed-effects model with several factors; notation as in `_fit`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from skmeta.mixed.crossed._system import Layout, System

# Relative addition to the diagonal of the information on beta, against rounding errors.
_ROUNDING = 1e-10
# The least sum of squares that is left, as a share of that of the targets.
_LEAST_LEFT = 1e-14
# Precision of the intercept of a classification: its standard deviation is 10 logits.
_FLAT_LOGIT = 0.01
_LOG_RIDGE_BOUNDS = (-6.0, 4.0)
_MOST_DEVIATION = 100.0
# Reweighted least squares ends when no linear predictor changes by more than this.
_TOLERANCE, _MOST_STEPS = 1e-8, 50


class Solution(NamedTuple):
    """Solution of a penalised least-squares problem, and what its uncertainty follows from."""

    beta: np.ndarray  # (q,)
    u: np.ndarray  # (width,)
    scaling: sparse.csr_array  # Lambda
    system: System
    on_fixed: np.ndarray  # M^-1 Lambda' Z'WX (width, q)
    information: Any  # Cholesky factor, for cho_solve, of the information on beta
    log_det_fixed: float
    squares: float  # weighted sum of squares, with the penalties
    log_ridge: float


class Problem:
    """The profiled deviance as a function of the parameters: T of all factors, and log tau."""

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        layout: Layout,
        z: sparse.csr_array,
        is_classification: bool,
        restricted: bool,
        ridge: bool,
    ) -> None:
        self.X, self.y, self.layout, self.z = X, np.asarray(y, float), layout, z
        self.is_classification, self.restricted, self.ridge = is_classification, restricted, ridge
        self.options = is_classification, restricted, ridge
        self._products = None if is_classification else self._cross_products(None, self.y)
        share = np.clip(self.y.mean(), 0.01, 0.99)
        self._eta = np.full(len(X), np.log(share / (1 - share)))

    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the start, and lowest and highest values, of the parameters."""
        start: list[float] = []
        low: list[float] = []
        for f, columns in enumerate(self.layout.columns):
            p, n_more = len(columns), self.layout.n_parameters(f) - len(columns)
            start += [0.5] * p + [0.0] * n_more
            low += [0.0] * p + [-_MOST_DEVIATION] * n_more
        high = [_MOST_DEVIATION] * len(start)
        if self.ridge:
            start, low, high = (
                [*start, 0.0],
                [*low, _LOG_RIDGE_BOUNDS[0]],
                [*high, _LOG_RIDGE_BOUNDS[1]],
            )
        return np.array(start), np.array(low), np.array(high)

    def _cross_products(self, w: np.ndarray | None, y: np.ndarray) -> tuple[Any, ...]:
        z = self.z if w is None else self.z.multiply(w[:, None]).tocsr()
        x = self.X if w is None else w[:, None] * self.X
        of_y = y if w is None else w * y
        right = np.column_stack([self.X, y])
        return (
            sparse.csr_array(z.T @ self.z),
            np.asarray(z.T @ right),
            x.T @ self.X,
            x.T @ y,
            float(of_y @ y),
        )

    def _solve(self, at: np.ndarray, products: tuple[Any, ...]) -> Solution:
        (gram, right, of_x, of_xy, of_y), layout = products, self.layout
        scaling = layout.scaling(layout.factors(at))
        m = sparse.csr_array(scaling.T @ gram @ scaling) + sparse.eye_array(layout.width)
        p = len(layout.columns[layout.order[0]])
        system = System(sparse.csr_array(m), layout.n_first, p)
        scaled = scaling.T @ right
        solved = system.solve(scaled)
        explained = scaled.T @ solved
        log_ridge = float(at[-1]) if self.ridge else 0.0
        precision = np.zeros(self.X.shape[1])
        if self.is_classification:
            precision[0] = _FLAT_LOGIT
        if self.ridge:
            precision[1:] = np.exp(-2 * log_ridge)
        information = of_x - explained[:-1, :-1] + np.diag(precision + _ROUNDING * np.diag(of_x))
        root = cho_factor(information, lower=True)
        moment = of_xy - explained[:-1, -1]
        beta = cho_solve(root, moment)
        u = solved[:, -1] - solved[:, :-1] @ beta
        log_det = 2 * float(np.log(np.diag(root[0])).sum())
        squares = float(of_y - explained[-1, -1] - beta @ moment)
        squares = max(squares, _LEAST_LEFT * of_y, 1e-300)
        return Solution(beta, u, scaling, system, solved[:, :-1], root, log_det, squares, log_ridge)

    def _of_fixed(self, found: Solution) -> tuple[float, int]:
        """Return what beta adds to the deviance, and the number of coefficients without a prior."""
        q = self.X.shape[1]
        if not self.restricted:
            return 0.0, 0
        if self.ridge:
            return found.log_det_fixed + 2 * (q - 1) * found.log_ridge, 1
        return found.log_det_fixed, q

    def deviance(self, at: np.ndarray) -> float:
        """Return minus twice the profiled log likelihood."""
        if self.is_classification:
            found, misfit = self._reweighted(at)
            return misfit + found.system.log_det + self._of_fixed(found)[0]
        assert self._products is not None
        found = self._solve(at, self._products)
        of_fixed, n_fixed = self._of_fixed(found)
        n = len(self.X) - n_fixed
        of_noise = float(n * (1 + np.log(2 * np.pi * found.squares / n)))
        return found.system.log_det + of_fixed + of_noise

    def solve(self, at: np.ndarray) -> tuple[Solution, float]:
        """Return beta and u at given parameters, and sigma."""
        if self.is_classification:
            return self._reweighted(at)[0], 1.0
        assert self._products is not None
        found = self._solve(at, self._products)
        n = len(self.X) - self._of_fixed(found)[1]
        return found, float(np.sqrt(found.squares / n))

    def _penalised(self, found: Solution, eta: np.ndarray) -> float:
        """Return minus twice the log likelihood, with the penalties of u and beta."""
        log_likelihood = self.y @ eta - np.logaddexp(0, eta).sum()
        penalty = found.u @ found.u + _FLAT_LOGIT * found.beta[0] ** 2
        if self.ridge:
            penalty += np.exp(-2 * found.log_ridge) * (found.beta[1:] ** 2).sum()
        return float(penalty - 2 * log_likelihood)

    def _reweighted(self, at: np.ndarray) -> tuple[Solution, float]:
        """Find the mode by penalised iteratively reweighted least squares."""
        eta, value, found = self._eta, np.inf, None
        for _ in range(_MOST_STEPS):
            p = expit(eta)
            w = np.maximum(p * (1 - p), 1e-10)
            solution = self._solve(at, self._cross_products(w, eta + (self.y - p) / w))
            after = self.X @ solution.beta + self.z @ (solution.scaling @ solution.u)
            new_value = self._penalised(solution, after)
            if found is not None:
                # Halve steps that raise the deviance.
                size = 1.0
                while not new_value <= value + 1e-9 * abs(value) and size > 1e-3:
                    size /= 2
                    solution = solution._replace(
                        beta=(solution.beta + found.beta) / 2, u=(solution.u + found.u) / 2
                    )
                    after = (after + eta) / 2
                    new_value = self._penalised(solution, after)
            change = float(np.abs(after - eta).max())
            eta, value, found = after, new_value, solution
            if change < _TOLERANCE:
                break
        assert found is not None
        self._eta = eta
        return found, value
