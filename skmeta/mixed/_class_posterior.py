"""Classifications of groups given their rows, by Laplace's approximation.

Notation as in `_model`. The coefficients of a group are normal around their mode, with the inverse
information C as their covariance. The mean is not the mode: third derivatives of the log likelihood
move it by -C v / 2, where v is the gradient of tr(A C) and A the information of the rows (Tierney
and Kadane, equation 2.6, for the mean). Logits of other rows are normal, too, and probabilities are
averaged over them: by quadrature for two classes, else over even draws in opposite pairs.

References: Tierney and Kadane (1986), Accurate approximations for posterior moments and marginal
densities; Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 3.4.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag
from scipy.special import expit, ndtri, softmax

from skmeta.mixed._class_evidence import Batch, find_mode, third_derivatives
from skmeta.mixed._posterior import Prediction
from skmeta.mixed._statistics import batches_of_groups

# Nodes of the quadrature, and pairs of draws.
_N_NODES, _N_PAIRS = 12, 64
_TOLERANCE = 1e-5
# Longest move from the mode to the mean, in standard deviations.
_LONGEST_MOVE = 0.5


class ConditionedClasses(NamedTuple):
    """Known rows of groups, and the prior of the coefficients.

    Attributes
    ----------
    prior_mean : ndarray of shape (q, j)
        m.
    factor : ndarray of shape (j, q, q)
        Cholesky factors of the prior covariance.
    z, y, w, codes : ndarray
        Rows (n, q), class positions, weights and groups (n,).
    """

    prior_mean: np.ndarray
    factor: np.ndarray
    z: np.ndarray
    y: np.ndarray
    w: np.ndarray
    codes: np.ndarray

    @property
    def noise(self) -> None:
        """None: a classification has no noise."""
        return

    def predict(self, z: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict probabilities (m, c) of rows (m, q) of groups (m,).

        Groups are computed in batches, so the memory does not grow with their number.
        """
        j, q = self.factor.shape[:2]
        n_classes = max(j, 2)
        present, own = np.unique(codes, return_inverse=True)
        known = np.flatnonzero(np.isin(self.codes, present))
        support = np.searchsorted(present, self.codes[known])
        # A group without rows gets one of weight 0.
        empty = np.setdiff1d(np.arange(len(present)), support)
        rows_z = np.vstack([self.z[known], np.zeros((len(empty), q))])
        classes = np.concatenate([self.y[known], np.zeros(len(empty), np.int64)])
        weight = np.concatenate([self.w[known], np.zeros(len(empty))])
        mean, factor = self.prior_mean.T.ravel(), block_diag(*self.factor)
        indicators, proba = np.eye(n_classes), np.empty((len(z), n_classes))
        queries = np.argsort(own, kind="stable")
        ends = np.cumsum(np.bincount(own))
        starts = ends - np.bincount(own)
        for groups, rows, there in batches_of_groups(np.append(support, empty), j * q + j * j):
            batch = Batch(rows_z[rows], indicators[classes[rows]], there * weight[rows])
            coefficients, covariance = _moments(batch, mean, factor)
            asked = np.concatenate([queries[starts[g] : ends[g]] for g in groups])
            local = np.repeat(np.arange(len(groups)), ends[groups] - starts[groups])
            for part, at, _ in batches_of_groups(local, j * (q + j)):
                rows_at = asked[at]
                logits = _logits(z[rows_at], coefficients[part], covariance[part], j)
                proba[rows_at] = _mean_probabilities(*logits)
        return Prediction(proba, np.zeros(len(z)))


def _moments(batch: Batch, mean: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means (g, j q) and covariances (g, j q, j q) of the coefficients of groups."""
    mode = find_mode(batch, mean, factor, np.zeros((len(batch.z), factor.shape[1])), _TOLERANCE)
    half = np.linalg.inv(mode.root) @ factor.T
    covariance = half.swapaxes(1, 2) @ half
    trace_gradient = third_derivatives(batch, mode.proba, covariance)
    # In coordinates in which the covariance is I.
    move = -0.5 * (half @ trace_gradient[..., None])
    length = np.sqrt((move**2).sum((1, 2), keepdims=True))
    move = move * np.minimum(1.0, _LONGEST_MOVE / np.maximum(length, 1e-300))
    moved = (half.swapaxes(1, 2) @ move)[..., 0]
    return mean + mode.u @ factor.T + moved, covariance


def _logits(
    z: np.ndarray, coefficients: np.ndarray, covariance: np.ndarray, j: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return means (g, m, j) and covariances (g, m, j, j) of the logits of rows (g, m, q)."""
    g, m, q = z.shape
    mean = z @ coefficients.reshape(g, j, q).swapaxes(1, 2)
    blocks = covariance.reshape(g, j, q, j, q)
    each = [
        ((z @ blocks[:, i].reshape(g, q, j * q)).reshape(g, m, j, q) * z[:, :, None]).sum(-1)
        for i in range(j)
    ]
    return mean, np.stack(each, 2)


def _mean_probabilities(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Average the probabilities (g, m, c) over the logits."""
    j = mean.shape[-1]
    if j == 1:
        nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
        std = np.sqrt(np.maximum(covariance[..., 0], 0.0))
        second = expit(mean + std * nodes) @ (weights / weights.sum())
        return np.stack([1 - second, second], -1)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(j))
    total = np.zeros_like(mean)
    for draw in _even_draws(j):
        move = root @ draw
        total += softmax(mean + move, axis=-1) + softmax(mean - move, axis=-1)
    return total / (2 * _N_PAIRS)


@lru_cache
def _even_draws(j: int) -> np.ndarray:
    """Return draws (_N_PAIRS, j) that fill a standard normal distribution evenly.

    They are an additive recurrence, whose steps are powers of the root of x^(j + 1) = x + 1.
    """
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (j + 1))
    steps = root ** -np.arange(1, j + 1)
    return np.asarray(ndtri((0.5 + np.arange(1, _N_PAIRS + 1)[:, None] * steps) % 1))
