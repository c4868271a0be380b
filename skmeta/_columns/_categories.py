"""Which columns hold categories, and in which order."""

from __future__ import annotations

import re
from numbers import Number
from typing import Any

from skmeta._columns._frames import kind_of, labels_of
from skmeta._validation import quote_some

# Types of pandas and polars columns of categories, in lower case, without their settings.
_TYPES = frozenset(
    {"category", "categorical", "dictionary", "enum", "str", "string", "large_string"}
)
_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)")


def has_categories(column: Any) -> bool:
    """Return whether a column holds categories."""
    kind = kind_of(column)
    if kind != "object":
        return kind in _TYPES
    return any(not isinstance(label, Number) for label in labels_of(column))


def is_ordered(column: Any) -> bool:
    """Return whether a column holds categories whose order is given."""
    return bool(getattr(column.dtype, "ordered", False))


def check_type(column: Any, had_categories: bool, when: str) -> None:
    """Raise an error if a column with values has categories now, but had none, or vice versa."""
    has = has_categories(column)
    labels = labels_of(column) if has != had_categories else []
    if labels:
        was, now = (("numbers", "categories")[x] for x in (had_categories, has))
        raise ValueError(
            f"Column {column.name!r} had {was} {when}, but has {now} now: {quote_some(labels)}. "
            "Give it the same type in both."
        )


def sorted_labels(column: Any) -> list[Any]:
    """Return the categories in their order; numbers in strings count by size, as in "9" < "10"."""
    if is_ordered(column):
        return list(column.dtype.categories)
    labels = labels_of(column)
    try:
        if all(isinstance(label, str) for label in labels):
            return sorted(labels, key=_natural_order)
        return sorted(labels)
    except TypeError as error:
        raise ValueError(
            f"Column {column.name!r} has categories that cannot be put in an order: "
            f"{quote_some(labels)}. Convert them to one type, for example with astype(str)."
        ) from error


def _natural_order(label: str) -> tuple[list[str | float], str]:
    """Return a key by which strings are sorted: text and numbers in turns."""
    parts = _NUMBERS.split(label)
    return [float(part) if k % 2 else part for k, part in enumerate(parts)], label
