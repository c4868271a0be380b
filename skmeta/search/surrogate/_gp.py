"""Gaussian processes with a Matern 5/2 kernel: length scales by group of columns, and kriging.

Notation (symbol, shape, meaning):

X       (n, d)           configurations, each coordinate on a unit scale
D       (g, n, n)        squared distances, by group of columns
l       (g,)             length scale of each group
r       (n, n)           scaled distance, r^2 = sum_g D_g / l_g^2
K       (n, n)           kernel, s^2 (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r)
s^2     scalar           amplitude
e^2     scalar           variance of the noise
y       (n,)             scores, standardised
theta   (g + 2,)         (log l, log s^2, log e^2)
a, c    scalar           offset and inverse scale of a new task: c y = a + f(x) + noise
C       (k, n)           k possible prior means of f, with probabilities p

Kriging is universal: the offset has a flat prior and is integrated out (Rasmussen and Williams,
2006, section 2.7). It has a scale as well, log c is normal, and several prior means share K.

The linear algebra of a suggestion runs in one thread. Its matrices are so small that a second
thread saves nothing. Where other programs use the processors, waiting for that thread takes a
hundred times as long as the work itself. Kernels of distant rows underflow. That is not an error,
whatever the user has set with ``np.seterr``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skmeta._tabular import cholesky, inverse_of_factor, solve_lower
from skmeta._threads import one_thread

Array = NDArray[np.float64]

_SQRT5 = np.sqrt(5.0)
_LOG_2PI = float(np.log(2 * np.pi))
_JITTER = 1e-8
_LOG_SCALES = np.linspace(-3, 3, 31)
_SCALES = np.exp(_LOG_SCALES)
_LOG_PRIOR_OF_SCALES = -0.5 * _LOG_SCALES**2
_MIN_VARIANCE = 1e-6

# Mean and standard deviation of the normal priors of log l, log s^2 and log e^2.
_PRIOR_LENGTH_SCALE, _PRIOR_AMPLITUDE = (float(np.log(0.7)), 0.8), (0.0, 0.5)
_PRIOR_NOISE = (float(np.log(0.01)), 1.5)


def prior_moments(n_groups: int) -> tuple[Array, Array]:
    """Return means and standard deviations of theta's prior, each of shape (n_groups + 2,)."""
    pairs = [_PRIOR_LENGTH_SCALE] * n_groups + [_PRIOR_AMPLITUDE, _PRIOR_NOISE]
    mean, deviation = np.array(pairs, dtype=np.float64).T
    return mean, deviation


def group_distances(X: Array, groups: NDArray[np.intp], n_groups: int) -> Array:
    """Return the squared distances between rows of X, by group of columns, (g, n, n)."""
    D = np.zeros((n_groups, len(X), len(X)))
    for column, group in zip(X.T, groups, strict=True):
        D[group] += (column[:, None] - column[None, :]) ** 2
    return D


def scale_columns(X: Array, groups: NDArray[np.intp], length_scales: Array) -> Array:
    """Divide each column by the length scale of its group."""
    return np.asarray(X / length_scales[groups])


def matern(A: NDArray[Any], B: NDArray[Any]) -> NDArray[Any]:
    """Return the Matern 5/2 correlations between rows of A and rows of B, columns scaled."""
    squared = A @ (-2 * B.T)
    squared += (A**2).sum(1)[:, None]
    squared += (B**2).sum(1)
    return correlation(squared)


def correlation(squared: NDArray[Any]) -> NDArray[Any]:
    """Return the Matern 5/2 correlation at squared scaled distances, which are overwritten."""
    s = np.maximum(squared, 0, out=squared)
    s *= 5
    np.sqrt(s, out=s)
    decay = np.negative(s)
    np.exp(decay, out=decay)
    # (1 + s + s^2 / 3) exp(-s)
    polynomial = s * (1 / 3)
    polynomial += 1
    polynomial *= s
    polynomial += 1
    decay *= polynomial
    return np.asarray(decay)


def negative_log_posterior(
    theta: Array, D: Array, y: Array, n_tasks: int = 1
) -> tuple[float, Array]:
    """Return the negative log posterior, up to a constant, and its gradient, with `n_tasks` tasks.

    Rasmussen and Williams (2006), eqs. 2.30 and 5.9. The prior counts once for all tasks.
    """
    n_groups, n = len(D), len(y)
    inverse_squared = np.exp(-2 * theta[:n_groups])
    amplitude, noise = np.exp(theta[n_groups:])
    flat = D.reshape(n_groups, n * n)
    s = _SQRT5 * np.sqrt(inverse_squared @ flat).reshape(n, n)
    decay = amplitude * np.exp(-s)
    slope = (1 + s) * decay
    K = slope + s * s / 3 * decay
    noisy = K.copy()
    noisy.flat[:: n + 1] += noise + _JITTER
    L = cholesky(noisy)
    inverse = inverse_of_factor(L)
    alpha = inverse @ y
    value = 0.5 * y @ alpha + np.log(L.diagonal()).sum() + 0.5 * n * _LOG_2PI
    W = 0.5 * (inverse - alpha[:, None] * alpha)  # d value / d K
    gradient = np.empty_like(theta)
    # dK / d log l_g = 5/3 (1 + sqrt(5) r) exp(-sqrt(5) r) D_g / l_g^2
    gradient[:n_groups] = flat @ (5.0 / 3.0 * W * slope).ravel() * inverse_squared
    gradient[n_groups] = np.vdot(W, K)
    gradient[n_groups + 1] = noise * W.trace()
    mean, deviation = prior_moments(n_groups)
    deviation *= n_tasks**0.5
    pull = (theta - mean) / deviation
    return float(value + 0.5 * pull @ pull), gradient + pull / deviation


def fit_kernel(
    D: Sequence[Array], y: Sequence[Array], start: Array | None = None, max_iter: int = 40
) -> Array:
    """Return the most probable theta (n_groups + 2,) of tasks with D (g, n, n) and y (n,)."""
    mean, deviation = prior_moments(len(D[0]))

    def objective(theta: Array) -> tuple[float, Array]:
        tasks = zip(D, y, strict=True)
        values, gradients = zip(
            *(negative_log_posterior(theta, *task, len(D)) for task in tasks), strict=True
        )
        return sum(values), np.sum(gradients, axis=0)

    result = minimize(
        objective,
        mean if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(mean - 4 * deviation, mean + 4 * deviation, strict=True)),
        options={"maxiter": max_iter},
    )
    return np.asarray(result.x)


# -- kriging ---------------------------------------------------------------------------------------


class Kriging(NamedTuple):
    """Posterior and evidence of observations y (m,); make one with `krige`."""

    y: Array
    C: Array  # prior means (k, m)
    L: Array  # Cholesky factor (m, m) of K
    evidence: float  # log density
    shares: Array  # posterior probabilities (k,) of the prior means
    c: Array  # most probable inverse scale (k,) for each

    def predict(
        self, X: NDArray[Any], variance: NDArray[Any], C: NDArray[Any] | None
    ) -> tuple[Array, Array]:
        """Predict means and variances (n,) of candidates, in the units of y.

        `X` (m, n) is the covariance of observations and candidates; `variance` (n,) the prior one;
        `C` (1, n) the prior mean, None for 0.
        """
        dtype, c = X.dtype, self.c[0]
        inverse = inverse_of_factor(self.L)
        solved_ones = inverse.sum(1)
        precision = float(solved_ones.sum())  # of the offset
        residuals = self.y - self.C[0] / c
        offset = solved_ones @ residuals / precision
        mean = (inverse @ (residuals - offset)).astype(dtype) @ X + dtype.type(offset)
        if C is not None:
            mean += C[0] / dtype.type(c)
        explained = np.einsum("ij,ij->j", inverse.astype(dtype) @ X, X)
        unexplained = 1 - solved_ones.astype(dtype) @ X
        variance = np.maximum(variance - explained + unexplained**2 / precision, _MIN_VARIANCE)
        return mean.astype(np.float64), (variance / c**2).astype(np.float64)


def krige(K: Array, C: Array, y: Array, p: Array) -> Kriging:
    """Return posterior and evidence of scores y (m,) with prior means C (k, m) of probability p."""
    L = cholesky(K)
    whitened = solve_lower(L, np.column_stack([y, np.ones(len(y)), C.T])).T
    log_density = _log_density_of_scale(L, whitened[0], whitened[1], whitened[2:])
    with np.errstate(divide="ignore"):
        joint = _log_sum_exp(log_density) - np.log(len(_LOG_SCALES) - 1) + np.log(p)
    evidence = float(_log_sum_exp(joint))
    shares = np.exp(joint - evidence)
    return Kriging(y, C, L, evidence, shares, _SCALES[log_density.argmax(-1)])


def _log_density_of_scale(L: Array, y: Array, ones: Array, C: Array) -> Array:
    """Return the log density of y and c, of shape (k, n_scales); y, ones and C are whitened."""
    # With the offset integrated out, only what is orthogonal to `ones` counts.
    precision = float(ones @ ones)
    along = ones / np.sqrt(precision)
    y = y - along * (along @ y)
    n = len(y) - 1
    squares = (C * C).sum(1) - (C @ along) ** 2
    determinant = np.log(L.diagonal()).sum() + 0.5 * np.log(precision)
    scale_density = n * _LOG_SCALES + _LOG_PRIOR_OF_SCALES - 0.5 * (y @ y) * _SCALES**2
    density = (C @ y)[:, None] * _SCALES - 0.5 * squares[:, None]
    return np.asarray(density + scale_density - 0.5 * n * _LOG_2PI - determinant)


def _log_sum_exp(values: Array) -> Array:
    """Return `logsumexp` over the last axis. Checks of scipy's took a fifth of a suggestion."""
    top = values.max(axis=-1)
    return np.asarray(top + np.log(np.exp(values - top[..., None]).sum(axis=-1)))


@contextmanager
def with_one_thread() -> Iterator[None]:
    """Let BLAS use one thread in a function that this decorates, and underflow be zero."""
    with np.errstate(under="ignore"), one_thread("blas"):
        yield
