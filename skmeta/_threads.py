"""Threads: one computes small data, and one at a time changes an estimator.

Dividing small operations among threads costs more than it saves. On a busy machine the cost is much
higher, because threads wait for each other at each operation.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, wraps
from typing import Any

from threadpoolctl import ThreadpoolController

# Arrays of fewer numbers are small. With two million, two threads took longer than one.
_MANY_NUMBERS = 5_000_000

# The number of threads belongs to the process. If two calls in threads of their own changed it, the
# one that ends last would restore the limit of the other one.
_lock = threading.Lock()


@contextmanager
def one_thread(libraries: str | None = "all") -> Iterator[None]:
    """Compute in one thread, also with torch if it is loaded; a call within another has no effect.

    `libraries` are others that use one thread: BLAS and OpenMP (all), BLAS, or none.
    """
    if not _lock.acquire(blocking=False):
        yield
        return
    torch: Any = sys.modules.get("torch")
    # Another thread may be importing it.
    set_threads = getattr(torch, "set_num_threads", None)
    n_threads = torch.get_num_threads() if set_threads else 0
    try:
        if set_threads:
            set_threads(1)
        user_api = None if libraries == "all" else libraries
        limits = _controller(len(sys.modules)).limit(limits=1, user_api=user_api)
        with nullcontext() if libraries is None else limits:
            yield
    finally:
        if set_threads:
            set_threads(n_threads)
        _lock.release()


def one_thread_if_small(n_numbers: int) -> AbstractContextManager[None]:
    """Compute in one thread if the largest array has few numbers."""
    return one_thread() if n_numbers < _MANY_NUMBERS else nullcontext()


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    """Look at all loaded libraries, which takes milliseconds; again if modules were imported."""
    return ThreadpoolController()


def atomic(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a fit: one thread at a time, and after an error the estimator is as it was."""

    @wraps(method)
    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The method `__getstate__` leaves the lock out.
        with vars(self).setdefault("_lock", threading.RLock()):
            before = dict(vars(self))
            try:
                return method(self, *args, **kwargs)
            except BaseException:
                vars(self).update(before)
                for name in vars(self).keys() - before.keys():
                    del vars(self)[name]
                raise

    return changed
