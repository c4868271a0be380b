"""Predictive distributions as histograms with exponential tails.

Notation: k bins between k - 1 edges, in units of the support set's standard deviation. The first
and the last bin reach to infinity, with density exp(-distance) beyond their edge. Logits and
probabilities have shape (..., k), targets and moments (...).

Reference: Mueller et al. (2022), Transformers can do Bayesian inference, section 4. Their tails are
half-normal, so that the loss of a distant target grows with the square of its distance.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

N_BINS = 64
_REACH = 6.0
_BEND = 2.5


@lru_cache
def bin_edges() -> Tensor:
    """Return the increasing edges (k - 1,) between the bins, in float64."""
    grid = torch.linspace(-1, 1, N_BINS - 1, dtype=torch.float64)
    # Bins are narrow in the middle, where the targets of a support set are, and wide outside.
    return _REACH * torch.sinh(_BEND * grid) / math.sinh(_BEND)


def _like(logits: Tensor) -> Tensor:
    return bin_edges().to(logits.device, logits.dtype)


def binned_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the negative log density at targets."""
    edges = _like(logits)
    # Not bucketize, which torch.func.vmap does not support.
    at = (target[..., None] > edges).sum(-1)
    width = F.pad(edges.diff(), (1, 1), value=1.0)
    beyond = F.relu(edges[0] - target) + F.relu(target - edges[-1])
    chosen = F.log_softmax(logits, -1).gather(-1, at[..., None])[..., 0]
    return -chosen + torch.log(width)[at] + beyond


def binned_moments(probability: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and variance of distributions."""
    edges = _like(probability)
    centre = F.pad((edges[1:] + edges[:-1]) / 2, (1, 1))
    spread = F.pad(edges.diff() ** 2 / 12, (1, 1), value=1.0)
    ends = torch.zeros_like(centre)
    ends[0], ends[-1] = edges[0] - 1, edges[-1] + 1
    centre = centre + ends
    mean = probability @ centre
    return mean, (probability * ((centre - mean[..., None]) ** 2 + spread)).sum(-1)


def binned_quantiles(probability: Tensor, levels: Tensor) -> Tensor:
    """Return quantiles (..., q) at levels (q,) strictly between 0 and 1."""
    edges, tiny = _like(probability), torch.finfo(probability.dtype).tiny
    upper = probability.cumsum(-1)
    upper = upper / upper[..., -1:]
    levels = levels.to(probability).expand(*probability.shape[:-1], -1).contiguous()
    at = torch.searchsorted(upper[..., :-1].contiguous(), levels)
    below = F.pad(upper, (1, 0)).gather(-1, at)
    inside = upper.gather(-1, at) - below
    share = ((levels - below) / inside.clamp_min(tiny)).clamp(tiny, 1.0)
    left, right = F.pad(edges, (1, 0)), F.pad(edges, (0, 1))
    value = left[at] + share * (right - left)[at]
    value = torch.where(at == 0, edges[0] + torch.log(share), value)
    last = edges[-1] - torch.log((1 - share).clamp_min(tiny))
    return torch.where(at == N_BINS - 1, last, value)
