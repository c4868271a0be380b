"""Coefficients of a task given its rows, as tensors: modes, moments and predictions.

Notation: n rows z (n, q), q coefficients of each of j linear predictors, c classes. Two classes
share one predictor, the logit of the second. Vectors of all j q coefficients are sorted by
predictor, then by coefficient. They are m + L u, and the prior of u is N(0, I). A is the
information of the rows on the coefficients, and M = I + L'AL.

Given the rows of a regression, the coefficients are normal around their mode, with the covariance
C = L M^-1 L'. For classes this is Laplace's approximation. It is the start of the normal
distribution that is closest to theirs in Kullback-Leibler divergence: there the score and A are
averages over the distribution itself (Opper and Archambeau, section 2). Logits of rows are normal,
and probabilities are averaged over them: by quadrature for two classes, else over even draws in
opposite pairs. Nothing branches on values, so that gradients pass.

References: Bishop (2006), Pattern Recognition and Machine Learning, section 3.3; Rasmussen and
Williams (2006), Gaussian Processes for Machine Learning, section 3.4; Opper and Archambeau (2009),
The variational Gaussian approximation revisited.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skmeta._mixed import normal_nodes

# Shares of a Newton step that are tried. Where the likelihood is almost flat, it is far too long.
_STEP_SIZES = (1.0, 0.5, 0.2, 0.05, 0.01, 2e-3, 0.0)
# Steps from Laplace's approximation to the variational one; pairs of draws of these and at the end.
_N_STEPS, _N_STEP_PAIRS, _N_PAIRS = 2, 24, 64
# Added to the variances of logits, so that their covariance has a Cholesky factor.
_JITTER = 1e-9


class ClassRows(NamedTuple):
    """Rows of a task with their classes."""

    z: Tensor  # (n, q)
    p: Tensor  # indicators of the classes (n, c)
    w: Tensor  # weights (n,)


def target_posterior(
    z: Tensor, y: Tensor, w: Tensor, mean: Tensor, factor: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean (q,) of a regression's coefficients, and the root H of their covariance."""
    weighted = (w[:, None] * z).T / noise**2
    precision = _eye(factor) + factor.T @ (weighted @ z) @ factor
    u = torch.linalg.solve(precision, factor.T @ (weighted @ (y - z @ mean)))
    return mean + factor @ u, _root_of_covariance(precision, factor)


def class_posterior(
    rows: ClassRows, mean: Tensor, factor: Tensor, u: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean (j q,) of the coefficients, and the root H of their covariance, at mode u."""
    eta = _predictors(rows.z, mean + factor @ u)
    p = _probabilities(eta)
    precision = _eye(factor) + factor.T @ _derivatives(rows, p, _square(p))[1] @ factor
    for _ in range(_N_STEPS):
        root = _root_of_covariance(precision, factor)
        drawn, weights = _drawn_probabilities(rows.z, eta, root, _N_STEP_PAIRS)
        square = drawn.mT @ (weights[:, None] * drawn)
        score, information = _derivatives(rows, weights @ drawn, square)
        # The whole change of M would overshoot where the likelihood is almost flat.
        precision = 0.5 * (precision + _eye(factor) + factor.T @ information @ factor)
        u = u + torch.linalg.solve(precision, factor.T @ score - u)
        eta = _predictors(rows.z, mean + factor @ u)
    return mean + factor @ u, _root_of_covariance(precision, factor)


def find_mode(
    rows: ClassRows, mean: Tensor, factor: Tensor, u: Tensor, n_steps: int = 50
) -> Tensor:
    """Find the mode u (k,) of a task by Newton's method, from a given one."""
    for k in range(n_steps):
        eta = _predictors(rows.z, mean + factor @ u)
        p = _probabilities(eta)
        score, information = _derivatives(rows, p, _square(p))
        precision = _eye(factor) + factor.T @ information @ factor
        step = torch.linalg.solve(precision, factor.T @ score - u)
        if k == n_steps - 1:
            u = u + step
            break
        change = _predictors(rows.z, factor @ step)
        values = [_log_joint(rows, eta + s * change, u + s * step) for s in _STEP_SIZES]
        u = u + u.new_tensor(_STEP_SIZES)[torch.stack(values).argmax()] * step
    return u


def predict_targets(z: Tensor, mean: Tensor, root: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and variances (m,) of the targets of rows (m, q)."""
    return z @ mean, ((z @ root.T) ** 2).sum(-1) + noise**2


def mean_probabilities(z: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """Return probabilities (m, c) of rows (m, q), averaged over the coefficients."""
    p, weights = _drawn_probabilities(z, _predictors(z, mean), root, _N_PAIRS)
    average = weights @ p
    return average if average.shape[1] > 1 else torch.cat([1 - average, average], 1)


def _eye(factor: Tensor) -> Tensor:
    return torch.eye(factor.shape[1]).to(factor)


def _predictors(z: Tensor, coefficients: Tensor) -> Tensor:
    """Return the linear predictors (n, j) of rows at coefficients (j q,)."""
    return z @ coefficients.reshape(-1, z.shape[1]).T


def _probabilities(eta: Tensor) -> Tensor:
    """Return the probabilities (..., j) of the classes, of the second one if j is 1."""
    return torch.sigmoid(eta) if eta.shape[-1] == 1 else torch.softmax(eta, -1)


def _square(p: Tensor) -> Tensor:
    """Return products (n, j, j) of probabilities (n, j)."""
    return p[:, :, None] * p[:, None]


def _log_joint(rows: ClassRows, eta: Tensor, u: Tensor) -> Tensor:
    """Return the log likelihood of linear predictors plus the log prior of u, ()."""
    j = eta.shape[1]
    # The logit of the first of two classes is 0.
    logits = torch.cat([torch.zeros_like(eta), eta], 1) if j == 1 else eta
    log_p = (rows.p[:, -j:] * eta).sum(1) - torch.logsumexp(logits, 1)
    return (rows.w * log_p).sum() - 0.5 * (u**2).sum()


def _derivatives(rows: ClassRows, p: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """Return the score (j q,) and the information A (j q, j q), given probabilities (n, j).

    They are those of the second class if j is 1; `square` (n, j, j) are their products.
    """
    (z, given, w), j, q = rows, p.shape[1], rows.z.shape[1]
    score = ((w[:, None] * (given[:, -j:] - p)).T @ z).flatten()
    curvature = w[:, None, None] * (torch.diag_embed(p) - square)
    information = torch.einsum("nij,na,nb->iajb", curvature, z, z)
    return score, information.reshape(j * q, j * q)


def _root_of_covariance(precision: Tensor, factor: Tensor) -> Tensor:
    """Return H (k, j q) with H'H = C, given M (k, k) and L (j q, k)."""
    lower = torch.linalg.cholesky(precision)
    root: Tensor = torch.linalg.solve_triangular(lower, factor.T, upper=False)
    return root


def _drawn_probabilities(
    z: Tensor, eta: Tensor, root: Tensor, n_pairs: int
) -> tuple[Tensor, Tensor]:
    """Return probabilities (n, d, j) at d draws around eta (n, j), and their weights (d,)."""
    q, j = z.shape[1], eta.shape[1]
    # Predictors of rows are H (k, j q) times the rows.
    spread = torch.einsum("kjq,nq->nkj", root.reshape(-1, j, q), z)
    covariance = spread.mT @ spread + _JITTER * torch.eye(j).to(eta)
    nodes, weights = (torch.from_numpy(part).to(eta) for part in normal_nodes(j, n_pairs))
    drawn = nodes @ torch.linalg.cholesky(covariance).mT
    return _probabilities(eta[:, None] + drawn), weights
