"""Parallel coordinates: one axis per parameter, one line per candidate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional
from skmeta.search.report._axes import (
    BEST,
    ParameterAxis,
    Ticks,
    Unset,
    make_axis,
    number_ticks,
    shorten,
    subplots,
    value_text,
)
from skmeta.search.space import short_names

Array = NDArray[np.float64]
_FAILED = -0.07  # height of candidates without a score


def parameter_axes(params: Sequence[Mapping[str, Any]]) -> list[ParameterAxis]:
    """Return the axes of the parameters that vary, or of all if none does."""
    names = list(dict.fromkeys(name for candidate in params for name in candidate))
    axes = [make_axis(name, [one.get(name, Unset) for one in params]) for name in names]
    return [axis for axis in axes if np.ptp(axis.positions) > 0] or axes


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
    axes = parameter_axes(params)
    if ax is None:
        ax = subplots(max(5.0, 1.6 * len(axes) + 2.2), 4.6)
    heights, ticks = _score_axis(scores, floor)
    lines = np.column_stack([*(axis.positions for axis in axes), heights])
    # The palest colours of a map are hard to see on white.
    colors = import_optional("matplotlib.pyplot", "plot").get_cmap(cmap)(np.linspace(0.15, 1, 256))
    _draw_lines(ax, lines, colors)
    for x, axis in enumerate([*axes, ParameterAxis(label, heights, ticks)]):
        ax.plot([x, x], [0, 1], color="0.25", linewidth=1, zorder=5)
        _write_ticks(ax, x, axis.ticks, is_last=x == len(axes))
    labels = short_names(axis.name for axis in axes).values()
    names = [text.replace("__", "__\n") if len(text) > 14 else text for text in labels]
    ax.set_xticks(range(len(names) + 1), [*names, label], fontsize="small")
    ax.set(xlim=(-0.35, len(names) + 0.5), ylim=(-0.12, 1.06), yticks=[])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if np.isfinite(scores).any():
        _write_best(ax, axes, params[int(np.nanargmax(scores))], float(np.nanmax(scores)))
    return ax


def _score_axis(scores: Array, floor: float) -> tuple[Array, Ticks]:
    """Return the height of each score, and the ticks of their axis."""
    is_failed = np.isnan(scores)
    ticks = [(_FAILED, f"{is_failed.sum()} failed")] if is_failed.any() else []
    if is_failed.all():
        return np.full(len(scores), _FAILED), ticks
    low, top = float(np.nanmin(scores)), float(np.nanmax(scores))
    if top <= floor:
        return np.where(is_failed, _FAILED, 0.5), [*ticks, (0.5, f"{top:.4g}")]
    heights = np.where(is_failed, _FAILED, np.clip((scores - floor) / (top - floor), 0.0, 1.0))
    inner = [((v - floor) / (top - floor), t) for v, t in number_ticks(floor, top, is_log=False)]
    ticks += [(y, text) for y, text in inner if 0.07 < y < 0.94]
    bottom = f"{'≤ ' if low < floor else ''}{floor:.4g}"
    return heights, [*ticks, (1.0, f"{top:.4g}"), (0.0, bottom)]


def _draw_lines(ax: Any, lines: Array, colors: Array) -> None:
    """Draw failed candidates first, then from the worst to the best."""
    n, heights = len(lines), lines[:, -1]
    points = np.stack([np.broadcast_to(np.arange(lines.shape[1]), lines.shape), lines], axis=-1)
    order = np.argsort(heights, kind="stable")
    shades = colors[np.clip(255 * heights[order], 0, 255).astype(int)]
    shades[:, 3] = np.clip(60 / n, 0.12, 0.85)
    shades[heights[order] < 0] = (0.6, 0.6, 0.6, float(np.clip(30 / n, 0.1, 0.5)))
    width = float(np.clip(40 / n, 0.7, 1.6))
    collections = import_optional("matplotlib.collections", "plot")
    ax.add_collection(
        collections.LineCollection(points[order], colors=shades, linewidths=width, zorder=2)
    )
    if heights.max() >= 0:
        best = points[int(np.argmax(heights))].T
        ax.plot(*best, color="white", linewidth=4.5, zorder=6)
        ax.plot(*best, color=BEST, linewidth=2.5, zorder=7, label="best")


def _write_ticks(ax: Any, x: float, ticks: Ticks, *, is_last: bool) -> None:
    effects = import_optional("matplotlib.patheffects", "plot")
    halo = [effects.withStroke(linewidth=3, foreground="white", alpha=0.85)]
    style = {"va": "center", "fontsize": "small", "path_effects": halo, "zorder": 8}
    side, shift = ("left", 6) if is_last else ("right", -5)
    for y, text in ticks:
        ax.plot([x - 0.012, x + 0.012], [y, y], color="0.25", linewidth=1, zorder=5)
        ax.annotate(text, (x, y), (shift, 0), textcoords="offset points", ha=side, **style)


def _write_best(
    ax: Any, axes: Sequence[ParameterAxis], params: Mapping[str, Any], score: float
) -> None:
    values = [shorten(value_text(params.get(axis.name, Unset))) for axis in axes]
    style = {"ha": "center", "va": "top", "color": BEST, "weight": "bold", "fontsize": "small"}
    for x, text in enumerate([*values, f"{score:.4g}"]):
        text = text if x else f"best: {text}"
        ax.annotate(text, (x, -0.12), (0, -4), textcoords="offset points", **style)
