"""A discriminant in closed form for wide rows of one unit, such as embeddings.

Each class is a normal distribution. The mean of a class is shrunk towards that of all classes, and
the covariance within classes, which all share, towards a multiple of the identity; both are what a
rotation of the rows leaves as it is. Log densities are multiplied by a temperature, because the
columns of an embedding carry the same information many times. Probabilities are averages over
shrinkages and temperatures by the likelihood of held-out rows times a prior, which alone decides
where each class has one row.

Notation: n rows, m query rows, d columns, c classes, r directions within classes, s shrinkages,
t temperatures.

References: Friedman (1989), Regularized discriminant analysis; Murphy (2007), Conjugate Bayesian
analysis of the Gaussian distribution (means with a prior); Yao et al. (2018), Using stacking to
average Bayesian predictive distributions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import log_softmax, softmax

from skmeta.few_shot._support import SupportSet
from skmeta.learners.in_context import divide_rows

_SHRINKAGES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])
_TEMPERATURES = np.exp(np.linspace(-4.0, 1.0, 11))
# Means and standard deviations of their logarithms beforehand, chosen on development sets of
# benchmarks/embeddings.py.
_LOG_SHRINKAGE, _LOG_TEMPERATURE = (0.0, 1.0), (-2.5, 1.0)
# Rows that the mean of all classes counts as, for that of a class.
_ROWS_OF_CENTRE = 1.0
# Share of the variance that is within classes, beforehand, and dimensions it has.
_WITHIN, _DIMENSIONS = 0.5, 20
_N_FOLDS = 5


class Densities(NamedTuple):
    """Normal distributions of classes, whose covariances differ by their shrinkage.

    Attributes
    ----------
    center : ndarray of shape (d,)
        Mean of the means.
    unit : float
        Unit of the rows.
    means : ndarray of shape (c, d)
        Shrunk means, in units from the centre.
    directions : ndarray of shape (r, d)
        Principal directions within classes.
    variances : ndarray of shape (s, r)
        Shrunk variances along them.
    rest : ndarray of shape (s,)
        Variance along other directions.
    spread : ndarray of shape (c,)
        Factor of the variances: means of few rows are uncertain.
    log_share : ndarray of shape (c,)
        Logarithms of the classes' frequencies; minus infinity without rows.
    """

    center: np.ndarray
    unit: float
    means: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: np.ndarray
    spread: np.ndarray
    log_share: np.ndarray

    @classmethod
    def fit(cls, support: SupportSet, n_classes: int) -> Densities:
        """Estimate the distributions."""
        X, y, weight = support
        label = np.eye(n_classes)[y] * weight[:, None]
        size = label.sum(0)
        has_rows = size > 0
        mean = label.T @ X / np.maximum(size, 1e-12)[:, None]
        center = mean[has_rows].mean(0)
        unit = float(np.abs(X - center).max()) or 1.0
        rows, mean = (X - center) / unit, (mean - center) / unit
        mean[~has_rows] = 0
        root = np.sqrt(weight)[:, None]
        values, directions = _principal(root * (rows - mean[y]))
        free, total = max(weight.sum() - has_rows.sum(), 0.0), weight.sum()
        # As if one more row had said that a half of the variance is within classes.
        expected = _WITHIN * ((root * rows) ** 2).sum() / total
        isotropic = (values.sum() + expected) / (free + 1) / min(X.shape[1], _DIMENSIONS)
        shrinkage = _SHRINKAGES[:, None]
        least = max(isotropic, 1e-30)
        with np.errstate(divide="ignore"):
            log_share = np.log(size / total)
        return cls(
            center,
            unit,
            mean * (size / (size + _ROWS_OF_CENTRE))[:, None],
            directions,
            (1 - shrinkage) * values / max(free, 1.0) + shrinkage * least,
            _SHRINKAGES * least,
            1 + 1 / (size + _ROWS_OF_CENTRE),
            log_share,
        )

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return half the negative squared distances (s, m, c) of rows (m, d) from the classes."""
        rows = np.nan_to_num((X - self.center) / self.unit)
        along, means_along = rows @ self.directions.T, self.means @ self.directions.T
        beyond = _square_distance(rows, self.means) - _square_distance(along, means_along)
        parts = [
            _square_distance(along / np.sqrt(v), means_along / np.sqrt(v)) + beyond / rest
            for v, rest in zip(self.variances, self.rest, strict=True)
        ]
        return np.asarray(-0.5 * np.maximum(parts, 0) / self.spread)


class Discriminant(NamedTuple):
    """The distributions, and the weight (s, t) of each shrinkage and temperature."""

    densities: Densities
    chance: np.ndarray

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities (m, c) of classes of rows (m, d)."""
        density = self.densities.log_density(X)
        proba = np.zeros(density.shape[1:])
        for i, k in zip(*np.nonzero(self.chance > 1e-6), strict=True):
            logits = _TEMPERATURES[k] * density[i] + self.densities.log_share
            proba += self.chance[i, k] * softmax(logits, 1)
        return np.asarray(proba / proba.sum(1, keepdims=True))


def fit_discriminant(support: SupportSet, n_classes: int) -> Discriminant:
    """Fit a discriminant.

    Parameters
    ----------
    support : SupportSet
        The rows of a task, of positive weights.
    n_classes : int
        c.

    Returns
    -------
    Discriminant
        The discriminant.
    """
    X, y, weight = support
    rows, w = torch.from_numpy(X).double(), torch.from_numpy(weight).double()
    fold = divide_rows(rows, torch.from_numpy(y).long(), w, n_classes, _N_FOLDS).numpy()
    evidence = np.zeros((len(_SHRINKAGES), len(_TEMPERATURES)))
    for k in np.unique(fold):
        kept, held = fold != k, fold == k
        # Without its only rows, a class is unknown.
        held &= np.isin(y, y[kept])
        if not held.any() or len(np.unique(y[kept])) < 2:
            continue
        densities = Densities.fit(SupportSet(*(v[kept] for v in support)), n_classes)
        logits = densities.log_density(X[held])
        for j, temperature in enumerate(_TEMPERATURES):
            log_p = log_softmax(temperature * logits + densities.log_share, 2)
            evidence[:, j] += log_p[:, np.arange(held.sum()), y[held]] @ weight[held]
    for axis, (values, (mean, spread)) in enumerate(
        ((_SHRINKAGES, _LOG_SHRINKAGE), (_TEMPERATURES, _LOG_TEMPERATURE))
    ):
        beforehand = -0.5 * ((np.log(values) - mean) / spread) ** 2
        evidence = evidence + (beforehand[:, None] if axis == 0 else beforehand)
    return Discriminant(Densities.fit(support, n_classes), softmax(evidence))


def _principal(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of squares (r,) of rows (n, d) along principal directions (r, d)."""
    n, d = rows.shape
    if n >= d:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        return np.maximum(values, 0), vectors.T
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > 1e-10 * max(values[-1], 1e-30)
    return values[kept], (vectors[:, kept] / np.sqrt(values[kept])).T @ rows


def _square_distance(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1) - 2 * rows @ others.T
    return np.asarray(np.maximum(squares, 0.0))
