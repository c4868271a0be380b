"""Processes that share a meta-training, as ``torchrun`` starts them.

All of them run the same program and draw the same random numbers. Each computes its share of every
batch of tasks; the sums of all are the same numbers on every process.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from skmeta._backend._functional import tree_leaves, tree_map

T = TypeVar("T")


class Ranks:
    """The processes of a meta-training: number ``rank`` of ``size``; one of one by default."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank: int = rank
        self.size: int = size

    @classmethod
    def join(cls) -> Ranks:
        """Return the processes that ``torchrun`` or the program itself started."""
        if not dist.is_available():
            return cls()
        if not dist.is_initialized():
            if not _is_started_by_torchrun():
                return cls()
            on_gpu = torch.cuda.is_available() and dist.is_nccl_available()
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
            atexit.register(_leave)
        return cls(dist.get_rank(), dist.get_world_size())

    def part(self, n: int) -> slice:
        """Return the positions of this process's share of ``n`` tasks."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def total(self, tree: Any, weight: float) -> Any:
        """Return the weighted sum of the trees of tensors of all processes."""
        leaves = list(tree_leaves(tree))
        # One message for all. Without tasks of its own, a process adds zeros, and never NaN.
        flat = torch.cat(
            [(weight * x if weight else torch.zeros_like(x)).flatten() for x in leaves]
        )
        _exchange(dist.all_reduce, flat)
        pieces = iter(flat.split([x.numel() for x in leaves]))
        return tree_map(lambda x: next(pieces).reshape(x.shape).to(x.dtype), tree)

    def from_first(self, make: Callable[[], T]) -> T:
        """Call a function on rank 0 and give what it returns, or its error, to all."""
        if self.size == 1:
            return make()
        box: list[Any] = [None, None]
        if self.rank == 0:
            try:
                box[0] = make()
            except Exception as error:  # Any: the other processes would wait for ever.
                box[1] = error
        _exchange(dist.broadcast_object_list, box, device=torch.device("cpu"))
        if box[1] is not None:
            raise box[1]
        result: T = box[0]
        return result


def local_gpu() -> torch.device:
    """Return the GPU of this process; ``torchrun`` starts one process for each."""
    if not _is_started_by_torchrun():
        return torch.device("cuda")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.cuda.set_device(device)  # NCCL allocates on the current device.
    return device


def _exchange(send: Callable[..., Any], what: Any, **options: Any) -> None:
    try:
        send(what, **options)
    except RuntimeError as error:
        why = str(error).splitlines()[0][:200]
        raise RuntimeError(
            "Another process of this meta-training has ended, and so this one ends too. Start all "
            "of them again: with a checkpoint, the training goes on from the last file that was "
            f"written. (torch.distributed: {why})"
        ) from None


def _is_started_by_torchrun() -> bool:
    # A worker process of joblib inherits the environment, but is no rank.
    is_child = multiprocessing.parent_process() is not None
    is_launched = dist.is_available() and dist.is_torchelastic_launched()
    return is_launched and not is_child and int(os.environ.get("WORLD_SIZE", "1")) > 1


def _leave() -> None:
    # If another process has ended, there is nobody to say goodbye to.
    with suppress(RuntimeError):
        dist.destroy_process_group()
