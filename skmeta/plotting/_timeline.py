"""The time that each candidate of a search took."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional
from skmeta.search.analysis import TimelineChart

__all__ = ["draw_timeline", "seconds_of"]

Array = NDArray[np.float64]


def seconds_of(cv_results: Any, keep: NDArray[np.intp]) -> tuple[Array, Array] | None:
    """Return the seconds of fitting and scoring of candidates, added over the folds."""
    if "mean_fit_time" not in cv_results or "mean_score_time" not in cv_results:
        return None
    folds = {str(key).partition("_")[0] for key in cv_results if str(key).startswith("split")}
    n_folds = np.asarray(cv_results["n_folds"]) if "n_folds" in cv_results else len(folds) or 1
    fits, scores = (
        np.asarray(cv_results[f"mean_{kind}_time"], dtype=np.float64) * n_folds
        for kind in ("fit", "score")
    )
    return fits[keep], scores[keep]


def draw_timeline(ax: Any, fits: Array, scores: Array, best: int | None) -> Any:
    """Draw when each candidate would begin and end, one after the other.

    Parameters
    ----------
    ax : matplotlib Axes or None
    fits, scores : ndarray of shape (n_candidates,)
        Seconds.
    best : int or None
        Position of the best candidate.

    Returns
    -------
    ax : matplotlib Axes
    """
    chart = TimelineChart.of(fits, scores)
    n = len(fits)
    if ax is None:
        plt = import_optional("matplotlib.pyplot", "plot")
        height = float(np.clip(0.16 * n + 1.4, 2.4, 7))
        _, ax = plt.subplots(figsize=(7, height), layout="constrained")
    places = np.arange(1, n + 1)
    ax.barh(places, chart.fits, left=chart.begins, height=0.8, color="C0", label="fits", zorder=2)
    style = {"color": "white", "edgecolor": "C0", "hatch": "////", "linewidth": 0.6}
    middle = chart.begins + chart.fits
    ax.barh(places, chart.scores, left=middle, height=0.8, label="scores", zorder=2, **style)
    if best is not None:
        marker = {"color": "#c2185b", "markersize": 13, "mec": "white", "linestyle": ""}
        ax.plot(chart.ends[best], best + 1, marker="*", label="best", zorder=4, **marker)
    ax.set(xlabel="seconds of fitting and scoring, over all folds", ylabel="candidate")
    ax.set_ylim(n + 0.9, 0.1)  # the first one on top
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.grid(axis="x", color="0.88", zorder=0)
    ax.set_axisbelow(True)
    ax.legend(loc="lower left", frameon=False, fontsize="small")
    return ax
