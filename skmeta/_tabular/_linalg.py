"""Positive definite matrices, by LAPACK without the checks that most of the time goes into."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotrf, dpotri, dtrtrs

_JITTER = 1e-8
# Larger matrices are inverted one by one.
_LARGE = 64


def cholesky(K: np.ndarray, most_tries: int = 8) -> np.ndarray:
    """Return the lower Cholesky factor; jitter grows until the matrix is positive definite."""
    jitter = 0.0
    scale = float(np.diag(K).mean())
    for _ in range(most_tries):
        L, failed = dpotrf(K + jitter * np.eye(len(K)) if jitter else K, lower=1, clean=1)
        # Some LAPACKs do not report a failure for a matrix with NaN.
        if not failed and np.isfinite(L.diagonal()).all():
            return np.asarray(L)
        jitter = max(10 * jitter, _JITTER * scale)
    raise np.linalg.LinAlgError(
        "The covariance is not positive definite, even with jitter. Check that the values are "
        "finite."
    )


def inverse_of_factor(L: np.ndarray) -> np.ndarray:
    """Return the inverse of L L'."""
    lower, _ = dpotri(L, lower=1)  # zeros above the diagonal, as in L
    inverse = lower + lower.T
    inverse.flat[:: len(L) + 1] *= 0.5
    return np.asarray(inverse)


def solve_lower(L: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L x = right without checks, on which `solve_triangular` spends most of its time."""
    return np.asarray(dtrtrs(L, right, lower=1)[0]) if right.size else np.empty_like(right)


def _invert(K: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the sum of the log determinants of matrices (G, m, m), and their inverses."""
    if len(K) == 1 or K.shape[1] > _LARGE:
        roots = np.stack([cholesky(each, most_tries=1) for each in K])
        inverse = np.stack([inverse_of_factor(root) for root in roots])
    else:
        roots = np.linalg.cholesky(K)
        inverse = np.linalg.inv(roots)
        inverse = np.swapaxes(inverse, 1, 2) @ inverse
    return 2 * float(np.log(np.diagonal(roots, axis1=1, axis2=2)).sum()), inverse


class Marginal(NamedTuple):
    """The marginal likelihood of targets y ~ N(Z b, K) of groups, with b ~ N(0, diag(v)).

    Its logarithm is -0.5 (log_det + square + n log 2 pi), and has the derivative -0.5 (precision -
    dual dual') by K. Rasmussen and Williams (2006), equations 2.41 to 2.45, 5.9.
    """

    log_det: float
    square: float
    b: np.ndarray  # coefficients (p,) given the targets
    cov: np.ndarray  # their covariance (p, p)
    precision: list[np.ndarray]  # inverse covariance (G, m, m), by batch
    dual: list[np.ndarray]  # K^-1 times the residuals (G, m), by batch


def marginal_likelihood(
    batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], v: np.ndarray
) -> Marginal:
    """Return the likelihood of K (G, m, m), y (G, m), Z (G, m, p), given v (p,), or LinAlgError."""
    A, right, log_det, square = np.diag(1 / v), np.zeros(len(v)), float(np.log(v).sum()), 0.0
    kept: list[Any] = []
    for K, y, Z in batches:
        log_det_of_batch, inverse = _invert(K)
        inverse_Z, inverse_y = inverse @ Z, (inverse @ y[..., None])[..., 0]
        A += np.tensordot(Z, inverse_Z, ([0, 1], [0, 1]))
        right += np.tensordot(inverse_y, Z, ([0, 1], [0, 1]))
        log_det += log_det_of_batch
        square += float((y * inverse_y).sum())
        kept.append((inverse, inverse_Z, inverse_y))
    if not len(v):
        inverses, _, duals = zip(*kept, strict=True)
        return Marginal(log_det, square, right, A, list(inverses), list(duals))
    factor = cho_factor(A, lower=True)
    b, cov = cho_solve(factor, right), cho_solve(factor, np.eye(len(v)))
    log_det += float(2 * np.log(np.diag(factor[0])).sum())
    precision = [inv - inv_Z @ cov @ np.swapaxes(inv_Z, 1, 2) for inv, inv_Z, _ in kept]
    dual = [inverse_y - inverse_Z @ b for _, inverse_Z, inverse_y in kept]
    return Marginal(log_det, square - float(right @ b), b, cov, precision, dual)
