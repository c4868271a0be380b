"""The marginal likelihood of a logistic mixed-effects model, and its derivatives.

Notation as in `_laplace`: G tasks, n rows, q coefficients, j linear predictors, c classes.
Coefficients of a task are m + b, with b drawn from N(0, S); S has one block for each predictor.
Vectors of all j q coefficients are sorted by predictor, then by coefficient. L is a matrix with
S = L L', A (G, j q, j q) the information of a task's rows on its coefficients at the mode, and s
the gradient of its log likelihood. M = I + L'AL, and W = A - A L M^-1 L'A is the information on m
with b integrated out.

The effects of tasks and m are integrated out by Laplace's approximation. The prior of m is normal
with variance tau^2 for slopes, and flat for intercepts.

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 5.5.1, for the
derivatives; Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using
lme4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._laplace import STEP_SIZES
from skmeta.learners.hierarchical._newton import Evaluation

LOG_RIDGE_BOUNDS = (-6.0, 2.0)
MEAN_BOUNDS = (-20.0, 20.0)
# Precision of an intercept: its standard deviation is 10 logits.
_FLAT = 0.01
# The same of slopes without shrinkage.
_FLAT_SLOPE = 1e-6
# Tasks computed together: largest ratio of the numbers of rows of two of them.
_SIZE_RATIO = 1.5
# Newton's method for the modes stops at a step of this size. What the last step changes is added
# to first order, so the error is its square.
_TOLERANCE = 1e-3
_MOST_STEPS = 50
# Largest last step of a mode that counts as found.
_LAST_STEP = 0.1


class ClassPrior(NamedTuple):
    """Distribution of the coefficients over the tasks of a family.

    Attributes
    ----------
    mean : Tensor of shape (q, j)
        m.
    covariance : Tensor of shape (j, q, q)
        S.
    mean_covariance : Tensor of shape (j, q, q)
        Covariance of the estimate of m, for each predictor separately.
    """

    mean: Tensor
    covariance: Tensor
    mean_covariance: Tensor


class Batch(NamedTuple):
    """Rows of g tasks of similar size; padding rows have weight 0."""

    z: Tensor  # (g, n, q)
    p: Tensor  # (g, n, c)
    w: Tensor  # (g, n)


def batch_tasks(z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_classes: int) -> list[Batch]:
    """Divide tasks into batches of similar size.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,), int64
        Class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    n_classes : int
        c.

    Returns
    -------
    list of Batch
        Batches of all tasks.
    """
    sizes = np.bincount(codes)
    parts = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    parts.sort(key=len)
    indicators = np.eye(n_classes)
    batches, start = [], 0
    while start < len(parts):
        end = start
        while end < len(parts) and len(parts[end]) <= _SIZE_RATIO * len(parts[start]) + 1:
            end += 1
        longest = len(parts[end - 1])
        rows = np.stack([np.resize(part, longest) for part in parts[start:end]])
        there = np.stack([np.arange(longest) < len(part) for part in parts[start:end]])
        arrays = (z[rows], indicators[y[rows]], there.astype(float))
        batches.append(Batch(*(torch.from_numpy(a) for a in arrays)))
        start = end
    return batches


class _Mode(NamedTuple):
    """Modes of the tasks of a batch, and what the likelihood needs of them."""

    joint: Tensor  # log likelihood plus log prior (g,)
    u: Tensor  # b = L u (g, k)
    late: Tensor  # the last step (g, j q) of b, after which A and the probabilities are not renewed
    proba: Tensor  # probabilities (g, n, j), of the second class if j is 1
    score: Tensor  # s (g, j q)
    information: Tensor  # A (g, j q, j q)
    root: Tensor  # Cholesky factors of M (g, k, k)
    is_found: bool  # whether Newton's method converged


class ClassEvidence:
    """Marginal likelihood of all tasks as a function of the parameters.

    The parameters are those of the covariance, then m by predictor, then log tau. It stores
    scores and weights at the last parameters, from which the next modes are predicted.

    Parameters
    ----------
    batches : list of Batch
        Rows of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    """

    def __init__(self, batches: list[Batch], shape: CovarianceShape) -> None:
        self.batches, self.shape, self.tolerance = batches, shape, _TOLERANCE
        self.n_mean = shape.n_scales
        self._last: tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]] | None = None

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest values of m and log tau."""
        return [MEAN_BOUNDS] * self.n_mean + [LOG_RIDGE_BOUNDS]

    def evaluate(self, values: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        at, shape = torch.from_numpy(values), self.shape
        mean, precision = self._split(at)
        factor = shape.root(at)
        modes = self._modes(mean, factor)
        if not all(mode.is_found for mode in modes):
            # Far from a mode the approximation says nothing, and could promise anything.
            return Evaluation(np.inf, np.zeros(len(values)), lambda: np.eye(len(values)))
        parts = [self._weights(mode, factor) for mode in modes]
        self._last = mean, factor, [(m.score, w) for m, (w, _, _) in zip(modes, parts, strict=True)]
        information = torch.diag(precision) + sum(weights.sum(0) for weights, _, _ in parts)
        h_root = torch.linalg.cholesky(information)
        inverse = torch.cholesky_inverse(h_root)
        value = 0.5 * ((precision * mean**2).sum() - torch.log(precision).sum())
        value = value + _log_diagonal(h_root).sum() + shape.penalty(at)
        of_mean, of_covariance = precision * mean, torch.zeros_like(information)
        for batch, mode, (weights, half, x) in zip(self.batches, modes, parts, strict=True):
            value = value - mode.joint.sum() + _log_diagonal(mode.root).sum()
            through_mode = _through_mode(batch, mode, half, inverse, x)
            value = value + 0.5 * (through_mode * mode.late).sum()
            # K' v
            moved = through_mode - (x.mT @ (half @ through_mode[..., None]))[..., 0]
            of_mean = of_mean - mode.score.sum(0) + 0.5 * moved.sum(0)
            of_estimate = torch.einsum("gpq,gqr->pr", weights @ inverse, weights)
            crossed = moved.T @ mode.score
            of_covariance += 0.5 * (weights.sum(0) - of_estimate - mode.score.T @ mode.score)
            of_covariance += 0.25 * (crossed + crossed.T)
        of_blocks = _blocks(of_covariance, shape.n_predictors)
        of_penalty, penalty_curvature = shape.penalty_derivatives(at)
        of_shape = shape.gradient(at, of_blocks) + of_penalty
        # In the logarithm of each precision.
        determined = precision * (mean**2 + torch.diagonal(inverse))
        of_ridge = (1 - determined)[self._is_slope].sum() * float(shape.shrinkage > 0)
        gradient = torch.cat([of_shape, of_mean, of_ridge[None]])

        def curvature() -> np.ndarray:
            found = torch.zeros(len(at), len(at), dtype=at.dtype)
            n, j, q = shape.n_parameters, shape.n_predictors, len(shape.varies)
            found[n:-1, n:-1] = information
            found[:n, :n] = torch.diag(penalty_curvature)
            for mode, (weights, _, _) in zip(modes, parts, strict=True):
                own, mixed = shape.curvature(
                    at, weights.reshape(-1, j, q, j, q), mode.score.reshape(-1, j, q)
                )
                found[:n, :n] += own
                found[n:-1, :n] += mixed
            found[:n, :n] += shape.parameter_curvature(at, of_blocks)
            if shape.shrinkage:
                found[-1, n:-1] = -2 * precision * mean * self._is_slope
                found[-1, -1] = 2 * determined[self._is_slope].sum()
            found[:n, n:-1] = found[n:-1, :n].T
            found[n:-1, -1] = found[-1, n:-1]
            return found.numpy()

        return Evaluation(float(value), gradient.numpy(), curvature)

    def effects(self, values: np.ndarray) -> Tensor:
        """Return the effects (G, j, q) of the tasks, in the order of the batches."""
        at = torch.from_numpy(values)
        mean, _ = self._split(at)
        factor = self.shape.root(at)
        found = torch.cat([mode.u @ factor.T for mode in self._modes(mean, factor)])
        return found.reshape(-1, self.shape.n_predictors, len(self.shape.varies))

    def prior(self, values: np.ndarray) -> ClassPrior:
        """Return the estimates at given parameters."""
        at, j = torch.from_numpy(values), self.shape.n_predictors
        mean, precision = self._split(at)
        factor = self.shape.root(at)
        information = torch.diag(precision)
        for mode in self._modes(mean, factor):
            information = information + self._weights(mode, factor)[0].sum(0)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(information))
        blocks = inverse.reshape(j, len(mean) // j, j, -1)
        if j > 1:
            # A constant added to all classes changes no probability, and is not identified.
            centre = torch.eye(j, dtype=blocks.dtype) - 1 / j
            blocks = torch.einsum("ab,bpcq,cd->apdq", centre, blocks, centre)
        each = torch.stack([blocks[i, :, i] for i in range(j)])
        return ClassPrior(mean.reshape(j, -1).T, self.shape.covariance(at), each)

    # ------------------------------------------------------------------------------ its parts

    def _split(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return m (j q,) and the precision (j q,) of its prior."""
        mean = at[self.shape.n_parameters : -1]
        slope = torch.exp(-2 * at[-1]) if self.shape.shrinkage else at.new_tensor(_FLAT_SLOPE)
        return mean, torch.where(self._is_slope, slope, _FLAT)

    @property
    def _is_slope(self) -> Tensor:
        q = len(self.shape.varies)
        found: Tensor = torch.arange(self.n_mean) % q > 0
        return found

    def _modes(self, mean: Tensor, factor: Tensor) -> list[_Mode]:
        found = []
        for k, batch in enumerate(self.batches):
            u = factor.new_zeros(len(batch.z), factor.shape[1])
            if self._last is not None:
                # To first order, scores change by -W (dm + dS s).
                last_mean, last_factor, states = self._last
                score, weights = states[k]
                moved = (score @ factor) @ factor.T - (score @ last_factor) @ last_factor.T
                change = (weights @ (mean - last_mean + moved)[..., None])[..., 0]
                u = (score - change) @ factor
            found.append(_find_mode(batch, mean, factor, u, self.tolerance))
        return found

    def _weights(self, mode: _Mode, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return W, root^-1 L' and X = root^-1 L'A."""
        half = torch.linalg.solve_triangular(
            mode.root, factor.T.expand(len(mode.root), -1, -1), upper=False
        )
        x = half @ mode.information
        return mode.information - x.mT @ x, half, x


def _find_mode(batch: Batch, mean: Tensor, factor: Tensor, u: Tensor, tolerance: float) -> _Mode:
    """Find the modes of the tasks by Newton's method, from given coordinates."""
    z, p, w = batch
    j = len(mean) // z.shape[2]
    eye = torch.eye(factor.shape[1], dtype=z.dtype)

    def predictors(coefficients: Tensor) -> Tensor:
        found: Tensor = z @ coefficients.unflatten(-1, (j, -1)).mT
        return found

    def joint(eta: Tensor, u: Tensor) -> Tensor:
        if j == 1:
            log_p = p[..., 1] * eta[..., 0] - torch.nn.functional.softplus(eta[..., 0])
        else:
            log_p = (p * eta).sum(-1) - torch.logsumexp(eta, -1)
        found: Tensor = (w * log_p).sum(-1) - 0.5 * (u**2).sum(-1)
        return found

    at_zero = joint(predictors(mean).expand(len(z), -1, -1), torch.zeros_like(u))
    eta = predictors(mean + u @ factor.T)
    now = joint(eta, u)
    is_worse = ~(now >= at_zero)
    if bool(is_worse.any()):
        u = torch.where(is_worse[:, None], 0.0, u)
        eta = predictors(mean + u @ factor.T)
        now = joint(eta, u)
    for k in range(_MOST_STEPS):
        proba, score, information = _row_parts(batch, eta)
        root = torch.linalg.cholesky(eye + factor.T @ information @ factor)
        gradient = score @ factor - u
        step = torch.cholesky_solve(gradient[..., None], root)[..., 0]
        largest = float(step.abs().max())
        if largest < tolerance or k == _MOST_STEPS - 1:
            break
        change = predictors(step @ factor.T)
        tried = joint(eta + change, u + step)
        if bool((tried >= now).all()):
            eta, u, now = eta + change, u + step, tried
            continue
        values = torch.stack([joint(eta + s * change, u + s * step) for s in STEP_SIZES])
        now, best = values.max(0)
        size = torch.tensor(STEP_SIZES, dtype=z.dtype)[best]
        eta, u = eta + size[:, None, None] * change, u + size[:, None] * step
    late = step @ factor.T
    score = score - (information @ late[..., None])[..., 0]
    now = now + 0.5 * (step * gradient).sum(-1)
    is_found = largest < _LAST_STEP
    return _Mode(now, u + step, late, proba, score, information, root, is_found)


def _row_parts(batch: Batch, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities (g, n, j), scores (g, j q) and information (g, j q, j q)."""
    z, p, w = batch
    if eta.shape[2] == 1:
        proba = torch.sigmoid(eta)
        score = z.mT @ (w * (p[..., 1] - proba[..., 0]))[..., None]
        weight = w[..., None] * proba * (1 - proba)
        return proba, score[..., 0], z.mT @ (weight * z)
    proba = torch.softmax(eta, -1)
    score = (z.mT @ (w[..., None] * (p - proba))).mT.flatten(1)
    g, n, q = z.shape
    j = proba.shape[2]
    weighted = (w[..., None] * proba)[..., None] * z[:, :, None]
    spread = (proba[..., None] * z[:, :, None]).reshape(g, n, j * q)
    information = -(weighted.reshape(g, n, j * q).mT @ spread)
    own = (z.mT @ weighted.reshape(g, n, j * q)).reshape(g, q, j, q)
    for k in range(j):
        information[:, k * q : (k + 1) * q, k * q : (k + 1) * q] += own[:, :, k]
    return proba, score, information


def _through_mode(batch: Batch, mode: _Mode, half: Tensor, inverse: Tensor, x: Tensor) -> Tensor:
    """Return the derivatives v (g, j q) of the log determinants in the modes of b.

    With K = I - C A and C = L M^-1 L', a change dA of the information changes the log determinants
    of M and H by tr(Q dA), where Q = C + K H^-1 K' is the covariance of m + b.
    """
    turned = inverse - half.mT @ (x @ inverse)
    q_matrix = half.mT @ half + turned - (turned @ x.mT) @ half
    z, p = batch.z, mode.proba
    g, n, q = z.shape
    j = p.shape[2]
    if j == 1:
        of_rows = ((z @ q_matrix) * z).sum(-1, keepdim=True)
        t = of_rows * p * (1 - p) * (1 - 2 * p)
    else:
        spread = (p[..., None] * z[:, :, None]).reshape(g, n, j * q)
        against = ((spread @ q_matrix).reshape(g, n, j, q) * z[:, :, None]).sum(-1)
        blocks = _blocks(q_matrix, j).unbind(1)
        own = torch.stack([((z @ block) * z).sum(-1) for block in blocks], -1)
        gap = own - 2 * against
        t = p * (gap - (p * gap).sum(-1, keepdim=True))
    return (z.mT @ (batch.w[..., None] * t)).mT.flatten(1)


def _blocks(matrices: Tensor, j: int) -> Tensor:
    """Return the diagonal blocks (..., j, q, q) of matrices (..., j q, j q)."""
    each = matrices.unflatten(-1, (j, -1)).unflatten(-3, (j, -1))
    return torch.stack([each[..., k, :, k, :] for k in range(j)], -3)


def _log_diagonal(root: Tensor) -> Tensor:
    found: Tensor = torch.log(torch.diagonal(root, dim1=-2, dim2=-1))
    return found
