"""Pictures of the parameters of a search: slices and importance."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.report._importance import Importance
from skmeta.search.report._incumbent import score_floor, subplots
from skmeta.search.space import is_logarithmic, short_names, shown_value

Array = NDArray[np.float64]

_UNSET = "not set"
_MOST_TICKS = 8  # on an axis of values that are not all numbers


def draw_slices(
    ax: Any,
    params: Sequence[Mapping[str, Any]],
    scores: Array,
    wanted: Sequence[str] | None,
    label: str,
) -> Any:
    """Draw the score of the candidates along each parameter, one panel per parameter."""
    names = list(dict.fromkeys(name for one in params for name in one))
    values = {n: [shown_value(one[n]) if n in one else _UNSET for one in params] for n in names}
    varying = [name for name in names if len(set(map(str, values[name]))) > 1] or names
    labels = short_names(varying)
    known = {spelled: name for name in varying for spelled in (labels[name], name)}
    chosen = varying if wanted is None else list(wanted)
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(
            f"parameters must be some of those that vary, {varying}, got {chosen}. Name others."
        )
    panels = _panels(ax, len(chosen))
    for panel, name in zip(panels, [known[one] for one in chosen], strict=True):
        _draw_slice(panel, values[name], scores)
        panel.set(xlabel=labels[name], ylabel=label)
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


def _draw_slice(panel: Any, values: list[Any], scores: Array) -> None:
    is_number = np.array([_is_number(value) for value in values])
    numbers = np.array([v for v in values if _is_number(v)], dtype=np.float64)
    is_log = is_logarithmic(numbers)
    if is_number.all():
        x = numbers
        panel.set_xscale("log" if is_log else "linear")
    else:  # others stand at equal distances to the right of the numbers, which are 0 to 1
        x = np.empty(len(values))
        x[is_number], ticks = _scale(np.log10(numbers) if is_log else numbers, is_log)
        texts = [_text(value) for value in values]
        others = sorted({text for text, other in zip(texts, ~is_number, strict=True) if other})
        at = {text: bool(ticks) + (k + bool(ticks)) / 8 for k, text in enumerate(others)}
        x[~is_number] = [at[text] for text, other in zip(texts, ~is_number, strict=True) if other]
        shown = np.unique(np.linspace(0, len(others) - 1, _MOST_TICKS).round().astype(int))
        ticks |= {at[others[k]]: others[k] for k in shown}
        panel.set_xticks([*ticks], ticks.values(), rotation=30, ha="right", rotation_mode="anchor")
    floor = score_floor(scores)
    for drawn, marker, color in ((scores < floor, "v", "0.6"), (scores >= floor, "o", "C0")):
        style = {"marker": marker, "color": color, "s": 16, "linewidth": 0, "alpha": 0.6}
        panel.scatter(x[drawn], np.maximum(scores, floor)[drawn], **style)
    if np.isfinite(scores).any():
        best = int(np.nanargmax(scores))
        panel.plot(x[best], scores[best], "*", color="#c2185b", ms=12, mec="white")


def _scale(numbers: Array, is_log: bool) -> tuple[Array, dict[float, str]]:
    """Return numbers, or their logarithms, scaled to 0 to 1, and ticks there."""
    if not len(numbers):
        return numbers, {}
    low, width = numbers.min(), np.ptp(numbers) or 1.0
    distinct = np.unique(numbers)
    shown = distinct if len(distinct) <= 4 else np.linspace(low, low + width, 4)
    texts = [f"{10**v if is_log else v:.2g}" for v in shown]
    return (numbers - low) / width, dict(zip((shown - low) / width, texts, strict=True))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 16 else f"{text[:15]}…"


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
