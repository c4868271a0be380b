"""Attention that can be differentiated twice and vectorised over tasks."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


class PlainAttention:
    """Compute attention by products of matrices as long as a thread is inside this context.

    The fused kernels of torch have no second derivatives and no rules for :func:`torch.func.vmap`.
    Which kernels are used is one setting of the process, and so threads are counted.
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
    """A context that sees whether attention is computed inside it.

    Attributes
    ----------
    has_attention : bool
        Whether it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.has_attention = False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        self.has_attention |= "attention" in name or "multi_head" in name
        return func(*args, **(kwargs or {}))
