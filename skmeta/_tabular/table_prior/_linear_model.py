"""A linear model in closed form, which is mixed into the network's predictions by its evidence.

The linear model is a ridge regression on the standardised columns. Several penalties are tried, and
each is weighted by the likelihood of the support rows, each predicted from the others: the best one
differs between tables by factors of a thousand. It is mixed into the predictions by its evidence:
its likelihood compared with that of the best expert, whose penalties are fixed. Two parameters say
how much the evidence counts. In classifications its share is at most one half.

Arrays are of one table. Tensors have an axis of tables before the others, for meta-training; that
of cells and weights may be 1, for one table with several class orders.

Notation: n support rows, m query rows, d columns, p = d + 1 coefficients, s experts, c labels of a
row, o outputs of the network. y (n, c) are centred labels; ``present`` (c,) says which classes have
rows, None for regressions.

References: Rasmussen and Williams (2006), Gaussian processes for machine learning, equation 5.12
(a row left out); Yao et al. (2018), Using stacking to average Bayesian predictive distributions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skmeta._optional import module_of
from skmeta._tabular.table_prior._arithmetic import NEVER, as_type, in_double, like, special_of
from skmeta._tabular.table_prior._binned import bin_edges

# The constant column is larger than the others, so its coefficient is penalised less.
_OFFSET = 3.0
_MAX_VALUE = 6.0
_PENALTIES = np.logspace(-4, 1, 9).tolist()
# The smallest mean squared error, as a share of the variance, that is distinguishable from another.
_MIN_ERROR = 1e-4
_ROWS_OF_NETWORK_EVIDENCE = 10.0
# The linear model has at most half of a mixture of classes.
_MAX_LOGIT_OF_CLASSES = 0.0
# Steepness of the probabilities of classes by a linear model.
_STEEPNESS = (1.0, 2.0, 4.0, 8.0, 16.0)
# Scale of a logistic distribution of variance 1, and the smallest scale.
_LOGISTIC, _MIN_SCALE = float(np.sqrt(3) / np.pi), 0.01


class LinearModel(NamedTuple):
    """A fitted linear model, and the log odds of its share; shapes are (1, 1) if not said."""

    coef: Any  # (p, c)
    width: Any  # of the distributions, or steepness of probabilities
    logit: Any
    low: Any  # bounds of predicted targets
    high: Any
    present: Any | None  # (c,)

    def mix(self, cell_features: Any, outputs: Any) -> Any:
        """Mix the network's distributions of rows, logits (m, o), with those of this model.

        Log probabilities of classes without rows are almost minus infinity.
        """
        xp, special, width = module_of(outputs), special_of(outputs), as_type(self.width, outputs)
        predicted = as_type(_rows(cell_features), outputs) @ as_type(self.coef, outputs)
        if self.present is not None:
            known = self.present[..., None, :]
            own = special.log_softmax(xp.where(known, outputs, NEVER), -1)
            linear = special.log_softmax(xp.where(known, width * predicted, NEVER), -1)
        else:
            scale = (_LOGISTIC * width).clip(_MIN_SCALE)
            low, high = as_type(self.low, outputs), as_type(self.high, outputs)
            below = special.expit((like(bin_edges(), outputs) - predicted.clip(low, high)) / scale)
            inner = below[..., 1:] - below[..., :-1]
            share = xp.concatenate([below[..., :1], inner, 1 - below[..., -1:]], -1)
            own, linear = special.log_softmax(outputs, -1), xp.log(share + 1e-9)
        zero = xp.zeros_like(self.logit)
        own = own - as_type(xp.logaddexp(zero, self.logit), outputs)
        linear = linear - as_type(xp.logaddexp(zero, -self.logit), outputs)
        return xp.logaddexp(own, linear)


class SupportRows(NamedTuple):
    """The linear model's rows of a support set, divided into their singular parts."""

    U: Any  # (n, r)
    s: Any  # (r,)
    V: Any  # (r, p)
    weight: Any  # (n,)

    @classmethod
    def of(cls, cell_features: Any, w: Any) -> SupportRows:
        """Divide the rows, in double precision: the smallest penalties are lost in single."""
        xp, w = module_of(w), in_double(w)
        rows = xp.sqrt(w)[..., None] * in_double(_rows(cell_features))
        U, s, V = xp.linalg.svd(rows, full_matrices=False)
        return cls(U, s, V, w)

    def fit(self, y: Any) -> tuple[Any, Any]:
        """Return predictions of support rows from the others (n, c), and coefficients (p, c)."""
        (U, s, V, w), xp, target = self, module_of(y), in_double(y)
        root, total = xp.sqrt(w)[..., None], w.sum(-1).clip(1.0)
        along = U.swapaxes(-1, -2) @ (root * target)
        # Without the row (equation 5.12 for one row of a linear model).
        squares, unit = U * U, xp.where(root > 0, root, 1.0)
        coefs, each, errors = [], [], []
        for penalty in _PENALTIES:
            shrunk = (s / (s * s + penalty))[..., None]
            kept = s[..., None] * shrunk
            coefs.append(V.swapaxes(-1, -2) @ (shrunk * along))
            leverage = squares @ kept
            fitted = (U * kept.swapaxes(-1, -2)) @ along / unit
            others = (fitted - leverage * target) / (1 - leverage).clip(1e-9)
            each.append(others)
            errors.append((w * ((others - target) ** 2).sum(-1)).sum(-1) / total)
        variance = (w * (target**2).sum(-1)).sum(-1) / total
        unexplained = xp.stack(errors) / variance.clip(1e-12) + _MIN_ERROR
        chance = special_of(y).softmax(-0.5 * total * xp.log(unexplained), 0)[..., None, None]
        return (chance * xp.stack(each)).sum(0), (chance * xp.stack(coefs)).sum(0)


def fit_linear_model(
    rows: SupportRows,
    y: Any,
    expert: Any,
    present: Any | None,
    evidence_weight: Any,
    network_evidence: Any,
) -> LinearModel:
    """Fit the linear model; `expert` (n, s, c) are the experts' predictions of support rows."""
    (predicted, coef), w = rows.fit(y), rows.weight
    xp, y, total = module_of(w), in_double(y), w.sum(-1).clip(1.0)[..., None, None]
    others = xp.concatenate([predicted[..., None, :], in_double(expert)], -2)
    low = high = None
    if present is None:
        squared = (others[..., 0] - y) ** 2
        error = (w[..., None] * squared).sum(-2)[..., None, :] / total + _MIN_ERROR
        evidence, width = -0.5 * xp.log(error), xp.sqrt(error[..., :1])
        known = w[..., None] > 0
        low = xp.amin(xp.where(known, y, np.inf), -2, keepdims=True)
        high = xp.amax(xp.where(known, y, -np.inf), -2, keepdims=True)
        margin = 0.5 * (high - low)
        low, high = low - margin, high + margin
    else:
        evidence, width = _class_evidence(others, y, w, present)
    gain = total * (evidence[..., :1] - xp.amax(evidence[..., 1:], -1, keepdims=True))
    logit = evidence_weight * gain - network_evidence * _ROWS_OF_NETWORK_EVIDENCE / total
    if present is not None:
        # Few rows may be separable by chance; the network then keeps at least its half.
        logit = logit.clip(max=_MAX_LOGIT_OF_CLASSES)
    return LinearModel(coef, width, logit, low, high, present)


def _rows(cell_features: Any) -> Any:
    """Return the standardised values of rows with a constant column, (m, p)."""
    xp = module_of(cell_features)
    value = xp.sinh(cell_features[..., 0]).clip(-_MAX_VALUE, _MAX_VALUE)
    value = as_type(in_double(value) / value.shape[-1] ** 0.5, value)
    return xp.concatenate([value, xp.full_like(value[..., :1], _OFFSET)], -1)


def _class_evidence(others: Any, y: Any, w: Any, present: Any) -> tuple[Any, Any]:
    """Return mean leave-one-out log likelihoods (1, models) with equal weight of each class.

    The first model is the linear one, and the steepness (1, 1) is returned for it.
    """
    xp, special, known = module_of(y), special_of(y), present[..., None, :]
    weight = w[..., None] * as_type((y > 0) & known, y)
    weight = weight / weight.sum(-2).clip(1e-12)[..., None, :]
    weight = (weight / known.sum(-1).clip(1)[..., None])[..., None, :]
    log_p = [
        special.log_softmax(xp.where(known[..., None, :], k * others, NEVER), -1)
        for k in _STEEPNESS
    ]
    evidence = xp.stack([(weight * each).sum((-3, -1)) for each in log_p], -1)
    total = w.sum(-1).clip(1.0)[..., None, None]
    chance = special.softmax(total * evidence[..., :1, :], -1)
    steepness = xp.exp((chance * xp.log(like(np.array(_STEEPNESS), y))).sum(-1)[..., None])
    return xp.amax(evidence, -1)[..., None, :], steepness
