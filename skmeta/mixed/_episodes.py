"""Predictive densities of many small episodes, computed in function space.

An episode has far fewer support rows than a design has columns times classes. So values of the
linear predictors at the rows take the place of coefficients: they are a Gaussian process with the
kernel Z S Z'. The predictions are the same.

Notation: e episodes, s support rows, m query rows, q coefficients, j linear predictors, c classes,
k noise levels, l scales of effects. Padding rows have weight 0.

References: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, algorithms 2.1
and 3.1 to 3.4; MacKay (1992), The evidence framework applied to classification networks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_softmax, logsumexp, softmax

# Numbers of support rows of an episode, and the largest number of query rows.
_SIZES, _N_QUERY = (4, 8, 16), 20
# Newton's method stops when no value of a predictor changes by more than this.
_TOLERANCE, _MOST_STEPS = 1e-3, 25
_STEP_SIZES = (1.0, 0.5, 0.2, 0.05, 0.01, 0.0)


class Episodes(NamedTuple):
    """Support and query rows of e episodes; padding rows have weight 0."""

    z: np.ndarray  # (e, s, q)
    y: np.ndarray  # (e, s)
    w: np.ndarray  # (e, s)
    query_z: np.ndarray  # (e, m, q)
    query_y: np.ndarray  # (e, m)
    query_w: np.ndarray  # (e, m)


def draw_episodes(
    z: np.ndarray, y: np.ndarray, codes: np.ndarray, tasks: np.ndarray, rng: np.random.Generator
) -> Episodes | None:
    """Draw support and query sets of several sizes from tasks.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets, or class positions.
    codes : ndarray of shape (n,), int64
        Task of each row.
    tasks : ndarray of int64
        Numbers of the tasks to draw from.
    rng : numpy.random.Generator
        Draws the rows.

    Returns
    -------
    Episodes or None
        None if no task has 4 rows.
    """
    support, query = [], []
    for task in tasks:
        rows = np.flatnonzero(codes == task)
        for size in sorted({min(size, len(rows) // 2) for size in _SIZES}):
            if size < 2:
                continue
            drawn = rng.permutation(rows)
            support.append(drawn[:size])
            query.append(drawn[size : size + _N_QUERY])
    if not support:
        return None
    parts = []
    for sets in (support, query):
        length = max(map(len, sets))
        rows = np.stack([np.resize(part, length) for part in sets])
        there = np.stack([np.arange(length) < len(part) for part in sets])
        parts += [z[rows], y[rows], there.astype(float)]
    return Episodes(*parts)


def target_log_densities(
    episodes: Episodes,
    mean: np.ndarray,
    covariance: np.ndarray,
    noise: np.ndarray,
    log_weight: np.ndarray,
    scale: np.ndarray,
    log_share: np.ndarray,
) -> np.ndarray:
    """Return the log predictive densities (e, m) of the targets of query rows.

    Parameters
    ----------
    episodes : Episodes
        Support and query rows.
    mean : ndarray of shape (q,)
        Mean of the coefficients.
    covariance : ndarray of shape (q, q)
        Their covariance.
    noise, log_weight : ndarray of shape (k,)
        Noise levels and their log probabilities before any row is seen.
    scale, log_share : ndarray of shape (l,)
        Scales of the effects and their log probabilities.
    """
    z, at, root_w = episodes.z, episodes.query_z, np.sqrt(episodes.w)
    zs = root_w[..., None] * (z @ covariance)
    values, vectors = np.linalg.eigh(zs @ _t(root_w[..., None] * z))
    values = np.maximum(values, 0.0)
    residual = (_t(vectors) @ (root_w * (episodes.y - z @ mean))[..., None])[..., 0]
    cross = at @ _t(zs) @ vectors
    square = noise[:, None] ** 2
    ratio = (scale**2 / square)[..., None]  # (k, l, 1)
    per_sigma = 1 + ratio * values[:, None, None]
    shrunk = ratio / per_sigma  # (e, k, l, s)
    log_det = np.log(per_sigma).sum(-1)
    log_det = log_det + episodes.w.sum(1)[:, None, None] * np.log(square)
    misfit = (residual**2).sum(-1)[:, None, None] / square
    misfit = misfit - (shrunk @ (values * residual**2)[:, None, :, None])[..., 0] / square
    joint = log_share - 0.5 * (log_det + misfit)
    log_p = log_softmax(log_weight + logsumexp(joint, axis=2), axis=1)
    share = softmax(joint, axis=2)[..., None]
    moved = (shrunk * residual[:, None, None]) @ _t(cross)[:, None]  # (e, k, l, m)
    own = ((at @ covariance) * at).sum(-1)[:, None, None]
    spread = scale[:, None] ** 2 * (own - shrunk @ _t(cross**2)[:, None])
    # Mean and variance of the mixture over scales, for each noise level.
    centre = (share * moved).sum(2)
    variance = (share * (spread + (moved - centre[:, :, None]) ** 2)).sum(2) + square
    gap = episodes.query_y[:, None] - (at @ mean)[:, None] - centre
    log_density = -0.5 * (gap**2 / variance + np.log(2 * math.pi * variance))
    return np.asarray(logsumexp(log_p[..., None] + log_density, axis=1))


def class_log_probabilities(
    episodes: Episodes, mean: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Return the log probabilities (e, m) of the classes of query rows, by Laplace's method.

    Uncertain logits are integrated out by MacKay's approximation, which is good enough for a
    comparison.

    Parameters
    ----------
    episodes : Episodes
        Support and query rows; ``y`` are positions of the classes.
    mean : ndarray of shape (q, j)
        Mean of the coefficients of each predictor; a single one for two classes.
    covariance : ndarray of shape (j, q, q)
        Their covariances.
    """
    is_single = mean.shape[1] == 1
    z, at = episodes.z[:, None], episodes.query_z[:, None]
    zs = z @ covariance  # (e, j, s, q)
    kernel, cross = zs @ _t(z), at @ _t(zs)
    own = ((at @ covariance) * at).sum(-1)
    offset, centre = _t(episodes.z @ mean), _t(episodes.query_z @ mean)
    classes = np.arange(1, 2) if is_single else np.arange(mean.shape[1])
    y = (episodes.y[:, None] == classes[:, None]).astype(float)
    posterior = (_TwoClasses if is_single else _ManyClasses)(kernel, offset, y, episodes.w)
    a, f = _find_mode(posterior)
    logits = centre + (cross @ a[..., None])[..., 0]
    variance = np.maximum(own - posterior.lost(f, cross), 0.0)  # (e, j, m)
    scaled = logits / np.sqrt(1 + math.pi * variance / 8)
    if is_single:
        scaled = np.concatenate([np.zeros_like(scaled), scaled], 1)
    at_class = episodes.query_y.astype(np.int64)[:, None]
    return np.take_along_axis(log_softmax(scaled, axis=1), at_class, 1)[:, 0]


class _TwoClasses:
    """One predictor, the logit of the second class. ``y`` (e, 1, s) is its indicator."""

    def __init__(
        self, kernel: np.ndarray, offset: np.ndarray, y: np.ndarray, w: np.ndarray
    ) -> None:
        self.kernel, self.offset, self.y, self.w = kernel, offset, y, w[:, None]

    def log_likelihood(self, f: np.ndarray) -> np.ndarray:
        """Return the log likelihood (e,) of values f (e, 1, s) of the predictor."""
        row_values = self.w * (self.y * f - np.logaddexp(0.0, f))
        return np.asarray(row_values.sum((1, 2)))

    def _parts(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = expit(f)
        half = np.sqrt(self.w * p * (1 - p))
        inner = np.eye(f.shape[-1]) + half[..., None] * self.kernel * half[..., None, :]
        return inner, half

    def newton(self, f: np.ndarray) -> np.ndarray:
        """Return a with f = offset + K a after a Newton step from f."""
        inner, half = self._parts(f)
        b = half**2 * (f - self.offset) + self.w * (self.y - expit(f))
        right = half[..., None] * (self.kernel @ b[..., None])
        return np.asarray(b - half * np.linalg.solve(inner, right)[..., 0])

    def lost(self, f: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """Return what variances of query rows lose (e, 1, m), given K (e, 1, m, s) with rows."""
        inner, half = self._parts(f)
        right = _t(cross * half[..., None, :])
        return np.asarray((right * np.linalg.solve(inner, right)).sum(-2))


class _ManyClasses:
    """One predictor for each class. ``y`` (e, c, s) are indicators."""

    def __init__(
        self, kernel: np.ndarray, offset: np.ndarray, y: np.ndarray, w: np.ndarray
    ) -> None:
        self.kernel, self.offset, self.y, self.w = kernel, offset, y, w[:, None]
        # A row of weight 0 has no entry in E. It gets one, so that E has an inverse.
        self._padding = (w == 0)[:, None] * np.eye(w.shape[1])

    def log_likelihood(self, f: np.ndarray) -> np.ndarray:
        """Return the log likelihood (e,) of values f (e, c, s) of the predictors."""
        return np.asarray((self.w * self.y * log_softmax(f, axis=1)).sum((1, 2)))

    def _parts(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return p, the matrices E_c, and the inverse of their sum."""
        p = softmax(f, axis=1)
        half = np.sqrt(self.w * p)
        inner = np.eye(f.shape[-1]) + half[..., None] * self.kernel * half[:, :, None]
        each = half[..., None] * np.linalg.inv(inner) * half[:, :, None]
        return p, each, np.linalg.inv(each.sum(1) + self._padding)

    def newton(self, f: np.ndarray) -> np.ndarray:
        """Return a with f = offset + K a after a Newton step from f."""
        p, each, whole = self._parts(f)
        centred = f - self.offset
        b = self.w * (p * (centred - (p * centred).sum(1, keepdims=True)) + self.y - p)
        c = (each @ (self.kernel @ b[..., None]))[..., 0]
        common = whole @ c.sum(1)[..., None]
        return np.asarray(b - c + (each @ common[:, None])[..., 0])

    def lost(self, f: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """Return what variances of query rows lose (e, c, m), given K (e, c, m, s) with rows."""
        _, each, whole = self._parts(f)
        ahead = cross @ each
        return np.asarray((ahead * cross).sum(-1) - (ahead * (ahead @ whole[:, None])).sum(-1))


def _find_mode(posterior: _TwoClasses | _ManyClasses) -> tuple[np.ndarray, np.ndarray]:
    """Return a and the values f = offset + K a of the predictors at the mode.

    Each Newton step takes the best of a few step sizes.
    """
    kernel, offset = posterior.kernel, posterior.offset
    a, f = np.zeros_like(offset), offset
    sizes = np.array(_STEP_SIZES)
    for _ in range(_MOST_STEPS):
        step = posterior.newton(f) - a
        change = (kernel @ step[..., None])[..., 0]

        def density(size: float) -> np.ndarray:
            at, deviation = a + size * step, f - offset + size * change  # noqa: B023
            penalty = 0.5 * (at * deviation).sum((1, 2))
            return np.asarray(posterior.log_likelihood(offset + deviation) - penalty)

        best: np.ndarray | float = 1.0
        if not (density(1.0) >= density(0.0)).all():
            tried = [density(size) for size in _STEP_SIZES]
            best = sizes[np.argmax(tried, axis=0)][:, None, None]
        a, f = a + best * step, f + best * change
        if np.abs(best * change).max() < _TOLERANCE:
            break
    return a, f


def _t(values: np.ndarray) -> np.ndarray:
    return values.swapaxes(-1, -2)
