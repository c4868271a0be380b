"""Numbers of threads of small computations."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from threadpoolctl import threadpool_limits

# Arrays of fewer numbers are small. With two million, two threads took longer than one.
_MANY_NUMBERS = 5_000_000

# The number of threads belongs to the process. If two fits in threads of their own changed it, the
# one that ends last would restore the limit of the other one.
_lock = threading.Lock()


@contextmanager
def one_thread(with_libraries: bool = False) -> Iterator[None]:
    """Keep torch from dividing small operations among threads, which costs more than it saves.

    On a busy machine the cost is much higher, because threads wait for each other at each
    operation. While one call has set the limit, other calls leave it as it is.

    Parameters
    ----------
    with_libraries : bool, default=False
        Whether BLAS and OpenMP use one thread, too.
    """
    if not _lock.acquire(blocking=False):
        yield
        return
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1) if with_libraries else nullcontext():
            yield
    finally:
        torch.set_num_threads(n_threads)
        _lock.release()


def one_thread_if_small(n_numbers: int) -> AbstractContextManager[None]:
    """Compute in one thread if the data have few numbers, with BLAS, OpenMP and torch.

    Parameters
    ----------
    n_numbers : int
        Size of the largest array.
    """
    return one_thread(with_libraries=True) if n_numbers < _MANY_NUMBERS else nullcontext()
