"""The covariance of coefficients over tasks: diagonal plus low rank, and its shrinkage.

Notation: q coefficients (the first is the intercept), j linear predictors, r the rank.
S = diag(d^2) + F F' for each predictor, with d (q,) and F (q, r). A coefficient that does not
differ between tasks has d = 0 and a row of zeros in F.

Shrinkage is a prior on the standard deviations d of the slopes and on F. With it, a slope differs
between tasks only if the likelihood supports this. Intercepts are not shrunken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Bounds of log d, in units of a standard deviation of the target or of a logit.
LOG_SCALE_BOUNDS = (-7.0, 3.0)
# Standard deviation of a coefficient that is the same in all tasks; positive for the Cholesky
# factor.
_NONE = 1e-5
# Standard deviations up to the lower bound count as 0 in computations that become faster by it.
_LEAST_SCALE = 1.01 * math.exp(LOG_SCALE_BOUNDS[0])
# Longest steps of log d and of F.
_LONGEST_SCALE_STEP, _LONGEST_FACTOR_STEP = 2.0, 0.3
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

    def longest_steps(self) -> np.ndarray:
        """Return the longest step of each parameter in one iteration of an optimisation."""
        of_factor = np.full(self.n_scales * self.rank, _LONGEST_FACTOR_STEP)
        return np.concatenate([np.full(self.n_scales, _LONGEST_SCALE_STEP), of_factor])

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

    def root(self, parameters: Tensor) -> Tensor:
        """Return a block-diagonal matrix L (j q, k) with L L' = S; k is as small as possible."""
        scales, factor = self.unpack(parameters)
        differs = self.varies & (scales > _LEAST_SCALE)
        parts = []
        for of_scales, keep, of_factor in zip(scales, differs, factor, strict=True):
            columns = torch.diag(of_scales)[:, keep]
            parts.append(torch.cat([columns, of_factor[:, of_factor.any(0)]], 1))
        root: Tensor = torch.block_diag(*parts)
        return root

    def penalty(self, parameters: Tensor) -> Tensor:
        """Return minus the log prior of the parameters, up to a constant."""
        scales, factor = self.unpack(parameters)
        of_scales = _SCALE_RATE * (scales * self.varies)[:, 1:].sum()
        return self.shrinkage * (of_scales + 0.5 * _FACTOR_RATE * (factor**2).sum())

    # ---------------------------------------------------------------------------- derivatives

    def gradient(self, parameters: Tensor, of_covariance: Tensor) -> Tensor:
        """Apply the chain rule: from the gradient in S to that in the parameters.

        Parameters
        ----------
        parameters : Tensor of shape (n_parameters,)
            Where.
        of_covariance : Tensor of shape (j, q, q)
            Gradient of a function in S, symmetric.

        Returns
        -------
        Tensor of shape (n_parameters,)
            Its gradient in log d and F.
        """
        scales, factor = self.unpack(parameters)
        diagonal = torch.diagonal(of_covariance, dim1=1, dim2=2)
        of_scales = 2 * self.varies * scales**2 * diagonal
        of_factor = 2 * self.varies[:, None] * (of_covariance @ factor)
        return torch.cat([of_scales.flatten(), of_factor.flatten()])

    def parameter_curvature(self, parameters: Tensor, of_covariance: Tensor) -> Tensor:
        """Return the part of a Hessian that comes from second derivatives of S, (p, p).

        Parameters
        ----------
        parameters : Tensor of shape (p,)
            Where.
        of_covariance : Tensor of shape (j, q, q)
            Gradient of a function in S, symmetric.
        """
        j, q, r = self.n_predictors, len(self.varies), self.rank
        gradient = self.gradient(parameters, of_covariance)[: self.n_scales]
        of_factor = torch.zeros(j, q, r, j, q, r, dtype=gradient.dtype)
        both = self.varies[:, None] & self.varies
        eye = torch.eye(r, dtype=gradient.dtype)
        own = torch.arange(j)
        of_factor[own, :, :, own] = 2 * torch.einsum("cik,ab->ciakb", of_covariance * both, eye)
        parts = torch.diag(2 * gradient), of_factor.reshape(j * q * r, j * q * r)
        found: Tensor = torch.block_diag(*parts)
        return found

    def curvature(
        self, parameters: Tensor, weights: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the Hessian of minus a normal log likelihood in the parameters and in m.

        With V the covariance of a task's targets and dS a derivative of S, second derivatives
        in S are r' dS W dS' r - tr(W dS W dS') / 2, and those in S and m are W dS r.

        Parameters
        ----------
        parameters : Tensor of shape (n_parameters,)
            Where.
        weights : Tensor of shape (G, j, q, j, q)
            W = Z' V^-1 Z of each task.
        scores : Tensor of shape (G, j, q)
            r = Z' V^-1 (y - Z m) of each task.

        Returns
        -------
        own : Tensor of shape (n_parameters, n_parameters)
            The Hessian in the parameters, at a given m, without :meth:`parameter_curvature`.
        mixed : Tensor of shape (j q, n_parameters)
            Second derivatives in m, by predictor and coefficient, and in the parameters.
        """
        j, q, r = self.n_predictors, len(self.varies), self.rank
        scales, factor = self.unpack(parameters)
        square = (2 * self.varies * scales**2).flatten()
        flat, score = weights.reshape(-1, j * q, j * q), scores.reshape(-1, j * q)
        # sum_g W (r r' - W / 2), entry by entry.
        of_scales = torch.einsum("gi,gk,gik->ik", score, score, flat) - 0.5 * (flat**2).sum(0)
        of_scales = of_scales * square * square[:, None]
        moved = torch.einsum("gik,gk->ik", flat, score) * square
        if r == 0:
            return of_scales, moved
        there = self.varies[:, None].expand(j, q, r).flatten().to(square.dtype)
        # t = F' r, W F and F' W F, with one block for each pair of predictors.
        t = torch.einsum("gci,cia->gca", scores, factor)
        right = torch.einsum("gcidk,dkb->gcidb", weights, factor)
        inner = torch.einsum("cia,gcidb->gcadb", factor, right)

        across = torch.einsum("gci,gcidk,gdb->cidkb", scores, weights, t)
        across = across + torch.einsum("gci,gcidb,gdk->cidkb", scores, right, scores)
        across = across - torch.einsum("gcidk,gcidb->cidkb", weights, right)
        across = across.reshape(j * q, -1) * square[:, None] * there

        fisher = torch.einsum("gcidk,gcadb->ciadkb", weights, inner)
        fisher = fisher + torch.einsum("gcidb,gdkca->ciadkb", right, right)
        observed = torch.einsum("gca,gdb,gcidk->ciadkb", t, t, weights)
        observed = observed + torch.einsum("gci,gdk,gcadb->ciadkb", scores, scores, inner)
        turned = torch.einsum("gca,gdk,gcidb->ciadkb", t, scores, right)
        of_factor = observed + turned + turned.permute(3, 4, 5, 0, 1, 2) - fisher
        of_factor = of_factor.reshape(j * q * r, j * q * r) * there * there[:, None]

        of_moved = torch.einsum("gcidk,gdb->cidkb", weights, t)
        of_moved = of_moved + torch.einsum("gcidb,gdk->cidkb", right, scores)
        of_moved = of_moved.reshape(j * q, -1) * there
        whole = torch.cat([torch.cat([of_scales, across], 1), torch.cat([across.T, of_factor], 1)])
        return whole, torch.cat([moved, of_moved], 1)

    def penalty_derivatives(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of the penalty, and the diagonal of its Hessian."""
        scales, factor = self.unpack(parameters)
        of_scales = _SCALE_RATE * scales * self.varies
        of_scales[:, 0] = 0.0
        of_factor = _FACTOR_RATE * factor
        there = self.varies[:, None].expand_as(factor) * _FACTOR_RATE
        gradient = torch.cat([of_scales.flatten(), of_factor.flatten()])
        curvature = torch.cat([of_scales.flatten(), there.flatten()])
        return self.shrinkage * gradient, self.shrinkage * curvature
