"""Networks of cells whose edges mix several operations.

Notation: e edges, o operations; alpha (e, o) the architecture parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from skmeta.backbones._architecture import Architecture, Edge, edges_of
from skmeta.exceptions import BackboneError

# Alpha starts close to zero: no operation is preferred.
_SMALL = 1e-3
# Flags are read together, as the bits of one number: 63 of them, since it has a sign.
_BITS = 2 ** torch.arange(63)


class Zero(nn.Module):
    """The operation that cuts an edge."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros like ``x``."""
        return torch.zeros_like(x)


class Skip(nn.Module):
    """The operation that hands its input on."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` itself."""
        return x


class CellNetwork(nn.Module):
    """A stem, and cells in a row; within a cell, each node sums mixed operations of those before.

    An edge computes sum_k softmax(alpha)_k operation_k(x) (DARTS, equation 2). Each cell has an
    architecture of its own. The edge from a node to the next one is never cut, so that something
    always comes through.

    Operations of share zero are not computed, unless tasks are vectorised, each of which may have
    others. Their gradients are zero either way.

    Parameters
    ----------
    stem : torch.nn.Module
        Makes of a row what goes into the first cell.
    operations : dict of str to callable
        Makes each operation's module, given the number of the cell.
    make_node : callable
        Makes what follows the sum of a node, given the number of the cell.
    between : torch.nn.Module
        What follows each cell.
    n_cells, n_nodes : int
        Cells, and nodes of each.

    References
    ----------
    Liu, Simonyan and Yang (2019), DARTS: differentiable architecture search, section 2.
    """

    allowed: Tensor

    def __init__(
        self,
        stem: nn.Module,
        operations: dict[str, Callable[[], nn.Module]],
        make_node: Callable[[], nn.Module],
        between: nn.Module,
        n_cells: int,
        n_nodes: int,
    ) -> None:
        super().__init__()
        self.stem, self.between = stem, between
        self.n_cells, self.n_nodes = n_cells, n_nodes
        self.operations = tuple(operations)
        self.places = edges_of(n_cells, n_nodes)
        allowed = torch.ones(len(self.places), len(operations), dtype=torch.bool)
        for row, (_, source, target) in enumerate(self.places):
            for k, name in enumerate(self.operations):
                allowed[row, k] = not (name == "none" and source == target - 1)
        self.register_buffer("allowed", allowed, persistent=False)
        self._allowed = allowed.tolist()
        self.architecture = nn.Parameter(torch.zeros(allowed.shape))
        self.edges = nn.ModuleList(
            nn.ModuleDict({name: operations[name]() for name in self._names(row)})
            for row in range(len(allowed))
        )
        self.nodes = nn.ModuleList(make_node() for _ in range(n_cells * n_nodes))
        self._costs = torch.zeros(allowed.shape, dtype=torch.float64)
        for row in range(len(allowed)):
            for name in self._names(row):
                self._costs[row, self.operations.index(name)] = _size(self._module(row, name))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows to features."""
        alpha = self.architecture.masked_fill(~self.allowed, -torch.inf)
        shares = torch.softmax(alpha, 1)
        used = _used(shares)
        rows, nodes = iter(range(len(self.places))), iter(self.nodes)
        x = self.stem(x)
        for _ in range(self.n_cells):
            known = [x]
            for _ in range(self.n_nodes):
                terms = [self._edge(next(rows), source, shares, used) for source in known]
                known.append(next(nodes)(sum(terms[1:], terms[0])))
            x = self.between(known[-1])
        return x.flatten(1)

    def _edge(self, row: int, x: Tensor, shares: Tensor, used: list[list[bool]] | None) -> Tensor:
        terms = [
            shares[row, k] * self._module(row, name)(x)
            for k, name in enumerate(self.operations)
            if self._allowed[row][k] and name != "none" and (used is None or used[row][k])
        ]
        return sum(terms[1:], terms[0]) if terms else torch.zeros_like(x)

    def _names(self, row: int) -> list[str]:
        """Operations that an edge can be."""
        return [n for n, ok in zip(self.operations, self._allowed[row], strict=True) if ok]

    def _module(self, row: int, name: str) -> nn.Module:
        return cast(nn.ModuleDict, self.edges[row])[name]

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw alpha."""
        nn.init.normal_(self.architecture, 0.0, _SMALL, generator)

    def costs(self) -> Tensor:
        """Parameters of each operation on each edge.

        Returns
        -------
        Tensor of shape (e, o)
            Numbers, as float64.
        """
        return self._costs

    def cheapest(self) -> Tensor:
        """Parameters of the smallest operation on each edge, of shape (e,)."""
        return self._costs.masked_fill(~self.allowed.cpu(), torch.inf).amin(1)

    def n_fixed_parameters(self) -> int:
        """Parameters of stem and nodes, which are there whatever is chosen."""
        return _size(self.stem) + _size(self.nodes)

    def describe(self, alpha: Any, chosen: Sequence[int] | None = None) -> Architecture:
        """Say what is chosen.

        Parameters
        ----------
        alpha : array-like of shape (e, o)
            Architecture parameters.
        chosen : sequence of int of length e, optional
            Operation on each edge; by default the one with the largest alpha.

        Returns
        -------
        Architecture
            For people to read.
        """
        alpha = torch.as_tensor(alpha, dtype=torch.float64).cpu()
        shares = torch.softmax(alpha.masked_fill(~self.allowed.cpu(), -torch.inf), 1)
        chosen = shares.argmax(1).tolist() if chosen is None else chosen
        costs = self.costs().long()
        edges = tuple(
            Edge(*place, self.operations[k], float(shares[row, k]), int(costs[row, k]))
            for row, (place, k) in enumerate(zip(self.places, chosen, strict=True))
        )
        fixed = self.n_fixed_parameters()
        return Architecture(
            edges,
            fixed + sum(edge.n_parameters for edge in edges),
            fixed + int(costs.sum()),
            tuple(
                {n: float(row[self.operations.index(n)]) for n in self._names(i)}
                for i, row in enumerate(shares)
            ),
        )


def check_cells(
    n_cells: int, n_nodes: int, operations: Sequence[str], known: Sequence[str]
) -> None:
    """Raise an error if there are no cells to build."""
    if n_cells < 1 or n_nodes < 1:
        raise BackboneError(
            f"n_cells and n_nodes must be 1 or more, got n_cells={n_cells} and n_nodes={n_nodes}."
        )
    unknown = [name for name in operations if name not in known]
    if unknown or len(set(operations)) < len(operations):
        raise BackboneError(
            f"operations must be different names among {list(known)}, got {list(operations)}."
        )
    if not set(operations) - {"none"}:
        raise BackboneError("operations must have one beside 'none', or nothing comes through.")


def _used(shares: Tensor) -> list[list[bool]] | None:
    """Return which operations have a share, or None if tasks are vectorised."""
    flags = (shares.detach() > 0).flatten()
    try:
        found = [flag for part in flags.split(len(_BITS)) for flag in _read_flags(part)]
    except RuntimeError as error:
        # Under torch.func.vmap, each task has values of its own, and none can be read.
        if "vmap" not in str(error):
            raise
        return None
    n = shares.shape[1]
    return [found[start : start + n] for start in range(0, len(found), n)]


def _read_flags(flags: Tensor) -> list[bool]:
    """Read boolean values by way of one number.

    ``Tensor.tolist`` does not work under :func:`torch.func.grad`, but ``Tensor.item`` does.
    """
    number = int((flags * _BITS[: len(flags)].to(flags.device)).sum().item())
    return [bool(number >> k & 1) for k in range(len(flags))]


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
