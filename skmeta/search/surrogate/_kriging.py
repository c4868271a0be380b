"""Universal kriging: the posterior and the evidence of scores whose offset and scale are unknown.

Notation (symbol, shape, meaning):

y       (m,)             observed scores
a, c    scalar           offset and inverse scale of the new task: c y = a + f(x) + noise
C       (k, n)           k possible prior means of f at n candidates, with probabilities p
K       (m, m)           covariance of the observations, noise included
X       (m, n)           covariance of observations and candidates

The offset has a flat prior and is integrated out; log c is normal. This is universal kriging
(Rasmussen and Williams, 2006, section 2.7) with a scale and several prior means, which share K.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta.tabular import cholesky, inverse_of_factor, solve_lower

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
_LOG_SCALES = np.linspace(-3, 3, 31)
_SCALES = np.exp(_LOG_SCALES)
_LOG_PRIOR_OF_SCALES = -0.5 * _LOG_SCALES**2
_NEGLIGIBLE = 1e-2  # probability of a prior mean, relative to the most probable one
_MIN_VARIANCE = 1e-6


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
        `C` (k, n) the prior means, None for a single 0.
        """
        dtype = X.dtype
        kept = np.flatnonzero(self.shares > _NEGLIGIBLE * self.shares.max())
        shares = self.shares[kept] / self.shares[kept].sum()
        weights = shares / self.c[kept]
        inverse = inverse_of_factor(self.L)
        solved_ones = inverse.sum(1)
        precision = float(solved_ones.sum())  # of the offset
        # Column i of these has the share of prior mean i: its residuals, and its offset.
        residuals = shares * self.y[:, None] - weights * self.C[kept].T
        offsets = solved_ones @ residuals / precision
        coefficients = inverse @ (residuals - offsets)
        means = coefficients.T.astype(dtype) @ X
        means += offsets[:, None].astype(dtype)
        if C is not None:
            means += weights[:, None].astype(dtype) * C[kept]
        mean = means.sum(0)
        explained = np.einsum("ij,ij->j", inverse.astype(dtype) @ X, X)
        unexplained = 1 - solved_ones.astype(dtype) @ X
        variance = np.maximum(variance - explained + unexplained**2 / precision, _MIN_VARIANCE)
        variance = variance * float(weights @ (1 / self.c[kept]))
        if len(kept) > 1:
            # Variance between the prior means, each with the root of its share.
            roots = np.sqrt(shares)[:, None].astype(dtype)
            means /= roots
            means -= roots * mean
            variance += np.einsum("ij,ij->j", means, means)
        return mean.astype(np.float64), variance.astype(np.float64)


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
