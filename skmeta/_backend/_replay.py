"""Repeat a recorded graph as straight-line Python code.

Plain functions of torch are called in place of operators, which takes half as long for small
tensors. Results of a small graph are written into memory that is set aside once, so that their
views exist before the code runs; memory is used again as soon as what was in it is no longer
needed, and stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from skmeta._backend._simplification import Observer, TensorLayout, aten, observe

# Above this number of bytes, allocating memory takes no noticeable time.
_MAX_BYTES = 2**23

# Functions whose arguments are those of the operator, and that can write into a given tensor.
_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    aten.mm.default: torch.mm,
    aten.bmm.default: torch.bmm,
    aten.addmm.default: torch.addmm,
    aten.baddbmm.default: torch.baddbmm,
    aten.add.Tensor: torch.add,
    aten.sub.Tensor: torch.sub,
    aten.mul.Tensor: torch.mul,
    aten.mul.Scalar: torch.mul,
    aten.div.Tensor: torch.div,
    aten.neg.default: torch.neg,
    aten.pow.Tensor_Scalar: torch.pow,
    aten.exp.default: torch.exp,
    aten.log.default: torch.log,
    aten.sqrt.default: torch.sqrt,
    aten.rsqrt.default: torch.rsqrt,
    aten.reciprocal.default: torch.reciprocal,
    aten.tanh.default: torch.tanh,
    aten.sigmoid.default: torch.sigmoid,
    aten.sum.dim_IntList: torch.sum,
    aten.mean.dim: torch.mean,
    aten.amax.default: torch.amax,
    aten.where.self: torch.where,
    aten.eq.Tensor: torch.eq,
    aten.gt.Scalar: torch.gt,
    aten.le.Scalar: torch.le,
    aten.clamp_min.default: torch.clamp_min,
}
# The same in place, for an argument that is not needed again.
_IN_PLACE: dict[Any, Callable[..., Tensor]] = {
    aten.addmm.default: Tensor.addmm_,
    aten.baddbmm.default: Tensor.baddbmm_,
    aten.add.Tensor: Tensor.add_,
    aten.sub.Tensor: Tensor.sub_,
    aten.mul.Tensor: Tensor.mul_,
    aten.mul.Scalar: Tensor.mul_,
    aten.div.Tensor: Tensor.div_,
    aten.neg.default: Tensor.neg_,
    aten.exp.default: Tensor.exp_,
    aten.clamp_min.default: torch.clamp_min_,
}
# Operators for which torch has no such function.
_OPERATORS = {
    aten.threshold_backward.default: (aten.threshold_backward.grad_input, "grad_input"),
    aten.tanh_backward.default: (aten.tanh_backward.grad_input, "grad_input"),
    aten.sigmoid_backward.default: (aten.sigmoid_backward.grad_input, "grad_input"),
}
_VIEW_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    aten.reshape.default: Tensor.reshape,
    aten.t.default: Tensor.t,
    aten.transpose.int: Tensor.transpose,
    aten.permute.default: Tensor.permute,
    aten.expand.default: Tensor.expand,
    aten.unsqueeze.default: Tensor.unsqueeze,
    aten.squeeze.dim: Tensor.squeeze,
    aten.squeeze.dims: Tensor.squeeze,
    aten.select.int: Tensor.select,
}


def compile_graph(
    module: fx.GraphModule, arguments: Sequence[Tensor], *, reuse: bool
) -> Callable[..., tuple[Tensor, ...]]:
    """Write a pure graph, recorded with these arguments, as a function that returns its results.

    With `reuse`, it owns memory that each call writes into, so that calls cannot run side by side.
    Its results are new tensors in either case.
    """
    seen = observe(module, arguments)
    placed = _place(module, seen) if reuse else {}
    if sum(memory.nbytes for memory in {id(m): m for m in placed.values()}.values()) > _MAX_BYTES:
        placed = {}
    return _Writer(module, seen, placed).function()


# ------------------------------------------------------------------------------ memory


def _place(module: fx.GraphModule, seen: Observer) -> dict[fx.Node, Tensor]:
    """Choose the memory that each operation writes into; two that share it do not overlap in time.

    Results of the graph, and of operations that cannot write into a given tensor, have none.
    """
    nodes = list(module.graph.nodes)
    roots, dies = _lifetimes(nodes, seen)
    returned = {roots[n] for n in nodes[-1].all_input_nodes}
    placed: dict[fx.Node, Tensor] = {}
    free: dict[tuple[torch.dtype, int], list[Tensor]] = {}

    def release(i: int, but: fx.Node | None = None) -> None:
        for root in dies.get(i, ()):
            if root in placed and root is not but:
                free.setdefault(_size(seen.layouts[root]), []).append(placed[root])

    for i, node in enumerate(nodes):
        reused = None
        if _is_placeable(node, seen) and node not in returned:
            layout = seen.layouts[node]
            first = node.args[0]
            if node.target in _IN_PLACE and _is_last(node, i, seen, roots, dies, placed):
                reused = roots[first]
                placed[node] = placed[reused]
            elif spare := free.get(_size(layout)):
                placed[node] = spare.pop()
            else:
                dtype, size = _size(layout)
                placed[node] = torch.empty(size, dtype=dtype, device=layout.device)
        release(i, reused)
    return placed


def _lifetimes(
    nodes: list[Any], seen: Observer
) -> tuple[dict[fx.Node, fx.Node], dict[int, list[fx.Node]]]:
    """Return what each result is a view of, and the results that no operation uses after each."""
    roots: dict[fx.Node, fx.Node] = {}
    last: dict[fx.Node, int] = {}
    for i, node in enumerate(nodes):
        roots[node] = roots[node.args[0]] if node in seen.views else node
        last[roots[node]] = i
        for used in node.all_input_nodes:
            last[roots[used]] = i
    dies: dict[int, list[fx.Node]] = {}
    for root, i in last.items():
        dies.setdefault(i, []).append(root)
    return roots, dies


def _size(layout: TensorLayout) -> tuple[torch.dtype, int]:
    return layout.dtype, layout.shape.numel()


def _is_placeable(node: fx.Node, seen: Observer) -> bool:
    if node.target not in _FUNCTIONS and node.target not in _OPERATORS:
        return False
    layout = seen.layouts[node]
    # Without gaps: the strides are those of an array with its axes in another order.
    pairs = sorted(zip(layout.stride, layout.shape, strict=True))
    expected = 1
    for stride, size in pairs:
        if size != 1 and stride != expected:
            return False
        expected *= size
    return layout.offset == 0 and layout.shape.numel() > 0


def _is_last(
    node: fx.Node,
    i: int,
    seen: Observer,
    roots: dict[fx.Node, fx.Node],
    dies: dict[int, list[fx.Node]],
    placed: dict[fx.Node, Tensor],
) -> bool:
    """Whether an operation may write into its first argument."""
    first = node.args[0]
    if not isinstance(first, fx.Node) or seen.layouts.get(first) != seen.layouts[node]:
        return False
    root = roots[first]
    others = [roots[used] for used in node.all_input_nodes if used is not first]
    is_used_once = sum(used is first for used in node.args) == 1
    return root in placed and root in dies.get(i, ()) and root not in others and is_used_once


# -------------------------------------------------------------------------------- code


class _Writer:
    """Write a graph as the code of a function."""

    def __init__(
        self, module: fx.GraphModule, seen: Observer, placed: dict[fx.Node, Tensor]
    ) -> None:
        self._seen, self._placed = seen, placed
        self._names = {n: f"v{i}" for i, n in enumerate(module.graph.nodes)}
        self._values: dict[str, Any] = {}  # What the code refers to by name.
        self._static: dict[fx.Node, Tensor] = {}  # Tensors that exist before the code runs.
        self._lines: list[str] = []
        self._module = module

    def function(self) -> Callable[..., tuple[Tensor, ...]]:
        nodes = list(self._module.graph.nodes)
        last: dict[fx.Node, fx.Node] = {n: user for user in nodes for n in user.all_input_nodes}
        arguments = [self._names[n] for n in nodes if n.op == "placeholder"]
        for node in nodes:
            if node.op == "get_attr":
                self._static[node] = getattr(self._module, node.target)
                self._values[self._names[node]] = self._static[node]
            elif node.op == "call_function":
                self._write(node)
                dead = [n for n in node.all_input_nodes if last[n] is node]
                names = [self._names[n] for n in dead if n not in self._static]
                if names:
                    self._lines.append(f"del {', '.join(names)}")
        returned = "".join(f"{self._refer(value)}, " for value in nodes[-1].args[0])
        code = f"def run({', '.join(arguments)}):\n"
        code += "".join(f"    {line}\n" for line in [*self._lines, f"return ({returned})"])
        exec(code, self._values)  # The code is made of names and numbers alone.
        run: Callable[..., tuple[Tensor, ...]] = self._values["run"]
        return run

    def _write(self, node: Any) -> None:
        name, target = self._names[node], node.target
        first: Any = node.args[0] if node.args else None
        if node in self._seen.views and first in self._static:
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), self._static.__getitem__)
            self._static[node] = self._values[name] = target(*args, **kwargs)
            return
        if node not in self._placed:
            function = _VIEW_FUNCTIONS.get(target, _FUNCTIONS.get(target, target))
            self._lines.append(f"{name} = {self._call(function, node)}")
            return
        memory, layout = self._placed[node], self._seen.layouts[node]
        if isinstance(first, fx.Node) and self._placed.get(self._root(first)) is memory:
            self._static[node] = self._values[name] = self._static[first]
            self._lines.append(self._call(_IN_PLACE[target], node))
            return
        self._static[node] = memory.as_strided(layout.shape, layout.stride)
        self._values[name] = self._static[node]
        function, keyword = _OPERATORS.get(target, (_FUNCTIONS.get(target), "out"))
        self._lines.append(self._call(function, node, f"{keyword}={name}"))

    def _root(self, node: Any) -> Any:
        while node in self._seen.views:
            node = node.args[0]
        return node

    def _call(self, function: Any, node: fx.Node, *more: str) -> str:
        args = [self._refer(value) for value in node.args]
        kwargs = [f"{key}={self._refer(value)}" for key, value in node.kwargs.items()]
        return f"{self._refer(function)}({', '.join([*args, *kwargs, *more])})"

    def _refer(self, value: Any) -> str:
        """Write a value as code: a number, or the name that it has."""
        if isinstance(value, fx.Node):
            return self._names[value]
        if isinstance(value, tuple | list):
            return f"[{', '.join(map(self._refer, value))}]"
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        name = f"c{id(value)}"
        self._values[name] = value
        return name
