"""Compute many tasks: one by one, in threads, or vectorised."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial, reduce
from typing import Any

import torch
from joblib import effective_n_jobs
from torch import Tensor

from skmeta._backend._functional import tree_leaves, tree_map
from skmeta._backend._ranks import Ranks
from skmeta._backend._recording import Recorder
from skmeta._threads import one_thread

State = dict[str, Tensor]

MODES = ("auto", "loop", "threads", "vmap")

# Above this number of operations per task, one task keeps a CPU core busy, and a convolution under
# vmap is slower than a plain one. Below it, the cost of launching operations dominates.
_SMALL_FLOPS = 5e7


def _memory_budget(device: torch.device) -> float:
    """Return the bytes that the tasks of one chunk may take together."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory) / 2
    return float(2**30)


class Execution:
    """Apply a pure function to tasks. It is a context manager, because it may hold threads.

    Results do not depend on the number of threads: each thread computes whole tasks with one
    intra-op thread, and results are added in the order of the tasks.

    - mode: ``"auto"`` is vmap on a GPU and for small networks, threads for large ones on a CPU.
      Where it would be vmap, but `can_vectorise()` is false, it is loop.
    - flops_per_task, bytes_per_task: approximate cost, for ``"auto"`` and `chunk_size`.
    - n_jobs: counted as in joblib (-1: one per core); by default, the number of threads of torch.
    - chunk_size: tasks that ``"vmap"`` vectorises at once; by default as many as fit into half of
      a GPU's memory, or into 1 GiB on a CPU, by an estimate.
    - record: whether a gradient is recorded and repeated, which pays after some hundred calls.
    - ranks: processes that share the tasks of each mean; all of them call it with the same tasks.
    """

    def __init__(
        self,
        mode: str = "auto",
        *,
        device: torch.device,
        flops_per_task: float = 0.0,
        n_jobs: int | None = None,
        chunk_size: int | None = None,
        bytes_per_task: float = 0.0,
        can_vectorise: Callable[[], bool] = lambda: True,
        record: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        if mode == "vmap" and not can_vectorise():
            raise ValueError(
                "execution='vmap' is not possible with this backbone: torch.func.vmap has no rule "
                "for one of its operations, or a branch of it depends on values. Use "
                "execution='loop' or 'threads', or 'auto', which chooses what is possible."
            )
        self._ranks = ranks or Ranks()
        # Such operations are too small for more than one core of a CPU.
        self._is_small = device.type == "cpu" and flops_per_task <= _SMALL_FLOPS
        if mode == "auto":
            if self._is_small or device.type != "cpu":
                mode = "vmap" if can_vectorise() else "loop"
            else:
                mode = "threads"
        self.mode = mode
        self._recorder = Recorder(reuse=mode != "threads") if record else None
        self.n_threads: int = (
            torch.get_num_threads() if n_jobs is None else effective_n_jobs(n_jobs)
        )
        if chunk_size is None and bytes_per_task > 0:
            chunk_size = max(1, int(_memory_budget(device) // bytes_per_task))
        self.chunk_size = chunk_size
        self._pool: ThreadPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Execution:
        if self._is_small or self.mode == "threads":
            # Torch has one global number of threads. It is 1 as long as the pool exists.
            self._stack.enter_context(one_thread(None))
        if self.mode == "threads":
            self._pool = ThreadPoolExecutor(
                self.n_threads, "skmeta", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._stack.close()

    def map(self, fn: Callable[[Any], Any], tasks: Any) -> Any:
        """Return the results of all tasks (trees of tensors), stacked along axis 0."""
        if self.mode == "vmap":
            chunks = [torch.func.vmap(fn)(chunk) for chunk in self._slices(tasks)]
            return tree_map(lambda *parts: torch.cat(parts), *chunks)
        return tree_map(lambda *results: torch.stack(results), *self._map(fn, _each(tasks)))

    def gradient(
        self,
        fn: Callable[[dict[str, Tensor], Any], tuple[Tensor, Any]],
        state: State,
        tasks: Any,
        key: Hashable = None,
    ) -> tuple[State, Any]:
        """Return the gradient of a mean over tasks, and the mean of the second result.

        `fn` takes the state and one task; the gradient is zero for tensors that it does not depend
        on. Functions with one `key` compute the same, so a recording of one serves all; without a
        key, nothing is recorded. Vectorised tasks share one backward pass, outside
        :func:`torch.func.vmap`. It is faster than one gradient per task, and needs less memory.
        """
        state = {n: v.detach() for n, v in state.items()}

        def add_task(n_tasks: int, state: State, task: Any) -> tuple[State, Any]:
            leaves = {n: v.detach().requires_grad_() for n, v in state.items()}
            value, extra = fn(leaves, task)
            return _backward(value / n_tasks, leaves), tree_map(
                lambda x: x.detach() / n_tasks, extra
            )

        def add_chunk(n_tasks: int, state: State, chunk: Any) -> tuple[State, Any]:
            leaves = {n: v.detach().requires_grad_() for n, v in state.items()}
            values, extra = torch.func.vmap(partial(fn, leaves))(chunk)
            gradient = _backward(values.sum() / n_tasks, leaves)
            return gradient, tree_map(lambda x: x.detach().sum(0) / n_tasks, extra)

        gradient: tuple[State, Any] = self._mean(add_task, add_chunk, state, tasks, key)
        return gradient

    def mean(
        self, fn: Callable[[State, Any], Any], state: State, tasks: Any, key: Hashable = None
    ) -> Any:
        """Return the mean over tasks of a function of the state and a task.

        `key` is as for :meth:`gradient`.
        """

        def add_task(n_tasks: int, state: State, task: Any) -> Any:
            return tree_map(lambda x: x / n_tasks, fn(state, task))

        def add_chunk(n_tasks: int, state: State, chunk: Any) -> Any:
            results = torch.func.vmap(partial(fn, state))(chunk)
            return tree_map(lambda x: x.sum(0) / n_tasks, results)

        return self._mean(add_task, add_chunk, dict(state), tasks, key)

    def _mean(
        self,
        add_task: Callable[[int, State, Any], Any],
        add_chunk: Callable[[int, State, Any], Any],
        state: State,
        tasks: Any,
        key: Hashable,
    ) -> Any:
        """Add what tasks, or chunks of them, contribute to a mean over a number of tasks."""
        n_all = n_own = _n_tasks(tasks)
        if self._ranks.size > 1:
            own = self._ranks.part(n_all)
            n_own = own.stop - own.start
            # A process without a task computes the first one, for the structure of the result.
            tasks = tree_map(lambda x: x[own] if n_own else x[:1], tasks)
        fn, n_tasks = add_chunk, max(n_own, 1)
        if self.mode == "vmap":
            parts = list(self._slices(tasks))
        else:
            # With filters of another layout, each convolution would convert them.
            fn, parts, state = add_task, list(_each(tasks)), tree_map(channels_last, state)
        fn, key = partial(fn, n_tasks), None if key is None else (key, n_tasks)
        calls = [self._recorded(key, fn, state, part) for part in parts]
        sums = self._map(lambda call, part: call(state, part), calls, parts)
        mean = reduce(partial(tree_map, torch.add), sums)
        return mean if self._ranks.size == 1 else self._ranks.total(mean, n_own / n_all)

    def _map(self, fn: Callable[..., Any], *items: Iterable[Any]) -> Iterator[Any]:
        return map(fn, *items) if self._pool is None else self._pool.map(fn, *items)

    def _recorded(
        self, key: Hashable, fn: Callable[[State, Any], Any], state: State, tasks: Any
    ) -> Callable[[State, Any], Any]:
        if self._recorder is None or key is None:
            return fn
        if self._pool is None:
            return self._recorder.get(key, fn, state, tasks)
        # Recording is not safe beside other work, so it is waited for. It runs in a thread of the
        # pool, because memory that one thread frees is not used by others.
        return self._pool.submit(self._recorder.get, key, fn, state, tasks).result()

    def _slices(self, tasks: Any) -> Iterator[Any]:
        n_tasks = _n_tasks(tasks)
        size = self.chunk_size or n_tasks
        if size >= n_tasks:
            yield tasks
            return
        for start in range(0, n_tasks, size):
            yield tree_map(lambda x, start=start: x[start : start + size], tasks)


def _each(tasks: Any) -> Iterator[Any]:
    """Iterate over the tasks."""
    for i in range(_n_tasks(tasks)):
        yield tree_map(lambda x, i=i: channels_last(x[i]), tasks)


def channels_last(x: Tensor) -> Tensor:
    """Store images with channels last, which makes convolution and pooling on CPUs faster."""
    # Not `contiguous`, which leaves the strides of a single channel ambiguous.
    return x.to(memory_format=torch.channels_last) if x.dim() == 4 else x


def _backward(value: Tensor, leaves: State) -> State:
    gradient = torch.autograd.grad(
        value, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, gradient, strict=True))


def _n_tasks(tasks: Any) -> int:
    return int(next(tree_leaves(tasks)).shape[0])
