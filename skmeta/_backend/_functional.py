"""A network as a pure function of its parameters and statistics."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from skmeta.backbones import CellNetwork, EpisodeBatchNorm


class PlainAttention:
    """Compute attention by products of matrices as long as a thread is inside this context.

    The fused kernels of torch have no second derivatives and no rules for :func:`torch.func.vmap`.
    The choice of kernels is one setting of the process, so threads are counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._stack = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                mha = torch.backends.mha
                self._stack.callback(mha.set_fastpath_enabled, mha.get_fastpath_enabled())
                mha.set_fastpath_enabled(False)
                self._stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._stack.close()


plain_attention = PlainAttention()


class AttentionSpy(TorchFunctionMode):
    """A context that sees whether attention is computed inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.has_attention = False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        self.has_attention |= "attention" in name or "multi_head" in name
        return func(*args, **(kwargs or {}))


logger = logging.getLogger(__name__)

State = dict[str, Tensor]
"""Named tensors: ``body.*`` weights, ``head.*``, ``stat.*`` normalisation statistics, ..."""


class Network:
    """Evaluate a module that maps (n_rows, *input_shape) to (n_rows, n_features).

    Dropout is inactive, so adaptation is a function of its arguments. Several threads may call it
    at once, because each has its own copy of the module. With `in_bfloat16`, only convolutions and
    products of matrices are computed in bfloat16.

    `n_flops` are those of one row's forward pass; `has_statistics` says whether there are batch
    normalisations, and `norm_weights` names their scales and shifts; `frozen` names the weights
    that require no gradient, which nothing changes; `cells` is the module if it is a network of
    cells, not to be changed.
    """

    n_features: int
    n_flops: int

    def __init__(
        self,
        module: nn.Module,
        input_shape: tuple[int, ...],
        device: torch.device,
        in_bfloat16: bool = False,
    ) -> None:
        self._local = threading.local()
        self._in_bfloat16, self._device_type = in_bfloat16, device.type
        module = module.eval()
        with AttentionSpy() as spy, plain_attention:
            self.n_features, self.n_flops = _features_and_flops(module, input_shape)
        self._attention = plain_attention if spy.has_attention else nullcontext()
        self._module = module.to(device)
        self._names = [n for n, _ in module.named_parameters()]
        self.frozen: frozenset[str] = frozenset(
            f"body.{n}" for n, p in module.named_parameters() if not p.requires_grad
        )
        self.cells: CellNetwork | None = module if isinstance(module, CellNetwork) else None
        self._statistics: State = {}
        self.norm_weights: list[str] = []
        for prefix, part in module.named_modules():
            if isinstance(part, EpisodeBatchNorm):
                dot = prefix + "." if prefix else ""
                self._statistics[dot + "mean"] = torch.zeros_like(part.mean)
                self._statistics[dot + "var"] = torch.ones_like(part.var)
                self.norm_weights += [f"body.{dot}weight", f"body.{dot}bias"]
        self.input_shape: tuple[int, ...] = tuple(input_shape)
        self.has_statistics: bool = bool(self._statistics)

    def with_module(self, module: nn.Module) -> Network:
        """Return another module as a network on the same device, in the same precision."""
        like = next(self._module.parameters())
        return Network(module.to(like.dtype), self.input_shape, like.device, self._in_bfloat16)

    @cached_property
    def n_kept(self) -> int:
        """Values that the forward pass of one row keeps for its backward pass."""
        like = next(self._module.parameters(), torch.zeros(()))
        # The values kept of the weights are the same for one row and for two.
        one, two = (_count_kept(self._module, like.new_zeros(n, *self.input_shape)) for n in (1, 2))
        return two - one

    @cached_property
    def can_vectorise(self) -> bool:
        """Return whether vmap can compute the gradients of several tasks at once.

        It knows no rule for some operations, such as those of ``nn.GRU``, and no branch that
        depends on values.
        """
        like = next(self._module.parameters(), torch.zeros(()))
        weights = self.initial_weights()

        def total(weights: State, x: Tensor) -> Tensor:
            return self.measure(weights, x)[0].sum()

        compute = torch.func.grad(total) if weights else total
        try:
            torch.func.vmap(compute, (None, 0))(weights, like.new_zeros(2, 2, *self.input_shape))
        except Exception as error:  # Any module of a user's may fail for any reason.
            logger.debug("The backbone cannot be vectorised over tasks: %s", error)
            return False
        return True

    def initial_weights(self) -> State:
        """Return the weights of the module, under names that begin with ``body.``."""
        return {f"body.{n}": p.detach().clone() for n, p in self._module.named_parameters()}

    def features(self, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return features of ``x`` (n_rows, *input_shape), normalised by ``state``."""
        values = {n: state[f"stat.{n}"] for n in self._statistics}
        return self._call(state, values, x, measure=False)

    def measure(self, state: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, State]:
        """Return features of ``x``, normalised by its own statistics, and these (``stat.*``)."""
        values = {n: v.to(x.dtype) for n, v in self._statistics.items()}
        features = self._call(state, values, x, measure=True)
        return features, {f"stat.{n}": values[n] for n in self._statistics}

    def _call(self, state: Mapping[str, Tensor], values: State, x: Tensor, measure: bool) -> Tensor:
        """Call the module with weights of ``state``; its statistics are read and written."""
        if not hasattr(self._local, "module"):
            # Weights are not copied, because each call has its own; nor are buffers, because a copy
            # that is made within torch.func.grad cannot be used after it.
            shared = {id(v): v for v in (*self._module.parameters(), *self._module.buffers())}
            module = copy.deepcopy(self._module, shared)
            self._local.module = module
            self._local.norms = [m for m in module.modules() if isinstance(m, EpisodeBatchNorm)]
        for part in self._local.norms:
            part.training = measure
        for name in self._names:
            values[name] = state[f"body.{name}"]
        # Without the cache of autocast, which knows nothing of the levels of torch.func.
        precision = (
            torch.autocast(self._device_type, torch.bfloat16, cache_enabled=False)
            if self._in_bfloat16
            else nullcontext()
        )
        with self._attention, precision:
            features: Tensor = torch.func.functional_call(self._local.module, values, x)
        return features.to(x.dtype)


def _features_and_flops(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the size of the output, and the operations of one row's forward pass."""
    weight = next(module.parameters(), None)
    if weight is None:
        # There are no products to count, and the counter imports much of torch.
        with torch.no_grad():
            return int(module(torch.zeros(1, *input_shape)).shape[1]), 0
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        out = module(torch.zeros(1, *input_shape, dtype=weight.dtype))
    return int(out.shape[1]), int(counter.get_total_flops())


def _count_kept(module: nn.Module, x: Tensor) -> int:
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.data_ptr()] = value.numel()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value), torch.enable_grad():
        module(x)
    return sum(kept.values())


# ---------------------------------------------------- trees: dicts, tuples and lists of tensors


def tree_map(fn: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to corresponding leaves of trees of the same structure.

    Leaves are all objects except dicts, tuples and lists.
    """
    if isinstance(tree, dict):
        return {k: tree_map(fn, v, *(other[k] for other in others)) for k, v in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [tree_map(fn, *leaves) for leaves in zip(tree, *others, strict=True)]
        # The constructor of a named tuple takes one argument per field.
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return fn(tree, *others)


def tree_leaves(tree: Any) -> Iterator[Any]:
    """Iterate over the leaves of a tree, in the order of :func:`tree_map`."""
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, tuple | list):
        yield tree
        return
    for part in tree:
        yield from tree_leaves(part)
