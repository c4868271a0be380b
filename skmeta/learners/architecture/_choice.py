"""From architecture parameters to one operation per edge.

Notation: e edges, o operations; alpha (e, o) the architecture parameters; s the sharpness, from 0
(soft) to 1 (decided).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from skmeta.backbones import CellNetwork
from skmeta.backend import Network, State

ALPHA = "body.architecture"

# A budget is divided into at most this many units.
_MOST_UNITS = 2000


def select_operations(alpha: Tensor, units: Tensor, n_units: int) -> Tensor:
    """Select the operations with the largest sum of alpha within a budget.

    This is a knapsack problem with one choice per edge. It is solved by dynamic programming over
    the remaining budget (Kellerer, Pferschy and Pisinger 2004, Knapsack problems, chapter 11).

    Parameters
    ----------
    alpha : Tensor of shape (e, o)
        Architecture parameters.
    units : Tensor of shape (e, o)
        Cost of each operation, in whole numbers: 0 for at least one on each edge, and more than
        ``n_units`` for one that an edge cannot have.
    n_units : int
        The budget.

    Returns
    -------
    Tensor of shape (e,)
        Number of the operation on each edge.
    """
    budgets = torch.arange(n_units + 1, device=units.device)
    value = alpha.new_zeros(n_units + 1)
    best = []  # On each edge, by the budget for it and the edges before it.
    for row, cost in zip(alpha, units, strict=True):
        rest = budgets - cost[:, None]
        total = row[:, None] + value[rest.clamp_min(0)]
        value, choice = total.masked_fill(rest < 0, -torch.inf).max(0)
        best.append(choice)
    selected = []
    remaining = budgets[-1:]
    for choice, cost in zip(reversed(best), units.flip(0), strict=True):
        selected.append(choice.gather(0, remaining))
        remaining = remaining - cost.gather(0, selected[-1])
    return torch.cat(selected[::-1])


def raise_selected(alpha: Tensor, selected: Tensor) -> Tensor:
    """Make the selected operation of each edge the largest: mirror every alpha above it to below.

    Parameters
    ----------
    alpha : Tensor of shape (e, o)
        Architecture parameters.
    selected : Tensor of shape (e,)
        Number of the operation on each edge.

    Returns
    -------
    Tensor of shape (e, o)
        The new values, with the gradients of the old ones.
    """
    excess = alpha - alpha.gather(1, selected[:, None])
    return alpha - 2 * excess.clamp_min(0).detach()


def anneal(
    alpha: Tensor, selected: Tensor, sharpness: float, temperature: tuple[float, float]
) -> Tensor:
    """Return the logits of the operations: divided by a temperature, and pruned.

    The temperature falls from the first to the last one as sharpness rises, on a logarithmic
    scale. An operation is pruned if its share is less than ``sharpness`` times the largest share
    on its edge: none at sharpness 0, all but the selected one at 1.

    Parameters
    ----------
    alpha : Tensor of shape (e, o)
        Architecture parameters. Those of the selected operations are the largest.
    selected : Tensor of shape (e,)
        Number of the operation on each edge.
    sharpness : float
        s.
    temperature : tuple of two floats
        The first and the last one.

    Returns
    -------
    Tensor of shape (e, o)
        Logits; minus infinity for operations that are pruned.
    """
    first, last = temperature
    logits: Tensor = alpha / (first * (last / first) ** sharpness)
    if sharpness == 0:
        return logits
    kept = torch.arange(logits.shape[1], device=logits.device) == selected[:, None]
    if sharpness < 1:
        largest = logits.detach().amax(1, keepdim=True)
        kept = kept | (logits.detach() >= largest + math.log(sharpness))
    return logits.masked_fill(~kept, -torch.inf)


@dataclass(frozen=True)
class AnnealedNetwork:
    """A network of cells whose choice of operations is annealed to a given sharpness.

    Attributes
    ----------
    network : Network
        The network.
    cells : CellNetwork
        Its module.
    max_parameters : int or None
        Budget of the whole network, without the head.
    sharpness, temperature : float, tuple of two floats
        As :func:`anneal` takes them.
    """

    network: Network
    cells: CellNetwork
    max_parameters: int | None
    sharpness: float
    temperature: tuple[float, float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def features(self, state: State, x: Tensor) -> Tensor:
        """Features of ``x``, normalised by the statistics in ``state``."""
        return self.network.features(self._annealed(state), x)

    def measure(self, state: State, x: Tensor) -> tuple[Tensor, State]:
        """Features of ``x``, normalised by its own statistics, and those."""
        return self.network.measure(self._annealed(state), x)

    def logits(self, alpha: Tensor) -> Tensor:
        """Return the logits (e, o) whose softmax gives the shares of the operations."""
        alpha = self.restrict(alpha)
        known = alpha.detach()
        if self.max_parameters is None:
            selected = known.argmax(1)
        else:
            units, n_units = self._units
            selected = select_operations(known, units.to(known.device), n_units)
            alpha = raise_selected(alpha, selected)
        return anneal(alpha, selected, self.sharpness, self.temperature)

    def restrict(self, alpha: Tensor) -> Tensor:
        """Set alpha (e, o) to minus infinity for operations that an edge cannot have.

        These are not in the network, or exceed the budget even if all other edges have their
        cheapest operations.
        """
        return alpha.masked_fill(~self._possible.to(alpha.device), -torch.inf)

    def _annealed(self, state: State) -> dict[str, Tensor]:
        return {**state, ALPHA: self.logits(state[ALPHA])}

    @cached_property
    def _extra_parameters(self) -> Tensor:
        """Parameters beyond those of the cheapest operation on each edge, of shape (e, o)."""
        return (self.cells.costs - self.cells.cheapest()[:, None]).long()

    @cached_property
    def _budget(self) -> int:
        """What the budget leaves for these."""
        fixed = self.cells.n_fixed_parameters() + int(self.cells.cheapest().sum())
        return int(self.max_parameters or 0) - fixed

    @cached_property
    def _possible(self) -> Tensor:
        allowed = self.cells.allowed.cpu()
        return (
            allowed
            if self.max_parameters is None
            else allowed & (self._extra_parameters <= self._budget)
        )

    @cached_property
    def _units(self) -> tuple[Tensor, int]:
        """Cost of each operation and the budget, in units of several parameters.

        Nothing is rounded, unless exact units would be more than _MOST_UNITS.
        """
        extra = self._extra_parameters.masked_fill(~self._possible, 0)
        most = int(extra.amax(1).sum())
        # One by one: before torch 2.10, torch.func.grad does not know tolist.
        exact = math.gcd(*(int(value) for value in extra.unique()))
        unit = max(exact, -(-min(self._budget, most) // _MOST_UNITS), 1)
        units = -(-extra // unit)
        # A budget that does not bind must not do so by rounding.
        n_units = int(units.amax(1).sum()) if most <= self._budget else self._budget // unit
        return units.masked_fill(~self._possible, n_units + 1), n_units
