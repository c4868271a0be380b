"""Pictures of what a model of the scores says: importance and slices."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from skmeta.search.report._axes import BEST, make_axis, subplots
from skmeta.search.report._importance import (
    FittedScores,
    Importance,
    Slice,
    parameter_importance,
    score_slices,
    sliced_parameters,
)
from skmeta.search.report._incumbent import score_floor

_MOST_SLICES = 6


def choose_parameters(
    fitted: FittedScores, wanted: Sequence[str] | None, labels: dict[str, str]
) -> list[str]:
    """Return the parameters to draw: those that are named, or the most important ones.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    known = sliced_parameters(fitted)
    by_label = {labels.get(name, name): name for name in known}
    chosen = [by_label.get(name, name) for name in wanted or ()]
    if wanted is None:
        order = parameter_importance(fitted).names
        chosen = [name for name in order if name in known][:_MOST_SLICES]
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(
            f"parameters must be some of those that vary in the sub-space of the best candidate, "
            f"{known}, got {chosen}."
        )
    return chosen


def draw_importance(ax: Any, importance: Importance, labels: dict[str, str]) -> Any:
    """Draw one bar per parameter, the largest on top."""
    if ax is None:
        ax = subplots(6, 0.45 * len(importance.names) + 1.3)
    places = np.arange(len(importance.names))[::-1]
    ax.barh(places, importance.values, height=0.6, color="C0", zorder=2)
    ax.set_yticks(places, [labels.get(name, name) for name in importance.names])
    ax.set(xlim=(0, 1.02), xlabel="share of the variance of the score")
    ax.grid(axis="x", color="0.88", zorder=0)
    return ax


def draw_slices(
    ax: Any, fitted: FittedScores, names: Sequence[str], labels: dict[str, str], metric: str
) -> np.ndarray:
    """Draw the expected score along each parameter, through the best candidate."""
    axes = _panels(ax, len(names))
    low, high = score_floor(fitted.scores), float(fitted.scores.max())
    room = (high - low) or 0.1 * abs(high) or 1.0
    limits = low - 0.08 * room, high + 0.15 * room
    for k, (panel, one) in enumerate(zip(axes, score_slices(fitted, names), strict=True)):
        _draw_slice(panel, fitted, one, limits)
        panel.set(xlabel=labels.get(one.name, one.name), ylim=limits)
        panel.set_ylabel(metric if k % 3 == 0 or ax is not None else "")
    return axes


def _panels(ax: Any, n: int) -> np.ndarray:
    if ax is None:
        n_columns, n_rows = min(n, 3), math.ceil(n / 3)
        size = (3.4 * n_columns, 2.9 * n_rows)
        grid = subplots(*size, nrows=n_rows, ncols=n_columns, squeeze=False).ravel()
        for unused in grid[n:]:
            unused.remove()
        return np.asarray(grid[:n])
    given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(given) != n:
        raise ValueError(
            f"ax must have one Axes per parameter, {n}, got {len(given)}. Pass ax=None, or "
            "name fewer parameters."
        )
    return given


def _draw_slice(panel: Any, fitted: FittedScores, one: Slice, limits: tuple[float, float]) -> None:
    rows = fitted.rows_like_best  # other sub-spaces may have other ranges
    scores = fitted.scores[rows]
    tried = [fitted.configurations[i][one.name] for i in rows]
    axis = make_axis(one.name, [*one.numbers, *one.values, *tried])
    n = len(one.numbers)
    curve, marks, at = np.split(axis.positions, [n, len(one.mean)])
    if n:
        band = (one.low[:n], one.high[:n])
        panel.fill_between(curve, *band, color="C0", alpha=0.2, lw=0, zorder=1)
        panel.plot(curve, one.mean[:n], color="C0", lw=2, zorder=3)
    if one.values:
        errors = np.abs(np.stack([one.low, one.high]) - one.mean)[:, n:]
        style = {"fmt": "_", "ms": 14, "mew": 2, "lw": 1.2, "color": "C0", "zorder": 3}
        panel.errorbar(marks, one.mean[n:], yerr=errors, **style)
    low, bottom = scores < limits[0], limits[0] + 0.03 * (limits[1] - limits[0])
    for shown, marker, color in ((low, "v", "0.6"), (~low, "o", "0.25")):
        style = {"marker": marker, "color": color, "s": 16, "linewidth": 0, "alpha": 0.6}
        panel.scatter(at[shown], np.maximum(scores, bottom)[shown], zorder=2, **style)
    best = scores.argmax()
    panel.plot(at[best], scores[best], "*", color=BEST, ms=12, mec="white", zorder=5)
    panel.set_xticks([place for place, _ in axis.ticks], [text for _, text in axis.ticks])
