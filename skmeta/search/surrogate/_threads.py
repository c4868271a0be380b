"""How the linear algebra of a suggestion runs: in one thread, and underflow is zero.

Its matrices are so small that a second thread saves nothing. Where other programs use the
processors, waiting for that thread takes a hundred times as long as the work itself. Expected
improvements underflow, which is no error, whatever the user has set with ``np.seterr``.
"""

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar, cast

import numpy as np
from threadpoolctl import ThreadpoolController

F = TypeVar("F", bound=Callable[..., Any])

# The number of threads belongs to the process. If two searches in threads of their own changed it,
# the one that ends last would restore the limit of the other one.
_lock = threading.Lock()


def with_one_thread(function: F) -> F:
    """Decorate a function so that BLAS uses one thread while it runs, and underflow is zero.

    While one call has set the limit, other calls leave it as it is.
    """

    @wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        if not _lock.acquire(blocking=False):
            with np.errstate(under="ignore"):
                return function(*args, **kwargs)
        try:
            with _controller().limit(limits=1, user_api="blas"), np.errstate(under="ignore"):
                return function(*args, **kwargs)
        finally:
            _lock.release()

    return cast("F", limited)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at all loaded libraries, which takes milliseconds
