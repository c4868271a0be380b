"""The tables by name, pages that show them, and numbers as text."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
DOC = ROOT / "doc"
PAGES = [ROOT / "README.rst", *sorted([*DOC.glob("benchmarks/*.rst"), *DOC.glob("methods/*.rst")])]
Rows = list[list[Any]]
TABLES: dict[str, Callable[[], Rows]] = {}
MARKED = re.compile(
    r"(\.\. results: (?P<name>[^\n]+)\n\n\.\. csv-table::[^\n]*\n)"
    r"(?P<options>(?:   :(?!header)[^\n]*\n)*)   :header:[^\n]*\n\n(?:   [^\n]*\n)+"
)


def table(*names: str) -> Callable[[Callable[..., Rows]], Callable[..., Rows]]:
    """Register a function under a name, or under names whose last word it is given."""

    def register(make: Callable[..., Rows]) -> Callable[..., Rows]:
        for name in names:
            TABLES[name] = make if len(names) == 1 else partial(make, name.split()[-1])
        return make

    return register


def render(text: str) -> str:
    """Return a page with its tables made anew."""

    def one(match: re.Match[str]) -> str:
        header, *rows = TABLES[match["name"]]()
        lines = [match[1], match["options"], f"   :header: {line(header)}\n\n"]
        return "".join(lines + [f"   {line(row)}\n" for row in rows])

    return MARKED.sub(one, text)


def line(cells: list[Any]) -> str:
    """Return cells as a line of CSV; None is empty."""
    texts = ["" if c is None else str(c) for c in cells]
    texts = ['"' + t.replace('"', '""') + '"' if set(t) & set(',"') else t for t in texts]
    return ", ".join(texts).rstrip()


def number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """Return a number as text; "" if there is none."""
    return "" if value is None or np.isnan(value) else f"{value:{sign}.{digits}f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def interval(mean: float, low: float, high: float, digits: int = 3, sign: str = "") -> str:
    return f"{mean:{sign}.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def plus_minus(pair: Any, digits: int = 2) -> str:
    """Return a mean with the half width of its interval."""
    return "" if pair is None else f"{pair[0]:.{digits}f} ± {pair[1]:.{digits}f}"
