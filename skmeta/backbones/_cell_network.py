"""Networks of cells whose edges mix several operations.

Notation: e edges, o operations; alpha (e, o) the architecture parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from skmeta.exceptions import BackboneError


@dataclass(frozen=True)
class Edge:
    """One edge of a cell, and the operation on it.

    Cells are counted from the input. Node 0 is the input of the cell, the last node its output.
    `share` is the weight of the operation before one operation per edge was selected.
    """

    cell: int
    source: int
    target: int
    operation: str
    share: float
    n_parameters: int


@dataclass(frozen=True, repr=False)
class Architecture:
    """Operations of a network of cells.

    Attributes
    ----------
    edges : tuple of Edge
        In the order of computation; ``pandas.DataFrame`` makes a table of them.
    n_parameters : int
        Parameters of the selected network, without the head.
    n_parameters_searched : int
        Parameters of the network with all operations, selected or not.

    Examples
    --------
    >>> from skmeta.backbones import build_backbone
    >>> cells = build_backbone("cells", (3,), {"n_cells": 1, "n_nodes": 1, "width": 8})
    >>> cells.describe([[3.0, 0.0, 0.0, 0.0, 0.0]])
    Architecture(1 edge, 104 of 320 parameters)
      cell 0: 0 -> 1  linear    0.87
    """

    edges: tuple[Edge, ...]
    n_parameters: int
    n_parameters_searched: int

    def __repr__(self) -> str:
        n = len(self.edges)
        width = max(len(edge.operation) for edge in self.edges)
        lines = [
            f"Architecture({n} edge{'s' * (n != 1)}, {self.n_parameters:,} of "
            f"{self.n_parameters_searched:,} parameters)"
        ]
        lines += [
            f"  cell {e.cell}: {e.source} -> {e.target}  {e.operation:<{width + 2}}{e.share:.2f}"
            for e in self.edges
        ]
        return "\n".join(lines)


def edges_of(n_cells: int, n_nodes: int) -> Sequence[tuple[int, int, int]]:
    """Return cell, source and target of each edge: a node has an edge from each node before it."""
    return [
        (cell, source, target)
        for cell in range(n_cells)
        for target in range(1, n_nodes + 1)
        for source in range(target)
    ]


# Alpha starts close to zero: no operation is preferred.
_SMALL = 1e-3
# Flags are read together, as the bits of one number: 63 of them, since it has a sign.
_BITS = 2 ** torch.arange(63)


class CellNetwork(nn.Module):
    """A stem and a sequence of cells, whose nodes sum mixed operations of the nodes before.

    An edge computes sum_k softmax(alpha)_k operation_k(x): Liu, Simonyan and Yang (2019), DARTS:
    differentiable architecture search, section 2, equation 2. Each cell has its own architecture.
    The edge from a node to the next one is never removed, so that the output always depends on the
    input.

    Operations of share zero are not computed, unless tasks are vectorised: then each task may have
    other shares. The gradients of such operations are zero in both cases.

    `make_node` makes the module applied to the sum of a node; `between` is applied after each cell;
    `costs` (e, o) are the numbers of parameters, as float64.
    """

    allowed: Tensor
    stem: nn.Module
    between: nn.Module
    n_cells: int
    n_nodes: int

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
        self.operations: tuple[str, ...] = tuple(operations)
        self.places: Sequence[tuple[int, int, int]] = edges_of(n_cells, n_nodes)
        # Its values are read, so it is on the CPU even where only shapes are asked for.
        allowed = torch.ones(len(self.places), len(operations), dtype=torch.bool, device="cpu")
        for row, (_, source, target) in enumerate(self.places):
            for k, name in enumerate(self.operations):
                allowed[row, k] = not (name == "none" and source == target - 1)
        self.register_buffer("allowed", allowed, persistent=False)
        self._allowed = allowed.tolist()
        self.architecture: nn.Parameter = nn.Parameter(torch.zeros(allowed.shape))
        self.edges: nn.ModuleList = nn.ModuleList(
            nn.ModuleDict({name: operations[name]() for name in self._names(row)})
            for row in range(len(allowed))
        )
        self.nodes: nn.ModuleList = nn.ModuleList(make_node() for _ in range(n_cells * n_nodes))
        self.costs: Tensor = torch.zeros(allowed.shape, dtype=torch.float64)
        for row in range(len(allowed)):
            for name in self._names(row):
                self.costs[row, self.operations.index(name)] = _size(self._module(row, name))

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
        """Return the operations that an edge can have."""
        return [n for n, ok in zip(self.operations, self._allowed[row], strict=True) if ok]

    def _module(self, row: int, name: str) -> nn.Module:
        return cast(nn.ModuleDict, self.edges[row])[name]

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw the architecture parameters."""
        nn.init.normal_(self.architecture, 0.0, _SMALL, generator)

    def cheapest(self) -> Tensor:
        """Return the parameters (e,) of the smallest operation on each edge."""
        return self.costs.masked_fill(~self.allowed.cpu(), torch.inf).amin(1)

    def n_fixed_parameters(self) -> int:
        """Return the parameters of stem and nodes, which every architecture has."""
        return _size(self.stem) + _size(self.nodes)

    def describe(self, alpha: Any, chosen: Sequence[int] | None = None) -> Architecture:
        """Describe an architecture by its operations, by default those with the largest alpha."""
        alpha = torch.as_tensor(alpha, dtype=torch.float64).cpu()
        shares = torch.softmax(alpha.masked_fill(~self.allowed.cpu(), -torch.inf), 1)
        chosen = shares.argmax(1).tolist() if chosen is None else chosen
        costs = self.costs.long()
        edges = tuple(
            Edge(*place, self.operations[k], float(shares[row, k]), int(costs[row, k]))
            for row, (place, k) in enumerate(zip(self.places, chosen, strict=True))
        )
        fixed = self.n_fixed_parameters()
        return Architecture(
            edges, fixed + sum(edge.n_parameters for edge in edges), fixed + int(costs.sum())
        )


def check_cells(
    n_cells: int, n_nodes: int, operations: Sequence[str], known: Sequence[str]
) -> None:
    """Raise an error if the parameters of a network of cells are wrong."""
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
        raise BackboneError("operations must have one besides 'none', for example 'skip'.")


def _used(shares: Tensor) -> list[list[bool]] | None:
    """Return which operations have a share, or None if tasks are vectorised."""
    flags = (shares.detach() > 0).flatten()
    try:
        values = [flag for part in flags.split(len(_BITS)) for flag in _read_flags(part)]
    except RuntimeError as error:
        # Under torch.func.vmap, each task has values of its own, and none can be read.
        if "vmap" not in str(error):
            raise
        return None
    n = shares.shape[1]
    return [values[start : start + n] for start in range(0, len(values), n)]


def _read_flags(flags: Tensor) -> list[bool]:
    """Read boolean values by way of one number.

    ``Tensor.tolist`` does not work under :func:`torch.func.grad`, but ``Tensor.item`` does.
    """
    number = int((flags * _BITS[: len(flags)].to(flags.device)).sum().item())
    return [bool(number >> k & 1) for k in range(len(flags))]


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
