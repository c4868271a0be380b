"""Gaussian processes with a Matern 5/2 kernel and one length scale per group of columns.

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

The linear algebra of a suggestion runs in one thread. Its matrices are so small that a second
thread saves nothing. Where other programs use the processors, waiting for that thread takes a
hundred times as long as the work itself. Expected improvements underflow. That is not an error,
whatever the user has set with ``np.seterr``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skmeta._threads import one_thread
from skmeta.tabular import cholesky, inverse_of_factor

Array = NDArray[np.float64]

_SQRT5 = np.sqrt(5.0)
_LOG_2PI = float(np.log(2 * np.pi))
_JITTER = 1e-8

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
    D: Sequence[Array],
    y: Sequence[Array],
    start: Array | None = None,
    max_iter: int = 40,
) -> Array:
    """Return the most probable theta (n_groups + 2,) of tasks that share it, from `start` on.

    `D` are squared distances (n_groups, n, n) and `y` standardised scores (n,) of each task.
    """
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


@contextmanager
def with_one_thread() -> Iterator[None]:
    """Let BLAS use one thread in a function that this decorates, and underflow be zero."""
    with np.errstate(under="ignore"), one_thread("blas"):
        yield
