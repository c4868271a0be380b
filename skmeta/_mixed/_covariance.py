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
from scipy.linalg import block_diag

# Bounds of log d, in units of a standard deviation of the target or of a logit.
LOG_SCALE_BOUNDS = (-7.0, 3.0)
# Standard deviation of a coefficient that is the same in all tasks; positive for the Cholesky
# factor.
_NONE = 1e-5
# Standard deviations up to the lower bound count as 0 in computations that become faster by it.
_MIN_SCALE = 1.01 * math.exp(LOG_SCALE_BOUNDS[0])
# Longest steps of log d and of F.
_LONGEST_SCALE_STEP, _LONGEST_FACTOR_STEP = 2.0, 0.3
_START_INTERCEPT = 0.5
# Shrinkage of slopes and where their deviations start, by whether predictors are logits: these are
# larger than standardised targets. Chosen on development tables of benchmarks/measure/grouped.py.
RATE_AND_START = {False: (180.0, 0.1), True: (20.0, 0.3)}


def _spread(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return a matrix with values in the chosen rows (k,) and columns (p,), and zeros elsewhere."""
    spread = np.zeros((len(rows), len(columns)))
    spread[np.ix_(rows, columns)] = values
    return spread


def _einsum(form: str, *arrays: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum(form, *arrays, optimize="greedy"))


@dataclass(frozen=True)
class CovarianceShape:
    """Which coefficients (q,) may differ between tasks, and the rank of their correlations."""

    varies: np.ndarray
    n_predictors: int
    rank: int
    shrinkage: float  # rate of the exponential prior on d and of the normal prior on F
    start_slope: float = 0.1  # standard deviation of slopes that a fit starts from

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
        scales = np.full((self.n_predictors, len(self.varies)), self.start_slope)
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
        factor = np.zeros((self.n_predictors, len(self.varies), self.rank))
        for j in range(self.n_predictors):
            whitened = effects[:, j] / scales[j]
            _, vectors = np.linalg.eigh(whitened.T @ whitened)
            top = vectors[:, ::-1][:, : self.rank]
            factor[j, :, : top.shape[1]] = 0.5 * scales[j][:, None] * top
        return np.concatenate([parameters[: self.n_scales], factor.ravel()])

    def unpack(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d (j, q) and F (j, q, r)."""
        j, q, r = self.n_predictors, len(self.varies), self.rank
        scales = np.exp(parameters[: j * q]).reshape(j, q)
        factor = parameters[j * q : j * q * (1 + r)].reshape(j, q, r)
        return np.where(self.varies, scales, _NONE), factor * self.varies[:, None]

    def covariance(self, parameters: np.ndarray) -> np.ndarray:
        """Return S (j, q, q)."""
        scales, factor = self.unpack(parameters)
        whole = scales[:, :, None] ** 2 * np.eye(len(self.varies)) + factor @ factor.swapaxes(1, 2)
        return np.asarray(whole)

    def root(self, parameters: np.ndarray) -> np.ndarray:
        """Return a block-diagonal matrix L (j q, k) with L L' = S; k is as small as possible."""
        scales, factor = self.unpack(parameters)
        differs = self.varies & (scales > _MIN_SCALE)
        parts = []
        for scale_part, keep, factor_part in zip(scales, differs, factor, strict=True):
            columns = np.diag(scale_part)[:, keep]
            parts.append(np.hstack([columns, factor_part[:, factor_part.any(0)]]))
        return parts[0] if len(parts) == 1 else np.asarray(block_diag(*parts))

    def cholesky(self, parameters: np.ndarray) -> np.ndarray:
        """Return a block-diagonal matrix L (j q, j q), lower triangular, with L L' = S."""
        return np.asarray(block_diag(*np.linalg.cholesky(self.covariance(parameters))))

    def penalty(self, parameters: np.ndarray) -> float:
        """Return minus the log prior of the parameters, up to a constant."""
        scales, factor = self.unpack(parameters)
        scale_part = (scales * self.varies)[:, 1:].sum()
        return float(self.shrinkage * (scale_part + 0.5 * (factor**2).sum()))

    # ---------------------------------------------------------------------------- derivatives

    def gradient(self, parameters: np.ndarray, covariance_gradient: np.ndarray) -> np.ndarray:
        """Return the gradient in log d and F from the symmetric gradient (j, q, q) in S."""
        scales, factor = self.unpack(parameters)
        diagonal = np.diagonal(covariance_gradient, axis1=1, axis2=2)
        scale_part = 2 * self.varies * scales**2 * diagonal
        factor_part = 2 * self.varies[:, None] * (covariance_gradient @ factor)
        return np.concatenate([scale_part.ravel(), factor_part.ravel()])

    def moves(self, parameters: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return products (G, j q, n_parameters) of the derivatives of S with scores (G, j, q)."""
        j, q, r = self.n_predictors, len(self.varies), self.rank
        scales, factor = self.unpack(parameters)
        n_groups, each = len(scores), np.arange(j * q)
        on_scales = np.zeros((n_groups, j * q, j * q))
        square = (2 * self.varies * scales**2).ravel()
        on_scales[:, each, each] = square * scores.reshape(n_groups, -1)
        if r == 0:
            return on_scales
        # With a change E of F, E F's + F E's.
        along = np.einsum("jqr,gjq->gjr", factor, scores)
        on_factor = np.zeros((n_groups, j, q, j, q, r))
        for k in range(j):
            on_factor[:, k, :, k] = np.einsum("pr,gq->gpqr", factor[k], scores[:, k])
            on_factor[:, k, np.arange(q), k, np.arange(q)] += along[:, k, None]
        on_factor = on_factor * self.varies[:, None]
        return np.concatenate([on_scales, on_factor.reshape(n_groups, j * q, -1)], axis=2)

    def parameter_curvature(
        self, parameters: np.ndarray, covariance_gradient: np.ndarray
    ) -> np.ndarray:
        """Return the part (p, p) of a Hessian from second derivatives of S.

        The gradient of the function in S is symmetric, (j, q, q).
        """
        scales, _ = self.unpack(parameters)
        diagonal = np.diagonal(covariance_gradient, axis1=1, axis2=2)
        scale_part = np.diag((4 * self.varies * scales**2 * diagonal).ravel())
        if self.rank == 0:
            return scale_part
        both = self.varies[:, None] & self.varies
        blocks = [np.kron(2 * one * both, np.eye(self.rank)) for one in covariance_gradient]
        return np.asarray(block_diag(scale_part, *blocks))

    def curvature(
        self, parameters: np.ndarray, weights: np.ndarray, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return second derivatives of the negative log likelihood in the parameters and m.

        They are the Hessian (p, p) in the parameters at a given m, without
        :meth:`parameter_curvature`, and the mixed ones (j q, p). `weights` are W = Z' V^-1 Z (G, j,
        q, j, q) and `scores` r = Z' V^-1 (y - Z m) (G, j, q), with V the covariance of a task's
        targets. With dS a derivative of S, second derivatives in S are r' dS W dS' r - tr(W dS W
        dS') / 2, and those in S and m are W dS r.
        """
        j, q, r = self.n_predictors, len(self.varies), self.rank
        # Derivatives in the parameters of coefficients that do not vary are 0.
        varying = np.flatnonzero(self.varies)
        scales, factor = (part[:, varying] for part in self.unpack(parameters))
        square, size = (2 * scales**2).ravel(), j * len(varying)
        columns = weights[..., varying]  # those of the v that vary, (G, j, q, j, v)
        block, score = columns[:, :, varying], scores[:, :, varying]
        flat, flat_score = block.reshape(-1, size, size), score.reshape(-1, size)
        # sum_g W (r r' - W / 2), entry by entry.
        scale_part = flat * (flat_score[:, :, None] * flat_score[:, None] - 0.5 * flat)
        scale_part = scale_part.sum(0) * square * square[:, None]
        moved = (columns.reshape(-1, j * q, size) * flat_score[:, None]).sum(0) * square
        is_free, every = np.tile(self.varies, j), np.ones(j * q, bool)
        if r == 0:
            return _spread(scale_part, is_free, is_free), _spread(moved, every, is_free)
        # t = F' r, W F and F' W F, with one block for each pair of predictors.
        t = (score[:, :, None] @ factor)[:, :, 0]  # (G, j, r)
        rotated = _einsum("gcidk,dkb->gcidb", columns, factor)
        right = rotated[:, :, varying]
        inner = _einsum("cia,gcidb->gcadb", factor, right)

        across = _einsum("gci,gcidk,gdb->cidkb", score, block, t)
        across += _einsum("gci,gcidb,gdk->cidkb", score, right, score)
        across -= _einsum("gcidk,gcidb->cidkb", block, right)
        across = across.reshape(size, -1) * square[:, None]

        fisher = _einsum("gcidk,gcadb->ciadkb", block, inner)
        fisher += _einsum("gcidb,gdkca->ciadkb", right, right)
        observed = _einsum("gca,gdb,gcidk->ciadkb", t, t, block)
        observed += _einsum("gci,gdk,gcadb->ciadkb", score, score, inner)
        turned = _einsum("gca,gdk,gcidb->ciadkb", t, score, right)
        factor_part = observed + turned + turned.transpose(3, 4, 5, 0, 1, 2) - fisher
        factor_part = factor_part.reshape(size * r, size * r)

        factor_moved = _einsum("gcidk,gdb->cidkb", columns, t)
        factor_moved += _einsum("gcidb,gdk->cidkb", rotated, score)
        whole = np.block([[scale_part, across], [across.T, factor_part]])
        moved = np.hstack([moved, factor_moved.reshape(j * q, -1)])
        is_free = np.concatenate([is_free, is_free.repeat(r)])
        return _spread(whole, is_free, is_free), _spread(moved, every, is_free)

    def penalty_derivatives(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of the penalty, and the diagonal of its Hessian."""
        scales, factor = self.unpack(parameters)
        scale_part = scales * self.varies
        scale_part[:, 0] = 0.0
        is_free = np.broadcast_to(self.varies[:, None], factor.shape).astype(float)
        gradient = np.concatenate([scale_part.ravel(), factor.ravel()])
        curvature = np.concatenate([scale_part.ravel(), is_free.ravel()])
        return self.shrinkage * gradient, self.shrinkage * curvature
