"""The best score of a search over its evaluations."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional

Array = NDArray[np.float64]

# Share of the orders between the edges of the band around the expected score.
_BAND = (0.1, 0.9)
# Shapes differ, too, so that the picture can be read without its colours.
_STYLES = {
    "initial design": ("o", "0.45"),
    "as given": ("s", "black"),
    "prior": ("D", "tab:orange"),
    "model": ("^", "tab:blue"),
    "candidate": ("o", "tab:blue"),
}
_OTHER_STYLES = (("P", "tab:green"), ("p", "tab:purple"), ("h", "tab:brown"), ("X", "tab:pink"))


def subplots(width: float, height: float, **settings: Any) -> Any:
    """Return the axes of a new figure of a size in inches."""
    plt = import_optional("matplotlib.pyplot", "plot")
    return plt.subplots(figsize=(width, height), layout="constrained", **settings)[1]


def draw_incumbent(
    display: Any, ax: Any, show_points: bool, show_expected: bool, color: Any
) -> Any:
    """Draw the incumbent of a display, its candidates, and what random orders would give."""
    ax = subplots(7, 4.2) if ax is None else ax
    if color is None:
        color = f"C{len(ax.lines)}" if ax.lines else "black"
    bottom, top = _limits(display, ax, show_expected)
    if show_expected:
        mean, low, high = display.expected
        x = np.arange(1, len(mean) + 1)
        random = "same candidates in random order" if display.reference is None else "random search"
        ax.fill_between(x, low, high, color="0.6", alpha=0.2, linewidth=0, zorder=1)
        ax.plot(x, mean, color="0.45", linestyle="--", label=f"{random}, expected", zorder=2)
    if show_points:
        _draw_points(display, ax, bottom, bottom + 0.03 * (top - bottom))
    label = f"{display.name}, best so far" if display.name else "best so far"
    if display.best_index is not None:
        at, best = display.best_index + 1, display.scores[display.best_index]
        ax.plot(at, best, "*", color=color, markersize=13, mec="white", zorder=6)
        if ax.texts:  # the text of a second search would overlap that of the first
            label += f": {best:.4g}"
        else:
            style = {"textcoords": "offset points", "ha": "center", "color": color}
            ax.annotate(f"{best:.4g}", (at, best), (0, 7), **style)
    x = np.arange(1, len(display.scores) + 1)
    ax.step(x, display.incumbent, where="post", color=color, lw=2, label=label, zorder=4)
    ax.set(xlabel="evaluations", ylabel=display.metric_name, ylim=(bottom, top))
    ax.xaxis.get_major_locator().set_params(integer=True)
    # Below the axes, because it would cover candidates within them.
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}
    ax.legend(ncols=3, fontsize="small", frameon=False, **place)
    return ax


def _limits(display: Any, ax: Any, show_expected: bool) -> tuple[float, float]:
    """Return the limits of the scores' axis, which include earlier drawings."""
    early = max(2, len(display.scores) // 10)
    incumbent = display.incumbent
    shown = [score_floor(display.scores), *incumbent[: early + 1][-1:], *incumbent[-1:]]
    if show_expected:
        shown += [*display.expected.mean[:2][-1:], *display.expected.high[-1:]]
    shown = [value for value in shown if np.isfinite(value)] or [0.0]
    low, high = min(shown), max(shown)
    room = 0.12 * ((high - low) or 0.1 * abs(high) or 1.0)
    before = ax.get_ylim() if ax.has_data() else (low, high)
    return float(min(low - room, before[0])), float(max(high + room, before[1]))


def _draw_points(display: Any, ax: Any, bottom: float, edge: float) -> None:
    """Draw the candidates of each source; low and failed ones are marks at the edge."""
    x = np.arange(1, len(display.scores) + 1)
    failed, hidden = np.isnan(display.scores), display.scores < bottom
    sources = np.array(display.sources or ["candidate"] * len(x))
    size = float(np.clip(2400 / max(len(x), 1), 10, 40))
    style = {"clip_on": False, "zorder": 3}
    for k, source in enumerate(dict.fromkeys(sources.tolist())):
        shape, color = _STYLES.get(source, _OTHER_STYLES[k % len(_OTHER_STYLES)])
        at = ~failed & ~hidden & (sources == source)
        look = {"color": color, "marker": shape, "linewidth": 0, "alpha": 0.8}
        ax.scatter(x[at], display.scores[at], size, label=source, **look, **style)
    edges = ((hidden, "v", "0.6", "below"), (failed, "x", "tab:red", "failed"))
    for at, shape, color, what in edges:
        if at.any():
            look = {"color": color, "marker": shape, "label": f"{at.sum()} {what}"}
            ax.scatter(x[at], np.full(at.sum(), edge), 30, **look, **style)


class ExpectedIncumbent(NamedTuple):
    """Best score after 1, 2, ... evaluations in random order: mean, 10% and 90% quantile."""

    mean: Array
    low: Array
    high: Array


def expected_incumbent(scores: Array) -> ExpectedIncumbent:
    """Return mean and quantiles of the best of the first k scores, over all orders."""
    n = len(scores)
    succeeded = np.sort(scores[np.isfinite(scores)])
    curves = ExpectedIncumbent(*np.full((3, n), np.nan))
    if not len(succeeded):
        return curves
    # share[j]: probability that the first k are all among the `ranks[j]` lowest, C(i, k) / C(n, k).
    # Failed candidates are the lowest of all; share[0] is the probability that nothing succeeded.
    ranks = np.arange(n - len(succeeded), n + 1)
    share = np.ones(len(ranks))
    for k in range(1, n + 1):
        share *= np.maximum(ranks - k + 1, 0) / (n - k + 1)
        below = (share - share[0]) / (1.0 - share[0])
        curves.mean[k - 1] = np.diff(below) @ succeeded
        for curve, q in zip(curves[1:], _BAND, strict=True):
            at = int(np.searchsorted(below[1:], q - 1e-12))
            curve[k - 1] = succeeded[min(at, len(succeeded) - 1)]
    return curves


def score_floor(scores: Array) -> float:
    """Return the lowest score to draw: lower ones would compress the rest of the picture."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return 0.0
    # The median is not robust: over half of the candidates may be no better than chance.
    # Hence the expected better score of two candidates.
    better = expected_incumbent(finite).mean[:2][-1]
    return float(max(finite.min(), finite.max() - 1.5 * (finite.max() - better)))
