"""Regressions of groups given their rows: coefficients, and predictions of other rows.

Notation as in `_model`, with k noise levels and l scales of effects. The posterior of a group is
computed in the basis of the eigenvectors V of L'AL, where A = Z'WZ and L L' is the prior covariance
of the coefficients. There it is diagonal for all noise levels and scales: the coefficients are
m + L V u, and given sigma and s, element i of u is normal with mean s^2 r_i / (sigma^2 + s^2
lambda_i) and variance s^2 sigma^2 / (sigma^2 + s^2 lambda_i), with r = V'L'Z'W (y - Z m) and
eigenvalues lambda. Moments of the mixture over sigma and s are kept.

Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 3.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from skmeta.mixed._statistics import batches_of_groups, group_statistics

# Values of one array, to bound the memory.
_MOST_VALUES = 2**21


class Prediction(NamedTuple):
    """Means (n,) and standard deviations (n,) of targets, or probabilities (n, c) and zeros."""

    mean: np.ndarray
    std: np.ndarray


class ConditionedTargets(NamedTuple):
    """Coefficients of groups, given their rows.

    Attributes
    ----------
    mean : ndarray of shape (G, q)
        Means.
    covariance : ndarray of shape (G, q, q)
        Covariances.
    noise : ndarray of shape (G,)
        Root mean square of sigma.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray

    def predict(self, z: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict the targets of rows (m, q) of groups (m,)."""
        variance = self.noise[codes] ** 2
        for groups, rows, _ in batches_of_groups(codes, z.shape[1]):
            at = z[rows]
            # Padding repeats rows, so nothing is added twice.
            variance[rows] = self.noise[groups, None] ** 2 + (
                (at @ self.covariance[groups]) * at
            ).sum(-1)
        return Prediction((z * self.mean[codes]).sum(1), np.sqrt(variance))


def condition_targets(
    z: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    codes: np.ndarray,
    n_groups: int,
    mean: np.ndarray,
    factor: np.ndarray,
    noise: np.ndarray,
    log_weight: np.ndarray,
    scale: np.ndarray,
    log_share: np.ndarray,
) -> ConditionedTargets:
    """Condition the prior of a regression on the rows of each group.

    Parameters
    ----------
    z, y, w, codes, n_groups
        Rows, targets, weights, groups and their number.
    mean : ndarray of shape (q,)
        m.
    factor : ndarray of shape (q, q)
        L.
    noise, log_weight : ndarray of shape (k,)
        Noise levels and their log probabilities before any row is seen.
    scale, log_share : ndarray of shape (l,)
        Scales of the effects and their log probabilities.
    """
    gram, moment, square, n_rows = group_statistics(z, y - z @ mean, codes, n_groups, w)
    eigenvalues, vectors = np.linalg.eigh(factor.T @ gram @ factor)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    basis = factor @ vectors
    shift = (basis.swapaxes(1, 2) @ moment[..., None])[..., 0]
    q = len(mean)
    # Levels and scales in one axis of length k l.
    sigma2 = np.repeat(noise**2, len(scale))
    square_of_scale = np.tile(scale**2, len(noise))
    log_prior = np.add.outer(log_weight, log_share).ravel()
    ratio = square_of_scale / sigma2
    moments = np.empty((n_groups, q)), np.empty((n_groups, q, q)), np.empty(n_groups)
    step = max(1, _MOST_VALUES // (len(ratio) * q))
    for start in range(0, n_groups, step):
        part = slice(start, start + step)
        per_sigma = 1 + ratio[:, None] * eigenvalues[part, None]  # (g, k l, q)
        u_mean = ratio[:, None] * shift[part, None] / per_sigma
        explained = (u_mean * shift[part, None]).sum(-1) / sigma2
        log_det = np.log(per_sigma).sum(-1) + np.outer(n_rows[part], np.log(sigma2))
        misfit = square[part, None] / sigma2 - explained
        p = softmax(log_prior - 0.5 * (misfit + log_det), axis=1)
        centre = (p[:, None] @ u_mean)[:, 0]
        apart = u_mean - centre[:, None]
        spread = (p[:, None] @ (square_of_scale[:, None] / per_sigma))[:, 0]
        inner = (p[..., None] * apart).swapaxes(1, 2) @ apart
        inner += spread[..., None] * np.eye(q)
        moments[0][part] = mean + (basis[part] @ centre[..., None])[..., 0]
        moments[1][part] = basis[part] @ inner @ basis[part].swapaxes(1, 2)
        moments[2][part] = np.sqrt(p @ sigma2)
    return ConditionedTargets(*moments)
