"""Pictures of a search, and the numbers that they show: best scores, slices and importance.

For the importance, a Gaussian process, that of a search without history, is fitted to the scores of
the candidates.
"""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta._optional import import_optional
from skmeta.search.record import Configuration
from skmeta.search.space import Encoding, is_logarithmic, plain_value, short_names, shown_value
from skmeta.search.surrogate import PlainModel, standardise, winsorize_scores, with_one_thread

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
    label = f"{display.estimator_name}, best so far" if display.estimator_name else "best so far"
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


# -- importance ------------------------------------------------------------------------------------

MIN_CANDIDATES = 6
_WINSOR_FACTOR = 2.0  # as for the surfaces of past searches
_MAX_ROWS = 250  # the best candidates of a larger search
_N_PERMUTED = 1000  # rows with permuted values of each parameter


class Importance(NamedTuple):
    """Total effects of parameters as shares of the variance of expected scores, in order."""

    names: tuple[str, ...]
    values: Array


def parameter_importance(params: Sequence[Mapping[str, Any]], scores: Any) -> Importance:
    """Return the total effect of each parameter that varies on the score, the largest first.

    This is permutation importance on the model: candidates of a sub-space exchange the values of a
    parameter, and those of different ones the parameter that tells these apart, with what only one
    of them has. The mean squared change of the expected score over twice its variance is Sobol's
    total index, by Jansen's estimator: Saltelli et al. (2010), Variance based sensitivity analysis
    of model output, table 2 (f). Without six different scores or a parameter that varies, a
    ValueError is raised.
    """
    values = np.asarray(scores, dtype=np.float64)
    rows = np.sort(np.argsort(-values, kind="stable")[: np.isfinite(values).sum()][:_MAX_ROWS])
    tried = [{name: plain_value(v) for name, v in params[i].items()} for i in rows.tolist()]
    names = [n for n in dict.fromkeys(n for one in tried for n in one) if _varies(n, tried)]
    if len(rows) < MIN_CANDIDATES or standardise(values[rows]) is None or not names:
        raise ValueError(
            f"Importance needs at least {MIN_CANDIDATES} candidates with a score, different scores "
            f"and a parameter that varies; {len(rows)} candidates have a score. Evaluate more "
            "candidates."
        )
    rng, n_repeats = np.random.default_rng(0), -(-_N_PERMUTED // len(tried))
    changed = [
        one for name in names for _ in range(n_repeats) for one in _exchanged(tried, name, rng)
    ]
    mean = _expected_scores(tried, values[rows], changed)
    before, after = mean[: len(tried)], mean[len(tried) :].reshape(len(names), n_repeats, -1)
    variance = max(float(before.var()), np.finfo(np.float64).tiny)
    effects = np.clip(((after - before) ** 2).mean(axis=(1, 2)) / (2 * variance), 0, 1)
    order = np.argsort(-effects, kind="stable")
    return Importance(tuple(names[j] for j in order), effects[order])


def _varies(name: str, configurations: Sequence[Configuration]) -> bool:
    """Return whether a parameter has several values, or is missing in some configurations."""
    return len({one.get(name, ...) for one in configurations}) > 1


@with_one_thread()
def _expected_scores(
    tried: Sequence[Configuration], scores: Array, others: Sequence[Configuration]
) -> Array:
    """Return the expected scores of the candidates tried, very low ones raised, and of others."""
    raised = winsorize_scores(scores, _WINSOR_FACTOR)
    encoding = Encoding.from_configurations(tried)
    X = encoding.transform([*tried, *others], {name for one in tried for name in one})
    model = PlainModel(X, encoding.groups)
    model.observe(np.arange(len(tried)), (raised - raised.mean()) / raised.std(), len(tried))
    return model.predict()[0]


def _exchanged(
    tried: Sequence[Configuration], name: str, rng: np.random.Generator
) -> list[Configuration]:
    """Return the candidates after they have exchanged the values of a parameter."""
    spaces: dict[frozenset[str], list[int]] = {}
    for row, one in enumerate(tried):
        if name in one:
            spaces.setdefault(frozenset(one), []).append(row)
    exchanging = list(spaces.values())
    if not any(_varies(name, [tried[i] for i in rows]) for rows in exchanging):
        exchanging = [[i for rows in exchanging for i in rows]]
    changed = list(tried)
    for rows in exchanging:
        for row, donor in zip(rows, rng.permutation(rows).tolist(), strict=True):
            other = tried[donor]
            kept = {n: v for n, v in tried[row].items() if n in other and n != name}
            changed[row] = {**other, **kept}
    return changed


# -- pictures of parameters ------------------------------------------------------------------------

_UNSET = "not set"
_MAX_TICKS = 8  # on an axis of values that are not all numbers


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
        shown = np.unique(np.linspace(0, len(others) - 1, _MAX_TICKS).round().astype(int))
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
