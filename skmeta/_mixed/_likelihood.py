"""Rows of groups given coefficients with a normal prior: modes, moments and predictions.

Notation as in `_model`: n rows, q coefficients of each of j linear predictors, c classes. Two
classes share one predictor, the logit of the second. Vectors of all j q coefficients are sorted by
predictor, then by coefficient. They are m + L u, and the prior of u is N(0, I). A is the
information of the rows on the coefficients, and M = I + L'AL.

Given the rows of a group of a regression, the coefficients are normal around their mode, with the
covariance C = L M^-1 L'. For classes this is Laplace's approximation. It is the start of the normal
distribution that is closest to theirs in Kullback-Leibler divergence: there the score and A are
averages over the distribution itself (Opper and Archambeau, section 2). Logits of rows are
normal, and probabilities are averaged over them: by quadrature for two classes, else over even
draws in opposite pairs.

All functions take arrays of NumPy or tensors of torch, with any number of axes before those named.
Tensors have derivatives, and nothing branches on values.

References: Bishop (2006), Pattern Recognition and Machine Learning, section 3.3; Rasmussen and
Williams (2006), Gaussian Processes for Machine Learning, section 3.4; Opper and Archambeau (2009),
The variational Gaussian approximation revisited.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

# An array of NumPy or a tensor of torch.
Array = Any

# Shares of a Newton step that are tried. Where the likelihood is almost flat, it is far too long.
_STEP_SIZES = (1.0, 0.5, 0.2, 0.05, 0.01, 2e-3, 0.0)
# Nodes of the quadrature, and pairs of draws.
_N_NODES, _N_PAIRS = 12, 64
# Steps from Laplace's approximation to the variational one, and their pairs of draws.
_N_STEPS, _N_STEP_PAIRS = 2, 24
# Added to the variances of logits, so that their covariance has a Cholesky factor.
_JITTER = 1e-9


class RowSums(NamedTuple):
    """Sufficient statistics of the rows of a regression."""

    gram: Array  # A = Z'WZ (..., q, q)
    moment: Array  # Z'Wy (..., q)
    square: Array  # y'Wy (...)
    n_rows: Array  # sum of the weights (...)

    @classmethod
    def from_rows(cls, z: Array, y: Array, w: Array) -> RowSums:
        """Return the statistics of rows (..., n, q), targets (..., n) and weights (..., n)."""
        weighted = transposed(w[..., None] * z)
        moment = (weighted @ y[..., None])[..., 0]
        return cls(weighted @ z, moment, (w * y**2).sum(-1), w.sum(-1))


class ClassRows(NamedTuple):
    """Rows of tasks with their classes; padding rows have weight 0."""

    z: Array  # (..., n, q)
    p: Array  # indicators of the classes (..., n, c)
    w: Array  # weights (..., n)


class Mode(NamedTuple):
    """Modes of tasks, and what the likelihood needs of them."""

    joint: Array  # log likelihood plus log prior (...)
    u: Array  # (..., k)
    score: Array  # gradient (..., j q) of the log likelihood
    information: Array  # A (..., j q, j q)
    precision: Array  # M (..., k, k)


def module_of(values: Array) -> Any:
    """Return numpy or torch."""
    return np if isinstance(values, np.ndarray) else sys.modules["torch"]


def _like(constant: np.ndarray, values: Array) -> Array:
    """Return a constant of the kind, the type and the device of values."""
    if isinstance(values, np.ndarray):
        return constant
    return module_of(values).as_tensor(constant, dtype=values.dtype, device=values.device)


def transposed(values: Array) -> Array:
    """Swap the last two axes."""
    return values.swapaxes(-1, -2)


def gaussian_mode(rows: RowSums, mean: Array, factor: Array, noise: Array) -> Mode:
    """Return the modes of regressions, with coefficients m (q,) + L (q, k) u and noise sigma."""
    xp, variance = module_of(mean), noise**2
    information = rows.gram / variance
    explained = rows.gram @ mean
    residual = (rows.moment - explained) / variance
    square = (rows.square - 2 * rows.moment @ mean + explained @ mean) / variance
    precision = _like(np.eye(factor.shape[-1]), mean) + factor.T @ information @ factor
    gradient = residual @ factor
    u = xp.linalg.solve(precision, gradient[..., None])[..., 0]
    joint = 0.5 * (u * gradient).sum(-1) - 0.5 * square - rows.n_rows * xp.log(noise)
    score = residual - (information @ (u @ factor.T)[..., None])[..., 0]
    return Mode(joint, u, score, information, precision)


def predictors(z: Array, coefficients: Array) -> Array:
    """Return the linear predictors (..., n, j) of rows at coefficients (..., j q)."""
    q = z.shape[-1]
    return z @ transposed(coefficients.reshape(*coefficients.shape[:-1], -1, q))


def _probabilities(eta: Array) -> Array:
    """Return the probabilities (..., j) of the classes, of the second one if j is 1."""
    xp = module_of(eta)
    if eta.shape[-1] == 1:
        return 0.5 + 0.5 * xp.tanh(0.5 * eta)
    p = xp.exp(eta - xp.amax(eta, -1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def log_joint(rows: ClassRows, eta: Array, u: Array) -> Array:
    """Return the log likelihood of linear predictors plus the log prior of u, (...)."""
    xp, j = module_of(eta), eta.shape[-1]
    # The logit of the first of two classes is 0.
    top = xp.amax(eta, -1) if j > 1 else 0.5 * (eta + abs(eta))[..., 0]
    rest = xp.exp(eta - top[..., None]).sum(-1)
    log_sum = top + xp.log(rest if j > 1 else rest + xp.exp(-top))
    return (rows.w * ((rows.p[..., -j:] * eta).sum(-1) - log_sum)).sum(-1) - 0.5 * (u**2).sum(-1)


def row_parts(rows: ClassRows, proba: Array, square: Array) -> tuple[Array, Array]:
    """Return scores (..., j q) and information (..., j q, j q) from probabilities (..., n, j).

    They are those of the second class if j is 1; `square` (..., n, j, j) are their products.
    """
    (z, p, w), j, q = rows, proba.shape[-1], rows.z.shape[-1]
    score = transposed(transposed(z) @ (w[..., None] * (p[..., -j:] - proba)))
    curvature = proba[..., None] * _like(np.eye(j), proba) - square
    weighted = (w[..., None, None] * curvature)[..., None] * z[..., None, None, :]
    information = transposed(z) @ weighted.reshape(*z.shape[:-1], j * j * q)
    information = information.reshape(*z.shape[:-2], q, j, j, q).swapaxes(-4, -3)
    size = *z.shape[:-2], j * q
    return score.reshape(*size), information.reshape(*size, j * q)


def find_mode(rows: ClassRows, mean: Array, factor: Array, u: Array, max_steps: int = 50) -> Mode:
    """Find the modes u (..., k) of tasks by Newton's method, from the given ones.

    The information is not renewed after the last step.
    """
    xp, eye = module_of(u), _like(np.eye(factor.shape[-1]), u)
    eta = predictors(rows.z, mean + u @ factor.T)
    now = log_joint(rows, eta, u)
    for k in range(max_steps):
        proba = _probabilities(eta)
        score, information = row_parts(rows, proba, _square(proba))
        precision = eye + factor.T @ information @ factor
        gradient = score @ factor - u
        step = xp.linalg.solve(precision, gradient[..., None])[..., 0]
        if k == max_steps - 1:
            break
        change = predictors(rows.z, step @ factor.T)
        values = [log_joint(rows, eta + s * change, u + s * step) for s in _STEP_SIZES]
        best = xp.stack(values).argmax(0)
        now, size = xp.amax(xp.stack(values), 0), _like(np.array(_STEP_SIZES), u)[best]
        eta, u = eta + size[..., None, None] * change, u + size[..., None] * step
    score = score - (information @ (step @ factor.T)[..., None])[..., 0]
    now = now + 0.5 * (step * gradient).sum(-1)
    return Mode(now, u + step, score, information, precision)


def logit_covariance(z: Array, covariance: Array) -> Array:
    """Return covariances (..., n, j, j) of linear predictors, given those (..., j q, j q) of b."""
    q, leading = z.shape[-1], covariance.shape[:-2]
    j = covariance.shape[-1] // q
    turned = covariance.reshape(*leading, j, q, j, q).swapaxes(-4, -3)
    along = z @ turned.reshape(*leading, q, j * j * q)
    return (along.reshape(*z.shape[:-1], j, j, q) * z[..., None, None, :]).sum(-1)


def root_of_covariance(precision: Array, factor: Array) -> Array:
    """Return H (..., k, j q) with H'H = C, given M (..., k, k) and L (j q, k)."""
    xp = module_of(precision)
    return xp.linalg.inv(xp.linalg.cholesky(precision)) @ factor.T


def class_moments(rows: ClassRows, mean: Array, factor: Array, u: Array) -> tuple[Array, Array]:
    """Return means (..., j q) of the coefficients, and roots H of their covariances, at modes u."""
    xp, eye = module_of(u), _like(np.eye(factor.shape[-1]), u)
    eta = predictors(rows.z, mean + u @ factor.T)
    proba = _probabilities(eta)
    precision = eye + factor.T @ row_parts(rows, proba, _square(proba))[1] @ factor
    for _ in range(_N_STEPS):
        p, weights = _drawn_probabilities(
            rows.z, eta, root_of_covariance(precision, factor), _N_STEP_PAIRS
        )
        proba, square = weights @ p, transposed(p) @ (weights[:, None] * p)
        score, information = row_parts(rows, proba, square)
        # The whole change of M would overshoot where the likelihood is almost flat.
        precision = 0.5 * (precision + eye + factor.T @ information @ factor)
        gradient = score @ factor - u
        u = u + xp.linalg.solve(precision, gradient[..., None])[..., 0]
        eta = predictors(rows.z, mean + u @ factor.T)
    return mean + u @ factor.T, root_of_covariance(precision, factor)


def predict_targets(z: Array, mean: Array, root: Array, noise: Array) -> tuple[Array, Array]:
    """Return means and variances (..., m) of the targets of rows (..., m, q)."""
    spread = z @ transposed(root)
    return (z @ mean[..., None])[..., 0], (spread**2).sum(-1) + noise**2


def mean_probabilities(z: Array, mean: Array, root: Array) -> Array:
    """Return probabilities (..., m, c) of rows (..., m, q), averaged over the coefficients."""
    p, weights = _drawn_probabilities(z, predictors(z, mean), root, _N_PAIRS)
    average = weights @ p
    if average.shape[-1] > 1:
        return average
    return module_of(z).concatenate([1 - average, average], -1)


def _drawn_probabilities(z: Array, eta: Array, root: Array, n_pairs: int) -> tuple[Array, Array]:
    """Return probabilities (..., n, d, j) at d draws around eta (..., n, j), and their weights."""
    covariance = logit_covariance(z, transposed(root) @ root)
    jitter = _JITTER * _like(np.eye(eta.shape[-1]), eta)
    logit_root = module_of(z).linalg.cholesky(covariance + jitter)
    nodes, weights = (_like(values, eta) for values in normal_nodes(eta.shape[-1], n_pairs))
    return _probabilities(eta[..., None, :] + nodes @ transposed(logit_root)), weights


def _square(proba: Array) -> Array:
    """Return products (..., n, j, j) of probabilities (..., n, j)."""
    return proba[..., None] * proba[..., None, :]


@lru_cache
def normal_nodes(j: int, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes (d, j) of a standard normal distribution, and their weights (d,).

    Several predictors are filled evenly, by the powers of the root of x^(j + 1) = x + 1.
    """
    if j == 1:
        nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
        return nodes[:, None], weights / weights.sum()
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (j + 1))
    steps = root ** -np.arange(1, j + 1)
    draws = ndtri((0.5 + np.arange(1, n_pairs + 1)[:, None] * steps) % 1)
    return np.concatenate([draws, -draws]), np.full(2 * n_pairs, 0.5 / n_pairs)
