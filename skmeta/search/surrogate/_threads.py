"""How the linear algebra of a suggestion runs: in one thread, and underflow is zero.

Its matrices are so small that a second thread saves nothing. Where other programs use the
processors, waiting for that thread takes a hundred times as long as the work itself. Expected
improvements underflow, which is no error, whatever the user has set with ``np.seterr``.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

# The number of threads belongs to the process. If two searches in threads of their own changed it,
# the one that ends last would restore the limit of the other one.
_lock = threading.Lock()


@contextmanager
def with_one_thread() -> Iterator[None]:
    """Let BLAS use one thread in a function that this decorates, and underflow be zero.

    While one call has set the limit, other calls leave it as it is.
    """
    with np.errstate(under="ignore"):
        if not _lock.acquire(blocking=False):
            yield
            return
        try:
            with _controller().limit(limits=1, user_api="blas"):
                yield
        finally:
            _lock.release()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at all loaded libraries, which takes milliseconds
