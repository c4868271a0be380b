"""A linear model in closed form, which is mixed into the network's predictions by its evidence.

The linear model is a ridge regression on the standardised columns. Several penalties are tried, and
each is weighted by the likelihood of the support rows, each predicted from the others: the best one
differs between tables by factors of a thousand. It is mixed into the predictions by its evidence:
its likelihood compared with that of the best expert, whose penalties are fixed. Two parameters say
how much the evidence counts. In classifications its share is at most one half.

Notation: n support rows, m query rows, d columns, p = d + 1 coefficients, s experts, c labels of a
row, o outputs of the network. y (n, c) are centred labels; ``present`` (c,) says which classes have
rows, None for regressions.

References: Rasmussen and Williams (2006), Gaussian processes for machine learning, equation 5.12
(a row left out); Yao et al. (2018), Using stacking to average Bayesian predictive distributions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

from skmeta.tabular.table_prior._arithmetic import NEVER
from skmeta.tabular.table_prior._binned import bin_edges
from skmeta.tabular.table_prior._cells import left_out_weight

# The constant column is larger than the others, so its coefficient is penalised less.
_OFFSET = 3.0
_MAX_VALUE = 6.0
_PENALTIES = np.logspace(-4, 1, 9)
# The smallest mean squared error, as a share of the variance, that is distinguishable from another.
_MIN_ERROR = 1e-4
_ROWS_OF_NETWORK_EVIDENCE = 10.0
# The linear model has at most half of a mixture of classes.
_MAX_LOGIT_OF_CLASSES = 0.0
# Steepness of the probabilities of classes by a linear model.
_STEEPNESS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
# Scale of a logistic distribution of variance 1, and the smallest scale.
_LOGISTIC, _MIN_SCALE = np.sqrt(3) / np.pi, 0.01


class LinearModel(NamedTuple):
    """A fitted linear model, and the log odds of its share."""

    coef: np.ndarray  # (p, c)
    width: float  # of the distributions, or steepness of probabilities
    logit: float
    low: float  # bounds of predicted targets
    high: float
    present: np.ndarray | None

    def mix(self, cell_features: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Mix the network's distributions of rows, logits (m, o), with those of this model.

        Log probabilities of classes without rows are almost minus infinity.
        """
        predicted = _rows(cell_features) @ self.coef.astype(outputs.dtype)
        if self.present is not None:
            own = log_softmax(np.where(self.present, outputs, NEVER), 1)
            linear = log_softmax(np.where(self.present, self.width * predicted, NEVER), 1)
        else:
            scale = max(_LOGISTIC * self.width, _MIN_SCALE)
            predicted = predicted.clip(self.low, self.high)
            below = expit((bin_edges().astype(predicted.dtype) - predicted) / scale)
            share = np.diff(below, axis=1, prepend=0.0, append=1.0)
            own, linear = log_softmax(outputs, 1), np.log(share + 1e-9)
        shares = np.array([log_expit(-self.logit), log_expit(self.logit)], outputs.dtype)
        return np.asarray(np.logaddexp(own + shares[0], linear + shares[1]))


class SupportRows(NamedTuple):
    """The linear model's rows of a support set, divided into their singular parts."""

    U: np.ndarray  # (n, r)
    s: np.ndarray  # (r,)
    V: np.ndarray  # (r, p)
    weight: np.ndarray  # (n,)

    @classmethod
    def of(cls, cell_features: np.ndarray, w: np.ndarray) -> SupportRows:
        """Divide the rows, in double precision: the smallest penalties are lost in single."""
        w = w.astype(float)
        rows = np.sqrt(w)[:, None] * _rows(cell_features).astype(float)
        return cls(*np.linalg.svd(rows, full_matrices=False), w)

    def fit(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions of support rows from the others (n, c), and coefficients (p, c)."""
        U, s, V, w = self
        target, root = y.astype(float), np.sqrt(w)[:, None]
        along, total = U.T @ (root * target), max(float(w.sum()), 1.0)
        # Without the weight that is left out (equation 5.12 for one row of a linear model).
        squares, share = U * U, left_out_weight(w) / np.maximum(w, 1e-12)
        coefs, each, errors = [], [], []
        for penalty in _PENALTIES:
            shrunk = s / (s * s + penalty)
            coefs.append(V.T @ (shrunk[:, None] * along))
            leverage = share * (squares @ (s * shrunk))
            fitted = (U * (s * shrunk)) @ along / root
            others = fitted - leverage[:, None] * target
            others /= np.maximum(1 - leverage, 1e-9)[:, None]
            each.append(others)
            errors.append(float(w @ ((others - target) ** 2).sum(1)) / total)
        variance = float(w @ (target**2).sum(1)) / total
        unexplained = np.array(errors) / max(variance, 1e-12) + _MIN_ERROR
        chance = softmax(-0.5 * total * np.log(unexplained))
        return np.tensordot(chance, each, 1), np.tensordot(chance, coefs, 1)


def fit_linear_model(
    rows: SupportRows,
    y: np.ndarray,
    expert: np.ndarray,
    present: np.ndarray | None,
    evidence_weight: float,
    network_evidence: float,
) -> LinearModel:
    """Fit the linear model; `expert` (n, s, c) are the experts' predictions of support rows."""
    (predicted, coef), w = rows.fit(y), rows.weight
    y, total = y.astype(float), max(float(w.sum()), 1.0)
    others = np.concatenate([predicted[:, None], expert], 1)
    low = high = 0.0
    if present is None:
        squared = (others[..., 0] - y) ** 2
        error = w @ squared / total + _MIN_ERROR
        evidence, width = -0.5 * np.log(error), float(np.sqrt(error[0]))
        low, high = float(y.min()), float(y.max())
        margin = 0.5 * (high - low)
        low, high = low - margin, high + margin
    else:
        evidence, width = _class_evidence(others, y, w, present)
    gain = total * float(evidence[0] - evidence[1:].max())
    logit = evidence_weight * gain - network_evidence * _ROWS_OF_NETWORK_EVIDENCE / total
    if present is not None:
        # Few rows may be separable by chance; the network then keeps at least its half.
        logit = min(logit, _MAX_LOGIT_OF_CLASSES)
    return LinearModel(coef, width, logit, low, high, present)


def _rows(cell_features: np.ndarray) -> np.ndarray:
    """Return the standardised values of rows with a constant column, (m, p)."""
    value = np.sinh(cell_features[..., 0]).clip(-_MAX_VALUE, _MAX_VALUE)
    value /= np.sqrt(value.shape[1])
    return np.pad(value, ((0, 0), (0, 1)), constant_values=_OFFSET)


def _class_evidence(
    others: np.ndarray, y: np.ndarray, w: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return mean leave-one-out log likelihoods (models,) with equal weight of each class.

    The first model is the linear one, and the steepness is returned for it.
    """
    is_class = (y > 0) * present
    weight = w[:, None] * is_class / np.maximum(w @ is_class, 1e-12) / max(present.sum(), 1)
    own = others[:, :, present]
    evidence = np.stack(
        [(weight[:, None, present] * log_softmax(k * own, 2)).sum((0, 2)) for k in _STEEPNESS], 1
    )
    chance = softmax(max(float(w.sum()), 1.0) * evidence[0])
    return evidence.max(1), float(np.exp(chance @ np.log(_STEEPNESS)))
