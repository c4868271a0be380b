"""Compute many tasks: one by one, in threads, or vectorised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Any

import torch
from joblib import effective_n_jobs
from torch import Tensor

from skmeta.backend._trees import tree_leaves, tree_map

MODES = ("auto", "loop", "threads", "vmap")

# Above this number of operations per task, one task keeps a CPU core busy, and a convolution under
# vmap is slower than a plain one. Below it, the cost of launching operations dominates.
_SMALL_FLOPS = 5e7


def _is_small(flops: float, device: torch.device) -> bool:
    """Return whether operations of a task are too small for more than one core of a CPU."""
    return device.type == "cpu" and flops <= _SMALL_FLOPS


@contextmanager
def _one_intra_op_thread() -> Iterator[None]:
    """Keep torch from dividing small operations among threads, which costs more than it saves.

    On a busy machine the cost is much higher, because threads wait for each other at each
    operation.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


class Execution:
    """Apply a pure function to tasks. It is a context manager, because it may hold threads.

    Results do not depend on the number of threads: each thread computes whole tasks with one
    intra-op thread, and results are added in the order of the tasks.

    Parameters
    ----------
    mode : {"auto", "loop", "threads", "vmap"}, default="auto"
        ``"auto"`` is vmap on a GPU and for small networks, threads for large ones on a CPU.
    device : torch.device
        Device of the tasks.
    flops_per_task : float
        Approximate cost of one task, for ``"auto"``.
    n_jobs : int, optional
        Number of threads of mode ``"threads"``, counted as in joblib (-1: one per core). By
        default, the number of threads of torch.
    chunk_size : int, optional
        Number of tasks that ``"vmap"`` vectorises at once, to bound the memory; by default all.
    """

    def __init__(
        self,
        mode: str = "auto",
        *,
        device: torch.device,
        flops_per_task: float = 0.0,
        n_jobs: int | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self._is_small = _is_small(flops_per_task, device)
        if mode == "auto":
            mode = "vmap" if self._is_small or device.type != "cpu" else "threads"
        self.mode = mode
        self.n_threads = torch.get_num_threads() if n_jobs is None else effective_n_jobs(n_jobs)
        self.chunk_size = chunk_size
        self._pool: ThreadPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Execution:
        if self._is_small or self.mode == "threads":
            # Torch has one global number of threads. It is 1 as long as the pool exists.
            self._stack.enter_context(_one_intra_op_thread())
        if self.mode == "threads":
            self._pool = ThreadPoolExecutor(
                self.n_threads, "skmeta", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._stack.close()

    def map(self, fn: Callable[[Any], Any], tasks: Any) -> Any:
        """Return the results of all tasks, stacked along a new first axis.

        Parameters
        ----------
        fn : callable
            Takes one task (a tree of tensors), returns a tree of tensors.
        tasks : tree of tensors
            The tasks, stacked along axis 0.

        Returns
        -------
        tree of tensors
            What ``fn`` returns, stacked along axis 0.
        """
        chunks = list(self._chunks(fn, tasks))
        return tree_map(lambda *parts: torch.cat(parts), *chunks)

    def mean(self, fn: Callable[[Any], Any], tasks: Any) -> Any:
        """Return the mean result over the tasks, which needs the memory of a few of them.

        Parameters
        ----------
        fn : callable
            Takes one task (a tree of tensors), returns a tree of tensors.
        tasks : tree of tensors
            The tasks, stacked along axis 0.

        Returns
        -------
        tree of tensors
            A tree like that of ``fn``.
        """
        total: Any = None
        for chunk in self._chunks(fn, tasks):
            part = tree_map(lambda x: x.sum(0), chunk)
            total = part if total is None else tree_map(torch.add, total, part)
        n_tasks = _n_tasks(tasks)
        return tree_map(lambda x: x / n_tasks, total)

    def gradient(
        self,
        fn: Callable[[dict[str, Tensor], Any], tuple[Tensor, Any]],
        state: Mapping[str, Tensor],
        tasks: Any,
    ) -> tuple[dict[str, Tensor], Any]:
        """Return the gradient of the mean of a function over the tasks.

        Vectorised tasks share one backward pass, outside :func:`torch.func.vmap`. It is faster
        than one gradient per task, and needs less memory.

        Parameters
        ----------
        fn : callable
            Takes the state and one task, returns a scalar and a tree of tensors.
        state : mapping of str to Tensor
            The point of the gradient.
        tasks : tree of tensors
            The tasks, stacked along axis 0.

        Returns
        -------
        gradient : dict of Tensor
            Tensors like those of ``state``; zero if ``fn`` does not depend on a tensor.
        extra : tree of tensors
            Mean of the trees that ``fn`` returned.
        """
        leaves = {n: v.detach().requires_grad_() for n, v in state.items()}

        def of_one(task: Any) -> tuple[dict[str, Tensor], Any]:
            value, extra = fn(leaves, task)
            return _backward(value, leaves), tree_map(torch.detach, extra)

        if self.mode != "vmap":
            mean: tuple[dict[str, Tensor], Any] = self.mean(of_one, tasks)
            return mean
        total: Any = None
        for values, extra in self._chunks(partial(fn, leaves), tasks):
            part = _backward(values.sum(), leaves), tree_map(lambda x: x.detach().sum(0), extra)
            total = part if total is None else tree_map(torch.add, total, part)
        n_tasks = _n_tasks(tasks)
        gradient, extra = tree_map(lambda x: x / n_tasks, total)
        return gradient, extra

    def _chunks(self, fn: Callable[[Any], Any], tasks: Any) -> Iterator[Any]:
        n_tasks = _n_tasks(tasks)
        if self.mode == "vmap":
            size = self.chunk_size or n_tasks
            for start in range(0, n_tasks, size):
                chunk = slice(start, start + size)
                yield torch.func.vmap(fn)(tree_map(lambda x, chunk=chunk: x[chunk], tasks))
        else:
            each = (tree_map(lambda x, i=i: channels_last(x[i]), tasks) for i in range(n_tasks))
            results = self._pool.map(fn, each) if self._pool is not None else map(fn, each)
            for result in results:
                yield tree_map(lambda x: x.unsqueeze(0), result)


def channels_last(x: Tensor) -> Tensor:
    """Store images with channels last, which makes convolution and pooling on CPUs faster."""
    # Not `contiguous`, which leaves the strides of a single channel ambiguous.
    return x.to(memory_format=torch.channels_last) if x.dim() == 4 else x


def _backward(value: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    gradient = torch.autograd.grad(
        value, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, gradient, strict=True))


def _n_tasks(tasks: Any) -> int:
    return int(next(tree_leaves(tasks)).shape[0])
