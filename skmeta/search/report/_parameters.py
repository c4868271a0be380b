"""Pictures of the parameters of a search: parallel coordinates, slices and importance."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional
from skmeta.search.report._importance import Importance
from skmeta.search.report._incumbent import score_floor, subplots
from skmeta.search.space import is_logarithmic, short_names

Array = NDArray[np.float64]
Params = Sequence[Mapping[str, Any]]
Ticks = list[tuple[float, str]]

_BEST = "#c2185b"  # colour of the best candidate
_UNSET = "not set"
_FIRST = {_UNSET: 0, "False": 1, "True": 2, "None": 3}  # order of categories, others behind
_MOST_VALUE_TICKS, _MOST_CATEGORY_TICKS = 6, 16
_FAILED = -0.07  # height of candidates without a score


class ParameterAxis(NamedTuple):
    """One parameter: where each candidate crosses its axis, from 0 (bottom) to 1 (top)."""

    name: str
    positions: Array
    ticks: Ticks


def parameter_axes(params: Params) -> list[ParameterAxis]:
    """Return the axes of the parameters that vary, or of all if none does."""
    names = list(dict.fromkeys(name for candidate in params for name in candidate))
    axes = [_make_axis(name, [one.get(name, _UNSET) for one in params]) for name in names]
    return [axis for axis in axes if np.ptp(axis.positions) > 0] or axes


def _make_axis(name: str, values: list[Any]) -> ParameterAxis:
    """Place numbers by their value, and categories below them."""
    is_number = np.array([_is_number(value) for value in values])
    texts = {_text(v) for v in values if not _is_number(v)}
    categories = sorted(texts, key=lambda text: (_FIRST.get(text, 4), text))
    n = len(categories)
    ends = (0.0, min(0.5, 0.11 * (n - 1))) if is_number.any() else (0.06, 0.94)
    places = np.linspace(*ends, n)
    at = dict(zip(categories, places.tolist(), strict=True))
    shown = categories if n <= _MOST_CATEGORY_TICKS else [categories[0], categories[-1]]
    ticks = [(at[text], _shorten(text)) for text in shown]
    positions = np.array([at.get(_text(value), np.nan) for value in values])
    if is_number.any():
        numbers = np.array([v for v in values if _is_number(v)], dtype=np.float64)
        bottom = float(places[-1]) + 0.16 if n else 0.0
        positions[is_number], above = _place_numbers(numbers, bottom, is_logarithmic(numbers))
        ticks += above
    return ParameterAxis(name, positions, ticks)


def _place_numbers(numbers: Array, bottom: float, is_log: bool) -> tuple[Array, Ticks]:
    """Return the positions of numbers between the bottom and 1, and ticks there."""
    low, high = float(numbers.min()), float(numbers.max())
    scale: Any = np.log10 if is_log else np.asarray

    def place(values: Any) -> Any:
        size = scale(high) - scale(low)
        share = (scale(values) - scale(low)) / size if size else np.full(np.shape(values), 0.5)
        return bottom + (1.0 - bottom) * share

    shown = [(v, f"{v:.4g}") for v in np.unique(numbers).tolist()]
    if len(shown) > _MOST_VALUE_TICKS:
        shown = round_ticks(low, high, is_log)
    return place(numbers), [(float(place(v)), text) for v, text in shown]


def round_ticks(low: float, high: float, is_log: bool) -> Ticks:
    """Return round numbers between two numbers, and their texts."""
    ticker = import_optional("matplotlib.ticker", "plot")
    round_steps = ticker.MaxNLocator(5, steps=[1, 2, 5, 10])
    locator = ticker.LogLocator(numticks=8) if is_log else round_steps
    room = 1e-9 * (high - low)
    inside = [v for v in locator.tick_values(low, high) if low - room <= v <= high + room]
    if is_log and len(inside) < 2:  # less than two decades
        return round_ticks(low, high, False)
    return [(v, f"$10^{{{round(np.log10(v))}}}$" if is_log else f"{v:.4g}") for v in inside]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


def _shorten(text: str) -> str:
    return text if len(text) <= 16 else f"{text[:15]}…"


# -- parallel coordinates --------------------------------------------------------------------------


def draw_parallel(ax: Any, params: Params, scores: Array, label: str, cmap: Any) -> Any:
    """Draw the candidates through the axes of their parameters to their scores."""
    axes = parameter_axes(params)
    if ax is None:
        ax = subplots(max(5.0, 1.6 * len(axes) + 2.2), 4.6)
    last = _score_axis(label, scores)
    _draw_lines(ax, np.column_stack([axis.positions for axis in (*axes, last)]), cmap)
    effects = import_optional("matplotlib.patheffects", "plot")
    halo = [effects.withStroke(linewidth=3, foreground="white", alpha=0.85)]
    style = {"va": "center", "fontsize": "small", "path_effects": halo, "zorder": 8}
    for x, axis in enumerate([*axes, last]):
        ax.plot([x, x], [0, 1], color="0.25", linewidth=1, zorder=5)
        side, shift = ("left", 6) if axis is last else ("right", -5)
        for y, text in axis.ticks:
            ax.plot([x - 0.012, x + 0.012], [y, y], color="0.25", linewidth=1, zorder=5)
            ax.annotate(text, (x, y), (shift, 0), textcoords="offset points", ha=side, **style)
    labels = short_names(axis.name for axis in axes).values()
    names = [text.replace("__", "__\n") if len(text) > 14 else text for text in labels]
    ax.set_xticks(range(len(names) + 1), [*names, label], fontsize="small")
    ax.set(xlim=(-0.35, len(names) + 0.5), ylim=(-0.12, 1.06), yticks=[])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if np.isfinite(scores).any():
        best = params[int(np.nanargmax(scores))]
        texts = [_shorten(_text(best.get(axis.name, _UNSET))) for axis in axes]
        style = {"ha": "center", "va": "top", "color": _BEST, "weight": "bold"}
        for x, text in enumerate([*texts, f"{np.nanmax(scores):.4g}"]):
            text = text if x else f"best: {text}"
            ax.text(x, -0.13, text, fontsize="small", **style)
    return ax


def _score_axis(label: str, scores: Array) -> ParameterAxis:
    """Return the axis of the scores. Low scores share its bottom; failed ones are below it."""
    failed, floor = np.isnan(scores), score_floor(scores)
    heights = np.full(len(scores), _FAILED)
    ticks: Ticks = []
    if not failed.all():
        heights[~failed], ticks = _place_numbers(np.maximum(scores[~failed], floor), 0.0, False)
    if (scores < floor).any():
        ticks = [(0.0, f"≤ {floor:.4g}"), *(tick for tick in ticks if tick[0] > 0.07)]
    if failed.any():
        ticks = [(_FAILED, f"{failed.sum()} failed"), *ticks]
    return ParameterAxis(label, heights, ticks)


def _draw_lines(ax: Any, lines: Array, cmap: Any) -> None:
    """Draw failed candidates first, then from the worst to the best."""
    n, heights = len(lines), lines[:, -1]
    points = np.stack([np.broadcast_to(np.arange(lines.shape[1]), lines.shape), lines], axis=-1)
    order = np.argsort(heights, kind="stable")
    # The palest colours of a map are hard to see on white.
    shades = import_optional("matplotlib.pyplot", "plot").get_cmap(cmap)
    colors = shades(0.15 + 0.85 * np.clip(heights[order], 0, 1))
    colors[:, 3] = np.clip(60 / n, 0.12, 0.85)
    colors[heights[order] < 0] = (0.6, 0.6, 0.6, float(np.clip(30 / n, 0.1, 0.5)))
    collections = import_optional("matplotlib.collections", "plot")
    style = {"linewidths": float(np.clip(40 / n, 0.7, 1.6)), "zorder": 2}
    ax.add_collection(collections.LineCollection(points[order], colors=colors, **style))
    if heights.max() >= 0:
        best = points[int(np.argmax(heights))].T
        ax.plot(*best, color="white", linewidth=4.5, zorder=6)
        ax.plot(*best, color=_BEST, linewidth=2.5, zorder=7, label="best")


# -- slices and importance -------------------------------------------------------------------------


def draw_slices(
    ax: Any, params: Params, scores: Array, wanted: Sequence[str] | None, label: str
) -> Any:
    """Draw the score of the candidates along each parameter, one panel per parameter."""
    axes = parameter_axes(params)
    labels = short_names(axis.name for axis in axes)
    known = {name: axis for axis in axes for name in (axis.name, labels[axis.name])}
    names = [axis.name for axis in axes] if wanted is None else list(wanted)
    if not names or not set(names) <= set(known):
        raise ValueError(
            f"parameters must be some of those that vary, {[axis.name for axis in axes]}, got "
            f"{names}."
        )
    panels = _panels(ax, len(names))
    for panel, axis in zip(panels, [known[name] for name in names], strict=True):
        _draw_slice(panel, axis, scores)
        panel.set(xlabel=labels[axis.name], ylabel=label)
    return panels if len(panels) > 1 else panels[0]


def _panels(ax: Any, n: int) -> Any:
    if ax is None:
        n_columns, n_rows = min(n, 3), math.ceil(n / 3)
        size = (3.4 * n_columns, 2.9 * n_rows)
        grid = subplots(*size, nrows=n_rows, ncols=n_columns, squeeze=False).ravel()
        for unused in grid[n:]:
            unused.remove()
        return grid[:n]
    given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(given) != n:
        raise ValueError(
            f"ax must have one Axes per parameter, {n}, got {len(given)}. Pass ax=None, or "
            "name fewer parameters."
        )
    return given


def _draw_slice(panel: Any, axis: ParameterAxis, scores: Array) -> None:
    floor = score_floor(scores)
    for shown, marker, color in ((scores < floor, "v", "0.6"), (scores >= floor, "o", "C0")):
        style = {"marker": marker, "color": color, "s": 16, "linewidth": 0, "alpha": 0.6}
        panel.scatter(axis.positions[shown], np.maximum(scores, floor)[shown], **style)
    if np.isfinite(scores).any():
        best = int(np.nanargmax(scores))
        panel.plot(axis.positions[best], scores[best], "*", color=_BEST, ms=12, mec="white")
    places, texts = zip(*axis.ticks, strict=True)
    panel.set_xticks(places, texts, rotation=30, ha="right", rotation_mode="anchor")


def draw_importance(ax: Any, importance: Importance, labels: Mapping[str, str]) -> Any:
    """Draw one bar per parameter, the largest on top."""
    if ax is None:
        ax = subplots(6, 0.45 * len(importance.names) + 1.3)
    places = np.arange(len(importance.names))[::-1]
    ax.barh(places, importance.values, height=0.6, color="C0", zorder=2)
    ax.set_yticks(places, [labels[name] for name in importance.names])
    ax.set(xlim=(0, 1.02), xlabel="share of the variance of the score")
    ax.grid(axis="x", color="0.88", zorder=0)
    return ax
