"""Networks of cells whose edges mix several operations.

Notation: e edges, o operations; alpha (e, o) the architecture parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

Places = Sequence[tuple[int, int, int]]
"""Cell, source and target of each edge."""


def edges_of(n_cells: int, n_nodes: int) -> Places:
    """Return cell, source and target of each edge: a node has an edge from each node before it."""
    return [
        (cell, source, target)
        for cell in range(n_cells)
        for target in range(1, n_nodes + 1)
        for source in range(target)
    ]


def connected(places: Places, used: Sequence[bool], n_nodes: int) -> list[bool]:
    """Return which of the used edges are on a way from the input of their cell to its output."""
    fed = {(cell, 0) for cell, _, _ in places}
    for (cell, source, target), is_used in zip(places, used, strict=True):
        if is_used and (cell, source) in fed:
            fed.add((cell, target))
    needed = {(cell, n_nodes) for cell, _, _ in places}
    on_way = [False] * len(places)
    # The edges that enter a node come before those that leave it.
    for row in range(len(places) - 1, -1, -1):
        cell, source, target = places[row]
        if used[row] and (cell, source) in fed and (cell, target) in needed:
            on_way[row] = True
            needed.add((cell, source))
    return on_way


# Alpha starts close to its first values, in a direction that is drawn.
_SMALL = 1e-3
# Flags are read together, as the bits of one number: 63 of them, since it has a sign.
_BITS = 2 ** torch.arange(63)


class CellNetwork(nn.Module):
    """A stem and a sequence of cells, whose nodes sum mixed operations of the nodes before.

    An edge computes sum_k softmax(alpha)_k operation_k(x): Liu, Simonyan and Yang (2019), DARTS:
    differentiable architecture search, section 2, equation 2. Each cell has its own architecture.
    The edge from the input of a cell to its output is never removed, so that the output always
    depends on the input. With the first operation on these edges, and none on the others, the
    network is the plain one: ``conv4`` for images, ``mlp`` for tables.

    Operations of share zero, and nodes that lead nowhere, are not computed, unless tasks are
    vectorised: then each task may have other shares. Their gradients are zero in both cases.

    `make_node` makes the module applied to the sum of a node; `between` is applied after each cell;
    `params` are those of the network in :func:`cells`. `costs` (e, o) are the numbers of
    parameters, as float64, with those of an inner node on each edge that leads to it.
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
        params: dict[str, Any],
    ) -> None:
        super().__init__()
        self.stem, self.between, self.params = stem, between, params
        self.n_cells, self.n_nodes = n_cells, n_nodes = params["n_cells"], params["n_nodes"]
        self.operations: tuple[str, ...] = tuple(operations)
        self.places: Places = edges_of(n_cells, n_nodes)
        # Its values are read, so it is on the CPU even where only shapes are asked for.
        allowed = torch.ones(len(self.places), len(operations), dtype=torch.bool, device="cpu")
        for row, (_, source, target) in enumerate(self.places):
            for k, name in enumerate(self.operations):
                allowed[row, k] = not (name == "none" and source == 0 and target == n_nodes)
        self.register_buffer("allowed", allowed, persistent=False)
        self._allowed = allowed.tolist()
        self.architecture: nn.Parameter = nn.Parameter(torch.zeros(allowed.shape))
        self.edges: nn.ModuleList = nn.ModuleList(
            nn.ModuleDict({name: operations[name]() for name in self._names(row)})
            for row in range(len(allowed))
        )
        self.nodes: nn.ModuleList = nn.ModuleList(make_node() for _ in range(n_cells * n_nodes))
        self.costs: Tensor = torch.zeros(allowed.shape, dtype=torch.float64)
        for row, (*_, target) in enumerate(self.places):
            node_size = 0 if target == n_nodes else size_of(self.nodes[0])
            for name in self._names(row):
                size = size_of(self.module_of(row, name)) + node_size if name != "none" else 0
                self.costs[row, self.operations.index(name)] = size

    def forward(self, x: Tensor) -> Tensor:
        """Map rows to features."""
        alpha = self.architecture.masked_fill(~self.allowed, -torch.inf)
        shares = torch.softmax(alpha, 1)
        shares = shares * self._fed(shares)
        used = _used(shares)
        on_way = None
        if used is not None:
            has_operation = [
                any(u and name != "none" for u, name in zip(row, self.operations, strict=True))
                for row in used
            ]
            on_way = connected(self.places, has_operation, self.n_nodes)
        return run_cells(self, x, lambda row, source: self._edge(row, source, shares, used), on_way)

    def _fed(self, shares: Tensor) -> Tensor:
        """Return 1 for each edge (e, 1) that the input of its cell reaches, 0 for the others."""
        if self.n_nodes == 1:
            return torch.ones_like(shares[:, :1])
        operates = [n != "none" for n in self.operations]
        has_operation = (shares.detach()[:, operates] > 0).any(1).to(shares.dtype)
        fed: dict[tuple[int, int], Tensor] = {}
        edges = []
        for row, (cell, source, target) in enumerate(self.places):
            edge = has_operation[row] if source == 0 else has_operation[row] * fed[cell, source]
            fed[cell, target] = torch.maximum(fed.get((cell, target), edge), edge)
            edges.append(torch.ones_like(edge) if source == 0 else fed[cell, source])
        return torch.stack(edges)[:, None]

    def _edge(self, row: int, x: Tensor, shares: Tensor, used: list[list[bool]] | None) -> Tensor:
        terms = [
            shares[row, k] * self.module_of(row, name)(x)
            for k, name in enumerate(self.operations)
            if self._allowed[row][k] and name != "none" and (used is None or used[row][k])
        ]
        return sum(terms[1:], terms[0]) if terms else torch.zeros_like(x)

    def _names(self, row: int) -> list[str]:
        """Return the operations that an edge can have."""
        return [n for n, ok in zip(self.operations, self._allowed[row], strict=True) if ok]

    def module_of(self, row: int, name: str) -> nn.Module:
        """Return an operation that an edge can have."""
        return cast(nn.ModuleDict, self.edges[row])[name]

    def plain(self) -> list[int]:
        """Return the position of the operation on each edge that makes the network plain."""
        none = self.operations.index("none") if "none" in self.operations else 0
        return [none if self._allowed[row][none] else 0 for row in range(len(self.places))]

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw the architecture parameters."""
        nn.init.normal_(self.architecture, 0.0, _SMALL, generator)

    def cheapest(self) -> Tensor:
        """Return the parameters (e,) of the smallest operation on each edge."""
        return self.costs.masked_fill(~self.allowed.cpu(), torch.inf).amin(1)

    def n_fixed_parameters(self) -> int:
        """Return the parameters of the stem and the last nodes, which every architecture has."""
        return size_of(self.stem) + self.n_cells * size_of(self.nodes[-1])


class ChosenCells(nn.Module):
    """The network of an architecture: one operation on each edge, and no architecture parameters.

    `chosen` names the operation of each edge; those that lead nowhere are left out. The other
    arguments are those of :class:`CellNetwork`, whose weights have the same names.
    """

    stem: nn.Module
    between: nn.Module

    def __init__(
        self,
        stem: nn.Module,
        operations: dict[str, Callable[[], nn.Module]],
        make_node: Callable[[], nn.Module],
        between: nn.Module,
        params: dict[str, Any],
        chosen: Sequence[str],
    ) -> None:
        super().__init__()
        self.stem, self.between = stem, between
        self.n_cells, self.n_nodes = n_cells, n_nodes = params["n_cells"], params["n_nodes"]
        self.places: Places = edges_of(n_cells, n_nodes)
        direct = [(s, t) == (0, n_nodes) for _, s, t in self.places]
        wrong = [n for n in chosen if n not in operations]
        if len(chosen) != len(self.places) or wrong:
            raise ValueError(
                f"chosen must name one of {list(operations)} for each of {len(self.places)} edges, "
                f"got {list(chosen)}."
            )
        if any(d and name == "none" for d, name in zip(direct, chosen, strict=True)):
            raise ValueError(
                "chosen has 'none' on the edge from the input of a cell to its output. Give it "
                "another operation, such as 'skip'."
            )
        used = [name != "none" for name in chosen]
        self.on_way: list[bool] = connected(self.places, used, n_nodes)
        self.edges: nn.ModuleDict = nn.ModuleDict(
            {
                str(row): nn.ModuleDict({name: operations[name]()})
                for row, name in enumerate(chosen)
                if self.on_way[row]
            }
        )
        nodes = nodes_of(self.places, self.on_way, n_nodes)
        self.nodes: nn.ModuleDict = nn.ModuleDict({str(node): make_node() for node in nodes})

    def forward(self, x: Tensor) -> Tensor:
        """Map rows to features."""
        return run_cells(self, x, self._edge, self.on_way)

    def _edge(self, row: int, x: Tensor) -> Tensor:
        (operation,) = cast(nn.ModuleDict, self.edges[str(row)]).values()
        result: Tensor = operation(x)
        return result


def nodes_of(places: Places, on_way: Sequence[bool], n_nodes: int) -> list[int]:
    """Return the positions of the nodes that edges on the way lead to."""
    pairs = zip(places, on_way, strict=True)
    return sorted({cell * n_nodes + target - 1 for (cell, _, target), way in pairs if way})


def run_cells(
    network: CellNetwork | ChosenCells,
    x: Tensor,
    edge: Callable[[int, Tensor], Tensor],
    on_way: Sequence[bool] | None,
) -> Tensor:
    """Map rows to features; ``edge(row, source)`` computes one of the edges on the way."""
    x = network.stem(x)
    rows = iter(range(len(network.places)))
    nodes: Any = network.nodes
    name_of: Callable[[int], int | str] = int if isinstance(nodes, nn.ModuleList) else str
    for cell in range(network.n_cells):
        known = [x]
        for target in range(network.n_nodes):
            incoming = list(zip(known, rows, strict=False))
            terms = [edge(row, h) for h, row in incoming if on_way is None or on_way[row]]
            node = cell * network.n_nodes + target
            if not terms:  # What nothing leads to is not needed.
                known.append(x)
                continue
            node = nodes[name_of(cell * network.n_nodes + target)]
            known.append(node(sum(terms[1:], terms[0])))
        x = network.between(known[-1])
    return x.flatten(1)


def check_cells(
    n_cells: int, n_nodes: int, operations: Sequence[str], known: Sequence[str]
) -> None:
    """Raise an error if the parameters of a network of cells are wrong."""
    if n_cells < 1 or n_nodes < 1:
        raise ValueError(
            f"n_cells and n_nodes must be 1 or more, got n_cells={n_cells} and n_nodes={n_nodes}."
        )
    unknown = [name for name in operations if name not in known]
    if unknown or len(set(operations)) < len(operations):
        raise ValueError(
            f"operations must be different names among {list(known)}, got {list(operations)}."
        )
    if not set(operations) - {"none"}:
        raise ValueError("operations must have one besides 'none', for example 'skip'.")


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


def size_of(module: nn.Module) -> int:
    """Return the number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())
