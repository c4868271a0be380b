"""The operation on each edge of a network of cells, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Edge:
    """One edge of a cell, and the operation on it.

    Attributes
    ----------
    cell : int
        The cell, counted from the input.
    source, target : int
        Nodes that it connects. Node 0 is the input of the cell, the last node its output.
    operation : str
        Name of the operation.
    share : float
        Weight of the operation in the soft choice, before one operation per edge was selected.
    n_parameters : int
        Parameters of the operation.
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
        In the order of computation.
    n_parameters : int
        Parameters of the selected network, without the head.
    n_parameters_searched : int
        Parameters of the network with all operations, selected or not.
    shares : tuple of dict
        Weight of each operation that an edge could have, in the soft choice.

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
    shares: tuple[dict[str, float], ...]

    @property
    def table(self) -> dict[str, list[Any]]:
        """One list per column with one entry per edge, as ``pandas.DataFrame`` takes them."""
        names = Edge.__dataclass_fields__
        return {name: [getattr(edge, name) for edge in self.edges] for name in names}

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
