"""Data frames of a family of tasks as numbers, in the same way for each task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any, Self

import numpy as np

from skmeta._columns._doubts import warn_of_doubts
from skmeta._columns._frames import (
    check_no_times,
    check_one_type,
    frame_columns,
    is_missing,
    kind_of,
    labels_of,
    numbers_of,
)
from skmeta._validation import count, quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# A category with fewer rows is encoded as "other": of a family, and of a table with few rows.
_MIN_ROWS, _FEW_ROWS, _SHARE_OF_ROWS = 10, 2, 0.02
# Categories that were not seen at `fit` are warned of from this share of the rows on.
_SHARE_OF_UNKNOWN = 0.1

# Types of pandas and polars columns of categories, in lower case, without their settings.
_TYPES = frozenset(
    {"category", "categorical", "dictionary", "enum", "str", "string", "large_string"}
)
_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)")


class FrameEncoder:
    """Encode data frames of a family of tasks as numbers, in the same way for each task.

    It learns from the rows of all tasks, and a prior keeps it. A category becomes an indicator; of
    two categories, one has an indicator. Rare categories, and those that the family does not have,
    share one. A row whose category is missing has no indicator. Categories whose order is given are
    numbered. Numbers stay as they are, and missing ones too if the learner takes them. Otherwise
    they are replaced by the median, and get an indicator.

    `columns` has for each column its ``name`` and either ``categories`` and ``has_other``, and the
    ``reference`` if there are two categories and the second one only has an indicator, or ``fill``
    (None for missing values that stay) and ``has_indicator``, and the ``levels`` of
    ordered categories, and for codes whether it ``is_nominal``. All values can be written as JSON.
    """

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.columns = tuple(dict(column) for column in columns)

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Self | None:
        """Return the encoder that a prior's provenance describes; None if its rows are numbers."""
        columns = provenance.get("columns")
        return None if columns is None else cls(columns)

    @classmethod
    def learn(
        cls,
        X: Any,
        allow_nan: bool,
        has_codes: bool = False,
        weight: np.ndarray | None = None,
        is_family: bool = True,
    ) -> Self | None:
        """Learn the columns of a family or of one task; None if the rows can be used as they are.

        A row of weight 2 counts as two, and one of weight 0 is left out.
        With `allow_nan`, missing numbers stay. With `has_codes`, all categories are numbered: in
        the order of their labels, by size if these are numbers, where no order is given; a missing
        or new category is then a missing value. A table of one's own, which is no family, may have
        fewer rows per category. A ValueError is raised for times, or categories of several types.
        """
        columns, is_needed = [], False
        weight = np.ones(len(X)) if weight is None else np.asarray(weight)
        if not weight.all():
            kept = np.flatnonzero(weight)
            X, weight = X[kept] if hasattr(X, "get_columns") else X.iloc[kept], weight[kept]
        share = _SHARE_OF_ROWS * round(float(weight.sum()), 6)
        least = _MIN_ROWS if is_family else float(np.clip(share, _FEW_ROWS, _MIN_ROWS))
        for column in frame_columns(X):
            check_no_times(column)
            known: dict[str, Any] = {"name": str(column.name)}
            columns.append(known)
            if has_categories(column):
                check_one_type(labels_of(column), f"Column {column.name!r}")
                warn_of_doubts(column)
                is_needed = True
                if has_codes:
                    known["is_nominal"] = not is_ordered(column)
                elif not is_ordered(column):
                    known |= _learn_categories(column, weight, least)
                    continue
                known["levels"] = _plain_labels(column)
            known |= {"fill": None, "has_indicator": False}
            if not allow_nan:
                values = _numbers(column, known)
                missing = np.isnan(values)
                known["fill"] = 0.0 if missing.all() else float(np.nanmedian(values))
                known["has_indicator"] = bool(missing.any())
                is_needed = is_needed or known["has_indicator"]
        return cls(columns) if is_needed else None

    @property
    def nominal(self) -> tuple[int, ...]:
        """Positions of the columns with codes of categories that have no order of their own."""
        return tuple(k for k, column in enumerate(self.columns) if column.get("is_nominal"))

    def encode(self, X: Any, when: str = "in the prior's family") -> np.ndarray:
        """Encode rows as (n_samples, n_encoded); `when` says in errors where it learned."""
        columns = frame_columns(X)
        if len(columns) != len(self.columns):
            raise ValueError(
                f"X was a data frame of {len(self.columns)} columns {when}, with categories or "
                f"missing values, got {type(X).__name__} with {len(columns)} columns. Pass a data "
                "frame with the same columns."
            )
        parts: list[np.ndarray] = []
        for column, known in zip(columns, self.columns, strict=True):
            check_no_times(column)
            check_type(column, "categories" in known or "levels" in known, when)
            parts += _encode_column(column, known, when)
        rows = np.column_stack([np.zeros((len(X), 0)), *parts]).astype(np.float64)
        return rows if rows.shape[1] else np.zeros((len(X), 1))

    def indicators(self) -> list[range]:
        """Return the positions of the encoded columns of each category that has several."""
        positions, start = list[range](), 0
        for column in self.columns:
            if "categories" in column:
                stop = start + len(column["categories"]) + column["has_other"]
                positions += [range(start, stop)] * (stop > start + 1)
            else:
                stop = start + 1 + column.get("has_indicator", False)
            start = stop
        return positions

    def names_out(self) -> list[str]:
        """Return the names of the encoded columns."""
        names: list[str] = []
        for column in self.columns:
            name = str(column["name"])
            if "categories" in column:
                names += [f"{name}={label}" for label in column["categories"]]
                names += [f"{name}=other"] * column["has_other"]
            else:
                names += [name] + [f"{name}=missing"] * column.get("has_indicator", False)
        return names or ["constant"]


def _learn_categories(column: Any, weight: np.ndarray, least: float) -> dict[str, Any]:
    labels, counts = _plain_labels(column), Counter[Any]()
    for value, row_weight in zip(_plain_values(column), weight.tolist(), strict=True):
        counts[value] += row_weight
    # Sums of weights are rounded: they depend on the order of the rows.
    is_kept = {label: round(count, 6) >= least for label, count in counts.items()}
    categories = tuple(label for label in labels if is_kept.get(label))
    has_other = len(categories) < len(labels)
    # Of two categories, one indicator says all.
    if len(categories) == 2 and not has_other:
        reference, other = categories
        return {"categories": (other,), "has_other": False, "reference": reference}
    return {"categories": categories, "has_other": has_other}


def _plain(label: Any) -> Any:
    """Return a label as a value of Python that can be written as JSON, such as a string."""
    label = label.item() if isinstance(label, np.generic) else label
    return label if isinstance(label, (bool, int, float)) else str(label).strip()


def _plain_labels(column: Any) -> tuple[Any, ...]:
    """Return the categories in their order, as plain values."""
    return tuple(dict.fromkeys(map(_plain, sorted_labels(column))))


def _plain_values(column: Any) -> list[Any]:
    """Return the values of a column of categories; a missing one is None."""
    # A missing value of pandas cannot be compared with a label.
    return [
        None if missing else _plain(value)
        for missing, value in zip(is_missing(column), column, strict=True)
    ]


def _encode_column(column: Any, known: Mapping[str, Any], when: str) -> list[np.ndarray]:
    if "categories" not in known and "levels" not in known:
        return _filled(numbers_of(column), known)
    labels = known.get("levels", known.get("categories"))
    values, code = _code(column, labels)
    named = [*labels, *([known["reference"]] if "reference" in known else [])]
    check_one_type(values, f"Column {column.name!r}", next(iter(named), None))
    if when == "at fit" and not known.get("has_other"):
        _warn_of_unknown(values, named, str(column.name))
    if "levels" in known:
        return _filled(np.where(code < 0, np.nan, code), known)
    parts = [code == k for k in range(len(known["categories"]))]
    if known["has_other"]:
        parts.append((code < 0) & np.array([value is not None for value in values], bool))
    return parts


def _numbers(column: Any, known: Mapping[str, Any]) -> np.ndarray:
    """Return numbers, or the positions of levels in their order; a missing value is NaN."""
    if "levels" not in known:
        return numbers_of(column)
    code = _code(column, known["levels"])[1]
    return np.where(code < 0, np.nan, code)


def _warn_of_unknown(values: list[Any], labels: list[Any], name: str) -> None:
    """Warn if a tenth of the values (n,) or more are none of the labels."""
    known = {None, *labels}
    rows = [row for row, value in enumerate(values) if value not in known]
    if rows and len(rows) >= _SHARE_OF_UNKNOWN * len(values):
        warn_caller(
            f"Column {name!r} has categories that fit has not seen in {len(rows)} of "
            f"{count(len(values), 'rows')}, such as {values[rows[0]]!r} in row {rows[0]}. They "
            f"have no effect of their own. Fit has seen {quote_some(labels)}.",
            UnusedDataWarning,
        )


def _code(column: Any, labels: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """Return plain values, and the position of each among labels, or -1."""
    position, values = {label: k for k, label in enumerate(labels)}, _plain_values(column)
    return values, np.array([position.get(value, -1) for value in values], dtype=np.intp)


def _filled(values: np.ndarray, known: Mapping[str, Any]) -> list[np.ndarray]:
    missing = np.isnan(values)
    if known["fill"] is None:
        return [values]
    parts = [np.where(missing, known["fill"], values)]
    return [*parts, missing] if known["has_indicator"] else parts


# -- which columns hold categories, and in which order ---------------------------------------------


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
