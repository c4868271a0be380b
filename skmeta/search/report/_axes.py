"""Figures, and ticks of axes that mix numbers with other values."""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional

Array = NDArray[np.float64]
Ticks = list[tuple[float, str]]

BEST = "#c2185b"  # colour of the best candidate
_DECADES = 100.0  # an axis is logarithmic if its values span at least this ratio
_MOST_VALUE_TICKS, _MOST_CATEGORY_TICKS = 6, 16
_UNSET = "not set"


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


def shorten(text: str, length: int = 16) -> str:
    """Return a text that is cut to a length."""
    return text if len(text) <= length else text[: length - 1] + "…"


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; a bool does not count as one."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class ParameterAxis:
    """One parameter: where each candidate crosses its axis, from 0 (bottom) to 1 (top)."""

    name: str
    positions: Array
    ticks: Ticks


class Unset:
    """Stands for the value of a parameter that a candidate does not have."""


def make_axis(name: str, values: list[Any]) -> ParameterAxis:
    """Place numbers by their value, and categories below them."""
    numeric = np.array([is_number(value) for value in values])
    categories = _sorted_texts([v for v in values if not is_number(v)])
    n = len(categories)
    places = np.linspace(0.06, 0.94, n) if n > 1 else np.full(n, 0.5)
    if numeric.any():
        places = np.linspace(0.0, min(0.5, 0.11 * (n - 1)), n)
    at = dict(zip(categories, places.tolist(), strict=True))
    ticks = [(place, shorten(text)) for text, place in at.items()]
    if len(ticks) > _MOST_CATEGORY_TICKS:
        ticks = [ticks[0], ticks[-1]]
    positions = np.array([at.get(value_text(value), np.nan) for value in values])
    if numeric.any():
        numbers = np.array([v for v in values if is_number(v)], dtype=np.float64)
        bottom = float(places[-1]) + 0.16 if categories else 0.0
        positions[numeric], above = _place_numbers(numbers, bottom)
        ticks += above
    return ParameterAxis(name, positions, ticks)


def _place_numbers(numbers: Array, bottom: float) -> tuple[Array, Ticks]:
    low, high = float(numbers.min()), float(numbers.max())
    is_log = low > 0 and high >= _DECADES * low
    scale: Any = np.log10 if is_log else np.asarray

    def place(values: Any) -> Any:
        size = scale(high) - scale(low)
        share = (scale(values) - scale(low)) / size if size else np.full(np.shape(values), 0.5)
        return bottom + (1.0 - bottom) * share

    distinct = np.unique(numbers)
    shown = [(float(v), f"{v:.4g}") for v in distinct]
    if len(distinct) > _MOST_VALUE_TICKS:
        shown = number_ticks(low, high, is_log=is_log)
    return place(numbers), [(float(place(v)), text) for v, text in shown]


def _sorted_texts(values: list[Any]) -> list[str]:
    """Return the texts of categories, bottom up: not set, False, True, None, then sorted."""
    first = {_UNSET: 0, "False": 1, "True": 2, "None": 3}
    return sorted({value_text(v) for v in values}, key=lambda text: (first.get(text, 4), text))


def value_text(value: Any) -> str:
    if value is Unset:
        return _UNSET
    if isinstance(value, str):
        return value
    if is_number(value):
        return str(int(value)) if isinstance(value, Integral) else f"{float(value):.3g}"
    return " ".join(repr(value).split())
