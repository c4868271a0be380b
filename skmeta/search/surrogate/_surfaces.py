"""Learn the surfaces of past tasks: one standardised Gaussian process fit per task.

Notation (symbol, shape, meaning):

X_t     (n_t, d)         configurations of past task t, encoded, divided by the length scales
y_t     (n_t,)           its scores, standardised
K_t     (n_t, n_t)       kernel of X_t, the noise of task t included
m_t     scalar           generalised least-squares mean of y_t
a_t     (n_t,)           K_t^-1 (y_t - m_t)
F_t(x)  scalar           m_t + k(x, X_t) a_t, standardised to mean 0 and deviation 1

Length scales and amplitude are shared by all tasks, so one kernel compares a new configuration
with those of all past tasks. Each task has its own noise. Mean and deviation of F_t are computed
over the same set of configurations for all tasks, because a past search tried most configurations
where scores were good.

A surface is a sum over all evaluations of its task, and a search asks for it at a thousand
candidates and more. Surfaces are smooth, so a few hundred nodes N determine them:
F(z) = m + k(z, N) k(N, N)^-1 (F(N) - m), with m the mean over the nodes. This is kriging with the
kernel that the surfaces were learned with.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from skmeta._tabular import cholesky
from skmeta.search.space import Encoding
from skmeta.search.surrogate._gp import fit_kernel, group_distances, matern, scale_columns

Array = NDArray[np.float64]

_N_KERNEL_TASKS = 24
_N_KERNEL_ROWS = 60
_N_REFERENCE = 256
_NOISE_FACTORS = (0.1, 1.0, 10.0)
_JITTER = 1e-5  # of the nodes


def learn_surfaces(encoding: Encoding, X: list[Array], y: list[Array]) -> dict[str, Any]:
    """Return a prior's tensors from configurations (n_t, d) and scores (n_t,) of tasks."""
    groups = encoding.groups
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    if n_groups == 0 or not y:
        nothing = dict.fromkeys(("weights", "offsets", "noise", "uncertainty"), np.empty(0))
        X_of_none = np.empty((0, encoding.n_columns))
        return {"length_scales": np.ones(n_groups), "X": X_of_none, **nothing}
    theta = fit_kernel(*_kernel_sample(X, y, groups, n_groups), max_iter=25)
    scales = np.exp(theta[:n_groups])
    # Files store single precision, so loaded and learned surfaces agree.
    scales = scales.astype(np.float32).astype(np.float64)
    # Files may store half precision. Weights would not fit configurations rounded afterwards.
    scaled = [scale_columns(x, groups, scales).astype(np.float16).astype(np.float64) for x in X]
    every = np.concatenate(scaled)
    reference = every[np.unique(np.linspace(0, len(every) - 1, _N_REFERENCE).astype(np.intp))]
    learned = [
        _smooth(x, scores, reference, float(np.exp(theta[-1] - theta[-2])))
        for x, scores in zip(scaled, y, strict=True)
    ]
    weights, offsets, noise, uncertainty = zip(*learned, strict=True)
    return {
        "length_scales": scales,
        "X": every,
        "weights": np.concatenate(weights),
        "offsets": offsets,
        "noise": noise,
        "uncertainty": uncertainty,
    }


def _kernel_sample(
    X: list[Array], y: list[Array], groups: NDArray[np.intp], n_groups: int
) -> tuple[list[Array], list[Array]]:
    """Return distances and scores of a sample of rows and tasks, for the shared length scales."""
    tasks = np.unique(np.linspace(0, len(y) - 1, _N_KERNEL_TASKS).astype(np.intp))
    distances, scores = [], []
    for t in tasks:
        rows = np.unique(np.linspace(0, len(y[t]) - 1, _N_KERNEL_ROWS).astype(np.intp))
        distances.append(group_distances(X[t][rows], groups, n_groups))
        scores.append(y[t][rows])
    return distances, scores


def _smooth(
    x: Array, y: Array, reference: Array, shared_noise: float
) -> tuple[Array, float, float, float]:
    """Return weights, offset, noise and uncertainty of one task's standardised surface."""
    kernel = matern(x, x)
    fits = [_fit_noise(kernel, y, factor * shared_noise) for factor in _NOISE_FACTORS]
    _, noise, L, mean, weights, amplitude = max(fits, key=lambda fit: fit[0])
    cross = matern(reference, x)
    surface = mean + cross @ weights
    V = solve_triangular(L, cross.T, lower=True, check_finite=False)
    uncertainty = amplitude * max(0.0, 1.0 - float((V * V).sum(0).mean()))
    # Law of total variance: variance of the posterior means plus mean posterior variance.
    deviation = np.sqrt(surface.var() + uncertainty) or 1.0
    offset = float((mean - surface.mean()) / deviation)
    return (
        weights / deviation,
        offset,
        float(noise * amplitude / deviation**2),
        float(uncertainty / deviation**2),
    )


def _fit_noise(
    kernel: Array, y: Array, noise: float
) -> tuple[float, float, Array, float, Array, float]:
    """Return the profile likelihood, noise, Cholesky factor, mean, weights and amplitude."""
    n = len(y)
    L = cholesky(kernel + noise * np.eye(n))
    ones = np.ones(n)
    solved = cho_solve((L, True), np.column_stack([y, ones]), check_finite=False)
    mean = float((ones @ solved[:, 0]) / (ones @ solved[:, 1]))
    weights = solved[:, 0] - mean * solved[:, 1]
    # One pseudo-observation of amplitude 1 regularises tasks with two or three evaluations.
    amplitude = float(((y - mean) @ weights + 1.0) / (n + 1.0))
    likelihood = -0.5 * n * np.log(amplitude) - float(np.log(np.diag(L)).sum())
    return likelihood, noise, L, mean, weights, amplitude


def winsorize_scores(scores: Array, factor: float) -> Array:
    """Raise scores more than `factor` times as far below the median as the best is above it.

    NaN (a failure) counts as the worst score. If the best score is the median, no score is raised.
    """
    finite = scores[np.isfinite(scores)]
    if len(finite) == 0:
        return np.full(len(scores), np.nan)
    filled = np.where(np.isfinite(scores), scores, finite.min())
    median, best = np.median(filled), filled.max()
    return np.maximum(filled, median - factor * (best - median)) if best > median else filled


def standardise(scores: Array) -> Array | None:
    """Return scores with mean 0 and deviation 1; None if all are equal or there are none."""
    if not len(scores):
        return None
    spread = scores.std()
    if not spread > 1e-12 * max(1.0, float(np.abs(scores).max())):  # NaN too
        return None
    return np.asarray((scores - scores.mean()) / spread)


class SurfaceInterpolation:
    """Surfaces (n_tasks, n) at candidates, exact at `n_nodes` of them, else interpolated."""

    def __init__(self, surfaces_of: Callable[[Array], Array], Z: Array, n_nodes: int) -> None:
        # Drawn, since equal steps through a grid would leave out some values of a parameter. The
        # seed is constant, since the surfaces are a property of the past and of the pool.
        drawn = np.random.default_rng(0).permutation(len(Z))[:n_nodes]
        self._nodes = Z[drawn]
        exact = surfaces_of(self._nodes)
        self._mean = exact.mean(1, keepdims=True)
        K = matern(self._nodes, self._nodes) + _JITTER * np.eye(len(drawn))
        self._A = cho_solve((cholesky(K), True), (exact - self._mean).T, check_finite=False)
        self.F = np.empty((len(exact), len(Z)))
        self.F[:, drawn] = exact
        others = np.delete(np.arange(len(Z)), drawn)
        self.F[:, others] = self(Z[others])

    def __call__(self, Z: Array) -> Array:
        """Return the surfaces at encoded candidates, of shape (n_tasks, n)."""
        return np.asarray(self._mean + (matern(Z, self._nodes) @ self._A).T)
