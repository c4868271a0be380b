"""Equal rows: copies of one row, or rows that agree by chance.

A row of weight 2 and two copies of it say the same. Copies have to be held out together, so they
become one row. Rows of categories and classes agree by chance, and stay rows. So do rows of few
different numbers: copies need a column of numbers, or a target, on which it would be no accident.

Notation: n rows, m different rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from skmeta._columns._encoder import has_categories
from skmeta._columns._frames import check_no_times, frame_columns, numbers_of, take_column
from skmeta._validation import count
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# A column of numbers has this many steps between its least and its largest value. With more steps
# than the last number, it is continuous.
_MIN_STEPS, _MANY_STEPS = 20, 1e5
# Steps are told from rounding errors by these shares, of the range and of the largest value.
_LEAST_STEP, _ROUNDING = 1e-6, 1e-12

# Values (n,) of a column, and whether these are numbers rather than codes.
Column = tuple[np.ndarray, bool]


def number_copies(columns: Iterable[Column]) -> np.ndarray:
    """Return a number (n,) for each row, which is that of its copies, too."""
    code, numbers = np.zeros(1, np.int64), list[np.ndarray]()
    for values, is_number in columns:
        if is_number:
            numbers.append(values)
        value = np.unique(values, return_inverse=True)[1].ravel()
        code = np.unique(code * (value.max(initial=0) + 1) + value, return_inverse=True)[1].ravel()
        if code.max(initial=0) + 1 == len(values):
            return code
    first = np.unique(code, return_index=True)[1]
    return code if _is_no_accident([each[first] for each in numbers]) else np.arange(len(code))


def _is_no_accident(numbers: list[np.ndarray]) -> bool:
    """Return whether less than one pair of different rows is expected to agree in all columns."""
    m = len(numbers[0]) if numbers else 0
    chance, is_found = m * (m - 1) / 2, False
    for values in numbers:
        sizes = np.unique(values, return_counts=True)[1]
        share = max(float(sizes @ (sizes - 1)) / max(m * (m - 1), 1), 1 / _count_steps(values))
        if share < 1 / _MIN_STEPS:
            chance, is_found = chance * share, True
    return is_found and chance < 1


def _count_steps(values: np.ndarray) -> float:
    """Return the range of values (m,) over the largest step of which all are multiples."""
    values = np.unique(values[np.isfinite(values)] / 2)  # halves, whose differences are finite
    if len(values) < 2:
        return 1.0
    gaps, span = np.diff(values), float(values[-1] - values[0])
    least = max(_LEAST_STEP * span, _ROUNDING * float(abs(values).max()))
    step, rest = float(gaps.min()), gaps
    while step > least and len(rest):  # Euclid's algorithm
        rest = abs(gaps - np.round(gaps / step) * step)
        rest = rest[rest > least]
        step = float(rest.min(initial=step))
    return span / step if span < _MANY_STEPS * step else np.inf


def distinct_rows(
    columns: Iterable[Column], weight: np.ndarray, n_known: int = 0
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the first row (m,) of copies that have a weight, weights (m,) and their former mean.

    The weight of a row is the sum over its copies. Weights are divided by their mean: they say how
    much rows count, and not how sure we are. If the first `n_known` rows were known before, a copy
    of one is warned of.
    """
    kept = np.flatnonzero(weight)
    code = number_copies((values[kept], is_number) for values, is_number in columns)
    if n_known:
        warn_of_known(code, int(np.searchsorted(kept, n_known)))
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    total = np.bincount(place.ravel(), weight[kept])[order]
    # Equal weights become ones without a rounding error.
    largest = float(total.max())
    relative = total / largest
    mean = float(relative.mean())
    return kept[first[order]], relative / mean, largest * mean


def table_columns(X: Any) -> Iterator[Column]:
    """Yield the columns of a data frame or an array as numbers, or as codes of what they hold."""
    columns = frame_columns(X)
    for k in range(np.shape(X)[1]):
        try:
            if columns:
                if has_categories(columns[k]):
                    raise ValueError
                check_no_times(columns[k])
                yield numbers_of(columns[k]), True
            else:
                is_text = any(isinstance(v, str) for v in X[:, k]) if X.dtype == object else False
                yield X[:, k].astype(str if is_text else np.float64), not is_text
        except (TypeError, ValueError):
            yield np.array([str(v) for v in take_column(X, k)]), False


def warn_of_known(code: np.ndarray, n_known: int) -> None:
    """Warn of rows after the first `n_known` that are copies of these, by their numbers (n,)."""
    is_known = np.isin(code[n_known:], code[:n_known])
    if is_known.any():
        are = "is" if is_known.sum() == 1 else "are"
        warn_caller(
            f"{count(int(is_known.sum()), 'rows')} of partial_fit, row {is_known.argmax()} first, "
            f"{are} equal to rows that are known already, and counted twice now. Pass new rows "
            "only, or fit anew.",
            UnusedDataWarning,
        )
