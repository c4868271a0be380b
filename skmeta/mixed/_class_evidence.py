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
from scipy.special import expit, logsumexp, softmax

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._forms import Prior
from skmeta.mixed._gaussian_evidence import log_diagonal
from skmeta.mixed._newton import Evaluation
from skmeta.mixed._statistics import batches_of_groups

LOG_RIDGE_BOUNDS = (-6.0, 2.0)
MEAN_BOUNDS = (-20.0, 20.0)
# Precision of an intercept: its standard deviation is 10 logits.
_FLAT = 0.01
# The same of slopes without shrinkage.
_FLAT_SLOPE = 1e-6
# Shares of a Newton step that are tried. Where the likelihood is almost flat, it is far too long.
_STEP_SIZES = (1.0, 0.5, 0.2, 0.05, 0.01, 2e-3, 0.0)
# Newton's method for the modes stops at a step of this size. What the last step changes is added
# to first order, so the error is its square.
_TOLERANCE = 1e-3
_MOST_STEPS = 50
# Largest last step of a mode that counts as found.
_LAST_STEP = 0.1


class Batch(NamedTuple):
    """Rows of g tasks of similar size; padding rows have weight 0."""

    z: np.ndarray  # (g, n, q)
    p: np.ndarray  # (g, n, c)
    w: np.ndarray  # (g, n)


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
    indicators = np.eye(n_classes)
    return [
        Batch(z[rows], indicators[y[rows]], there)
        for _, rows, there in batches_of_groups(codes, z.shape[1] * n_classes)
    ]


class Mode(NamedTuple):
    """Modes of the tasks of a batch, and what the likelihood needs of them."""

    joint: np.ndarray  # log likelihood plus log prior (g,)
    u: np.ndarray  # b = L u (g, k)
    late: (
        np.ndarray
    )  # the last step (g, j q) of b, after which A and the probabilities are not renewed
    proba: np.ndarray  # probabilities (g, n, j), of the second class if j is 1
    score: np.ndarray  # s (g, j q)
    information: np.ndarray  # A (g, j q, j q)
    root: np.ndarray  # Cholesky factors of M (g, k, k)
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
        self._last: tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]] | None = None

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest values of m and log tau."""
        return [MEAN_BOUNDS] * self.n_mean + [LOG_RIDGE_BOUNDS]

    def evaluate(self, values: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters, up to a constant."""
        at, shape = values, self.shape
        mean, precision = self._split(at)
        factor = shape.root(at)
        modes = self._modes(mean, factor)
        if not all(mode.is_found for mode in modes):
            # Far from a mode the approximation says nothing, and could promise anything.
            return Evaluation(np.inf, np.zeros(len(values)), lambda: np.eye(len(values)))
        parts = [self._weights(mode, factor) for mode in modes]
        self._last = mean, factor, [(m.score, w) for m, (w, _, _) in zip(modes, parts, strict=True)]
        information = np.diag(precision) + sum(weights.sum(0) for weights, _, _ in parts)
        h_root = np.linalg.cholesky(information)
        half_inverse = np.linalg.inv(h_root)
        inverse = half_inverse.T @ half_inverse
        value = 0.5 * ((precision * mean**2).sum() - np.log(precision).sum())
        value = value + log_diagonal(h_root).sum() + shape.penalty(at)
        mean_gradient, covariance_gradient = precision * mean, np.zeros_like(information)
        for batch, mode, (weights, half, x) in zip(self.batches, modes, parts, strict=True):
            value = value - mode.joint.sum() + log_diagonal(mode.root).sum()
            through_mode = _through_mode(batch, mode, half, inverse, x)
            value = value + 0.5 * (through_mode * mode.late).sum()
            # K' v
            moved = through_mode - (_t(x) @ (half @ through_mode[..., None]))[..., 0]
            mean_gradient = mean_gradient - mode.score.sum(0) + 0.5 * moved.sum(0)
            turned = (weights @ inverse).transpose(1, 0, 2).reshape(len(mean), -1)
            estimate_part = turned @ weights.reshape(-1, len(mean))
            crossed = moved.T @ mode.score
            covariance_gradient += 0.5 * (
                weights.sum(0) - estimate_part - mode.score.T @ mode.score
            )
            covariance_gradient += 0.25 * (crossed + crossed.T)
        block_gradient = _blocks(covariance_gradient, shape.n_predictors)
        penalty_gradient, penalty_curvature = shape.penalty_derivatives(at)
        shape_gradient = shape.gradient(at, block_gradient) + penalty_gradient
        # In the logarithm of each precision.
        determined = precision * (mean**2 + np.diagonal(inverse))
        ridge_gradient = (1 - determined)[self._is_slope].sum() * float(shape.shrinkage > 0)
        gradient = np.concatenate([shape_gradient, mean_gradient, [ridge_gradient]])

        def curvature() -> np.ndarray:
            hessian = np.zeros((len(at), len(at)))
            n, j, q = shape.n_parameters, shape.n_predictors, len(shape.varies)
            hessian[n:-1, n:-1] = information
            hessian[:n, :n] = np.diag(penalty_curvature)
            for mode, (weights, _, _) in zip(modes, parts, strict=True):
                own, mixed = shape.curvature(
                    at, weights.reshape(-1, j, q, j, q), mode.score.reshape(-1, j, q)
                )
                hessian[:n, :n] += own
                hessian[n:-1, :n] += mixed
            hessian[:n, :n] += shape.parameter_curvature(at, block_gradient)
            if shape.shrinkage:
                hessian[-1, n:-1] = -2 * precision * mean * self._is_slope
                hessian[-1, -1] = 2 * determined[self._is_slope].sum()
            hessian[:n, n:-1] = hessian[n:-1, :n].T
            hessian[n:-1, -1] = hessian[-1, n:-1]
            return hessian

        return Evaluation(float(value), gradient, curvature)

    def effects(self, values: np.ndarray) -> np.ndarray:
        """Return the effects (G, j, q) of the tasks, in the order of the batches."""
        mean, _ = self._split(values)
        factor = self.shape.root(values)
        task_effects = np.concatenate([mode.u @ factor.T for mode in self._modes(mean, factor)])
        return task_effects.reshape(-1, self.shape.n_predictors, len(self.shape.varies))

    def prior(self, values: np.ndarray) -> Prior:
        """Return the estimates at given parameters."""
        j = self.shape.n_predictors
        mean, precision = self._split(values)
        factor = self.shape.root(values)
        information = np.diag(precision)
        for mode in self._modes(mean, factor):
            information = information + self._weights(mode, factor)[0].sum(0)
        blocks = np.linalg.inv(information).reshape(j, len(mean) // j, j, -1)
        if j > 1:
            # A constant added to all classes changes no probability, and is not identified.
            centre = np.eye(j) - 1 / j
            blocks = np.einsum("ab,bpcq,cd->apdq", centre, blocks, centre)
        each = np.stack([blocks[i, :, i] for i in range(j)])
        each = 0.5 * (each + _t(each))
        return Prior(mean.reshape(j, -1).T, self.shape.covariance(values), each)

    # ------------------------------------------------------------------------------ its parts

    def _split(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return m (j q,) and the precision (j q,) of its prior."""
        mean = at[self.shape.n_parameters : -1]
        slope = np.exp(-2 * at[-1]) if self.shape.shrinkage else _FLAT_SLOPE
        return mean, np.where(self._is_slope, slope, _FLAT)

    @property
    def _is_slope(self) -> np.ndarray:
        return np.asarray(np.arange(self.n_mean) % len(self.shape.varies) > 0)

    def _modes(self, mean: np.ndarray, factor: np.ndarray) -> list[Mode]:
        modes = []
        for k, batch in enumerate(self.batches):
            u = np.zeros((len(batch.z), factor.shape[1]))
            if self._last is not None:
                # To first order, scores change by -W (dm + dS s).
                last_mean, last_factor, states = self._last
                score, weights = states[k]
                moved = (score @ factor) @ factor.T - (score @ last_factor) @ last_factor.T
                change = (weights @ (mean - last_mean + moved)[..., None])[..., 0]
                u = (score - change) @ factor
            modes.append(find_mode(batch, mean, factor, u, self.tolerance))
        return modes

    def _weights(self, mode: Mode, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W, root^-1 L' and X = root^-1 L'A."""
        half = np.linalg.inv(mode.root) @ factor.T
        x = half @ mode.information
        return mode.information - _t(x) @ x, half, x


def _t(values: np.ndarray) -> np.ndarray:
    return values.swapaxes(-1, -2)


def find_mode(
    batch: Batch, mean: np.ndarray, factor: np.ndarray, u: np.ndarray, tolerance: float
) -> Mode:
    """Find the modes of tasks by Newton's method.

    Parameters
    ----------
    batch : Batch
        Rows of g tasks.
    mean : ndarray of shape (j q,)
        m.
    factor : ndarray of shape (j q, k)
        L.
    u : ndarray of shape (g, k)
        Where to begin; b = L u.
    tolerance : float
        Iteration ends when no step is longer.
    """
    z, p, w = batch
    j, q = len(mean) // z.shape[2], z.shape[2]
    eye = np.eye(factor.shape[1])

    def predictors(coefficients: np.ndarray) -> np.ndarray:
        return np.asarray(z @ _t(coefficients.reshape(*coefficients.shape[:-1], j, q)))

    def joint(eta: np.ndarray, u: np.ndarray) -> np.ndarray:
        if j == 1:
            log_p = p[..., 1] * eta[..., 0] - np.logaddexp(0.0, eta[..., 0])
        else:
            log_p = (p * eta).sum(-1) - logsumexp(eta, axis=-1)
        return np.asarray((w * log_p).sum(-1) - 0.5 * (u**2).sum(-1))

    at_zero = joint(np.broadcast_to(predictors(mean), (*w.shape, j)), np.zeros_like(u))
    eta = predictors(mean + u @ factor.T)
    now = joint(eta, u)
    is_worse = ~(now >= at_zero)
    if is_worse.any():
        u = np.where(is_worse[:, None], 0.0, u)
        eta = predictors(mean + u @ factor.T)
        now = joint(eta, u)
    for k in range(_MOST_STEPS):
        proba, score, information = row_parts(batch, eta)
        precision = eye + factor.T @ information @ factor
        gradient = score @ factor - u
        step = np.linalg.solve(precision, gradient[..., None])[..., 0]
        largest = float(np.abs(step).max(initial=0.0))
        if largest < tolerance or k == _MOST_STEPS - 1:
            break
        change = predictors(step @ factor.T)
        tried = joint(eta + change, u + step)
        if (tried >= now).all():
            eta, u, now = eta + change, u + step, tried
            continue
        values = np.stack([joint(eta + s * change, u + s * step) for s in _STEP_SIZES])
        now, size = values.max(0), np.array(_STEP_SIZES)[values.argmax(0)]
        eta, u = eta + size[:, None, None] * change, u + size[:, None] * step
    late = step @ factor.T
    score = score - (information @ late[..., None])[..., 0]
    now = now + 0.5 * (step * gradient).sum(-1)
    root = np.linalg.cholesky(precision)
    return Mode(now, u + step, late, proba, score, information, root, largest < _LAST_STEP)


def row_parts(batch: Batch, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities (g, n, j), scores (g, j q) and information (g, j q, j q).

    Parameters
    ----------
    batch : Batch
        Rows of g tasks.
    eta : ndarray of shape (g, n, j)
        Linear predictors of the rows.
    """
    z, p, w = batch
    g, n, q = z.shape
    if eta.shape[2] == 1:
        proba = expit(eta)
        score = _t(z) @ (w * (p[..., 1] - proba[..., 0]))[..., None]
        weight = w[..., None] * proba * (1 - proba)
        return proba, score[..., 0], _t(z) @ (weight * z)
    proba = softmax(eta, axis=-1)
    j = proba.shape[2]
    score = _t(_t(z) @ (w[..., None] * (p - proba))).reshape(g, j * q)
    spread = (proba[..., None] * z[:, :, None]).reshape(g, n, j * q)
    weighted = w[..., None] * spread
    information = -(_t(weighted) @ spread)
    own = (_t(z) @ weighted).reshape(g, q, j, q)
    for k in range(j):
        information[:, k * q : (k + 1) * q, k * q : (k + 1) * q] += own[:, :, k]
    return proba, score, information


def third_derivatives(batch: Batch, proba: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return derivatives (g, j q) of tr(A Q) in the coefficients, A the information on them.

    Parameters
    ----------
    batch : Batch
        Rows of g tasks.
    proba : ndarray of shape (g, n, j)
        Their probabilities.
    covariance : ndarray of shape (g, j q, j q)
        Q.
    """
    z, (g, n, q), j = batch.z, batch.z.shape, proba.shape[2]
    if j == 1:
        row_variance = ((z @ covariance) * z).sum(-1, keepdims=True)
        t = row_variance * proba * (1 - proba) * (1 - 2 * proba)
    else:
        spread = (proba[..., None] * z[:, :, None]).reshape(g, n, j * q)
        against = ((spread @ covariance).reshape(g, n, j, q) * z[:, :, None]).sum(-1)
        blocks = _blocks(covariance, j)
        own = np.stack([((z @ blocks[:, k]) * z).sum(-1) for k in range(j)], -1)
        gap = own - 2 * against
        t = proba * (gap - (proba * gap).sum(-1, keepdims=True))
    return _t(_t(z) @ (batch.w[..., None] * t)).reshape(g, j * q)


def _through_mode(
    batch: Batch, mode: Mode, half: np.ndarray, inverse: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the derivatives v (g, j q) of the log determinants in the modes of b.

    With K = I - C A and C = L M^-1 L', a change dA of the information changes the log determinants
    of M and H by tr(Q dA), where Q = C + K H^-1 K' is the covariance of m + b.
    """
    turned = inverse - _t(half) @ (x @ inverse)
    q_matrix = _t(half) @ half + turned - (turned @ _t(x)) @ half
    return third_derivatives(batch, mode.proba, q_matrix)


def _blocks(matrices: np.ndarray, j: int) -> np.ndarray:
    """Return the diagonal blocks (..., j, q, q) of matrices (..., j q, j q)."""
    q = matrices.shape[-1] // j
    each = matrices.reshape(*matrices.shape[:-2], j, q, j, q)
    return np.stack([each[..., k, :, k, :] for k in range(j)], -3)
