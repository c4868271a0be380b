"""Simple learners with a closed form (experts), whose predictions the transformer reads.

Each expert is a kernel regression on the labels (classes as zeros and ones), with w repetitions of
each row: f(x) = k(x, X) a with a = (K + noise / w)^-1 y. The prediction of a support row leaves
this row out, so predictions of support and query rows have the same distribution.

Notation: b tables, n support rows, m rows of either set, d columns, s = N_EXPERTS, c labels of a
row: 10 classes, or 1 target. Cells (b, m, d, f) are those of :func:`describe_cells`. Predictions
have shape (b, m, s, c), and ``nearest`` (b, m, s) is the largest value of the kernel between a row
and another row of the support set.

References: Rasmussen and Williams (2006), Gaussian processes for machine learning, equations 2.25
and 5.12 (a row left out); Lakshminarayanan, Roy and Teh (2016), Mondrian forests for large-scale
regression, and Balog et al. (2016), The Mondrian kernel (random forests and the Laplace kernel).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skmeta.learners.in_context._cells import left_out_weight


class Expert(NamedTuple):
    """A kernel regression on one feature of the cells.

    `by_relevance` weights columns by their relevance for the labels; `scale` multiplies distances;
    `noise` is the variance of the labels in units of the kernel.
    """

    kernel: str
    cells: str
    by_relevance: bool
    scale: float
    noise: float


EXPERTS = (
    Expert("linear", "value", False, 1.0, 0.03),
    Expert("linear", "value", True, 1.0, 0.3),
    Expert("normal", "value", False, 0.5, 0.03),
    Expert("normal", "value", True, 0.5, 0.1),
    Expert("laplace", "value", False, 2.0, 0.1),
    Expert("laplace", "rank", False, 1.5, 0.3),
    Expert("laplace", "rank", True, 3.0, 0.1),
    Expert("linear", "waves", True, 1.0, 0.3),
    Expert("equal", "rank", False, 2.0, 0.1),
)
N_EXPERTS = len(EXPERTS)
# Largest number of kernel values computed at once, to bound the memory.
_MAX_VALUES = 2**22
# Relevance of a column that is no more related to the labels than by chance.
_MIN_RELEVANCE = 0.1


def fit_experts(
    cell_features: Tensor, y: Tensor, w: Tensor
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Fit the experts to centred labels y (b, n, c), and predict each support row from the others.

    Of cells and weights, b may be 1: one table with several class orders.
    """
    cells = _cells(cell_features)
    # Views of one table that differ in their class order have the same relevance.
    relevance = _relevance(cells, y[: len(w)], w)
    has_weight = (w > 0).to(w.dtype)
    fits = [
        _fit_some(experts, cells, relevance, has_weight, y, w)
        for experts in _parts(len(w) * w.shape[1] ** 2)
    ]
    predicted, nearest, dual = (torch.cat(parts, 1) for parts in zip(*fits, strict=True))
    fitted = cells | {"has_weight": has_weight, "relevance": relevance, "dual": dual}
    return predicted.transpose(1, 2), nearest.transpose(1, 2), fitted


def _parts(n_values: int) -> list[tuple[Expert, ...]]:
    """Divide the experts into parts computed at once: all, or one by one for large kernels."""
    if N_EXPERTS * n_values <= _MAX_VALUES:
        return [EXPERTS]
    return [(expert,) for expert in EXPERTS]


def _fit_some(
    experts: tuple[Expert, ...],
    cells: dict[str, Tensor],
    relevance: Tensor,
    has_weight: Tensor,
    y: Tensor,
    w: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return predictions (b, s, n, c), nearest kernels (b, s, n) and dual weights (b, s, n, c)."""
    itself = torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
    root = w.sqrt()
    kernels = torch.stack([_kernel(e, cells, cells, relevance) for e in experts], 1)
    noise = w.new_tensor([e.noise for e in experts])[:, None, None]
    # The constant kernel 1 is an offset with the same penalty.
    system = root[:, None, :, None] * (kernels + 1) * root[:, None, None, :] + noise * itself
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(system))
    root = root[:, None, :, None]
    dual = root * (inverse @ (root * y[:, None]))
    # As if the row were two rows, with the weights that is left out and that remains.
    out = left_out_weight(w)
    share = torch.where(w > 0, out / w.clamp_min(1e-12), 1.0)[:, None, :, None]
    rest = (w - out)[:, None, :, None]
    without = rest / noise + inverse.diagonal(dim1=2, dim2=3)[..., None] * root**2 * share
    predicted = y[:, None] - dual / without.clamp_min(1e-6)
    seen = has_weight[:, None, :] - itself * (rest[:, 0] <= 0)
    return predicted, (kernels * seen[:, None]).amax(3), dual


def predict_experts(fitted: dict[str, Tensor], cell_features: Tensor) -> tuple[Tensor, Tensor]:
    """Return predictions and ``nearest`` of query rows."""
    cells, has_weight, dual = _cells(cell_features), fitted["has_weight"], fitted["dual"]
    predicted, nearest, start = [], [], 0
    for experts in _parts(has_weight.numel() * cell_features.shape[1]):
        parts = [_kernel(e, cells, fitted, fitted["relevance"]) for e in experts]
        kernels = torch.stack(parts, 1)
        part = dual[:, start : start + len(experts)]
        predicted.append(kernels @ part + part.sum(2, keepdim=True))
        nearest.append((kernels * has_weight[:, None, None, :]).amax(3))
        start += len(experts)
    return torch.cat(predicted, 1).transpose(1, 2), torch.cat(nearest, 1).transpose(1, 2)


def _cells(cell_features: Tensor) -> dict[str, Tensor]:
    """Return the cells that kernels compare: (b, m, d), and (b, m, d, 6) for waves."""
    share = cell_features.new_tensor([0.5, 0.3, 0.2] * 2).sqrt()
    return {
        "value": cell_features[..., 1],
        "rank": cell_features[..., 2],
        "waves": cell_features[..., 5:11] * share,
    }


def _relevance(cells: dict[str, Tensor], y: Tensor, w: Tensor) -> Tensor:
    """Return how much more each column is related to the labels than by chance, (b, d)."""
    features = torch.cat([cells["value"][..., None], cells["rank"][..., None], cells["waves"]], 3)
    total = w.sum(1).clamp_min(1e-12)
    weight = w / total[:, None]
    features = features - torch.einsum("bn,bndf->bdf", weight, features)[:, None]
    power = torch.einsum("bn,bndf->bdf", weight, features**2)
    shared = torch.einsum("bndf,bnc->bdfc", features, weight[..., None] * y)
    size = torch.einsum("bn,bnc->bc", weight, y * y)
    # Squared correlation of each feature with the labels.
    share = (shared**2 / size.clamp_min(1e-9)[:, None, None]).sum(3) / power.clamp_min(1e-9)
    n_free = ((size > 1e-9).sum(1) - 1).clamp_min(1)
    by_chance = n_free / (total - 1).clamp_min(1.0)
    excess = (share.amax(2) / by_chance[:, None] - 1).clamp_min(0.0) + _MIN_RELEVANCE
    return excess / excess.sum(1, keepdim=True)


def _kernel(
    expert: Expert, rows: dict[str, Tensor], others: dict[str, Tensor], relevance: Tensor
) -> Tensor:
    """Return the kernel (b, m, n) between rows (b, m, ...) and others (b, n, ...)."""
    a, b = rows[expert.cells], others[expert.cells]
    weight = relevance if expert.by_relevance else torch.full_like(relevance, 1 / a.shape[2])
    weight = weight[:, None]
    if expert.kernel == "linear":
        if a.dim() == 4:
            a, b, weight = a.flatten(2), b.flatten(2), weight.repeat_interleave(a.shape[3], 2)
        return (weight * a) @ b.mT
    if expert.kernel == "equal":
        distance = torch.cdist(a, b, p=0) / a.shape[2]
    elif expert.kernel == "laplace":
        distance = torch.cdist(weight * a, weight * b, p=1)
    else:
        root = weight.sqrt()
        distance = torch.cdist(root * a, root * b, p=2) ** 2
    return torch.exp(-expert.scale * distance)
