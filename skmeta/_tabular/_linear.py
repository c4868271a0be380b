"""A linear classifier in closed form, averaged over its penalty by the likelihood of rows left out.

It is a ridge regression on labels of zeros and ones, whose rows weigh each class alike. A softmax
of its predictions, times a steepness, and the frequencies of the classes are its probabilities.
The best penalty differs between tables by factors of a thousand, so penalties and values of the
steepness are averaged by the likelihood of the rows, each predicted from the others, times a prior,
which alone decides where each class has one row. Rotations of more than 64 columns have no effect.

Notation: n rows, m query rows, d columns, p inputs with a constant one, r their rank, c classes,
g penalties, t values of the steepness.

References: Rasmussen and Williams (2006), Gaussian processes for machine learning, equation 5.12
(a row left out); Yao et al. (2018), Using stacking to average Bayesian predictive distributions.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from skmeta._tabular._process import Inputs
from skmeta._tabular._rows import WeightedRows

_PENALTIES = np.logspace(-3, 2, 11)
_STEEPNESS = np.exp(np.linspace(0, 4.5, 10))
# Prior means and standard deviations of their logarithms, chosen on eight sets of
# embeddings of short texts.
_LOG_PENALTY, _LOG_STEEPNESS = (1.0, 1.5), (2.0, 0.7)
# The constant input is larger than the others, so its coefficient is penalised less.
_CONSTANT = 3.0**0.5
_MIN_CHANCE = 1e-3


class RidgeClassifier(NamedTuple):
    """A fitted linear classifier, with coefficients (g, p, c) at each penalty."""

    inputs: Inputs
    unit: float  # root mean square length of the inputs
    coef: np.ndarray
    chance: np.ndarray  # weight (g, t) of each penalty and steepness
    log_share: np.ndarray  # log frequencies (c,) of the classes, minus infinity without rows

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities (m, c) of classes of rows (m, d)."""
        rows = _with_constant(self.inputs.encode(X) / self.unit)
        proba = np.zeros((len(X), len(self.log_share)))
        for i, k in zip(*np.nonzero(self.chance > _MIN_CHANCE), strict=True):
            logits = _STEEPNESS[k] * (rows @ self.coef[i]) + self.log_share
            proba += self.chance[i, k] * softmax(logits, 1)
        return np.asarray(proba / proba.sum(1, keepdims=True))


def fit_ridge(
    table: WeightedRows, n_classes: int, categories: Collection[int] = ()
) -> RidgeClassifier:
    """Fit a linear classifier to rows of positive weights; ``categories`` are columns of codes."""
    X, y, weight = table
    inputs = Inputs.measure(X, weight, categories)
    rows, size = inputs.encode(X), np.bincount(y, weight, n_classes)
    present = size > 0
    balance = weight.sum() / present.sum() / np.maximum(size, 1e-12)[y]
    w = weight * balance
    unit = float(np.sqrt(w @ (rows**2).sum(1) / w.sum())) or 1.0
    targets = np.eye(n_classes)[y] - present / present.sum()
    root = np.sqrt(w)[:, None]
    U, s, V = np.linalg.svd(root * _with_constant(rows / unit), full_matrices=False)
    along = U.T @ (root * targets)
    with np.errstate(divide="ignore"):
        log_share = np.log(size / size.sum())
    evidence = np.zeros((len(_PENALTIES), len(_STEEPNESS)))
    known = np.bincount(y)[y] > 1
    coef = []
    for i, penalty in enumerate(_PENALTIES):
        shrunk = s / (s**2 + penalty)
        coef.append(V.T @ (shrunk[:, None] * along))
        leverage = U**2 @ (s * shrunk)
        fitted = (U * (s * shrunk)) @ along / root
        others = (fitted - leverage[:, None] * targets) / (1 - leverage)[:, None]
        for k, steepness in enumerate(_STEEPNESS):
            log_p = log_softmax(steepness * others + log_share, 1)[np.arange(len(y)), y]
            evidence[i, k] = (weight * known) @ log_p
    evidence -= 0.5 * ((np.log(_PENALTIES) - _LOG_PENALTY[0]) / _LOG_PENALTY[1])[:, None] ** 2
    evidence -= 0.5 * ((np.log(_STEEPNESS) - _LOG_STEEPNESS[0]) / _LOG_STEEPNESS[1]) ** 2
    return RidgeClassifier(inputs, unit, np.array(coef), softmax(evidence), log_share)


def _with_constant(rows: np.ndarray) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, 1)), constant_values=_CONSTANT)
