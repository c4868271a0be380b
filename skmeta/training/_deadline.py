"""A limit to the time of meta-training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Deadline:
    """A span of time.

    Parameters
    ----------
    seconds : float
        Its length.
    began : float, optional
        When it began, by :func:`time.perf_counter`; by default now.
    """

    def __init__(self, seconds: float, began: float | None = None) -> None:
        self.seconds = seconds
        self._began = time.perf_counter() if began is None else began

    def is_over(self) -> bool:
        """Return whether the time has passed."""
        return time.perf_counter() - self._began >= self.seconds

    def progress(self) -> float:
        """Return how far the second half has passed, from 0 to 1.

        A run that needs less than half of its time does not depend on the clock.
        """
        if self.seconds <= 0:
            return 1.0
        passed = (time.perf_counter() - self._began) / self.seconds
        return min(1.0, max(0.0, 2 * passed - 1))


_CURRENT: ContextVar[float | None] = ContextVar("seconds of a meta-training", default=None)
_BEGAN: ContextVar[float | None] = ContextVar("when a meta-training began", default=None)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Limit the time of each meta-training that begins within the context.

    The outer loop takes one step at least. As the end comes near, the schedule of the step size
    reaches its end too. An estimate in closed form before the loop, of a mixed-effects model, has a
    share of the time.

    Parameters
    ----------
    seconds : float or None
        Time of a meta-training; None is no limit.

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


@contextmanager
def shared_deadline() -> Iterator[None]:
    """Let all parts of the work within the context have one limit together.

    Yields
    ------
    None
        The context has no value.
    """
    token = _BEGAN.set(time.perf_counter())
    try:
        yield
    finally:
        _BEGAN.reset(token)


def start_deadline(share: float = 1.0) -> Deadline | None:
    """Return the deadline of a part of a meta-training.

    The time counts from the beginning of the meta-training, or from now outside of one.

    Parameters
    ----------
    share : float, default=1.0
        Share of the time after which this part ends.

    Returns
    -------
    Deadline or None
        None without a limit.
    """
    seconds = _CURRENT.get()
    return None if seconds is None else Deadline(share * seconds, _BEGAN.get())
