"""What a search of cells found: a value that is shown, kept as JSON, and built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from skmeta.backbones._build import build_backbone
from skmeta.backbones._cell_network import CellNetwork, connected, nodes_of, size_of


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
    """Operations of a network of cells: what MetaNAS found, and any learner can take as backbone.

    Attributes
    ----------
    edges : tuple of Edge
        In the order of computation; ``pandas.DataFrame`` makes a table of them.
    n_parameters : int
        Parameters of the chosen network, without the head.
    n_parameters_searched : int
        Parameters of the network with all operations, chosen or not.
    params : dict
        Parameters of :func:`cells` that build the chosen network; they can be written as JSON.

    Examples
    --------
    >>> import torch
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML, MetaNAS
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> found = MetaNAS(n_iterations=10, random_state=0).fit(X, y, groups=groups).architecture_
    >>> found.params
    {'n_cells': 1, 'n_nodes': 2, 'width': 40, 'chosen': ['none', 'linear', 'none']}
    >>> found.build((1,))(torch.zeros(2, 1)).shape
    torch.Size([2, 40])
    >>> learner = MAML(backbone=found, n_iterations=10, random_state=0)
    >>> learner.fit(X, y, groups=groups).prior_.backbone
    'cells'
    """

    edges: tuple[Edge, ...]
    n_parameters: int
    n_parameters_searched: int
    params: dict[str, Any]

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

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Build the network as a module of torch, with weights drawn by torch's generator.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row: (channels, height, width) of an image, or that of a row of a table.

        Returns
        -------
        torch.nn.Module
            Maps (n_samples, *input_shape) to (n_samples, n_features).
        """
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return build_backbone("cells", input_shape, self.params, generator)


def describe(network: CellNetwork, alpha: Any, chosen: Sequence[int] | None = None) -> Architecture:
    """Describe an architecture by its operations, by default those with the largest alpha."""
    alpha = torch.as_tensor(alpha, dtype=torch.float64).detach().cpu()
    shares = torch.softmax(alpha.masked_fill(~network.allowed.cpu(), -torch.inf), 1)
    chosen = shares.argmax(1).tolist() if chosen is None else chosen
    names = [network.operations[k] for k in chosen]
    on_way = connected(network.places, [name != "none" for name in names], network.n_nodes)
    names = [name if way else "none" for name, way in zip(names, on_way, strict=True)]
    sizes = [
        size_of(network.module_of(row, n)) if n != "none" else 0 for row, n in enumerate(names)
    ]
    edges = tuple(
        Edge(*place, name, float(shares[row, chosen[row]]), sizes[row])
        for row, (place, name) in enumerate(zip(network.places, names, strict=True))
    )
    n_nodes = len(nodes_of(network.places, on_way, network.n_nodes))
    n_chosen = size_of(network.stem) + sum(sizes) + n_nodes * size_of(network.nodes[0])
    n_searched = size_of(network) - network.architecture.numel()
    return Architecture(edges, n_chosen, n_searched, network.params | {"chosen": names})


def resolve_backbone(backbone: Any, params: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """Return a backbone and its parameters; an architecture is a named backbone with its own."""
    params = dict(params or {})
    if isinstance(backbone, Architecture):
        return "cells", backbone.params | params
    return backbone, params
