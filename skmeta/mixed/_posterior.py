"""Groups given their rows: coefficients, and predictions of other rows.

Notation as in `_model`, with k noise levels and l scales of effects. Classifications use Laplace's
approximation, see `_logistic`. The posterior of a regression is
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
from scipy.linalg import block_diag
from scipy.special import softmax

from skmeta.mixed._logistic import ClassRows, find_mode, mean_probabilities, moments
from skmeta.mixed._statistics import batches_of_groups, group_statistics

# Values of one array, to bound the memory.
_MOST_VALUES = 2**21
# Newton's method for the modes of classifications stops at a step of this size.
_TOLERANCE = 1e-5


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
        for groups, rows, there in batches_of_groups(np.append(support, empty), j * j * q):
            batch = ClassRows(rows_z[rows], indicators[classes[rows]], there * weight[rows])
            start = np.zeros((len(groups), j * q))
            mode = find_mode(batch, mean, factor, start, tolerance=_TOLERANCE)
            coefficients, half = moments(batch, mean, factor, mode.u)
            asked = np.concatenate([queries[starts[g] : ends[g]] for g in groups])
            local = np.repeat(np.arange(len(groups)), ends[groups] - starts[groups])
            for part, at, _ in batches_of_groups(local, j * j * q):
                rows_at = asked[at]
                proba[rows_at] = mean_probabilities(z[rows_at], coefficients[part], half[part])
        return Prediction(proba, np.zeros(len(z)))
