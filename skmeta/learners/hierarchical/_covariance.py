"""The covariance of coefficients over tasks: diagonal plus low rank, and its shrinkage.

Notation: q coefficients (the first is the intercept), j linear predictors, r the rank.
S = diag(d^2) + F F' for each predictor, with d (q,) and F (q, r). A coefficient that does not
differ between tasks has d = 0 and a row of zeros in F.

Shrinkage is a prior on the standard deviations d of the slopes and on F, so that a slope differs
between tasks only if the rows say so. Intercepts are not shrunken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Bounds of log d, in units of a standard deviation of the target or of a logit.
LOG_SCALE_BOUNDS = (-7.0, 3.0)
# Standard deviation of a coefficient that is the same in all tasks: small enough to be none.
_NONE = 1e-5
_START_INTERCEPT, _START_SLOPE = 0.5, 0.1
# Rates of the exponential prior on d and of the normal prior on F, at shrinkage 1.
_SCALE_RATE, _FACTOR_RATE = 60.0, 60.0


@dataclass(frozen=True)
class CovarianceShape:
    """Which coefficients differ between tasks, and how much they may go together.

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
        """Length of the part of the parameters that is log d."""
        return self.n_predictors * len(self.varies)

    @property
    def n_parameters(self) -> int:
        """Length of all parameters."""
        return self.n_scales * (1 + self.rank)

    def start(self) -> np.ndarray:
        """Parameters to start from: without correlations."""
        scales = np.full((self.n_predictors, len(self.varies)), _START_SLOPE)
        scales[:, 0] = _START_INTERCEPT
        return np.concatenate([np.log(scales).ravel(), np.zeros(self.n_scales * self.rank)])

    def bounds(self, with_factor: bool) -> list[tuple[float, float]]:
        """Bounds of the parameters; without a factor, F stays at 0."""
        of_factor = (-20.0, 20.0) if with_factor else (0.0, 0.0)
        return [LOG_SCALE_BOUNDS] * self.n_scales + [of_factor] * (self.n_scales * self.rank)

    def with_correlations(self, parameters: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """Start F in the directions in which the effects of tasks go together.

        Parameters
        ----------
        parameters : ndarray of shape (n_parameters,)
            Those without correlations.
        effects : ndarray of shape (n_tasks, j, q)
            Effects of the tasks on the coefficients, estimated without correlations.

        Returns
        -------
        ndarray of shape (n_parameters,)
            With F. At F = 0 the likelihood is level in F, and nothing would move it.
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
        """d (j, q) and F (j, q, r)."""
        j, q = self.n_predictors, len(self.varies)
        scales = torch.exp(parameters[: self.n_scales]).reshape(j, q)
        factor = parameters[self.n_scales : self.n_parameters].reshape(j, q, self.rank)
        return torch.where(self.varies, scales, _NONE), factor * self.varies[:, None]

    def covariance(self, parameters: Tensor) -> Tensor:
        """S (j, q, q)."""
        scales, factor = self.unpack(parameters)
        return torch.diag_embed(scales**2) + factor @ factor.mT

    def penalty(self, parameters: Tensor) -> Tensor:
        """Minus the log prior of the parameters, up to a constant."""
        scales, factor = self.unpack(parameters)
        of_scales = _SCALE_RATE * (scales * self.varies)[:, 1:].sum()
        return self.shrinkage * (of_scales + 0.5 * _FACTOR_RATE * (factor**2).sum())
