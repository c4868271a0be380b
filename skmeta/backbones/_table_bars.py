"""Borders of the bars that a predicted distribution of a target is made of."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

N_BARS = 64
_REACH = 6.0
_BEND = 2.5


@lru_cache
def bar_borders() -> Tensor:
    """Borders between the bars, in units of the support set's standard deviation.

    Returns
    -------
    Tensor of shape (N_BARS - 1,), float64
        In order; the first and the last bar reach to infinity.
    """
    grid = torch.linspace(-1, 1, N_BARS - 1, dtype=torch.float64)
    # Fine in the middle, where the targets of a support set are, and coarse far out.
    return _REACH * torch.sinh(_BEND * grid) / math.sinh(_BEND)
