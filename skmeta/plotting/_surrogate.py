"""Pictures of what a model of the scores says: importance, slices and contour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta.plotting._value_axis import ValueAxis
from skmeta.search.analysis import (
    FittedScores,
    Importance,
    Slice,
    contour,
    pad_range,
    parameter_importance,
    score_floor,
    score_slice,
    sliced_parameters,
)

__all__ = [
    "choose_parameters",
    "draw_contour",
    "draw_effect",
    "draw_importance",
    "draw_slices",
    "make_axes",
]

_MOST_SLICES = 6
_PANEL = (3.4, 2.9)
_BEST = "#c2185b"


def make_axes(ax: Any, n: int) -> np.ndarray:
    """Return n axes: those that are given, or those of a new figure.

    Raises
    ------
    ValueError
        If another number of axes is given.
    """
    if ax is not None:
        given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(given) != n:
            raise ValueError(
                f"ax must have one Axes per parameter, {n}, got {len(given)}. Pass ax=None, or "
                "name fewer parameters."
            )
        return given
    plt = import_optional("matplotlib.pyplot", "plot")
    n_columns = min(n, 3)
    n_rows = math.ceil(n / n_columns)
    size = (_PANEL[0] * n_columns, _PANEL[1] * n_rows)
    _, grid = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    for unused in grid.ravel()[n:]:
        unused.remove()
    return np.asarray(grid.ravel()[:n])


def choose_parameters(
    fitted: FittedScores, wanted: Sequence[str] | None, labels: dict[str, str], *, pair: bool
) -> list[str]:
    """Return the parameters to draw: those that are named, or the most important ones.

    Raises
    ------
    ValueError
        If a name is unknown, or a pair is wanted and there are not two.
    """
    known = sliced_parameters(fitted)
    if wanted is None:
        order = [name for name in parameter_importance(fitted).names if name in known]
        chosen = order[: 2 if pair else _MOST_SLICES]
    else:
        by_label = {labels.get(name, name): name for name in known}
        chosen = [by_label.get(name, name) for name in wanted]
        if not set(chosen) <= set(known):
            raise ValueError(
                f"parameters must be some of those that vary in the sub-space of the best "
                f"candidate, {known}, got {list(wanted)}."
            )
    if not chosen or (pair and len(set(chosen)) != 2):
        raise ValueError(
            f"kind={'contour' if pair else 'slice'!r} needs {'two parameters' if pair else 'one'}, "
            f"got {chosen}. Those that vary in the sub-space of the best candidate are {known}."
        )
    return chosen


def draw_importance(ax: Any, importance: Importance, labels: dict[str, str]) -> Any:
    """Draw one bar per parameter, the largest on top, with its interval."""
    if ax is None:
        plt = import_optional("matplotlib.pyplot", "plot")
        _, ax = plt.subplots(figsize=(6, 0.45 * len(importance.names) + 1.3), layout="constrained")
    places = np.arange(len(importance.names))[::-1]
    errors = np.abs(np.stack([importance.low, importance.high]) - importance.values)
    ax.barh(places, importance.values, height=0.6, color="C0", zorder=2)
    ax.errorbar(
        importance.values,
        places,
        xerr=errors,
        fmt="none",
        ecolor="black",
        capsize=3,
        lw=1.2,
        zorder=3,
    )
    ax.set_yticks(places, [labels.get(name, name) for name in importance.names])
    ax.set(xlim=(0, 1.02), xlabel="share of the variance of the score, and 90% interval")
    ax.grid(axis="x", color="0.88", zorder=0)
    ax.set_axisbelow(True)
    return ax


def draw_slices(
    ax: Any, fitted: FittedScores, names: Sequence[str], labels: dict[str, str], metric: str
) -> np.ndarray:
    """Draw the expected score along each parameter, through the best candidate."""
    axes = make_axes(ax, len(names))
    floor = score_floor(fitted.scores)
    top = float(np.nanmax(fitted.scores))
    limits = pad_range(floor, top, 0.08, 0.15)
    for k, (panel, name) in enumerate(zip(axes, names, strict=True)):
        one = score_slice(fitted, name)
        axis = draw_effect(panel, one, "C0")
        _draw_candidates(panel, fitted, one, axis, limits)
        panel.set(xlabel=labels.get(name, name), ylim=limits, xlim=(-0.04, 1.04))
        panel.set_ylabel(metric if k % 3 == 0 or ax is not None else "")
    return axes


def draw_effect(panel: Any, one: Slice, color: str, linestyle: str = "-", label: str = "") -> Any:
    """Draw expected scores along a parameter with their interval, and return the axis."""
    axis = ValueAxis(one)
    kw = {"color": color, "zorder": 3}
    name = label or None
    if len(one.numbers):
        panel.fill_between(axis.numbers, one.low, one.high, color=color, alpha=0.2, lw=0, zorder=1)
        panel.plot(axis.numbers, one.mean, linestyle=linestyle, lw=2, label=name, **kw)
        name = None  # one entry in the legend
    if len(one.values):
        errors = np.abs(np.stack([one.value_low, one.value_high]) - one.value_mean)
        style = {"fmt": "_", "ms": 14, "mew": 2, "lw": 1.2, "label": name, **kw}
        panel.errorbar(axis.places, one.value_mean, yerr=errors, **style)
    axis.set_ticks(panel.xaxis)
    return axis


def _draw_candidates(
    panel: Any, fitted: FittedScores, one: Slice, axis: ValueAxis, limits: tuple[float, float]
) -> None:
    best = fitted.best
    bottom = limits[0] + 0.03 * (limits[1] - limits[0])
    for configuration, score in zip(fitted.configurations, fitted.scores, strict=True):
        # Other sub-spaces may have other ranges.
        if configuration.keys() != best.keys() or math.isnan(score):
            continue
        x = axis.place_value(configuration[one.name])
        is_low = score < limits[0]
        style = {"marker": "v", "color": "0.6"} if is_low else {"marker": "o", "color": "0.25"}
        panel.plot(x, bottom if is_low else score, ls="", ms=4, alpha=0.6, zorder=2, **style)
    top = float(np.nanmax(fitted.scores))
    x = axis.place_value(best[one.name])
    panel.plot(x, top, "*", color=_BEST, ms=12, mec="white", zorder=5)


def draw_contour(
    ax: Any,
    fitted: FittedScores,
    pair: Sequence[str],
    labels: dict[str, str],
    metric: str,
    cmap: Any,
) -> Any:
    """Draw the expected score over two parameters, through the best candidate."""
    if ax is None:
        plt = import_optional("matplotlib.pyplot", "plot")
        _, ax = plt.subplots(figsize=(5.6, 4.3), layout="constrained")
    names = (pair[0], pair[1])
    surface = contour(fitted, names)
    x, y = (ValueAxis(one) for one in surface.axes)
    low, high = float(surface.mean.min()), float(surface.mean.max())
    floor = max(low, score_floor(fitted.scores))
    if floor >= high:
        floor = low
    shown = np.maximum(surface.mean, floor)
    mesh = None
    for rows, y_edges in y.blocks():
        for columns, x_edges in x.blocks():
            kw = {"cmap": cmap, "vmin": floor, "vmax": high, "zorder": 1, "rasterized": True}
            mesh = ax.pcolormesh(x_edges, y_edges, shown[rows, columns], **kw)
    n_y, n_x = len(y.numbers), len(x.numbers)
    if n_x > 1 and n_y > 1 and high > floor:
        # Lines with numbers, so that the picture can be read without its colours.
        levels = np.linspace(floor, high, 7)[1:-1]
        lines = ax.contour(
            x.numbers,
            y.numbers,
            surface.mean[:n_y, :n_x],
            levels=levels,
            colors="black",
            linewidths=0.8,
            zorder=2,
        )
        ax.clabel(lines, fmt="%.4g", fontsize=8)
    _mark_candidates(ax, fitted, names, x, y)
    x.set_ticks(ax.xaxis)
    y.set_ticks(ax.yaxis)
    ax.set(
        xlabel=labels.get(names[0], names[0]),
        ylabel=labels.get(names[1], names[1]),
        xlim=(-0.04, 1.04),
        ylim=(-0.04, 1.04),
    )
    ax.figure.colorbar(
        mesh, ax=ax, label=f"expected {metric}", extend="min" if low < floor else "neither"
    )
    return ax


def _mark_candidates(
    ax: Any, fitted: FittedScores, names: tuple[str, str], x: ValueAxis, y: ValueAxis
) -> None:
    best = fitted.best
    shown = [c for c in fitted.configurations if c.keys() == best.keys()]
    places = [(x.place_value(c[names[0]]), y.place_value(c[names[1]])) for c in shown]
    if places:
        xs, ys = zip(*places, strict=True)
        ax.plot(xs, ys, "o", ms=4.5, mfc="white", mec="black", mew=0.9, ls="", zorder=3)
    at = x.place_value(best[names[0]]), y.place_value(best[names[1]])
    ax.plot(*at, "*", color=_BEST, ms=15, mec="white", zorder=4)
