"""Figures, and ticks of axes that mix numbers with other values."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional

BEST = "#c2185b"  # colour of the best candidate
_STEP = 0.17  # from one value that is no number to the next, as a share of the range of numbers


def subplots(width: float, height: float, **settings: Any) -> Any:
    """Return the axes of a new figure of a size in inches."""
    plt = import_optional("matplotlib.pyplot", "plot")
    return plt.subplots(figsize=(width, height), layout="constrained", **settings)[1]


def number_ticks(low: float, high: float, *, is_log: bool) -> list[tuple[float, str]]:
    """Return round numbers between two numbers, and their texts."""
    ticker = import_optional("matplotlib.ticker", "plot")
    round_steps = ticker.MaxNLocator(5, steps=[1, 2, 5, 10])
    locator = ticker.LogLocator(numticks=8) if is_log else round_steps
    room = 1e-9 * (high - low)
    inside = [v for v in locator.tick_values(low, high) if low - room <= v <= high + room]
    if is_log and len(inside) < 2:  # less than two decades
        return number_ticks(low, high, is_log=False)
    return [(v, f"$10^{{{round(np.log10(v))}}}$" if is_log else f"{v:.4g}") for v in inside]


def place_values(panel: Any, one: Any) -> Callable[[Any], float]:
    """Put numbers on the horizontal axis, and other values to the right of them.

    Parameters
    ----------
    panel : matplotlib Axes
        Its scale and ticks are set.
    one : Slice
        The values.

    Returns
    -------
    callable
        Returns the position of a value.
    """
    steps = _STEP * np.arange(1, len(one.values) + 1)
    ticks: list[tuple[float, str]] = []
    places: NDArray[np.floating[Any]] = steps
    if len(one.numbers):
        low, high = float(one.numbers[0]), float(one.numbers[-1])
        if one.is_log:
            panel.set_xscale("log")
            places = high * max(high / low, 10.0) ** steps
        else:
            places = high + ((high - low) or 1.0) * steps
        ticks = number_ticks(low, high, is_log=one.is_log)
    others = {_key(v): float(p) for v, p in zip(one.values, places, strict=True)}
    ticks += [(float(p), shorten(str(v))) for v, p in zip(one.values, places, strict=True)]
    panel.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    panel.minorticks_off()
    return lambda value: float(value) if is_number(value) else others[_key(value)]


def shorten(text: str, length: int = 16) -> str:
    """Return a text that is cut to a length."""
    return text if len(text) <= length else text[: length - 1] + "…"


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; a bool is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _key(value: Any) -> tuple[str, str]:
    return type(value).__name__, str(value)
