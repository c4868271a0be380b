"""From architecture parameters to one operation an edge.

Notation: e edges, o operations; alpha (e, o) the architecture parameters; c (e, o) parameters of
each operation; p the price of a parameter; s the sharpness, from 0 (soft) to 1 (decided).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from skmeta.backbones import CellNetwork
from skmeta.backend import Network, State

ALPHA = "body.architecture"


def price(alpha: Tensor, costs: Tensor, budget: float) -> Tensor:
    """Lowest price p at which the largest alpha - p c of each edge keep to a budget.

    What each edge prefers changes only where two of its operations come level, so these prices are
    all that need be tried.

    Parameters
    ----------
    alpha : Tensor of shape (e, o)
        Minus infinity where an operation is not allowed.
    costs : Tensor of shape (e, o)
        c.
    budget : float
        For the sum of the costs of the operations chosen.

    Returns
    -------
    Tensor of shape ()
        p, which is 0 if the budget does not bind.
    """
    gain = alpha[:, :, None] - alpha[:, None, :]
    saving = costs[:, :, None] - costs[:, None, :]
    level = torch.where((saving > 0) & torch.isfinite(gain), gain / saving, 0.0)
    # A little above, so that the cheaper one is preferred.
    prices = level.reshape(-1).clamp_min(0.0) * (1 + 1e-6)
    prices = torch.cat([prices.new_zeros(1), prices + 1e-9 / costs.max()])
    choice = (alpha - prices[:, None, None] * costs).argmax(2)
    total = costs.expand(len(prices), -1, -1).gather(2, choice[..., None]).sum((1, 2))
    return torch.where(total <= budget, prices, torch.inf).amin()


def sharpen(scores: Tensor, sharpness: float, temperature: float) -> Tensor:
    """Logits of the operations: tempered, and without those that are pruned.

    The temperature falls from 1 to ``temperature`` as sharpness rises (on a logarithmic scale). An
    operation is pruned if its share is less than ``sharpness`` times the largest on its edge: none
    at 0, all but one at 1.

    Parameters
    ----------
    scores : Tensor of shape (e, o)
        alpha - p c.
    sharpness : float
        s.
    temperature : float
        The lowest one.

    Returns
    -------
    Tensor of shape (e, o)
        Logits; minus infinity for what is pruned.
    """
    logits: Tensor = scores / temperature**sharpness
    if sharpness == 0:
        return logits
    largest = logits.detach().amax(1, keepdim=True)
    if sharpness == 1:
        # One of several that are level.
        at = torch.arange(logits.shape[1], device=logits.device)
        kept = at == logits.detach().argmax(1, keepdim=True)
    else:
        kept = logits.detach() >= largest + math.log(sharpness)
    return logits.masked_fill(~kept, -torch.inf)


@dataclass(frozen=True)
class SharpNetwork:
    """A network of cells whose architecture parameters are read at a sharpness.

    Attributes
    ----------
    network : Network
        The network.
    cells : CellNetwork
        Its module.
    max_parameters : int or None
        Budget of the whole network, without the head.
    sharpness, temperature : float
        As :func:`sharpen` takes them.
    """

    network: Network
    cells: CellNetwork
    max_parameters: int | None
    sharpness: float
    temperature: float

    @property
    def n_features(self) -> int:
        """Size of the output."""
        return self.network.n_features

    @property
    def has_statistics(self) -> bool:
        """Whether the module has batch normalisations."""
        return self.network.has_statistics

    def features(self, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Features of ``x``, normalised by the statistics in ``state``."""
        return self.network.features(self._read(state), x)

    def measure(self, state: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, State]:
        """Features of ``x``, normalised by its own statistics, and those."""
        return self.network.measure(self._read(state), x)

    def logits(self, alpha: Tensor) -> Tensor:
        """What the shares of the operations are the softmax of, of shape (e, o)."""
        scores = self.restrict(alpha)
        if self.max_parameters is not None and self._costs.sum() > self._budget:
            costs = self._costs.to(alpha)
            scores = scores - price(scores.detach(), costs, self._budget) * costs
        return sharpen(scores, self.sharpness, self.temperature)

    def restrict(self, alpha: Tensor) -> Tensor:
        """Alpha without the operations that an edge cannot have: minus infinity, of shape (e, o).

        One that is above the budget even beside the cheapest operations on all other edges would
        only keep the price so high that nothing else is chosen either.
        """
        possible = self.cells.allowed
        if self.max_parameters is not None:
            more = self._costs - self.cells.cheapest()[:, None]
            left = self._budget - int(self.cells.cheapest().sum())
            possible = possible & (more <= left).to(possible.device)
        return alpha.masked_fill(~possible, -torch.inf)

    def _read(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**state, ALPHA: self.logits(state[ALPHA])}

    @cached_property
    def _costs(self) -> Tensor:
        return self.cells.costs()

    @property
    def _budget(self) -> int:
        return int(self.max_parameters or 0) - self.cells.n_fixed_parameters()
