"""Mixed-effects models with several grouping factors, nested or crossed.

The interface, for tables X whose first column is 1 and whose others are standardised:

- ``fit_crossed(X, y, codes, terms=..., is_classification=...)`` returns a :class:`CrossedFit`;
- ``fit.predict(X, codes)`` returns means and standard deviations of the linear predictor (of the
  targets, with ``noise=True``), ``fit.predict_proba(X, codes)`` probabilities of the second class;
- ``fit.effects[f]`` are the effects of the levels of factor f, ``fit.effect_std(f)`` their standard
  deviations, ``fit.covariances[f]`` the covariance of the effects over levels.

Notation: n rows, q fixed effects, F factors. ``codes`` (n, F) are the levels of each row; -1 is a
level that is not known: its effects are 0, with their variance over levels. The levels of a factor
that is nested in another one are numbered throughout (casks 0 and 1 of the first batch, 2 and 3 of
the second), not within. Effects b of a level of factor f, on the columns Z_f of X that
``terms[f]`` names, are drawn from N(0, sigma^2 T T') with T (p, p) of factor f. Targets are
X beta + Z b + noise. With b = Lambda u, where Lambda has a block T for each level, u is drawn from
N(0, sigma^2 I), and M = Lambda' Z'WZ Lambda + I with weights W of the rows, which are 1 in a
regression.

For given T, beta and u solve a penalised least-squares problem. sigma and beta are profiled out of
the likelihood (restricted by default), whose other parameters a derivative-free optimiser finds.
M has a block-diagonal corner: the levels of the factor with the most columns. It is eliminated
first. What is left, S, is small, or sparse if factors are nested.

Classifications are logistic models with Laplace's approximation: W and the working targets are
those of penalised iteratively reweighted least squares, and sigma is 1.

References: Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using
lme4, sections 2 and 3; Breslow and Clayton (1993), Approximate inference in generalized linear
mixed models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve
from scipy.optimize import Bounds, minimize
from scipy.special import expit

from skmeta.mixed.crossed._deviance import Problem, Solution
from skmeta.mixed.crossed._system import Layout

# Radii of the trust region of the optimisation, in relative standard deviations.
_FIRST_RADIUS, _LAST_RADIUS = 0.5, 1e-4
# Newton's method after it: parameters so near to a bound are at it; differences, number of steps.
_AT_BOUND, _DIFFERENCE, _N_NEWTON_STEPS, _LONGEST_STEP = 1e-2, 0.01, 3, 0.1
# Nodes of the quadrature of a probability.
_N_NODES = 20


def fit_crossed(
    X: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    *,
    terms: Sequence[Sequence[int]] | None = None,
    n_levels: Sequence[int] | None = None,
    is_classification: bool = False,
    correlated: bool = True,
    restricted: bool = True,
    ridge: bool = False,
    is_over: Callable[[], bool] | None = None,
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
    terms : sequence of sequence of int, optional
        For each factor, the columns of X whose coefficients differ between its levels. By default
        the intercept, column 0.
    n_levels : sequence of int, optional
        Number of levels of each factor; by default the highest code and 1.
    is_classification : bool, default=False
        Whether y are classes.
    correlated : bool, default=True
        Whether the effects of a level are correlated.
    restricted : bool, default=True
        Whether beta is integrated out of the likelihood (REML), or maximised out of it.
    ridge : bool, default=False
        Whether slopes of beta are drawn from N(0, tau^2), where tau is estimated, too. It needs
        ``restricted=True``.
    is_over : callable, optional
        Tells whether the time is over. Then the best parameters so far are taken.

    Returns
    -------
    CrossedFit
        The estimates.
    """
    codes = np.asarray(codes, np.int64).reshape(len(X), -1)
    n_factors = codes.shape[1]
    columns = [np.asarray(t) for t in terms] if terms is not None else [np.array([0])] * n_factors
    sizes = list(n_levels) if n_levels is not None else [int(c) + 1 for c in codes.max(0)]
    layout = Layout(columns, sizes, correlated)
    problem = Problem(X, y, layout, layout.design(X, codes), is_classification, restricted, ridge)
    start, low, high = problem.parameters()
    best: list[Any] = [np.inf, start]

    def objective(at: np.ndarray) -> float:
        at = np.clip(at, low, high)
        value = problem.deviance(at)
        if value < best[0]:
            best[:] = value, at
        return value

    def stop(_: Any) -> None:
        if is_over is not None and is_over():
            raise StopIteration

    radii = {"initial_tr_radius": _FIRST_RADIUS, "final_tr_radius": _LAST_RADIUS}
    options = radii | {"maxfev": 200 * (len(start) + 1)}
    minimize(
        objective, start, method="COBYQA", bounds=Bounds(low, high), callback=stop, options=options
    )
    at = best[1]
    if is_over is None or not is_over():
        at = _polished(problem.deviance, at, low, high)
    return _solved(problem, at)


def _solved(problem: Problem, at: np.ndarray) -> CrossedFit:
    solution, sigma = problem.solve(at)
    deviance = problem.deviance(at)
    return CrossedFit(
        problem.layout, solution, problem.layout.factors(at), sigma, deviance, at, problem.options
    )


def _polished(
    deviance: Callable[[np.ndarray], float], at: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Refine a minimum by Newton's method, with differences of fourth order for derivatives.

    The path of the optimiser depends on rounding errors, so on the order of rows. Its end does not
    after this.
    """
    at = np.where(at < low + _AT_BOUND, low, at)
    free = np.flatnonzero((at > low) & (at < high - _AT_BOUND))
    if len(free) == 0:
        return at
    steps = _DIFFERENCE * np.eye(len(at))[free]

    def value(*moves: np.ndarray) -> float:
        return deviance(at + sum(moves, np.zeros_like(at)))

    hessian = np.empty((len(free), len(free)))
    centre = value()
    for i, a in enumerate(steps):
        hessian[i, i] = value(a) - 2 * centre + value(-a)
        for j, b in enumerate(steps[:i]):
            mixed = value(a, b) - value(a, -b) - value(-a, b) + value(-a, -b)
            hessian[i, j] = hessian[j, i] = mixed / 4
    values, vectors = np.linalg.eigh(hessian / _DIFFERENCE**2)
    if values[0] <= 0:
        return at
    for _ in range(_N_NEWTON_STEPS):
        gradient = np.array(
            [8 * (value(a) - value(-a)) - value(2 * a) + value(-2 * a) for a in steps]
        )
        step = -vectors @ ((vectors.T @ gradient) / values) / (12 * _DIFFERENCE)
        if np.abs(step).max() > _LONGEST_STEP:
            break
        at = at.copy()
        at[free] = np.clip(at[free] + step, low[free], high[free])
    return at


@dataclass(frozen=True)
class CrossedFit:
    """Estimates of a mixed-effects model with several factors.

    Attributes
    ----------
    layout, solution : object
        Terms and numbers of levels of the factors; beta, u and their uncertainty.
    factors : list of ndarray of shape (p, p)
        T of each factor.
    sigma : float
        Standard deviation of the noise; 1 for a classification.
    deviance : float
        Minus twice the log likelihood, restricted if asked for, at the estimates.
    parameters : ndarray
        The parameters of T, and log tau.
    options : tuple of bool
        Whether it is a classification, the likelihood restricted, and slopes shrunken.
    """

    layout: Layout
    solution: Solution
    factors: list[np.ndarray]
    sigma: float
    deviance: float
    parameters: np.ndarray
    options: tuple[bool, bool, bool]

    @property
    def n_parameters(self) -> int:
        """Number of the parameters in T, and log tau."""
        return len(self.parameters)

    def condition(self, X: np.ndarray, y: np.ndarray, codes: np.ndarray) -> CrossedFit:
        """Return the effects given other rows, with the same relative variances.

        Parameters
        ----------
        X, y, codes
            As for :func:`fit_crossed`. Levels may be new.
        """
        layout = Layout(
            self.layout.columns, [int(c) + 1 for c in codes.max(0)], self.layout.correlated
        )
        problem = Problem(X, y, layout, layout.design(X, codes), *self.options)
        return _solved(problem, self.parameters)

    @property
    def beta(self) -> np.ndarray:
        """Fixed effects (q,)."""
        return self.solution.beta

    @property
    def covariances(self) -> list[np.ndarray]:
        """Covariance (p, p) of the effects over levels, for each factor."""
        return [self.sigma**2 * t @ t.T for t in self.factors]

    @property
    def effects(self) -> list[np.ndarray]:
        """Effects (n_levels, p) of the levels of each factor: their conditional means."""
        b, layout = self.solution.scaling @ self.solution.u, self.layout
        found = []
        for f, columns in enumerate(layout.columns):
            start = layout.starts[f]
            own = b[start : start + layout.n_levels[f] * len(columns)]
            found.append(own.reshape(-1, len(columns)))
        return found

    def effect_std(self, f: int) -> np.ndarray:
        """Return conditional standard deviations (n_levels, p) of the effects of a factor."""
        start, p, n = self.layout.starts[f], len(self.layout.columns[f]), self.layout.n_levels[f]
        rows = sparse.eye_array(self.layout.width, format="csr")[start : start + n * p]
        variance = self._variance(np.zeros((n * p, len(self.beta))), rows)
        found: np.ndarray = np.sqrt(variance).reshape(n, p)
        return found

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
        codes = np.asarray(codes, np.int64).reshape(len(X), -1)
        rows = self.layout.design(X, codes)
        mean = X @ self.beta + rows @ (self.solution.scaling @ self.solution.u)
        variance = self._variance(X, rows)
        for f, covariance in enumerate(self.covariances):
            z = X[:, self.layout.columns[f]]
            variance += (codes[:, f] < 0) * ((z @ covariance) * z).sum(1)
        return mean, np.sqrt(variance + noise * self.sigma**2)

    def predict_proba(self, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return probabilities (m,) of the second class, with uncertain logits averaged out."""
        mean, std = self.predict(X, codes)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
        each = expit(mean[:, None] + std[:, None] * nodes)
        found: np.ndarray = each @ (weights / weights.sum())
        return found

    def _variance(self, fixed: np.ndarray, rows: sparse.csr_array) -> np.ndarray:
        """Return variances (m,) of sums of fixed effects (m, q) and of effects (m, width)."""
        scaled = sparse.csr_array(rows @ self.solution.scaling)
        left = fixed - scaled @ self.solution.on_fixed
        of_fixed = (left * cho_solve(self.solution.information, left.T).T).sum(1)
        found: np.ndarray = self.sigma**2 * (self.solution.system.quadratic(scaled) + of_fixed)
        return found
