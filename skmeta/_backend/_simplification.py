"""Simplify a recorded graph of tensor operations: fewer operations, equal results up to rounding.

Automatic differentiation computes much again, multiplies by one and adds zero. Each operation costs
a microsecond or more, however small it is. Notation: c is a number, a and b are tensors, a' is a
with its last two dimensions swapped.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from skmeta._torch_compat import UNSAFE_VIEW

aten: Any = torch.ops.aten

# Operations whose result is a view of their first argument, or a copy where none is possible.
VIEWS = frozenset(
    {
        *(aten.reshape.default, aten.t.default, aten.transpose.int, aten.permute.default),
        *(aten.expand.default, aten.unsqueeze.default, aten.squeeze.dim, aten.squeeze.dims),
        *(aten.slice.Tensor, aten.select.int, aten.detach.default, aten.alias.default),
    }
)
# What a view of another shape is written as, because a simpler graph may have other strides.
_RESHAPED = frozenset({aten.view.default, UNSAFE_VIEW})
# Operations that take the layout of a tensor alone.
_OF_LAYOUT = frozenset(
    {
        *(aten.ones_like.default, aten.zeros_like.default, aten.full_like.default),
        *(aten.new_zeros.default, aten.new_ones.default, aten.new_full.default),
        *(aten.zeros.default, aten.ones.default, aten.full.default, aten.arange.default),
        *(aten.scalar_tensor.default, aten.arange.start, aten.arange.start_step),
    }
)
_PRODUCTS = {aten.mm.default: aten.addmm.default, aten.bmm.default: aten.baddbmm.default}
_SCALES = frozenset({aten.mul.Tensor, aten.mul.Scalar, aten.neg.default})


class TensorLayout(NamedTuple):
    """How a tensor lies in its memory."""

    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]
    offset: int
    device: torch.device


class Observer(fx.Interpreter):
    """Run a graph once, and note the layout of each result, and which are views or constant."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.layouts: dict[fx.Node, TensorLayout] = {}
        self.constants: dict[fx.Node, Tensor] = {}
        self.views: set[fx.Node] = set()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.layouts[n] = TensorLayout(
                result.dtype,
                result.shape,
                result.stride(),
                int(result.storage_offset()),
                result.device,
            )
            if self._is_constant(n):
                self.constants[n] = result
            if n.target in VIEWS:
                whole = self.env[n.all_input_nodes[0]].untyped_storage()
                if result.untyped_storage().data_ptr() == whole.data_ptr():
                    self.views.add(n)
        return result

    def _is_constant(self, n: fx.Node) -> bool:
        if n.op != "call_function":
            return n.op == "get_attr"
        if n.target is aten.pow.Tensor_Scalar and n.args[1] == 0:
            return True
        inputs = n.all_input_nodes
        return n.target in _OF_LAYOUT or (
            bool(inputs) and all(each in self.constants for each in inputs)
        )


def observe(module: fx.GraphModule, arguments: Sequence[Tensor]) -> Observer:
    """Run a graph, and return the layouts of its results and its constants."""
    observer = Observer(module)
    with torch.no_grad():
        observer.run(*arguments)
    return observer


def is_pure(module: fx.GraphModule) -> bool:
    """Whether no operation writes into its argument or draws random numbers."""
    return not any(n.is_impure() for n in module.graph.nodes if n.op == "call_function")


def simplify(module: fx.GraphModule, arguments: Sequence[Tensor]) -> fx.GraphModule:
    """Simplify a pure graph in place, recorded with these arguments, and return it."""
    for node in _calls(module):
        if node.target in _RESHAPED:
            node.target = aten.reshape.default
        elif node.target is aten.relu.default:
            node.target, node.args = aten.clamp_min.default, (node.args[0], 0)
    steps = (_fold_constants, _share, _merge_scales, _turn_products, _scale_products, _add, _share)
    for step in steps:
        step(module, observe(module, arguments))
        module.graph.eliminate_dead_code()
        module.recompile()
    return module


# ---------------------------------------------------------------- what need not be computed


def _fold_constants(module: fx.GraphModule, seen: Observer) -> None:
    """Compute constants once, and leave out what they do not change."""
    for node in _calls(module):
        if node in seen.constants:
            continue
        same = _unchanged(module, node, seen)
        if same is not None:
            _replace(node, same)
    for node in _calls(module):
        is_used = any(user not in seen.constants for user in node.users)
        if node in seen.constants and is_used:
            _replace(node, _constant(module, node, seen.constants[node]))


def _unchanged(module: fx.GraphModule, node: Any, seen: Observer) -> fx.Node | None:
    """Return what an operation's result is equal to, if it is known."""
    first: Any = node.args[0] if node.args else None
    if not isinstance(first, fx.Node) or node not in seen.layouts or first not in seen.layouts:
        return None
    layout, before = seen.layouts[node], seen.layouts[first]
    target, n_values = node.target, layout.shape.numel()
    others = [_uniform(value, seen) for value in node.args]
    if layout.dtype != before.dtype:
        return None
    if target in (aten.add.Tensor, aten.mul.Tensor, aten.mul.Scalar) and not node.kwargs:
        neutral = 0.0 if target is aten.add.Tensor else 1.0
        for value, other in ((node.args[0], others[1]), (node.args[1], others[0])):
            if other == neutral and isinstance(value, fx.Node):
                was = seen.layouts[value]
                if (was.dtype, was.shape) == (layout.dtype, layout.shape):
                    return value
    if target in (aten.div.Tensor, aten.pow.Tensor_Scalar) and others[1] == 1.0:
        return first if before.shape == layout.shape else None
    if target is aten.clone.default and before == layout:
        return first
    if target is aten.index_select.default:
        return first if _counts_up(node.args[2], before.shape[node.args[1]], seen) else None
    if target is aten.index_add.default and others[0] == 0.0 and not node.kwargs:
        added: Any = node.args[3]
        is_whole = _counts_up(node.args[2], layout.shape[node.args[1]], seen)
        return added if is_whole and seen.layouts[added].shape == layout.shape else None
    # A sum over one value, or a gradient of the only row.
    is_one_to_one = before.shape.numel() == n_values and target in (
        aten.sum.dim_IntList,
        aten.select_backward.default,
    )
    if is_one_to_one and before.dtype.is_floating_point:
        return _insert(module, node, aten.reshape.default, (first, list(layout.shape)))
    return None


def _uniform(value: Any, seen: Observer) -> float | None:
    """Return the number that all elements of a constant have, or None."""
    if isinstance(value, fx.Node):
        constant = seen.constants.get(value)
        if constant is None or not constant.numel() or constant.is_complex():
            return None
        first = constant.flatten()[0]
        return float(first) if bool((constant == first).all()) else None
    return float(value) if isinstance(value, int | float) else None


def _counts_up(index: Any, size: int, seen: Observer) -> bool:
    """Whether a constant index has all positions of a dimension, in their order."""
    constant = seen.constants.get(index)
    return constant is not None and torch.equal(
        constant, torch.arange(size, dtype=constant.dtype, device=constant.device)
    )


def _share(module: fx.GraphModule, seen: Observer) -> None:
    """Compute nothing twice; a view that another way leads to is one view, too."""
    roots: dict[fx.Node, fx.Node] = {}  # The tensor that a view is of.
    known: dict[Hashable, fx.Node] = {}
    for node in list(module.graph.nodes):
        if node.op not in ("get_attr", "call_function"):
            continue
        key: Hashable = (node.target, _freeze(node.args), _freeze(node.kwargs))
        same = known.get(key)
        if same is None and node in seen.views:
            parent = node.args[0]
            root = roots.get(parent, parent)
            place = (root, seen.layouts[node])
            same = root if seen.layouts.get(root) == seen.layouts[node] else known.get(place)
            if same is None:
                roots[node], known[place] = root, node
        if same is None:
            known[key] = node
        else:
            _replace(node, same)


# ------------------------------------------------------------------------- multiples: c a


def _scale(node: Any) -> tuple[fx.Node, float] | None:
    """Return a and c if a node is c a."""
    if not isinstance(node, fx.Node) or node.target not in _SCALES or node.kwargs:
        return None
    if node.target is aten.neg.default:
        return node.args[0], -1.0  # type: ignore[return-value]  # an operation on a tensor
    first, second = node.args
    if isinstance(first, fx.Node) and isinstance(second, int | float):
        return first, float(second)
    return None


def _merge_scales(module: fx.GraphModule, seen: Observer) -> None:
    """Write c1 (c2 a) as one multiple, and a - c b as one operation."""
    for node in _calls(module):
        if (outer := _scale(node)) is None or not _is_float(node, outer[0], seen=seen):
            continue
        if (inner := _scale(outer[0])) is not None and _is_float(inner[0], seen=seen):
            node.target = aten.mul.Tensor
            node.args = (inner[0], outer[1] * inner[1])
    for node in _calls(module):
        if node.target not in (aten.sub.Tensor, aten.add.Tensor) or node.kwargs:
            continue
        first, second = node.args
        if (scale := _scale(second)) is None or not isinstance(first, fx.Node):
            continue
        if len(second.users) == 1 and _is_float(first, scale[0], node, seen=seen):
            node.args, node.kwargs = (first, scale[0]), {"alpha": scale[1]}


# -------------------------------------------------------------- products of matrices: a b


def _turn_products(module: fx.GraphModule, seen: Observer) -> None:
    """Compute (a b)' as b' a', so that its rows lie in the order that they are used in."""
    for node in _calls(module):
        if node.target not in _PRODUCTS or len(node.users) != 1:
            continue
        view = next(iter(node.users))
        before, after = seen.layouts[node], seen.layouts.get(view)
        swapped = before._replace(
            shape=torch.Size((*before.shape[:-2], before.shape[-1], before.shape[-2])),
            stride=(*before.stride[:-2], before.stride[-1], before.stride[-2]),
        )
        if view not in seen.views or after != swapped:
            continue
        a, b = (
            _insert(module, node, aten.transpose.int, (operand, -2, -1)) for operand in node.args
        )
        _replace(view, _insert(module, node, node.target, (b, a)))


def _scale_products(module: fx.GraphModule, seen: Observer) -> None:
    """Compute a (c b) as c (a b), in one operation, if products alone use the multiple."""
    for node in _calls(module):
        if (scale := _scale(node)) is None or not _is_float(node, scale[0], seen=seen):
            continue
        users = list(_users_of_views(node))
        if users and all(user.target in _PRODUCTS for user in users):
            for user in users:
                user.meta["factor"] = user.meta.get("factor", 1.0) * scale[1]
            _replace(node, scale[0])
    for node in _calls(module):
        if "factor" in node.meta:
            factor = node.meta.pop("factor")
            layout = seen.layouts[node]
            # With beta=0, it is not read.
            first = _constant(
                module, node, torch.zeros((), dtype=layout.dtype, device=layout.device)
            )
            options = {"beta": 0, "alpha": factor}
            target = _PRODUCTS[node.target]
            _replace(node, _insert(module, node, target, (first, *node.args), options))


def _users_of_views(node: fx.Node) -> Iterator[fx.Node]:
    """Iterate over what uses a result or a view of it, once for each argument."""
    for user in node.users:
        if user.target in VIEWS:
            yield from _users_of_views(user)
        else:
            yield from [user] * max(1, sum(each is node for each in user.args))


def _add(module: fx.GraphModule, seen: Observer) -> None:
    """Compute x + c (a b) in one operation."""
    for node in _calls(module):
        if node.target not in (aten.add.Tensor, aten.sub.Tensor):
            continue
        sign = -1.0 if node.target is aten.sub.Tensor else 1.0
        sign *= node.kwargs.get("alpha", 1.0)
        pairs = [(node.args[0], node.args[1], sign)]
        if node.target is aten.add.Tensor and not node.kwargs:
            pairs.insert(0, (node.args[1], node.args[0], 1.0))
        for added, result, factor in pairs:
            if _fuse_sum(module, node, added, result, factor, seen):
                break


def _fuse_sum(
    module: fx.GraphModule, node: fx.Node, added: Any, result: Any, factor: float, seen: Observer
) -> bool:
    """Compute a sum in the product that one of its terms is a view of; whether that is possible."""
    product: Any = result
    while isinstance(product, fx.Node) and len(product.users) == 1:
        if product.target in _PRODUCTS or product.target in _PRODUCTS.values():
            break
        if product.target is not aten.reshape.default:
            return False
        product = product.args[0]
    else:
        return False
    if not isinstance(added, fx.Node) or not _is_float(added, product, node, seen=seen):
        return False
    shape, own = seen.layouts[product].shape, seen.layouts[added].shape
    options: dict[str, Any] = dict(product.kwargs)
    is_sum = product.target not in _PRODUCTS and options.get("beta", 1) != 0
    if is_sum or seen.layouts[node].shape != seen.layouts[result].shape:
        return False
    target = _PRODUCTS.get(product.target, product.target)
    operands = product.args[-2:]
    if result is not product:
        if own == seen.layouts[node].shape and _is_contiguous(seen.layouts[added]):
            added = _insert(module, node, aten.reshape.default, (added, list(shape)))
        elif own != shape[-1:]:
            return False
    options = {"beta": 1, "alpha": factor * options.get("alpha", 1.0)}
    fused = _insert(module, node, target, (added, *operands), options)
    seen.layouts[fused] = seen.layouts[product]
    if result is not product:
        fused = _insert(module, node, aten.reshape.default, (fused, list(seen.layouts[node].shape)))
        seen.layouts[fused] = seen.layouts[node]
    _replace(node, fused)
    return True


# ------------------------------------------------------------------------------ the graph


def _calls(module: fx.GraphModule) -> list[Any]:
    return [n for n in module.graph.nodes if n.op == "call_function"]


def _insert(
    module: fx.GraphModule, before: fx.Node, target: Any, args: Any, kwargs: Any = None
) -> fx.Node:
    with module.graph.inserting_before(before):
        return module.graph.call_function(target, args, kwargs or {})


def _constant(module: fx.GraphModule, before: fx.Node, value: Tensor) -> fx.Node:
    name = f"_constant_{before.name}"
    module.register_buffer(name, value, persistent=False)
    with module.graph.inserting_before(before):
        return module.graph.get_attr(name)


def _replace(node: fx.Node, new: fx.Node) -> None:
    node.replace_all_uses_with(new)
    node.graph.erase_node(node)


def _is_float(*nodes: fx.Node, seen: Observer) -> bool:
    """Whether results are tensors of one type, of at least 32 bits."""
    types = {seen.layouts[n].dtype if n in seen.layouts else None for n in nodes}
    return len(types) == 1 and types <= {torch.float32, torch.float64}


def _is_contiguous(layout: TensorLayout) -> bool:
    expected = 1
    for size, stride in zip(reversed(layout.shape), reversed(layout.stride), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def _freeze(value: Any) -> Any:
    """Make a hashable copy of arguments; 1 and 1.0 differ in it."""
    if isinstance(value, dict):
        return tuple((n, _freeze(v)) for n, v in sorted(value.items()))
    if isinstance(value, tuple | list):
        return tuple(map(_freeze, value))
    return value if isinstance(value, fx.Node) else (type(value), value)
