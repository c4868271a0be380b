"""Several processes that share a meta-training, as ``torchrun`` starts them."""

from __future__ import annotations

import atexit
import multiprocessing
import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from skmeta.backend._trees import tree_leaves, tree_map
from skmeta.exceptions import DistributedError

T = TypeVar("T")


class Ranks:
    """Processes that run the same program, each on its share of every meta-batch.

    All of them draw the same random numbers. Rank 0 also validates, writes checkpoints and shows
    progress.

    Parameters
    ----------
    rank : int, default=0
        Number of this process.
    size : int, default=1
        Number of processes. With 1 nothing is exchanged.

    Attributes
    ----------
    rank, size : int
        The parameters.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @classmethod
    def join(cls) -> Ranks:
        """Return the processes that ``torchrun`` started; one if it started none.

        A process group that the program has made itself is used as it is.

        Returns
        -------
        Ranks
            The processes.
        """
        if not dist.is_available():
            return cls()
        if not dist.is_initialized():
            if not _is_started_by_torchrun():
                return cls()
            # GPUs exchange gradients by NCCL; anything else goes by gloo.
            on_gpu = torch.cuda.is_available() and dist.is_nccl_available()
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
            atexit.register(_leave)
        return cls(dist.get_rank(), dist.get_world_size())

    def part(self, n: int) -> slice:
        """Return the share of this process of ``n`` tasks; shares differ by one at most.

        Parameters
        ----------
        n : int
            Number of tasks, at least one per process.

        Returns
        -------
        slice
            Positions of the tasks.

        Raises
        ------
        DistributedError
            If there are fewer tasks than processes.
        """
        if n < self.size:
            raise DistributedError(
                f"meta_batch_size={n} is less than the number of processes, {self.size}, so some "
                "would have no task. Raise meta_batch_size, or start fewer processes."
            )
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def weighted_sum(self, tree: Any, weight: float) -> Any:
        """Return the weighted sum of trees of tensors over all processes.

        Parameters
        ----------
        tree : tree of Tensor
            The tree of this process; all have the same structure.
        weight : float
            Weight of this process. Weights add up to 1.

        Returns
        -------
        tree of Tensor
            The same on every process.
        """
        if self.size == 1:
            return tree
        leaves: list[Tensor] = list(tree_leaves(tree))
        flat = torch.cat([weight * x.reshape(-1) for x in leaves])  # One message for all.
        dist.all_reduce(flat)
        pieces = iter(flat.split([x.numel() for x in leaves]))
        return tree_map(lambda x: next(pieces).reshape(x.shape).to(x.dtype), tree)

    def share(self, make: Callable[[], T]) -> T:
        """Compute something on rank 0 and give it to all.

        Parameters
        ----------
        make : callable
            Returns what can be pickled. It is called on rank 0 only.

        Returns
        -------
        object
            What it returned.

        Raises
        ------
        DistributedError
            On the other ranks, if it failed on rank 0, where the error itself is raised.
        """
        if self.size == 1:
            return make()
        box: list[Any] = [None, None]
        failure: Exception | None = None
        if self.is_first:
            try:
                box[0] = make()
            except Exception as error:  # Any: the other ranks would wait for ever.
                failure = error
                box = [None, f"{type(error).__name__}: {error}"]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        if failure is not None:
            raise failure
        if box[1] is not None:
            raise DistributedError(f"Rank 0 failed with {box[1]}")
        result: T = box[0]
        return result


def local_device() -> torch.device:
    """Return the GPU of this process: ``torchrun`` gives one to each process of a machine."""
    if not _is_started_by_torchrun():
        return torch.device("cuda")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.cuda.set_device(device)  # NCCL allocates on the current device.
    return device


def _is_started_by_torchrun() -> bool:
    # A worker process of joblib inherits the environment, but is no rank.
    is_child = multiprocessing.parent_process() is not None
    is_launched = dist.is_available() and dist.is_torchelastic_launched()
    return is_launched and not is_child and int(os.environ.get("WORLD_SIZE", "1")) > 1


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
