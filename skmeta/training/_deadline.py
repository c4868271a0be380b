"""A limit to the time of meta-training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from skmeta.backend import Ranks


class Deadline:
    """A span of time that began when this object was made.

    Parameters
    ----------
    seconds : float
        Its length.
    ranks : Ranks
        Processes that run the loop together, by the clock of rank 0.
    """

    def __init__(self, seconds: float, ranks: Ranks | None = None) -> None:
        self.seconds = seconds
        self._ranks = ranks or Ranks()
        self._began = time.perf_counter()

    def is_over(self) -> bool:
        """Return whether the time has passed."""
        return self._ranks.share(lambda: time.perf_counter() - self._began >= self.seconds)

    def progress(self) -> float:
        """Return how far the second half has passed, from 0 to 1.

        A run that needs less than half of its time does not depend on the clock.
        """
        if self.seconds <= 0:
            return 1.0
        seconds = self._ranks.share(lambda: time.perf_counter() - self._began)
        passed = seconds / self.seconds
        return min(1.0, max(0.0, 2 * passed - 1))


_CURRENT: ContextVar[float | None] = ContextVar("seconds of a meta-training", default=None)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Limit the time of each outer loop that begins within the context.

    The loop takes one step at least. As the end comes near, the schedule of the step size reaches
    its end too. Estimates in closed form, of a mixed-effects model, have the same limit each.

    Parameters
    ----------
    seconds : float or None
        Time of a loop; None is no limit.

    Yields
    ------
    None
        The context has no value.
    """
    token = _CURRENT.set(seconds)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def start_deadline(ranks: Ranks | None = None) -> Deadline | None:
    """Return the deadline of a loop that begins now.

    Parameters
    ----------
    ranks : Ranks, optional
        The processes that share the loop; all of them end at the same time.

    Returns
    -------
    Deadline or None
        None without a limit.
    """
    seconds = _CURRENT.get()
    return None if seconds is None else Deadline(seconds, ranks)
