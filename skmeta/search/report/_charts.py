"""The pictures of a report, as SVG that follows the colours of the page."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._html import Markup, join, tag
from skmeta.search.analysis import (
    FittedScores,
    Importance,
    IncumbentChart,
    Slice,
    TimelineChart,
    pad_range,
    score_floor,
    style_sources,
)
from skmeta.search.report._axes import Chart, Scale, legend, marker, number
from skmeta.search.report._summary import SearchSummary

__all__ = [
    "bars",
    "importance_bars",
    "incumbent",
    "predictions",
    "slice_chart",
    "timeline",
]

Array = NDArray[np.float64]

_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 446.0, 30.0, 222.0
_SHAPES = {
    "initial design": ("circle", "c0"),
    "as given": ("square", "c1"),
    "prior": ("diamond", "c2"),
    "model": ("up", "c3"),
}
_OTHERS = (("plus", "c4"), ("circle", "c5"), ("square", "c4"), ("diamond", "c5"))


def incumbent(summary: SearchSummary) -> Markup:
    """Draw the best score so far, and every candidate."""
    scores = summary.scores
    n, record = len(scores), IncumbentChart.of(scores)
    y = _score_scale([record.floor, float(np.nanmax(scores))])
    chart = Chart(
        f"Best {summary.metric} so far after each of {n} candidates",
        Scale(1, max(n, 2), _LEFT + 8, _RIGHT - 8),
        y,
        "candidates evaluated",
        summary.metric,
    )
    chart.x_ticks = [(chart.x(v), str(int(v))) for v in chart.x.ticks() if v >= 1 and v == int(v)]
    places = np.arange(1, n + 1)
    mean, low, high = (np.maximum(curve, y.low) for curve in record.expected)
    chart.band(places, low, high, "band")
    chart.line(places, mean, "expected")
    shapes = style_sources([c.source for c in summary.candidates], _SHAPES, _OTHERS)
    for place, candidate, score in zip(places, summary.candidates, scores, strict=True):
        chart.add(_candidate_mark(chart, int(place), candidate.source, float(score), shapes))
    best = np.maximum(record.incumbent, y.low)
    chart.steps(places, best, "best")
    if summary.best is not None and math.isfinite(scores[summary.best]):
        at = chart.x(summary.best + 1), chart.y(scores[summary.best])
        text = f"Best: candidate {summary.best + 1}, {number(scores[summary.best], 5)}"
        chart.add(marker("star", *at, "star", text))
    items = [(marker(s, 0, 0, c), source) for source, (s, c) in shapes.items()]
    items.append((tag("path", d="M-9 0H9", class_="best"), "best so far"))
    items.append(
        (
            tag("path", d="M-9 0H9", class_="expected"),
            "same candidates in random order, mean and 80%",
        )
    )
    if (scores < y.low).any():
        items.append((marker("down", 0, 0, "low"), "score below the axis"))
    if np.isnan(scores).any():
        items.append((marker("cross", 0, 0, "failed"), "no score"))
    return join(chart.render(), legend(items))


def _candidate_mark(chart: Chart, place: int, source: str, score: float, shapes: Any) -> Markup:
    shape, class_ = shapes[source]
    text = f"Candidate {place}, {source}: {number(score, 5)}"
    bottom = chart.y.start - 7
    if math.isnan(score):
        return marker("cross", chart.x(place), bottom, "failed", f"Candidate {place}: no score")
    if score < chart.y.low:
        return marker("down", chart.x(place), bottom, "low", text)
    return marker(shape, chart.x(place), chart.y(score), class_, text)


def bars(
    label: str,
    names: Sequence[str],
    values: Array,
    intervals: tuple[Array, Array] | None,
    x_title: str,
) -> Markup:
    """Draw shares between 0 and 1, one bar below the other, with their intervals.

    Parameters
    ----------
    label : str
        What it shows, for those who cannot see it.
    names : sequence of str
    values : ndarray
    intervals : tuple of ndarray or None
        Lower and upper ends.
    x_title : str
    """
    row = 38
    height = row * len(names) + 54.0
    top = 1.0 if intervals is not None else max(float(values.max()), 1e-9)
    x = Scale(0.0, top, 10, _RIGHT)
    chart = Chart(label, x, Scale(0, 1, height - 48, 4), x_title, "", height=height)
    for k, name in enumerate(names):
        y = row * k + 6.0
        text = _percent(values[k])
        if intervals is not None:
            text += f" ({_percent(intervals[0][k])} to {_percent(intervals[1][k])})"
        chart.add(tag("text", _shorten(name, 38), x="10", y=f"{y + 10:g}", class_="tick strong"))
        chart.add(
            tag("text", text, x=f"{_RIGHT:g}", y=f"{y + 10:g}", text_anchor="end", class_="tick")
        )
        width = max(x(values[k]) - x.start, 0.5)
        box = {"x": "10", "y": f"{y + 15:g}", "width": f"{width:.1f}", "height": "12"}
        chart.add(tag("rect", **box, class_="bar"))
        if intervals is not None:
            low, high = x(intervals[0][k]), x(intervals[1][k])
            chart.add(
                tag("path", d=f"M{low:.1f} {y + 21:g}H{high:.1f}", class_="whisker"),
                tag("path", d=f"M{low:.1f} {y + 17:g}v8M{high:.1f} {y + 17:g}v8", class_="whisker"),
            )
    return chart.render()


def importance_bars(importance: Importance) -> Markup:
    """Draw the importance of the parameters."""
    return bars(
        "Importance of each parameter, with its 90% interval",
        importance.names,
        importance.values,
        (importance.low, importance.high),
        "share of the variance of the score",
    )


def slice_chart(fitted: FittedScores, one: Slice, metric: str) -> Markup:
    """Draw the expected score along one parameter, and the candidates."""
    floor = score_floor(fitted.scores)
    top = max([float(np.nanmax(fitted.scores)), *one.mean, *one.value_mean])
    y = _score_scale([floor, top])
    n_values = len(one.values)
    # Values without an order stand to the right of the numbers.
    room = 0.0
    if n_values:
        room = (
            _RIGHT - _LEFT if not len(one.numbers) else min(0.5, 0.14 * n_values) * (_RIGHT - _LEFT)
        )
    ends = (float(one.numbers[0]), float(one.numbers[-1])) if len(one.numbers) else (0.0, 1.0)
    x = Scale(*ends, _LEFT + 8, _RIGHT - 8 - room, is_log=one.is_log and ends[0] > 0)
    places = [_RIGHT - room + room * (k + 0.5) / n_values for k in range(n_values)]
    label = f"Expected {metric} along {one.name}, all other parameters as in the best candidate"
    chart = Chart(label, Scale(0, 1, _LEFT, _RIGHT), y, one.name, metric)
    texts = [_shorten(str(value), 12) for value in one.values]
    numeric = x.ticks() if len(one.numbers) else []
    chart.x_ticks = [
        *((x(v), number(v)) for v in numeric),
        *zip(places, texts, strict=True),
    ]
    inner = Chart("", x, y, "", "")
    low, high = (np.clip(v, y.low, y.high) for v in (one.low, one.high))
    inner.band(one.numbers, low, high, "band")
    inner.line(one.numbers, np.where(one.mean >= y.low, one.mean, np.nan), "best")
    at = {_key(value): place for value, place in zip(one.values, places, strict=True)}
    for configuration, score in zip(fitted.configurations, fitted.scores, strict=True):
        value = configuration.get(one.name)
        # Other sub-spaces may have other ranges.
        if configuration.keys() != fitted.best.keys() or math.isnan(score):
            continue
        place = at.get(_key(value))
        if place is None:
            place = x(float(value))  # type: ignore[arg-type]  # what is not in `at` is a number
        shape, class_ = ("circle", "dot") if score >= y.low else ("down", "low")
        height = y(max(score, y.low)) - (7 if score < y.low else 0)
        inner.add(marker(shape, place, height, class_, f"{value}: {number(score, 5)}"))
    for k, place in enumerate(places):
        below, above = (
            y(float(np.clip(v[k], y.low, y.high))) for v in (one.value_low, one.value_high)
        )
        inner.add(tag("path", d=f"M{place:.1f} {below:.1f}V{above:.1f}", class_="whisker"))
        middle = y(float(np.clip(one.value_mean[k], y.low, y.high)))
        inner.add(tag("path", d=f"M{place - 9:.1f} {middle:.1f}h18", class_="best"))
    chart.add(*inner.marks)
    return chart.render()


def predictions(summary: SearchSummary) -> Markup | None:
    """Draw expected and measured scores; None if fewer than two scores were expected."""
    known = [
        (one, float(score))
        for one, score in zip(summary.candidates, summary.scores, strict=True)
        if math.isfinite(one.predicted_mean_score) and math.isfinite(score)
    ]
    if len(known) < 2:
        return None
    floor = score_floor(summary.scores)
    shown = [(one, score) for one, score in known if score >= floor] or known
    values = [v for one, score in shown for v in (score, max(one.predicted_mean_score, floor))]
    y = _score_scale([min(values), max(values)])
    x = Scale(y.low, y.high, _LEFT + 8, _RIGHT - 8)
    chart = Chart(
        f"Expected and measured {summary.metric} of {len(shown)} candidates",
        x,
        y,
        f"expected {summary.metric}",
        f"measured {summary.metric}",
    )
    chart.line([x.low, x.high], [x.low, x.high], "expected")
    shapes = style_sources([c.source for c in summary.candidates], _SHAPES, _OTHERS)
    for one, score in shown:
        shape, class_ = shapes[one.source]
        mean, std = one.predicted_mean_score, np.nan_to_num(one.predicted_std_score)
        height, middle = y(score), float(np.clip(mean, x.low, x.high))
        ends = [x(float(np.clip(mean + sign * std, x.low, x.high))) for sign in (-1, 1)]
        chart.add(tag("path", d=f"M{ends[0]:.1f} {height:.1f}H{ends[1]:.1f}", class_="error"))
        text = f"expected {number(mean, 5)}, measured {number(score, 5)}"
        chart.add(marker(shape, x(middle), height, class_, text))
    items = [
        (marker(s, 0, 0, c), source)
        for source, (s, c) in shapes.items()
        if source in {one.source for one, _ in shown}
    ]
    items.append((tag("path", d="M-9 0H9", class_="expected"), "expected = measured"))
    return join(chart.render(), legend(items))


def timeline(summary: SearchSummary) -> Markup:
    """Draw when each candidate would begin and end, one after the other."""
    n = len(summary.candidates)
    height = float(np.clip(6 * n, 60, 260)) + 70
    record = TimelineChart.of(
        [np.sum(c.fit_times) for c in summary.candidates],
        [np.sum(c.score_times) for c in summary.candidates],
    )
    total = max(float(record.ends[-1]), 1e-9)
    chart = Chart(
        f"Seconds of fitting and scoring of {n} candidates, one after the other",
        Scale(0, total, _LEFT, _RIGHT),
        Scale(0.5, n + 0.5, 24, height - 48),
        "seconds of fitting and scoring",
        "candidate",
        height=height,
    )
    chart.y_ticks = [v for v in chart.y.ticks() if v >= 1 and v == int(v)] or [1]
    row = (height - 72) / n
    for at, begun in enumerate(record.begins.tolist()):
        place = at + 1
        y = chart.y(place) - 0.4 * row
        fits, scores = float(record.fits[at]), float(record.scores[at])
        text = f"Candidate {place}: fits {number(fits, 3)} s, scores {number(scores, 3)} s"
        for seconds, class_ in ((fits, "fit"), (scores, "scoring")):
            width = chart.x(begun + seconds) - chart.x(begun)
            box = {"x": f"{chart.x(begun):.1f}", "y": f"{y:.1f}", "height": f"{0.8 * row:.1f}"}
            chart.add(
                tag(
                    "rect", tag("title", text), width=f"{max(width, 0.8):.1f}", **box, class_=class_
                )
            )
            begun += seconds
        if at == summary.best:
            chart.add(
                marker("star", min(chart.x(begun) + 12, _RIGHT), chart.y(place), "star", "Best")
            )
    items = [
        (tag("rect", x="-8", y="-5", width="16", height="10", class_="fit"), "fits"),
        (tag("rect", x="-8", y="-5", width="16", height="10", class_="scoring"), "scores"),
        (marker("star", 0, 0, "star"), "best"),
    ]
    return join(chart.render(), legend(items))


def _score_scale(shown: Sequence[float]) -> Scale:
    return Scale(*pad_range(min(shown), max(shown), 0.06, 0.08), _BOTTOM, _TOP)


def _percent(share: float) -> str:
    return "< 1%" if 0 < share < 0.005 else f"{share:.0%}"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _key(value: Any) -> tuple[str, str] | None:
    return (type(value).__name__, str(value))
