"""A model of the scores of a finished search, for those who look at it afterwards.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
X       (n, d)           encoded candidates of the search
Z       (n, d)           the same, each column divided by the length scale of its group
K       (n, n)           covariance of the scores, noise included
theta   (g + 2,)         logarithms of the kernel's hyperparameters, as in `_gp`
H       (g + 2, g + 2)   Hessian of the negative log posterior of theta
w       (k, d)           frequencies of random features
======  ===============  ====================================================================

The strategy of a search needs one prediction of each candidate. Who asks which parameter matters
needs to know what the scores leave open, so the hyperparameters are sampled here, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from skmeta.search.record import Configuration
from skmeta.search.space import Encoding
from skmeta.search.surrogate._gp import (
    KernelPrior,
    cholesky,
    fit_kernel,
    group_distances,
    matern,
    negative_log_posterior,
    posterior,
    scale_columns,
)
from skmeta.search.surrogate._surfaces import standardise, winsorize_scores

Array = NDArray[np.float64]

_WINSOR_FACTOR = 2.0  # as for the surfaces of past searches
_MAX_ROWS = 250  # larger searches are thinned out
_N_KERNELS = 12
_N_FEATURES = 256
_JITTER = 1e-6
_STEP = 1e-3  # of finite differences
_LEAST_CURVATURE = 0.1


@dataclass(frozen=True)
class _Kernel:
    """One draw of the hyperparameters, and what the scores say with it."""

    length_scales: Array
    amplitude: float
    noise: float
    Z: Array
    L: Array


class ScoreModel:
    """Gaussian process of the scores of a search, with its hyperparameters sampled.

    Failed candidates are left out. Very low scores are raised, as in the surfaces of past
    searches, because they would hide the differences between good candidates.

    Parameters
    ----------
    configurations : sequence of dict
        The candidates: names to plain values.
    scores : array-like of shape (n_candidates,)
        Greater is better; NaN for a candidate that failed.
    rng : numpy.random.Generator
        Samples the hyperparameters.

    Attributes
    ----------
    encoding : Encoding
        How configurations become rows of a matrix.

    Raises
    ------
    ValueError
        If fewer than two different scores are finite, or no parameter varies.

    References
    ----------
    J. Wilson et al. (2020), "Efficiently sampling functions from Gaussian process posteriors",
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> tried = [{"C": float(c)} for c in (0.1, 1, 10, 100)]
    >>> model = ScoreModel(tried, [0.5, 0.9, 0.8, 0.6], np.random.default_rng(0))
    >>> mean, std = model.predict(tried)
    >>> int(mean.argmax())
    1
    """

    def __init__(
        self, configurations: Sequence[Configuration], scores: Array, rng: np.random.Generator
    ) -> None:
        scores = np.asarray(scores, dtype=np.float64)
        kept = np.flatnonzero(np.isfinite(scores))
        if len(kept) > _MAX_ROWS:
            kept = _thin_out(scores, kept)
        tried = [configurations[i] for i in kept.tolist()]
        raised = winsorize_scores(scores[kept], _WINSOR_FACTOR)
        y = standardise(raised)
        self.encoding = Encoding.from_configurations(tried)
        if y is None:
            raise ValueError(
                f"A model of the scores needs at least 2 different ones, got {len(kept)} finite "
                "scores that are all equal. Evaluate more candidates."
            )
        if not self.encoding.n_columns:
            raise ValueError("A model of the scores needs a parameter that varies, got none.")
        self._names = tuple(sorted({name for c in tried for name in c}))
        self._location, self._scale = float(raised.mean()), float(raised.std())
        self._y = y
        groups = self.encoding.groups
        self._n_groups = int(groups.max()) + 1
        X = self.encoding.transform(tried, self._names)
        D = group_distances(X, groups, self._n_groups)
        self._kernels = [self._kernel(X, theta) for theta in _sample_kernels(D, y, rng)]

    def predict(self, configurations: Sequence[Configuration]) -> tuple[Array, Array]:
        """Return mean and standard deviation of the expected scores of configurations.

        Parameters
        ----------
        configurations : sequence of dict
            Names to plain values.

        Returns
        -------
        mean, std : ndarray of shape (n_configurations,)
            In units of the scores. The deviation is that of the expected score, without the noise
            of a single cross-validation.
        """
        X = self._encode(configurations)
        by_kernel = [self._predict_with(kernel, X) for kernel in self._kernels]
        means, variances = (np.array(part) for part in zip(*by_kernel, strict=True))
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0)
        return self._location + self._scale * mean, self._scale * np.sqrt(variance)

    def sample_functions(
        self, n_per_kernel: int, rng: np.random.Generator
    ) -> Callable[[Sequence[Configuration]], Array]:
        """Draw functions that the scores may come from.

        Parameters
        ----------
        n_per_kernel : int
            Number of functions for each draw of the hyperparameters.
        rng : numpy.random.Generator

        Returns
        -------
        functions : callable
            Takes a sequence of configurations, and returns the values of all functions, of shape
            (n_functions, n_configurations), in units of the scores. Each call has the same
            functions.
        """
        draws = [self._draw(kernel, n_per_kernel, rng) for kernel in self._kernels]

        def evaluate(configurations: Sequence[Configuration]) -> Array:
            X = self._encode(configurations)
            values = np.concatenate([draw(X) for draw in draws])
            return np.asarray(self._location + self._scale * values)

        return evaluate

    def _encode(self, configurations: Sequence[Configuration]) -> Array:
        return self.encoding.transform(configurations, self._names)

    def _kernel(self, X: Array, theta: Array) -> _Kernel:
        scales = np.exp(theta[: self._n_groups])
        amplitude, noise = np.exp(theta[self._n_groups :])
        Z = scale_columns(X, self.encoding.groups, scales)
        L = cholesky(amplitude * matern(Z, Z) + (noise + _JITTER) * np.eye(len(Z)))
        return _Kernel(scales, float(amplitude), float(noise), Z, L)

    def _predict_with(self, kernel: _Kernel, X: Array) -> tuple[Array, Array]:
        Z = scale_columns(X, self.encoding.groups, kernel.length_scales)
        cross = kernel.amplitude * matern(kernel.Z, Z)
        mean, variance, _ = posterior(
            kernel.L @ kernel.L.T, cross, np.full(len(Z), kernel.amplitude), self._y
        )
        return mean, variance

    def _draw(self, kernel: _Kernel, n: int, rng: np.random.Generator) -> Callable[[Array], Array]:
        """Return functions of the posterior: functions of the prior plus a correction.

        Wilson et al. (2020), eq. 13: f(x) + k(x, X) K^-1 (y - f(X) - e), with f from the prior by
        random features and e from the noise.
        """
        n_columns = kernel.Z.shape[1]
        # The spectral density of a Matern 5/2 kernel is a t distribution with 5 degrees of freedom.
        w = rng.standard_normal((_N_FEATURES, n_columns))
        w /= np.sqrt(rng.chisquare(5, size=(_N_FEATURES, 1)) / 5)
        phase = rng.uniform(0, 2 * np.pi, _N_FEATURES)
        weights = rng.standard_normal((_N_FEATURES, n))
        weights *= np.sqrt(2 * kernel.amplitude / _N_FEATURES)
        noise = np.sqrt(kernel.noise + _JITTER) * rng.standard_normal((len(kernel.Z), n))
        before = np.cos(kernel.Z @ w.T + phase) @ weights + noise
        correction = cho_solve((kernel.L, True), self._y[:, None] - before)

        def evaluate(X: Array) -> Array:
            Z = scale_columns(X, self.encoding.groups, kernel.length_scales)
            past = np.cos(Z @ w.T + phase) @ weights
            values = past + kernel.amplitude * matern(Z, kernel.Z) @ correction
            return np.asarray(values.T)

        return evaluate


def _thin_out(scores: Array, kept: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the best rows, and rows that are spread evenly over the others."""
    order = kept[np.argsort(-scores[kept], kind="stable")]
    n_best = _MAX_ROWS // 2
    others = np.linspace(n_best, len(order) - 1, _MAX_ROWS - n_best).round().astype(np.intp)
    return np.sort(np.concatenate([order[:n_best], order[others]]))


def _sample_kernels(D: Array, y: Array, rng: np.random.Generator) -> list[Array]:
    """Sample hyperparameters from the Laplace approximation of their posterior."""
    prior = KernelPrior()
    mode = fit_kernel([D], [y], prior)
    steps = _STEP * np.eye(len(mode))
    gradients = [
        negative_log_posterior(mode + step, D, y, prior)[1]
        - negative_log_posterior(mode - step, D, y, prior)[1]
        for step in steps
    ]
    H = np.array(gradients) / (2 * _STEP)
    curvature, directions = np.linalg.eigh((H + H.T) / 2)
    deviations = 1 / np.sqrt(np.maximum(curvature, _LEAST_CURVATURE))
    mean, spread = prior.moments(len(D))
    draws = rng.standard_normal((_N_KERNELS, len(mode))) * deviations @ directions.T
    return list(np.clip(mode + draws, mean - 4 * spread, mean + 4 * spread))
