"""The loss of predictive distributions as histograms with exponential tails.

Notation: logits (..., k) of k bins, whose edges are those of :func:`bin_edges`; targets (...).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._tabular.table_prior import bin_edges, like


def binned_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the negative log density at targets."""
    edges = like(bin_edges(), logits)
    # Not bucketize, which torch.func.vmap does not support.
    at = (target[..., None] > edges).sum(-1)
    width = F.pad(edges.diff(), (1, 1), value=1.0)
    beyond = F.relu(edges[0] - target) + F.relu(target - edges[-1])
    chosen = F.log_softmax(logits, -1).gather(-1, at[..., None])[..., 0]
    return -chosen + torch.log(width)[at] + beyond
