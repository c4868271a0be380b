"""Numbers of threads of small computations."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

# Arrays of fewer numbers are small. With two million, two threads took longer than one.
_MANY_NUMBERS = 5_000_000


@contextmanager
def one_intra_op_thread() -> Iterator[None]:
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


@contextmanager
def one_thread_if_small(n_numbers: int) -> Iterator[None]:
    """Compute in one thread if the data have few numbers, with BLAS, OpenMP and torch.

    Parameters
    ----------
    n_numbers : int
        Size of the largest array.
    """
    if n_numbers >= _MANY_NUMBERS:
        yield
        return
    with one_intra_op_thread(), threadpool_limits(1):
        yield
