"""Record a function of tensors once, and repeat its operations without autograd's bookkeeping.

A recording is a graph of plain tensor operations, made by ``make_fx`` of torch. It has no control
flow, so it holds for arguments of the same shapes only. It is simplified, because each operation
costs a few microseconds, however small it is. A ``fit`` of 1,000 iterations on sinusoids takes 1.6
times (MAML, one inner step) to 2.5 times (first order, five steps) the processor time without a
recording; one that is not simplified saves half of that or less.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from skmeta._backend._functional import tree_leaves, tree_map

logger = logging.getLogger(__name__)

# Shapes that are recorded at most; a task source that has more of them runs as it is.
_MAX_RECORDINGS = 8
# Largest difference from the function itself, over the norm of the result.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
# The same, if some of its operations are in half precision, where it rounds differently.
_TOLERANCE_OF_HALF = 2e-2
# The recording is compared with the function at another state than the one it was made at.
_NUDGE = 1.01


class Recorder:
    """Recordings of the functions of one execution.

    A function that cannot be recorded is returned as it is, and a debug message says why.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, Callable[..., Any] | None] = {}

    def get(
        self, key: Hashable, fn: Callable[[Any, Any], Any], state: Any, tasks: Any
    ) -> Callable[[Any, Any], Any]:
        """Return a recording of `fn` for arguments of these shapes, or `fn`.

        Functions with one `key` compute the same.
        """
        key = (key, *map(_layout, tree_leaves((state, tasks))))
        if key not in self._made:
            if len(self._made) >= _MAX_RECORDINGS:
                return fn
            self._made[key] = _record(fn, state, tasks)
        return self._made[key] or fn


def _layout(x: Tensor) -> Hashable:
    return x.shape, x.stride(), x.dtype, x.device


def _record(
    fn: Callable[[Any, Any], Any], state: Any, tasks: Any
) -> Callable[[Any, Any], Any] | None:
    """Record a function, or return None if that is not possible."""
    like: list[Any] = []  # The result, for its structure.

    def on_leaves(*leaves: Tensor) -> tuple[Tensor, ...]:
        result = fn(*_unflatten((state, tasks), leaves))
        like.append(tree_map(lambda _: None, result))
        return tuple(tree_leaves(result))

    # What a function sets up in its first call is no part of the recording.
    fn(state, tasks)
    leaves = list(tree_leaves((state, tasks)))
    try:
        graph = simplify(make_fx(on_leaves)(*leaves), leaves)
    except Exception as error:  # Any module of a user's may refuse to be traced, for any reason.
        logger.debug("The gradient is not recorded, because tracing failed: %s", error)
        return None

    def replay(state: Any, tasks: Any) -> Any:
        with torch.no_grad():
            return _unflatten(like[0], graph.forward(*tree_leaves((state, tasks))))

    nudged = tree_map(lambda x: _NUDGE * x if x.is_floating_point() else x, state)
    tolerance = _TOLERANCE_OF_HALF if _has_half(graph) else None
    if not _is_close(replay(nudged, tasks), fn(nudged, tasks), tolerance):
        logger.debug(
            "The gradient is not recorded, because its recording differs from it. The backbone "
            "may branch on values, or draw random numbers."
        )
        return None
    return replay


def _unflatten(like: Any, leaves: Any) -> Any:
    each = iter(leaves)
    return tree_map(lambda _: next(each), like)


def _has_half(graph: torch.fx.GraphModule) -> bool:
    """Whether a graph converts tensors to half precision."""
    return any(n.kwargs.get("dtype") in (torch.bfloat16, torch.float16) for n in graph.graph.nodes)


def _is_close(result: Any, expected: Any, tolerance: float | None = None) -> bool:
    pairs = list(zip(tree_leaves(result), tree_leaves(expected), strict=True))
    error = sum(float((a.double() - b.double()).square().sum()) for a, b in pairs) ** 0.5
    size = sum(float(b.double().square().sum()) for _, b in pairs) ** 0.5
    if tolerance is None:
        tolerance = max(_TOLERANCE.get(b.dtype, 1e-2) for _, b in pairs)
    return bool(error <= tolerance * size)  # False for NaN, too.


# Operations whose result is a view of their first argument.
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        *("view.default", "_unsafe_view.default", "t.default", "transpose.int", "permute.default"),
        *("expand.default", "unsqueeze.default", "squeeze.dim", "squeeze.dims", "slice.Tensor"),
        *("select.int", "detach.default", "alias.default"),
    )
)

# Type, shape, strides and offset of a tensor.
_Layout = tuple[torch.dtype, torch.Size, tuple[int, ...], int]


class _Observer(fx.Interpreter):
    """Run a graph once, and note the layout of each result."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.layouts: dict[fx.Node, _Layout] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            offset = int(result.storage_offset())
            self.layouts[n] = result.dtype, result.shape, result.stride(), offset
        return result


def simplify(module: fx.GraphModule, arguments: Sequence[Tensor]) -> fx.GraphModule:
    """Simplify a graph of tensor operations in place, recorded with these arguments, and return it.

    An operation that was computed before, or that is a view computed before in another way, is not
    computed again; an inner step, a - (b * s), is one operation. Nothing is simplified if an
    operation writes into its argument or draws random numbers.
    """
    if any(n.is_impure() for n in module.graph.nodes if n.op == "call_function"):
        return module
    observer = _Observer(module)
    with torch.no_grad():
        observer.run(*arguments)
    layouts = observer.layouts
    # The tensor that a view is of, and what was computed before.
    roots: dict[fx.Node, fx.Node] = {}
    known: dict[Hashable, fx.Node] = {}
    for node in list(module.graph.nodes):
        if node.op not in ("get_attr", "call_function"):
            continue
        key: Hashable = (node.target, _freeze(node.args), _freeze(node.kwargs))
        same = node.args[0] if _is_identity(node) else known.get(key)
        if same is None and str(node.target) in _VIEWS and node in layouts:
            parent = node.args[0]
            root = roots.get(parent, parent)
            place = (root, layouts[node])
            same = root if layouts.get(root) == layouts[node] else known.get(place)
            if same is None:
                roots[node], known[place] = root, node
        if same is None:
            known[key] = node
        else:
            _replace(node, same)
    module.graph.eliminate_dead_code()
    for node in module.graph.nodes:
        _fuse_step(node, layouts)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _fuse_step(node: fx.Node, layouts: dict[fx.Node, _Layout]) -> None:
    """Compute an inner step, a - (b * s) with a number s, in one operation."""
    if str(node.target) != "aten.sub.Tensor" or len(node.args) != 2 or node.kwargs:
        return
    first, product = node.args
    if not isinstance(product, fx.Node) or str(product.target) != "aten.mul.Tensor":
        return
    last, factor = product.args
    if len(product.users) != 1 or not isinstance(first, fx.Node) or not isinstance(last, fx.Node):
        return
    dtypes = {layouts[n][0] if n in layouts else None for n in (first, last)}
    is_float = len(dtypes) == 1 and getattr(dtypes.pop(), "is_floating_point", False)
    if is_float and isinstance(factor, int | float):
        node.args, node.kwargs = (first, last), {"alpha": factor}


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
