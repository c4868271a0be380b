"""A linear model in closed form, which is mixed into the predictions by its evidence.

The linear model is a ridge regression on the standardised columns. Several penalties are tried, and
each is weighted by the likelihood of the support rows, each predicted from the others: the best one
differs between tables by factors of a thousand. It is mixed into the predictions by its evidence:
its likelihood compared with that of the best expert, whose penalties are fixed. Two parameters say
how much the evidence counts. In classifications its share is at most one half.

Notation: b tables, n support rows, m rows of either set, d columns, p = d + 1 coefficients, g
penalties, s = N_EXPERTS, c labels of a row: 10 classes, or 1 target, o outputs of the network. y
(b, n, c) are centred labels; cells (b, m, d, f) are those of :func:`describe_cells`; predictions
have shape (b, m, s, c), and ``expert`` (b, n, s, c) leave rows out; ``nearest`` (b, m, s) is the
largest value of the kernel between a row and another row of the support set; ``present`` (b, c)
says which classes have rows, None for regressions.

References: Rasmussen and Williams (2006), Gaussian processes for machine learning, equations 2.25
and 5.12 (a row left out), section 5.4.2; Lakshminarayanan, Roy and Teh (2016), Mondrian forests for
large-scale regression, and Balog et al. (2016), The Mondrian kernel (random forests and the Laplace
kernel); Yao et al. (2018), Using stacking to average Bayesian predictive distributions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skmeta.tabular.table_prior import bin_edges, left_out_weight, like

# The constant column is larger than the others, so its coefficient is penalised less.
_OFFSET = 3.0
_MAX_VALUE = 6.0
# The smallest mean squared error, as a share of the variance, that is distinguishable from another.
_MIN_ERROR = 1e-4
# Values before meta-training, chosen on the development sets of benchmarks/measure/small_tables.py.
_EVIDENCE_WEIGHT_OF_CLASSES, _NETWORK_EVIDENCE_OF_CLASSES = 1.0, 1.0
_EVIDENCE_WEIGHT_OF_TARGETS, _NETWORK_EVIDENCE_OF_TARGETS = 0.35, 2.0
_ROWS_OF_NETWORK_EVIDENCE = 10.0
# The linear model has at most half of a mixture of classes.
_MAX_LOGIT_OF_CLASSES = 0.0
# Steepness of the probabilities of classes by a linear model.
_STEEPNESS = (1.0, 2.0, 4.0, 8.0, 16.0)
_NEVER = -1e9
# Scale of a logistic distribution of variance 1, and the smallest scale.
_LOGISTIC, _MIN_SCALE = math.sqrt(3) / math.pi, 0.01


class LinearModel(nn.Module):
    """The linear model of tables of one kind, with two learned parameters.

    ``evidence_weight`` is how much the likelihoods count. ``network_evidence`` is the prior
    evidence for the network with 10 rows, because the network is better than its best expert. It
    shrinks with more rows, where the likelihoods are a better guide.
    """

    def __init__(self, n_labels: int | None) -> None:
        super().__init__()
        self.n_labels = n_labels
        self.evidence_weight, self.network_evidence = (
            nn.Parameter(torch.empty(())) for _ in range(2)
        )

    def reset(self) -> None:
        """Set the parameters to their values before meta-training."""
        nn.init.constant_(
            self.evidence_weight,
            _EVIDENCE_WEIGHT_OF_CLASSES if self.n_labels else _EVIDENCE_WEIGHT_OF_TARGETS,
        )
        nn.init.constant_(
            self.network_evidence,
            _NETWORK_EVIDENCE_OF_CLASSES if self.n_labels else _NETWORK_EVIDENCE_OF_TARGETS,
        )

    def read(
        self, cell_features: Tensor, y: Tensor, w: Tensor, expert: Tensor, present: Tensor | None
    ) -> dict[str, Tensor]:
        """Fit the linear model to a support set, for :func:`mix_with_linear_model`."""
        fitted, gain = fit_linear_model(cell_features, y, w, expert, present)
        n_rows = w.sum(1).clamp_min(1.0)
        logit = (
            self.evidence_weight * gain - self.network_evidence * _ROWS_OF_NETWORK_EVIDENCE / n_rows
        )
        if present is not None:
            # Few rows may be separable by chance; the network then keeps at least its half.
            logit = logit.clamp_max(_MAX_LOGIT_OF_CLASSES)
        return fitted | {"logit": logit}


def fit_linear_model(
    cell_features: Tensor, y: Tensor, w: Tensor, expert: Tensor, present: Tensor | None
) -> tuple[dict[str, Tensor], Tensor]:
    """Fit the linear model, and return its log-likelihood gain (b,) over the best expert.

    The fitted model has ``coef`` (b, p, c), ``width`` (b,) of the distributions, the bounds ``low``
    and ``high`` (b,) of predicted targets, and ``present``. Of cells and weights, b may be 1: one
    table with several class orders.
    """
    predicted, coef = _fit(cell_features, y, w)
    total = w.sum(1).clamp_min(1.0)
    others = torch.cat([predicted[:, :, None], expert], 2)
    if present is None:
        squared = (others - y[:, :, None])[..., 0] ** 2
        error = (w[:, :, None] * squared).sum(1) / total[:, None] + _MIN_ERROR
        evidence, width = -0.5 * torch.log(error), error[:, 0].sqrt()
        has_weight = w > 0
        low = y[..., 0].masked_fill(~has_weight, math.inf).amin(1)
        high = y[..., 0].masked_fill(~has_weight, -math.inf).amax(1)
        margin = 0.5 * (high - low)
        fitted = {"low": low - margin, "high": high + margin}
    else:
        evidence, width = _class_evidence(others, y, w, present)
        fitted = {"present": present.to(y.dtype)}
    gain = total * (evidence[:, 0] - evidence[:, 1:].amax(1))
    return fitted | {"coef": coef, "width": width}, gain


def mix_with_linear_model(
    fitted: dict[str, Tensor], cell_features: Tensor, outputs: Tensor
) -> Tensor:
    """Mix the distributions of query rows, logits (b, m, o), with those of the linear model.

    `fitted` also has ``logit`` (b,), the share of the model. Log probabilities of classes without
    rows are almost minus infinity.
    """
    predicted = _rows(cell_features) @ fitted["coef"]
    width = fitted["width"][:, None, None]
    if "present" in fitted:
        absent = fitted["present"][:, None] < 0.5
        own = F.log_softmax(outputs.masked_fill(absent, _NEVER), 2)
        linear = F.log_softmax((width * predicted).masked_fill(absent, _NEVER), 2)
    else:
        low, high = (fitted[name][:, None, None] for name in ("low", "high"))
        scale = (_LOGISTIC * width).clamp_min(_MIN_SCALE)
        predicted = predicted.maximum(low).minimum(high)
        below = torch.sigmoid((like(bin_edges(), predicted) - predicted) / scale)
        share = F.pad(F.pad(below, (1, 0)), (0, 1), value=1.0).diff()
        own, linear = F.log_softmax(outputs, 2), torch.log(share + 1e-9)
    logit = fitted["logit"][:, None, None].to(own.dtype)
    return torch.logaddexp(own + F.logsigmoid(-logit), linear.to(own.dtype) + F.logsigmoid(logit))


def _fit(cell_features: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return predictions of support rows from the others (b, n, c), and coefficients (b, p, c)."""
    # The smallest penalties are lost in single precision. Some devices have no other.
    dtype = y.dtype if cell_features.device.type == "mps" else torch.float64
    a, target, weight = _rows(cell_features).to(dtype)[:, None], y.to(dtype)[:, None], w.to(dtype)
    total = weight.sum(1).clamp_min(1.0)
    root = weight.sqrt()[:, None, :, None]
    penalty = torch.logspace(-4, 1, 9, dtype=dtype, device=a.device)[:, None, None]
    identity = torch.eye(a.shape[3], dtype=dtype, device=a.device)
    # Rows and penalties as one least-squares problem. Unlike the normal equations, its orthogonal
    # factor gives leverages near 1 to the last digits.
    rows = (root * a).expand(-1, len(penalty), -1, -1)
    both = torch.cat([rows, (penalty.sqrt() * identity).expand(len(rows), -1, -1, -1)], 2)
    q, r = torch.linalg.qr(both)
    q = q[:, :, : rows.shape[2]]
    coef = torch.linalg.solve_triangular(r, q.mT @ (root * target), upper=True)
    # Without the weight that is left out (equation 5.12 for one row of a linear model).
    share = left_out_weight(weight) / weight.clamp_min(1e-12)
    leverage = share[:, None, :, None] * (q * q).sum(3, keepdim=True)
    others = (a @ coef - leverage * target) / (1 - leverage).clamp_min(1e-9)
    squared = ((others - target) ** 2).sum(3)
    error = (weight[:, None] * squared).sum(2) / total[:, None]
    variance = (weight * (target[:, 0] ** 2).sum(2)).sum(1) / total
    unexplained = error / variance.clamp_min(1e-12)[:, None] + _MIN_ERROR
    chance = torch.softmax(-0.5 * total[:, None] * torch.log(unexplained), 1)[:, :, None, None]
    return (chance * others).sum(1).to(y.dtype), (chance * coef).sum(1).to(y.dtype)


def _rows(cell_features: Tensor) -> Tensor:
    """Return the standardised values of rows with a constant column, (b, m, p)."""
    value = torch.sinh(cell_features[..., 0]).clamp(-_MAX_VALUE, _MAX_VALUE)
    return F.pad(value / math.sqrt(value.shape[2]), (0, 1), value=_OFFSET)


def _class_evidence(others: Tensor, y: Tensor, w: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean leave-one-out log likelihoods (b, models) with equal weight of each class.

    The first model is the linear one, and the steepness (b,) is returned for it.
    """
    is_class = (y > 0).to(y.dtype) * present[:, None]
    class_total = (w[:, :, None] * is_class).sum(1, keepdim=True).clamp_min(1e-12)
    n_classes = present.sum(1).clamp_min(1)[:, None, None]
    weight = w[:, :, None] * is_class / class_total / n_classes
    steepness = others.new_tensor(_STEEPNESS)
    absent = ~present[:, None, None]
    likelihood = [
        (weight[:, :, None] * F.log_softmax((k * others).masked_fill(absent, _NEVER), 3)).sum(
            (1, 3)
        )
        for k in _STEEPNESS
    ]
    evidence = torch.stack(likelihood, 2)
    total = w.sum(1).clamp_min(1.0)
    chance = torch.softmax(total[:, None] * evidence[:, 0], 1)
    return evidence.amax(2), torch.exp(chance @ torch.log(steepness))
