"""The context of a task, linear heads sized by it, and the losses on top.

Notation: n rows, d features, k outputs (classes, or 1 for a regression). A head is ``head.weight``
(k, d) and ``head.bias`` (k,). It starts from one learned row for all classes (``shared``; Ye and
Chao (2022), How to train your MAML to excel in few-shot classification, section 5), from zero
(``zeros``), from a learned row per class (``learned``, MAML), or from class means (``prototype``;
Triantafillou et al. (2020), Meta-Dataset, section 3.1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta.backend import Rows, State

HEADS = ("auto", "shared", "zeros", "prototype", "learned")


def initial_head(head: str, n_features: int, n_rows: int, generator: torch.Generator) -> State:
    """Draw the meta-parameters of a head: `n_rows` learned rows, one shared row, or none."""
    if head in ("zeros", "prototype"):
        return {}
    rows = n_rows if head == "learned" else 1
    bound = n_features**-0.5
    weight = torch.empty(rows, n_features).uniform_(-bound, bound, generator=generator)
    return {"head.weight": weight, "head.bias": torch.zeros(rows)}


def start_head(head: str, state: State, classes: Tensor, n_features: int, like: Tensor) -> State:
    """Make the head that a task starts from before its rows are known.

    `classes` (k,) is the row of each output in a learned head; `like` gives device and precision.
    """
    k = classes.shape[0]
    if head == "learned":
        return {n: state[n].index_select(0, classes) for n in ("head.weight", "head.bias")}
    if head == "shared":
        weight, bias = state["head.weight"], state["head.bias"]
        return {"head.weight": weight.expand(k, -1), "head.bias": bias.expand(k)}
    zeros = like.new_zeros(k, n_features + 1)
    return {"head.weight": zeros[:, 1:], "head.bias": zeros[:, 0]}


def prototype_head(features: Tensor, support: Rows, k: int) -> State:
    """Make the head that classifies by the nearest class mean c: w = 2 c, b = -|c|^2."""
    centres, offset = class_means(features, support, k)
    return {"head.weight": 2 * centres, "head.bias": offset - (centres * centres).sum(1)}


def class_means(features: Tensor, rows: Rows, k: int) -> tuple[Tensor, Tensor]:
    """Compute the weighted mean feature of each class (k, d), and what to add to the logits (k,).

    A class without rows has mean 0 and an offset of -1e9, so that it is never predicted.
    """
    member = _membership(rows.y, features.new_empty(len(rows.y), k)) * rows.w[:, None]
    weight = member.sum(0)
    means = (member.T @ features) / torch.where(weight > 0, weight, 1.0)[:, None]
    return means, torch.where(weight > 0, 0.0, -1e9).to(features.dtype)


def _membership(y: Tensor, like: Tensor) -> Tensor:
    # F.one_hot looks at the values of y, which vmap does not allow.
    return (y[:, None] == torch.arange(like.shape[1], device=y.device)).to(like.dtype)


def linear(state: State, features: Tensor) -> Tensor:
    """Return the outputs (n, k) of the head on features (n, d)."""
    return features @ state["head.weight"].T + state["head.bias"]


def loss(kind: str, outputs: Tensor, rows: Rows) -> Tensor:
    """Compute the weighted mean cross-entropy, or mean squared error, of outputs (n, k)."""
    if kind == "classification":
        log_p = F.log_softmax(outputs, 1)
        losses = -(log_p * _membership(rows.y, log_p)).sum(1)
    else:
        losses = (outputs[:, 0] - rows.y) ** 2
    return (rows.w * losses).sum() / rows.w.sum()


def score(kind: str, outputs: Tensor, rows: Rows) -> Tensor:
    """Compute the weighted accuracy, or minus the weighted mean squared error."""
    if kind == "classification":
        hits = (outputs.argmax(1) == rows.y).to(rows.w.dtype)
        return (rows.w * hits).sum() / rows.w.sum()
    return -loss(kind, outputs, rows)


def measures(kind: str, outputs: Tensor, rows: Rows) -> State:
    """Return the metrics of a task, ``"loss"`` and ``"score"``, each a tensor of shape ()."""
    return {"loss": loss(kind, outputs, rows), "score": score(kind, outputs, rows)}
