"""The covariance of coefficients over tasks: diagonal plus low rank, and its shrinkage.

Notation: q coefficients (the first is the intercept), j linear predictors, r the rank.
S = diag(d^2) + F F' for each predictor, with d (q,) and F (q, r). A coefficient that does not
differ between tasks has d = 0 and a row of zeros in F.

Shrinkage is a prior on the standard deviations d of the slopes and on F. With it, a slope differs
between tasks only if the likelihood supports this. Intercepts are not shrunken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

# Bounds of log d, in units of a standard deviation of the target or of a logit.
LOG_SCALE_BOUNDS = (-7.0, 3.0)
# Longest steps of log d and of F. With shrinkage, d = 0 is a local optimum, where longer ones end.
_LONGEST_SCALE_STEP, _LONGEST_FACTOR_STEP = 0.5, 0.3
_START_INTERCEPT = 0.5
# Shrinkage of slopes and where their deviations start, by whether predictors are logits: these are
# larger than standardised targets. Chosen on development tables of benchmarks/measure/grouped.py.
RATE_AND_START = {False: (180.0, 0.1), True: (20.0, 0.3)}


@dataclass(frozen=True)
class CovarianceShape:
    """How many coefficients q differ between levels, and the rank of their correlations."""

    n_columns: int
    n_predictors: int
    rank: int
    shrinkage: float  # rate of the exponential prior on d and of the normal prior on F
    start_slope: float = 0.1  # standard deviation of slopes that a fit starts from

    @property
    def n_scales(self) -> int:
        """Number of parameters that are log d."""
        return self.n_predictors * self.n_columns

    @property
    def n_parameters(self) -> int:
        """Number of all parameters."""
        return self.n_scales * (1 + self.rank)

    def start(self) -> np.ndarray:
        """Return initial parameters, without correlations."""
        scales = np.full((self.n_predictors, self.n_columns), self.start_slope)
        scales[:, 0] = _START_INTERCEPT
        return np.concatenate([np.log(scales).ravel(), np.zeros(self.n_scales * self.rank)])

    def bounds(self, with_factor: bool) -> list[tuple[float, float]]:
        """Return bounds of the parameters; without a factor, F stays at 0."""
        factor_part = (-20.0, 20.0) if with_factor else (0.0, 0.0)
        return [LOG_SCALE_BOUNDS] * self.n_scales + [factor_part] * (self.n_scales * self.rank)

    def longest_steps(self) -> np.ndarray:
        """Return the longest step of each parameter in one iteration of an optimisation."""
        factor_part = np.full(self.n_scales * self.rank, _LONGEST_FACTOR_STEP)
        return np.concatenate([np.full(self.n_scales, _LONGEST_SCALE_STEP), factor_part])

    def with_correlations(self, parameters: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """Start F at principal directions of effects (n_tasks, j, q): its gradient at 0 is 0."""
        scales = np.exp(parameters[: self.n_scales]).reshape(self.n_predictors, -1)
        factor = np.zeros((self.n_predictors, self.n_columns, self.rank))
        for j in range(self.n_predictors):
            whitened = effects[:, j] / scales[j]
            _, vectors = np.linalg.eigh(whitened.T @ whitened)
            top = vectors[:, ::-1][:, : self.rank]
            factor[j, :, : top.shape[1]] = 0.5 * scales[j][:, None] * top
        return np.concatenate([parameters[: self.n_scales], factor.ravel()])

    def unpack(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d (j, q) and F (j, q, r)."""
        j, q, r = self.n_predictors, self.n_columns, self.rank
        scales = np.exp(parameters[: j * q]).reshape(j, q)
        factor = parameters[j * q : j * q * (1 + r)].reshape(j, q, r)
        return scales, factor

    def covariance(self, parameters: np.ndarray) -> np.ndarray:
        """Return S (j, q, q)."""
        scales, factor = self.unpack(parameters)
        whole = scales[:, :, None] ** 2 * np.eye(self.n_columns) + factor @ factor.swapaxes(1, 2)
        return np.asarray(whole)

    def cholesky(self, parameters: np.ndarray) -> np.ndarray:
        """Return a block-diagonal matrix L (j q, j q), lower triangular, with L L' = S."""
        return np.asarray(block_diag(*np.linalg.cholesky(self.covariance(parameters))))

    def penalty(self, parameters: np.ndarray) -> float:
        """Return minus the log prior of the parameters, up to a constant."""
        scales, factor = self.unpack(parameters)
        scale_part = scales[:, 1:].sum()
        return float(self.shrinkage * (scale_part + 0.5 * (factor**2).sum()))

    # ---------------------------------------------------------------------------- derivatives

    def gradient(self, parameters: np.ndarray, covariance_gradient: np.ndarray) -> np.ndarray:
        """Return the gradient in log d and F from the symmetric gradient (j, q, q) in S."""
        scales, factor = self.unpack(parameters)
        diagonal = np.diagonal(covariance_gradient, axis1=1, axis2=2)
        scale_part = 2 * scales**2 * diagonal
        factor_part = 2 * (covariance_gradient @ factor)
        return np.concatenate([scale_part.ravel(), factor_part.ravel()])

    def sides(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a and b (j q, n_parameters): dS in a parameter is a b' + b a'."""
        scales, factor = self.unpack(parameters)
        diagonal = np.diag(scales.ravel())
        unit = np.eye(self.n_scales).repeat(self.rank, axis=1)
        spread = block_diag(*(np.tile(one, self.n_columns) for one in factor))
        return np.hstack([diagonal, unit]), np.hstack([diagonal, spread[:, : unit.shape[1]]])

    def parameter_curvature(
        self, parameters: np.ndarray, covariance_gradient: np.ndarray
    ) -> np.ndarray:
        """Return the part (p, p) of a Hessian from second derivatives of S.

        The gradient of the function in S is symmetric, (j, q, q).
        """
        scales, _ = self.unpack(parameters)
        diagonal = np.diagonal(covariance_gradient, axis1=1, axis2=2)
        scale_part = np.diag((4 * scales**2 * diagonal).ravel())
        if self.rank == 0:
            return scale_part
        blocks = [np.kron(2 * one, np.eye(self.rank)) for one in covariance_gradient]
        return np.asarray(block_diag(scale_part, *blocks))

    def penalty_derivatives(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of the penalty, and the diagonal of its Hessian."""
        scales, factor = self.unpack(parameters)
        scales[:, 0] = 0.0
        gradient = np.concatenate([scales.ravel(), factor.ravel()])
        curvature = np.concatenate([scales.ravel(), np.ones(factor.size)])
        return self.shrinkage * gradient, self.shrinkage * curvature
