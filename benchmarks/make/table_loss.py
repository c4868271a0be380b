"""Meta-training of an InContextLearner's transformer on batches of tables of one shape.

Notation: b tables, n rows of which the first s are support rows, d columns.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._tabular import location_and_scale
from skmeta._tabular.table_prior import N_CODES, N_SLOTS, binned_moments
from skmeta.learners.in_context import TableTransformer, binned_loss


def batch_loss(
    network: TableTransformer,
    kind: str,
    x: Tensor,
    y: Tensor,
    n_support: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return losses (b,) and scores (b,) of query rows, with randomly permuted columns and classes.

    Unlike the ``meta_loss`` of an InContextLearner, it evaluates all tables at once, x (b, n, d)
    and y (b, n), and its permutations do not depend on the contents of a table. The loss is the
    mean cross-entropy, or minus the mean log density in units of the support set's standard
    deviation; the score is the accuracy, or minus the squared error in those units. Query rows of a
    class without support rows are left out; the loss of a table without any others is 0.
    """
    places = torch.randperm(N_SLOTS, generator=generator, device=generator.device)
    slots = places[None, : x.shape[2]].to(x.device)
    support, query = x[:, :n_support], x[:, n_support:]
    if kind == "regression":
        y = _scale(y, n_support)
        logits = network(support, y[:, :n_support], None, slots, query).float()
        target = y[:, n_support:].float()
        mean, _ = binned_moments(logits.softmax(2))
        return binned_loss(logits, target).mean(1), -((mean - target) ** 2).mean(1)
    drawn = torch.rand(len(x), N_CODES, generator=generator, device=generator.device)
    y = drawn.to(x.device).argsort(1).gather(1, y)
    y_support, y_query = y[:, :n_support], y[:, n_support:]
    present = F.one_hot(y_support, N_CODES).any(1)
    logits = network(support, y_support, None, slots, query).float()
    log_p = F.log_softmax(logits.masked_fill(~present[:, None], -1e9), 2)
    counted = present.gather(1, y_query).float()
    total = counted.sum(1).clamp_min(1.0)
    loss = -(counted * log_p.gather(2, y_query[:, :, None])[:, :, 0]).sum(1) / total
    return loss, (counted * (log_p.argmax(2) == y_query)).sum(1) / total


def _scale(y: Tensor, n_support: int) -> Tensor:
    support = y[:, :n_support]
    location, scale = location_and_scale(support, torch.ones_like(support))
    return (y - location[:, None]) / scale[:, None]
