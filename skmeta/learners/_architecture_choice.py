"""From architecture parameters to one operation an edge.

Notation: e edges, o operations; alpha (e, o) the architecture parameters; s the sharpness, from 0
(soft) to 1 (decided).
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

# So many steps of a budget are told apart.
_MOST_UNITS = 2000


def choose(alpha: Tensor, units: Tensor, n_units: int) -> Tensor:
    """Operations with the largest sum of alpha within a budget.

    A knapsack problem with one choice an edge, solved by dynamic programming over what is left of
    the budget (Kellerer, Pferschy and Pisinger 2004, Knapsack problems, chapter 11).

    Parameters
    ----------
    alpha : Tensor of shape (e, o)
        Architecture parameters.
    units : Tensor of shape (e, o)
        What each operation takes of the budget, in whole numbers: 0 for at least one on each
        edge, and more than ``n_units`` for one that an edge cannot have.
    n_units : int
        The budget.

    Returns
    -------
    Tensor of shape (e,)
        Number of the operation on each edge.
    """
    left = torch.arange(n_units + 1, device=units.device)
    value = alpha.new_zeros(n_units + 1)
    best = []  # on each edge, by what is left for it and those before it
    for row, taken in zip(alpha, units, strict=True):
        rest = left - taken[:, None]
        total = row[:, None] + value[rest.clamp_min(0)]
        value, choice = total.masked_fill(rest < 0, -torch.inf).max(0)
        best.append(choice)
    chosen = []
    at = left[-1:]
    for choice, taken in zip(reversed(best), units.flip(0), strict=True):
        chosen.append(choice.gather(0, at))
        at = at - taken.gather(0, chosen[-1])
    return torch.cat(chosen[::-1])


def put_first(scores: Tensor, chosen: Tensor) -> Tensor:
    """Scores of which the chosen ones are the largest: what was ahead falls as far behind.

    Parameters
    ----------
    scores : Tensor of shape (e, o)
        Alpha.
    chosen : Tensor of shape (e,)
        Number of the operation on each edge.

    Returns
    -------
    Tensor of shape (e, o)
        New scores, with the gradients of the old ones.
    """
    lead = scores - scores.gather(1, chosen[:, None])
    return scores - 2 * lead.clamp_min(0).detach()


def sharpen(
    scores: Tensor, chosen: Tensor, sharpness: float, temperature: tuple[float, float]
) -> Tensor:
    """Logits of the operations: tempered, and without those that are pruned.

    The temperature falls from the first to the last one as sharpness rises (on a logarithmic
    scale). An operation is pruned if its share is less than ``sharpness`` times the largest on its
    edge: none at 0, all but the chosen one at 1.

    Parameters
    ----------
    scores : Tensor of shape (e, o)
        Those of the chosen ones are the largest.
    chosen : Tensor of shape (e,)
        Number of the operation on each edge.
    sharpness : float
        s.
    temperature : tuple of two floats
        The first and the last one.

    Returns
    -------
    Tensor of shape (e, o)
        Logits; minus infinity for what is pruned.
    """
    first, last = temperature
    logits: Tensor = scores / (first * (last / first) ** sharpness)
    if sharpness == 0:
        return logits
    kept = torch.arange(logits.shape[1], device=logits.device) == chosen[:, None]
    if sharpness < 1:
        largest = logits.detach().amax(1, keepdim=True)
        kept = kept | (logits.detach() >= largest + math.log(sharpness))
    return logits.masked_fill(~kept, -torch.inf)


@dataclass(frozen=True)
class AnnealedNetwork:
    """A network of cells whose architecture parameters are read at a sharpness.

    Attributes
    ----------
    network : Network
        The network.
    cells : CellNetwork
        Its module.
    max_parameters : int or None
        Budget of the whole network, without the head.
    sharpness, temperature : float, tuple of two floats
        As :func:`sharpen` takes them.
    """

    network: Network
    cells: CellNetwork
    max_parameters: int | None
    sharpness: float
    temperature: tuple[float, float]

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
        known = scores.detach()
        if self.max_parameters is None:
            chosen = known.argmax(1)
        else:
            units, n_units = self._units
            chosen = choose(known, units.to(known.device), n_units)
            scores = put_first(scores, chosen)
        return sharpen(scores, chosen, self.sharpness, self.temperature)

    def restrict(self, alpha: Tensor) -> Tensor:
        """Alpha without the operations that an edge cannot have: minus infinity, of shape (e, o).

        Those are not in the network, or above the budget even beside the cheapest operations on
        all other edges.
        """
        return alpha.masked_fill(~self._possible.to(alpha.device), -torch.inf)

    def _read(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**state, ALPHA: self.logits(state[ALPHA])}

    @cached_property
    def _extra(self) -> Tensor:
        """Parameters beyond those of the cheapest operation on each edge, of shape (e, o)."""
        return (self.cells.costs() - self.cells.cheapest()[:, None]).long()

    @cached_property
    def _left(self) -> int:
        """The budget for those."""
        fixed = self.cells.n_fixed_parameters() + int(self.cells.cheapest().sum())
        return int(self.max_parameters or 0) - fixed

    @cached_property
    def _possible(self) -> Tensor:
        allowed = self.cells.allowed.cpu()
        return allowed if self.max_parameters is None else allowed & (self._extra <= self._left)

    @cached_property
    def _units(self) -> tuple[Tensor, int]:
        """What each operation takes of the budget, and the budget, in units of several parameters.

        Nothing is rounded, unless that would take more than _MOST_UNITS.
        """
        extra = self._extra.masked_fill(~self._possible, 0)
        most = int(extra.amax(1).sum())
        # One by one: before torch 2.10, torch.func.grad does not know tolist.
        exact = math.gcd(*(int(value) for value in extra.unique()))
        unit = max(exact, -(-min(self._left, most) // _MOST_UNITS), 1)
        units = -(-extra // unit)
        # A budget that does not bind must not do so by rounding.
        n_units = int(units.amax(1).sum()) if most <= self._left else self._left // unit
        return units.masked_fill(~self._possible, n_units + 1), n_units
