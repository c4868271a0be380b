"""An axis with numbers on the left and other values on the right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.plotting._parallel import linear_ticks, log_ticks
from skmeta.search.analysis import Slice

__all__ = ["ValueAxis"]

Array = NDArray[np.float64]

_ROOM = 0.16  # of the axis, for each value that is no number
_MOST_ROOM = 0.5
_GAP = 0.06


class ValueAxis:
    """Maps the values of a parameter to positions from 0 to 1.

    Parameters
    ----------
    values : Slice
        Gives the numbers, whether they are on a log scale, and the other values.

    Attributes
    ----------
    numbers : ndarray
        Positions of the numbers.
    places : ndarray
        Positions of the other values.
    ticks : list of tuple of (float, str)
        Positions and texts.
    """

    def __init__(self, values: Slice) -> None:
        n_others = len(values.values)
        has_numbers = len(values.numbers) > 0
        room = min(_MOST_ROOM, _ROOM * n_others) if has_numbers else 1.0
        self._end = 1.0 - room - (_GAP if n_others else 0.0) if has_numbers else 0.0
        self._is_log = bool(values.is_log and has_numbers and values.numbers[0] > 0)
        self._low, self._high = 0.0, 1.0
        if has_numbers:
            self._low, self._high = self._scale(values.numbers[[0, -1]]).tolist()
        self.numbers = self.place(values.numbers)
        step = room / max(n_others, 1)
        self.places = 1.0 - room + step * (np.arange(n_others) + 0.5)
        self.width = step
        self._at = {_key(v): p for v, p in zip(values.values, self.places, strict=True)}
        self.ticks = self._number_ticks() if has_numbers else []
        self.ticks += [
            (float(p), _short(str(v))) for p, v in zip(self.places, values.values, strict=True)
        ]

    def place(self, numbers: Any) -> Array:
        """Return the positions of numbers."""
        scaled = self._scale(np.asarray(numbers, dtype=np.float64))
        if self._high <= self._low:
            return np.full(scaled.shape, self._end / 2)
        return np.asarray(self._end * (scaled - self._low) / (self._high - self._low))

    def place_value(self, value: Any) -> float:
        """Return the position of any value; NaN if the axis does not have it."""
        if _key(value) in self._at:
            return float(self._at[_key(value)])
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(self.place([value])[0]) if is_number and self._end > 0 else math.nan

    def set_ticks(self, axis: Any) -> None:
        """Write the ticks on an axis of matplotlib."""
        axis.set_ticks([p for p, _ in self.ticks], [text for _, text in self.ticks])

    def blocks(self) -> list[tuple[slice, Array]]:
        """Return the parts of the axis: which values, and the edges of their cells."""
        n = len(self.numbers)
        parts: list[tuple[slice, Array]] = []
        if n:
            inner = (self.numbers[1:] + self.numbers[:-1]) / 2
            ends = (0.0, self._end) if n > 1 else (0.0, max(self._end, 0.05))
            parts.append((slice(0, n), np.array([ends[0], *inner, ends[1]])))
        for k, place in enumerate(self.places):
            edges = np.array([place - 0.4 * self.width, place + 0.4 * self.width])
            parts.append((slice(n + k, n + k + 1), edges))
        return parts

    def _scale(self, numbers: Array) -> Array:
        return np.log10(numbers) if self._is_log else numbers

    def _number_ticks(self) -> list[tuple[float, str]]:
        if self._high <= self._low:
            value = 10**self._low if self._is_log else self._low
            return [(self._end / 2, f"{value:.4g}")]
        ticks = log_ticks(self._low, self._high) if self._is_log else []
        if len(ticks) < 2:  # less than two decades
            ticks = linear_ticks(*((10**v if self._is_log else v) for v in (self._low, self._high)))
            return [(float(self.place([value])[0]), text) for value, text in ticks]
        span = self._high - self._low
        return [(self._end * (value - self._low) / span, text) for value, text in ticks]


def _key(value: Any) -> tuple[str, str]:
    return type(value).__name__, str(value)


def _short(text: str, length: int = 14) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
