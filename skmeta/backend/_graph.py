"""Simplify a recorded graph: each operation costs a few microseconds, however small it is.

Views of one tensor become one view, equal operations one operation, and values that do not depend
on the arguments constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

# Operations whose result is a view of their first argument.
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        "view.default",
        "_unsafe_view.default",
        "t.default",
        "transpose.int",
        "permute.default",
        "expand.default",
        "unsqueeze.default",
        "squeeze.dim",
        "squeeze.dims",
        "slice.Tensor",
        "select.int",
        "detach.default",
        "alias.default",
    )
)
# Operations that take only shape and precision from their first argument.
_CREATIONS = frozenset(
    f"aten.{name}.default"
    for name in ("ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full")
)
# A larger constant would cost more memory than it saves time.
_LARGEST_CONSTANT = 4096


class _Layout(NamedTuple):
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


class _Observer(fx.Interpreter):
    """Run a graph once, and note the layout of each result, and small values."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.layouts: dict[fx.Node, _Layout] = {}
        self.small: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.layouts[n] = _Layout(
                result.dtype, tuple(result.shape), result.stride(), int(result.storage_offset())
            )
            if result.numel() <= _LARGEST_CONSTANT:
                self.small[n] = result
        return result


def simplify(module: fx.GraphModule, arguments: Sequence[Tensor]) -> fx.GraphModule:
    """Simplify a graph of tensor operations in place.

    Parameters
    ----------
    module : torch.fx.GraphModule
        Takes and returns tensors. If an operation writes into its argument or draws random numbers,
        nothing is simplified.
    arguments : sequence of Tensor
        Arguments that it was recorded with.

    Returns
    -------
    torch.fx.GraphModule
        The same module.
    """
    operations = [n for n in module.graph.nodes if n.op == "call_function"]
    if any(n.is_impure() for n in operations):
        return module
    observer = _Observer(module)
    with torch.no_grad():
        observer.run(*arguments)
    _fold_constants(module, observer.small)
    _merge_equal(module)
    _merge_views(module, observer.layouts)
    _merge_equal(module)
    module.graph.eliminate_dead_code()
    _fuse(module, observer.layouts)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _fold_constants(module: fx.GraphModule, small: dict[fx.Node, Tensor]) -> None:
    constant: set[fx.Node] = set()
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            constant.add(node)
        if node.op != "call_function":
            continue
        if str(node.target) in _CREATIONS or constant.issuperset(node.all_input_nodes):
            constant.add(node)
            if node in small:
                name = f"folded_{node.name}"
                module.register_buffer(name, small[node].clone(), persistent=False)
                with module.graph.inserting_before(node):
                    new = module.graph.get_attr(name)
                constant.add(new)
                _replace(node, new)


def _merge_views(module: fx.GraphModule, layouts: dict[fx.Node, _Layout]) -> None:
    base: dict[fx.Node, fx.Node] = {}
    seen: dict[tuple[fx.Node, _Layout], fx.Node] = {}
    for node in list(module.graph.nodes):
        if node.op != "call_function" or str(node.target) not in _VIEWS:
            continue
        parent = node.args[0]
        root = base.get(parent, parent)
        if root not in layouts or node not in layouts:
            continue
        layout = layouts[node]
        same = root if layout == layouts[root] else seen.get((root, layout))
        if same is not None:
            _replace(node, same)
            continue
        # An argument may be a part of another tensor the next time.
        if root is not parent and root.op == "call_function" and layouts[root].offset == 0:
            with module.graph.inserting_before(node):
                new = module.graph.call_function(
                    torch.ops.aten.as_strided.default,
                    (root, layout.shape, layout.stride, layout.offset),
                )
            layouts[new] = layout
            _replace(node, new)
            node = new
        base[node], seen[root, layout] = root, node


def _fuse(module: fx.GraphModule, layouts: dict[fx.Node, _Layout]) -> None:
    """Replace pairs of operations that torch has one operation for."""
    for node in list(module.graph.nodes):
        first: Any = node.args[0] if node.args else None
        last: Any = node.args[1] if len(node.args) == 2 else None
        match str(node.target):
            case "aten.sub.Tensor" if _is_scaled(last) and not node.kwargs:
                # a - (b * s), an inner step.
                x, scale = last.args
                if _agree(layouts, first, x):
                    node.args, node.kwargs = (first, x), {"alpha": scale}
            case "aten.mul.Tensor" if _is_only(first, "aten.neg.default") and _is_number(last):
                node.args = (first.args[0], -last)
            case "aten.view.default" if _is_only(first, "aten.sum.dim_IntList"):
                # A sum that keeps its dimensions, which are then dropped.
                shape, dims = layouts[first.args[0]].shape, list(first.args[1])
                left = [n for i, n in enumerate(shape) if i not in dims]
                if len(first.args) == 3 and min(dims) >= 0 and left == list(last):
                    node.target, node.args = first.target, (first.args[0], dims)


def _is_only(node: Any, target: str) -> bool:
    """Whether a node is an operation whose result one other node uses."""
    return isinstance(node, fx.Node) and str(node.target) == target and len(node.users) == 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scaled(node: Any) -> bool:
    return _is_only(node, "aten.mul.Tensor") and _is_number(node.args[1])


def _agree(layouts: dict[fx.Node, _Layout], *nodes: Any) -> bool:
    """Whether tensors are known and have one floating-point type."""
    found = {layouts[n].dtype if isinstance(n, fx.Node) and n in layouts else None for n in nodes}
    return len(found) == 1 and getattr(found.pop(), "is_floating_point", False)


def _merge_equal(module: fx.GraphModule) -> None:
    seen: dict[Any, fx.Node] = {}
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            key: Any = (node.op, node.target)
        elif node.op == "call_function":
            if _is_identity(node):
                _replace(node, node.args[0])
                continue
            key = (node.target, _freeze(node.args), _freeze(node.kwargs))
        else:
            continue
        if key in seen:
            _replace(node, seen[key])
        else:
            seen[key] = node


def _is_identity(node: fx.Node) -> bool:
    """Whether an operation multiplies by one or takes the first power, as derivatives do."""
    if str(node.target) in ("aten.mul.Scalar", "aten.pow.Tensor_Scalar"):
        return isinstance(node.args[0], fx.Node) and node.args[1] in (1, 1.0)
    return False


def _freeze(value: Any) -> Any:
    """Make a hashable copy of arguments; 1 and 1.0 differ in it."""
    if isinstance(value, dict):
        return tuple((n, _freeze(v)) for n, v in sorted(value.items()))
    if isinstance(value, tuple | list):
        return tuple(map(_freeze, value))
    return value if isinstance(value, fx.Node) else (type(value), value)


def _replace(node: fx.Node, new: Any) -> None:
    node.replace_all_uses_with(new)
    node.graph.erase_node(node)
