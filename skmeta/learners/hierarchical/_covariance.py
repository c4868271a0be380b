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
import torch
from torch import Tensor

# Bounds of log d, in units of a standard deviation of the target or of a logit.
LOG_SCALE_BOUNDS = (-7.0, 3.0)
# Standard deviation of a coefficient that is the same in all tasks; positive for the Cholesky
# factor.
_NONE = 1e-5
_START_INTERCEPT, _START_SLOPE = 0.5, 0.1
# Rates of the exponential prior on d and of the normal prior on F, at shrinkage 1.
_SCALE_RATE, _FACTOR_RATE = 60.0, 60.0


@dataclass(frozen=True)
class CovarianceShape:
    """Which coefficients may differ between tasks, and the rank of their correlations.

    Attributes
    ----------
    varies : Tensor of shape (q,), bool
        Coefficients that may differ.
    n_predictors : int
        j.
    rank : int
        r.
    shrinkage : float
        Strength of the prior; 0 is none.
    """

    varies: Tensor
    n_predictors: int
    rank: int
    shrinkage: float

    @property
    def n_scales(self) -> int:
        """Number of parameters that are log d."""
        return self.n_predictors * len(self.varies)

    @property
    def n_parameters(self) -> int:
        """Number of all parameters."""
        return self.n_scales * (1 + self.rank)

    def start(self) -> np.ndarray:
        """Return initial parameters, without correlations."""
        scales = np.full((self.n_predictors, len(self.varies)), _START_SLOPE)
        scales[:, 0] = _START_INTERCEPT
        return np.concatenate([np.log(scales).ravel(), np.zeros(self.n_scales * self.rank)])

    def extended(self, parameters: np.ndarray, n_after: int) -> np.ndarray:
        """Return parameters with F = 0 if they have none, and unchanged otherwise.

        The last ``n_after`` of them do not belong to the covariance.
        """
        n_missing = self.n_parameters + n_after - len(parameters)
        return np.insert(parameters, np.full(n_missing, self.n_scales), 0.0)

    def bounds(self, with_factor: bool) -> list[tuple[float, float]]:
        """Return bounds of the parameters; without a factor, F stays at 0."""
        of_factor = (-20.0, 20.0) if with_factor else (0.0, 0.0)
        return [LOG_SCALE_BOUNDS] * self.n_scales + [of_factor] * (self.n_scales * self.rank)

    def with_correlations(self, parameters: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """Initialise F with the principal directions of the effects of tasks.

        The gradient of the likelihood at F = 0 is 0, so F cannot start there.

        Parameters
        ----------
        parameters : ndarray of shape (n_parameters,)
            Parameters without correlations.
        effects : ndarray of shape (n_tasks, j, q)
            Effects of the tasks on the coefficients, estimated without correlations.

        Returns
        -------
        ndarray of shape (n_parameters,)
            Parameters with F.
        """
        scales = np.exp(parameters[: self.n_scales]).reshape(self.n_predictors, -1)
        factor = np.zeros((self.n_predictors, len(self.varies), self.rank))
        for j in range(self.n_predictors):
            whitened = effects[:, j] / scales[j]
            _, vectors = np.linalg.eigh(whitened.T @ whitened)
            top = vectors[:, ::-1][:, : self.rank]
            factor[j, :, : top.shape[1]] = 0.5 * scales[j][:, None] * top
        return np.concatenate([parameters[: self.n_scales], factor.ravel()])

    def unpack(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return d (j, q) and F (j, q, r)."""
        j, q = self.n_predictors, len(self.varies)
        scales = torch.exp(parameters[: self.n_scales]).reshape(j, q)
        factor = parameters[self.n_scales : self.n_parameters].reshape(j, q, self.rank)
        return torch.where(self.varies, scales, _NONE), factor * self.varies[:, None]

    def covariance(self, parameters: Tensor) -> Tensor:
        """Return S (j, q, q)."""
        scales, factor = self.unpack(parameters)
        return torch.diag_embed(scales**2) + factor @ factor.mT

    def penalty(self, parameters: Tensor) -> Tensor:
        """Return minus the log prior of the parameters, up to a constant."""
        scales, factor = self.unpack(parameters)
        of_scales = _SCALE_RATE * (scales * self.varies)[:, 1:].sum()
        return self.shrinkage * (of_scales + 0.5 * _FACTOR_RATE * (factor**2).sum())
