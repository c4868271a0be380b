"""Parallel coordinates: one axis per parameter, one line per candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional

__all__ = ["ParameterAxis", "draw_parallel", "linear_ticks", "log_ticks", "parameter_axes"]

Array = NDArray[np.float64]

# An axis is logarithmic if its values span at least this ratio.
_DECADES = 100.0
_MOST_VALUE_TICKS = 6
_MOST_CATEGORY_TICKS = 16
# Lines of a category fan out over this much of the axis, where there is room.
_FAN = 0.07
_UNSET = "not set"
_BEST = "#c2185b"


@dataclass(frozen=True)
class ParameterAxis:
    """One parameter: where each candidate crosses its axis, from 0 (bottom) to 1 (top)."""

    name: str
    scale: str  # "linear", "log" or "categories"; numbers may have categories below them
    positions: Array
    ticks: tuple[tuple[float, str], ...]


def parameter_axes(params: Sequence[Mapping[str, Any]], scores: Array) -> list[ParameterAxis]:
    """Return the axes of the parameters that vary, or of all if none does."""
    names = list(dict.fromkeys(name for candidate in params for name in candidate))
    columns = {n: [candidate.get(n, _Unset) for candidate in params] for n in names}
    varying = [n for n in names if len({_text(v) for v in columns[n]}) > 1]
    ranks = np.argsort(np.argsort(np.nan_to_num(scores, nan=-np.inf), kind="stable"))
    return [_make_axis(name, columns[name], ranks) for name in varying or names]


class _Unset:
    """Stands for the value of a parameter that a candidate does not have."""


def _make_axis(name: str, values: list[Any], ranks: NDArray[np.intp]) -> ParameterAxis:
    numeric = np.array([_is_number(value) for value in values])
    categories = _categories([v for v, number in zip(values, numeric, strict=True) if not number])
    numbers = np.array(
        [v for v, number in zip(values, numeric, strict=True) if number], dtype=float
    )
    positions = np.empty(len(values))
    places = _places(len(categories), bool(numeric.any()))
    step = places[1] - places[0] if len(places) > 1 else 0.25
    for category, place in zip(categories, places, strict=True):
        of = np.flatnonzero([_text(v) == category for v in values] & ~numeric)
        positions[of] = place + _fan(ranks[of], min(_FAN, 0.7 * step))
    ticks = [(float(p), _short(c)) for p, c in zip(places, categories, strict=True)]
    scale = "categories"
    if len(ticks) > _MOST_CATEGORY_TICKS:
        ticks = [ticks[0], ticks[-1]]
    if numeric.any():
        bottom = float(places[-1]) + 0.16 if categories else 0.0
        scale, positions[numeric], above = _number_axis(numbers, bottom)
        ticks += above
        positions[numeric] = _fan_out_few(positions[numeric], ranks[numeric])
    return ParameterAxis(name, scale, positions, tuple(ticks))


def _places(n_categories: int, with_numbers: bool) -> Array:
    if with_numbers:  # at the bottom, the numbers above
        return np.linspace(0.0, min(0.5, 0.11 * (n_categories - 1)), n_categories)
    if n_categories == 1:
        return np.array([0.5])
    return np.linspace(0.06, 0.94, n_categories)


def _fan(ranks: NDArray[np.intp], width: float) -> Array:
    """Return the offsets of a category's lines; better candidates are higher."""
    order = np.argsort(np.argsort(ranks))
    return (order - (len(ranks) - 1) / 2) / max(len(ranks) - 1, 1) * width


def _fan_out_few(positions: Array, ranks: NDArray[np.intp]) -> Array:
    """Spread the lines through each value, if the number of values is small."""
    distinct = np.unique(positions)
    if len(distinct) > _MOST_VALUE_TICKS:
        return positions
    width = min(_FAN, 0.7 * float(np.diff(distinct).min(initial=1.0)))
    spread = positions.copy()
    for place in distinct:
        of = positions == place
        spread[of] += _fan(ranks[of], width)
    return spread


def _number_axis(numbers: Array, bottom: float) -> tuple[str, Array, list[tuple[float, str]]]:
    log = numbers.min() > 0 and numbers.max() >= _DECADES * numbers.min()
    values, ticks = (np.log10(numbers), log_ticks) if log else (numbers, linear_ticks)
    low, high = float(values.min()), float(values.max())

    def place(v: Any) -> Any:
        at = (np.asarray(v) - low) / (high - low) if high > low else np.full(np.shape(v), 0.5)
        return bottom + (1.0 - bottom) * at

    distinct = np.unique(values)
    if len(distinct) <= _MOST_VALUE_TICKS:
        shown = [(float(place(v)), f"{10**v if log else v:.4g}") for v in distinct]
    else:
        shown = [(float(place(v)), text) for v, text in ticks(low, high)]
    return "log" if log else "linear", place(values), shown


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return positions and texts of the powers of ten between two decimal logarithms."""
    decades = np.arange(np.ceil(low - 1e-9), np.floor(high + 1e-9) + 1)
    every = int(np.ceil(len(decades) / _MOST_VALUE_TICKS))
    return [(float(d), f"$10^{{{int(d)}}}$") for d in decades if d % every == 0]


def linear_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return positions and texts of round numbers between two numbers."""
    ticker = import_optional("matplotlib.ticker", "plot")
    values = ticker.MaxNLocator(5).tick_values(low, high)
    inside = [v for v in values if low - 1e-12 <= v <= high + 1e-12]
    return [(float(v), f"{v:.4g}") for v in inside]


def _categories(values: list[Any]) -> list[str]:
    """Return the texts of the categories, bottom up: not set, False, True, None, then sorted."""
    first = {_UNSET: 0, "False": 1, "True": 2, "None": 3}
    return sorted({_text(v) for v in values}, key=lambda text: (first.get(text, 4), text))


def _is_number(value: Any) -> bool:
    is_bool = isinstance(value, (bool, np.bool_))
    return isinstance(value, Real) and not is_bool and math.isfinite(value)


def _text(value: Any) -> str:
    if value is _Unset:
        return _UNSET
    if isinstance(value, str):
        return value
    if _is_number(value):
        return str(int(value)) if isinstance(value, Integral) else repr(float(value))
    return " ".join(repr(value).split())


def _short(text: str, length: int = 16) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# -- drawing -----------------------------------------------------------------------------------


def draw_parallel(
    ax: Any,
    params: Sequence[Mapping[str, Any]],
    scores: Array,
    *,
    floor: float,
    label: str,
    cmap: Any,
) -> Any:
    """Draw the candidates through their parameters' axes to their scores.

    Parameters
    ----------
    ax : matplotlib Axes or None
    params : sequence of dict
    scores : ndarray of shape (n_candidates,)
    floor : float
        All scores at or below this value have the same colour and place.
    label : str
        Name of the scores.
    cmap : str or matplotlib Colormap

    Returns
    -------
    ax : matplotlib Axes
    """
    plt = import_optional("matplotlib.pyplot", "plot")
    axes = parameter_axes(params, scores)
    if ax is None:
        size = (max(5.0, 1.6 * len(axes) + 2.2), 4.6)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    heights = _score_heights(scores, floor)
    crossings = np.column_stack([*(axis.positions for axis in axes), heights])
    # The palest colours of a map are hard to see on white.
    colors = _without_pale_end(plt.get_cmap(cmap))
    _draw_lines(ax, crossings, heights, colors)
    for x, axis in enumerate(axes):
        ax.plot([x, x], [0, 1], color="0.25", linewidth=1, zorder=5)
        _write_ticks(ax, x, axis.ticks)
    _draw_score_axis(ax, len(axes), scores, floor, label, colors)
    _dress(ax, [axis.name for axis in axes], label)
    if np.isfinite(scores).any():
        _write_best(ax, [axis.name for axis in axes], params, scores)
    return ax


def _without_pale_end(cmap: Any) -> Any:
    colors = import_optional("matplotlib.colors", "plot")
    return colors.ListedColormap(cmap(np.linspace(0.15, 1.0, 256)))


def _score_heights(scores: Array, floor: float) -> Array:
    """Return the height of each score on its axis; failed candidates are below it."""
    top = np.nanmax(scores) if np.isfinite(scores).any() else floor
    if top <= floor:
        return np.where(np.isnan(scores), -0.07, 0.5)
    return np.where(np.isnan(scores), -0.07, np.clip((scores - floor) / (top - floor), 0.0, 1.0))


def _draw_lines(ax: Any, crossings: Array, heights: Array, cmap: Any) -> None:
    """Return the drawing order: failed candidates first, then from the worst to the best."""
    collections = import_optional("matplotlib.collections", "plot")
    n = len(crossings)
    if not n:
        return
    order = np.argsort(heights, kind="stable")
    lines = _curves(crossings)
    failed = heights[order] < 0
    colors = cmap(np.clip(heights[order], 0, 1))
    colors[:, 3] = np.clip(60 / n, 0.12, 0.85)
    colors[failed] = (0.6, 0.6, 0.6, float(np.clip(30 / n, 0.1, 0.5)))
    width = float(np.clip(40 / n, 0.7, 1.6))
    ax.add_collection(
        collections.LineCollection(lines[order], colors=colors, linewidths=width, zorder=2)
    )
    if heights.max() >= 0:
        best = lines[int(np.argmax(heights))]
        ax.plot(*best.T, color="white", linewidth=4.5, zorder=6)
        ax.plot(*best.T, color=_BEST, linewidth=2.5, zorder=7, label="best")


def _curves(crossings: Array, n_points: int = 24) -> NDArray[np.float64]:
    """Return curves that are perpendicular to the axes, which makes them easier to follow."""
    t = np.linspace(0, 1, n_points)
    ease = t * t * (3 - 2 * t)
    left, right = crossings[:, :-1, None], crossings[:, 1:, None]
    y = (left + (right - left) * ease).reshape(len(crossings), -1)
    x = (np.arange(crossings.shape[1] - 1)[:, None] + t).ravel()
    return np.stack([np.broadcast_to(x, y.shape), y], axis=-1)


def _write_ticks(
    ax: Any, x: float, ticks: Sequence[tuple[float, str]], right: bool = False
) -> None:
    effects = import_optional("matplotlib.patheffects", "plot")
    halo = [effects.withStroke(linewidth=3, foreground="white", alpha=0.85)]
    side, shift = ("left", 6) if right else ("right", -5)
    for y, text in ticks:
        ax.plot([x - 0.012, x + 0.012], [y, y], color="0.25", linewidth=1, zorder=5)
        ax.annotate(
            text,
            (x, y),
            (shift, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize="small",
            path_effects=halo,
            zorder=8,
        )


def _draw_score_axis(ax: Any, x: int, scores: Array, floor: float, label: str, cmap: Any) -> None:
    """Draw the colour bar as the axis of the scores."""
    steps = np.linspace(0, 1, 129)
    ax.pcolormesh(
        [x, x + 0.06], steps, (steps[:-1, None] + steps[1:, None]) / 2, cmap=cmap, zorder=4
    )
    if not np.isfinite(scores).any():
        return
    top, lowest = float(np.nanmax(scores)), float(np.nanmin(scores))
    if top <= floor:
        ticks = [(0.5, f"{top:.4g}")]
    else:
        inner = [(v, t) for v, t in linear_ticks(floor, top) if floor < v < top]
        ticks = [((v - floor) / (top - floor), t) for v, t in inner]
        ticks = [(y, t) for y, t in ticks if 0.07 < y < 0.94]
        ticks += [(1.0, f"{top:.4g}"), (0.0, f"{'≤ ' if lowest < floor else ''}{floor:.4g}")]
    _write_ticks(ax, x + 0.06, ticks, right=True)
    if np.isnan(scores).any():
        _write_ticks(ax, x + 0.06, [(-0.07, f"{np.isnan(scores).sum()} failed")], right=True)


def _dress(ax: Any, names: list[str], label: str) -> None:
    ax.set(xlim=(-0.35, len(names) + 0.5), ylim=(-0.12, 1.06))
    texts = [text.replace("__", "__\n") if len(text) > 14 else text for text in _tails(names)]
    ax.set_xticks(range(len(names) + 1), [*texts, label], fontsize="small")
    ax.xaxis.tick_top()
    ax.set_yticks([])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _tails(names: list[str]) -> list[str]:
    """Remove the names of steps from parameter names, if the result is unambiguous."""
    tails = [name.rpartition("__")[2] for name in names]
    return [t if tails.count(t) == 1 else n for t, n in zip(tails, names, strict=True)]


def _write_best(
    ax: Any, names: list[str], params: Sequence[Mapping[str, Any]], scores: Array
) -> None:
    best = int(np.nanargmax(scores))
    values = [params[best].get(name, _Unset) for name in names]
    texts = [f"{float(v):.3g}" if _is_number(v) else _short(_text(v)) for v in values]
    for x, text in enumerate([*texts, f"{scores[best]:.4g}"]):
        ax.annotate(
            ("best: " if x == 0 else "") + text,
            (x, -0.12),
            (0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            color=_BEST,
            weight="bold",
            fontsize="small",
            annotation_clip=False,
        )
