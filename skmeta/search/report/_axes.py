"""Axes of SVG charts: scales, ticks, frames and marks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skmeta._html import Markup, join, tag

__all__ = ["Chart", "Scale", "legend", "marker", "number"]

_N_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """Maps values to positions, on a linear or a log scale.

    Parameters
    ----------
    low, high : float
        Values at the ends.
    start, end : float
        Positions of the ends.
    is_log : bool, default=False
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, float(value)
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(max(at, 1e-300))
        share = 0.5 if high <= low else (at - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values between the ends."""
        if self.high <= self.low:
            return [self.low]
        return self._log_ticks() if self.is_log else self._linear_ticks()

    def _linear_ticks(self) -> list[float]:
        rough = (self.high - self.low) / (_N_TICKS - 1)
        magnitude = 10 ** math.floor(math.log10(rough))
        step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]

    def _log_ticks(self) -> list[float]:
        low, high = math.log10(self.low), math.log10(self.high)
        decades = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
        if len(decades) < 2:
            factors = [
                m * 10**k for k in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5)
            ]
            return [v for v in factors if self.low <= v <= self.high]
        every = math.ceil(len(decades) / _N_TICKS)
        return [10.0**k for k in decades if k % every == 0]


def number(value: float, digits: int = 4) -> str:
    """Return a number for a reader; a hyphen for NaN.

    Examples
    --------
    >>> number(0.1234567), number(1e-7), number(float("nan"))
    ('0.1235', '1e-07', '-')
    """
    return f"{value:.{digits}g}" if math.isfinite(value) else "-"


@dataclass
class Chart:
    """One SVG picture with a frame, to which marks are added.

    Parameters
    ----------
    label : str
        What it shows, for those who cannot see it.
    x, y : Scale
    x_title, y_title : str
    width, height : float
    x_ticks : sequence of (position, text), default=None
        None writes round values.
    y_ticks : sequence of float, default=None
        Values; None writes round ones.
    """

    label: str
    x: Scale
    y: Scale
    x_title: str
    y_title: str
    width: float = 460
    height: float = 270
    x_ticks: Sequence[tuple[float, str]] | None = None
    y_ticks: Sequence[float] | None = None
    marks: list[Markup] = field(default_factory=list)

    def add(self, *marks: Markup) -> None:
        """Add marks on top of the others."""
        self.marks.extend(marks)

    def line(self, xs: Any, ys: Any, class_: str) -> None:
        """Add a line through points; it is broken at NaN."""
        self.add(tag("path", d=self._path(xs, ys), class_=class_))

    def steps(self, xs: Any, ys: Any, class_: str) -> None:
        """Add a line that keeps each value up to the next point."""
        xs, ys = np.repeat(xs, 2)[1:], np.repeat(ys, 2)[:-1]
        self.line(xs, ys, class_)

    def band(self, xs: Any, lows: Any, highs: Any, class_: str) -> None:
        """Add the area between two lines."""
        kept = np.isfinite(lows) & np.isfinite(highs)
        xs, lows, highs = (np.asarray(v)[kept] for v in (xs, lows, highs))
        if len(xs):
            outline = self._path([*xs, *xs[::-1]], [*highs, *lows[::-1]]) + "Z"
            self.add(tag("path", d=outline, class_=class_))

    def render(self) -> Markup:
        """Return the picture."""
        return tag(
            "svg",
            *self._frame(),
            *self.marks,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            aria_label=self.label,
        )

    def _path(self, xs: Any, ys: Any) -> str:
        parts, pen = [], "M"
        for x, y in zip(xs, ys, strict=True):
            if not math.isfinite(y):
                pen = "M"
                continue
            parts.append(f"{pen}{self.x(x):.1f} {self.y(y):.1f}")
            pen = "L"
        return "".join(parts)

    def _frame(self) -> list[Markup]:
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        lowest, highest = max(bottom, top), min(bottom, top)
        x_ticks = self.x_ticks
        if x_ticks is None:
            x_ticks = [(self.x(v), number(v)) for v in self.x.ticks()]
        marks = []
        for value in self.y_ticks or (self.y.ticks() if self.y_title else ()):
            at = self.y(value)
            ends = {"x1": f"{left:g}", "x2": f"{right:g}", "y1": f"{at:.1f}", "y2": f"{at:.1f}"}
            marks.append(tag("line", **ends, class_="grid"))
            marks.append(_text(left - 6, at + 4, number(value), "end"))
        for at, text in x_ticks:
            marks.append(_text(at, lowest + 18, text, "middle"))
            ends = {
                "x1": f"{at:.1f}",
                "x2": f"{at:.1f}",
                "y1": f"{lowest:g}",
                "y2": f"{lowest + 4:g}",
            }
            marks.append(tag("line", **ends, class_="axis"))
        ends = {"x1": f"{left:g}", "x2": f"{right:g}", "y1": f"{lowest:g}", "y2": f"{lowest:g}"}
        marks.append(tag("line", **ends, class_="axis"))
        marks.append(_text((left + right) / 2, self.height - 6, self.x_title, "middle", "title"))
        if self.y_title:
            marks.append(_text(4, highest - 10, self.y_title, "start", "title"))
        return marks


def _text(x: float, y: float, text: str, anchor: str, class_: str = "tick") -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=class_)


_SHAPES = {
    "circle": "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z",
    "square": "M-4 -4H4V4H-4Z",
    "diamond": "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
    "up": "M0 -5L5 4H-5Z",
    "down": "M0 5L5 -4H-5Z",
    "plus": "M-5 -1.5H-1.5V-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5Z",
    "cross": "M-4 -5L0 -1L4 -5L5 -4L1 0L5 4L4 5L0 1L-4 5L-5 4L-1 0L-5 -4Z",
    "star": "M0 -9L2.6 -3L9 -2.6L4.2 1.6L5.6 8L0 4.6L-5.6 8L-4.2 1.6L-9 -2.6L-2.6 -3Z",
}


def marker(shape: str, x: float, y: float, class_: str, title: str | None = None) -> Markup:
    """Return a mark of one of several shapes, so that kinds differ without colour."""
    hint = () if title is None else (tag("title", title),)
    return tag(
        "path", *hint, d=_SHAPES[shape], transform=f"translate({x:.1f} {y:.1f})", class_=class_
    )


def legend(items: Sequence[tuple[Markup, str]]) -> Markup:
    """Return a list of marks and what they mean."""
    keys = (
        tag("li", tag("svg", mark, viewBox="-10 -10 20 20", aria_hidden="true"), text)
        for mark, text in items
    )
    return tag("ul", join(*keys), class_="legend")
