"""The best score of a search over its evaluations."""

from typing import Any

import numpy as np

from skmeta.search.report._axes import subplots
from skmeta.search.report._curves import score_floor

# Shapes differ, too, so that the picture can be read without its colours.
_STYLES = {
    "initial design": ("o", "0.45"),
    "as given": ("s", "black"),
    "prior": ("D", "tab:orange"),
    "model": ("^", "tab:blue"),
    "candidate": ("o", "tab:blue"),
}
_OTHER_STYLES = (("P", "tab:green"), ("p", "tab:purple"), ("h", "tab:brown"), ("X", "tab:pink"))


def draw_incumbent(
    display: Any, ax: Any, show_points: bool, show_expected: bool, color: Any
) -> Any:
    """Draw the incumbent of a display, its candidates, and what random orders would give."""
    if ax is None:
        ax = subplots(7, 4.2)
    if color is None:
        color = f"C{len(ax.lines)}" if ax.lines else "black"
    bottom, top = _limits(display, ax, show_expected)
    if show_expected:
        _draw_expected(display, ax)
    if show_points:
        _draw_points(display, ax, bottom, top - bottom)
    x = np.arange(1, len(display.scores) + 1)
    label = f"{display.name}, best so far" if display.name else "best so far"
    if display.best_index is not None:
        at, best = display.best_index, display.scores[display.best_index]
        ax.plot(at + 1, best, "*", color=color, markersize=13, mec="white", zorder=6)
        text, place, above = f"{best:.4g}", (at + 1, best), {"textcoords": "offset points"}
        if ax.texts:  # the text of a second search would overlap that of the first
            label = f"{label}: {text}"
        else:
            ax.annotate(text, place, (0, 7), ha="center", color=color, **above)
    ax.step(x, display.incumbent, where="post", color=color, lw=2, label=label, zorder=4)
    ax.set(xlabel="evaluations", ylabel=display.metric_name, ylim=(bottom, top))
    ax.xaxis.get_major_locator().set_params(integer=True)
    # Below the axes, because it would cover candidates within them.
    at_bottom = (0.5, -0.14)
    ax.legend(
        ncols=3, loc="upper center", bbox_to_anchor=at_bottom, fontsize="small", frameon=False
    )
    return ax


def _limits(display: Any, ax: Any, show_expected: bool) -> tuple[float, float]:
    """Return the limits of the scores' axis, which include earlier drawings."""
    early = max(2, len(display.scores) // 10)
    shown = [
        score_floor(display.scores),
        *display.incumbent[: early + 1][-1:],
        *display.incumbent[-1:],
    ]
    if show_expected:
        shown += [*display.expected.mean[:2][-1:], *display.expected.high[-1:]]
    shown = [value for value in shown if np.isfinite(value)] or [0.0]
    low, high = min(shown), max(shown)
    room = 0.12 * ((high - low) or 0.1 * abs(high) or 1.0)
    low, high = low - room, high + room
    if ax.has_data():
        low, high = min(low, ax.get_ylim()[0]), max(high, ax.get_ylim()[1])
    return float(low), float(high)


def _draw_expected(display: Any, ax: Any) -> None:
    mean, low, high = display.expected
    x = np.arange(1, len(mean) + 1)
    label = "same candidates in random order" if display.reference is None else "random search"
    ax.fill_between(x, low, high, color="0.6", alpha=0.2, linewidth=0, zorder=1)
    ax.plot(x, mean, color="0.45", linestyle="--", label=f"{label}, expected", zorder=2)


def _draw_points(display: Any, ax: Any, bottom: float, height: float) -> None:
    x = np.arange(1, len(display.scores) + 1)
    failed, hidden = np.isnan(display.scores), display.scores < bottom
    sources = np.array(display.sources or ["candidate"] * len(x))
    size = float(np.clip(2400 / max(len(x), 1), 10, 40))
    edge = bottom + 0.03 * height
    for k, source in enumerate(dict.fromkeys(sources.tolist())):
        shape, color = _STYLES.get(source, _OTHER_STYLES[k % len(_OTHER_STYLES)])
        of = sources == source
        seen = of & ~failed & ~hidden
        style = {"color": color, "linewidth": 0, "zorder": 3, "clip_on": False}
        ax.scatter(
            x[seen], display.scores[seen], size, marker=shape, label=source, alpha=0.8, **style
        )
        below = of & hidden
        ax.scatter(x[below], np.full(below.sum(), edge), size, marker="v", **style, alpha=0.5)
    if hidden.any():
        marker = {"marker": "v", "s": 30, "color": "0.6", "label": f"{hidden.sum()} below"}
        ax.scatter([], [], **marker)
    if failed.any():
        label = f"{failed.sum()} failed"
        ax.scatter(
            x[failed], np.full(failed.sum(), edge), 30, marker="x", color="tab:red", label=label
        )
