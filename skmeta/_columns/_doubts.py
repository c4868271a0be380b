"""Warnings of columns that are probably not what they are read as."""

from __future__ import annotations

import calendar
import re
from datetime import datetime
from typing import Any

from skmeta._columns._frames import is_missing, kind_of, labels_of
from skmeta._validation import quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# Strings are numbers in disguise if there are many of them and nearly all are numbers.
_MIN_NUMBERS, _MIN_SHARE_OF_NUMBERS = 10, 0.8
# They are texts if there are many of them and hardly any occurs in two rows.
_MIN_TEXTS, _MIN_SHARE_OF_TEXTS = 20, 0.5

# Dates that are not in ISO 8601: months, quarters and weeks of a year, and days.
_NAMES = (*calendar.month_name[1:], *calendar.month_abbr[1:])
_MONTH, _YEAR, _BETWEEN = rf"(?:{'|'.join(_NAMES)})\.?", r"(?:19|20)\d\d", "[-/. ]"
_DATE = re.compile(
    rf"{_YEAR}{_BETWEEN}?(?:q[1-4]|w[0-5]?\d|m[01]?\d|{_MONTH})|{_YEAR}{_BETWEEN}[01]?\d"
    rf"|(?:q[1-4]|[01]?\d|{_MONTH}){_BETWEEN}{_YEAR}"
    rf"|{_YEAR}{_BETWEEN}[01]?\d{_BETWEEN}[0-3]?\d"
    rf"|[0-3]?\d{_BETWEEN}(?:[0-3]?\d|{_MONTH}){_BETWEEN}{_YEAR}",
    re.IGNORECASE,
)


def warn_of_doubts(column: Any) -> None:
    """Warn of a column of categories that holds texts, or numbers with few exceptions."""
    labels, kind = labels_of(column), kind_of(column)
    # Whoever chose a type of categories knows that they are.
    if "cat" in kind or kind == "enum" or not all(isinstance(label, str) for label in labels):
        return
    name, others = column.name, [label for label in labels if not _is_number(label)]
    if len(labels) - len(others) >= max(_MIN_NUMBERS, _MIN_SHARE_OF_NUMBERS * len(labels)):
        but = f" but for {quote_some(sorted(others))}" if others else " as strings"
        warn_caller(
            f"Column {name!r} holds numbers{but}, and is read as {len(labels)} categories. Convert "
            f"it, for example with pd.to_numeric(X[{name!r}], errors='coerce'), or with "
            "astype('category') if they are labels.",
            UnusedDataWarning,
        )
        return
    n_dates = sum(_is_date(label) for label in labels)
    if n_dates >= max(_MIN_NUMBERS, _MIN_SHARE_OF_NUMBERS * len(labels)):
        warn_caller(
            f"Column {name!r} holds dates as strings, such as {labels[0]!r}, and is read as "
            f"{len(labels)} categories. Convert it with pd.to_datetime(X[{name!r}]), or "
            f"pd.PeriodIndex for quarters; an estimator with groups takes it as order={name!r}.",
            UnusedDataWarning,
        )
        return
    n_rows = int((~is_missing(column)).sum())
    if len(labels) >= max(_MIN_TEXTS, _MIN_SHARE_OF_TEXTS * n_rows):
        warn_caller(
            f"Column {name!r} holds {len(labels)} different texts in {n_rows} rows, such as "
            f"{quote_some(sorted(labels), 2)}, and hardly any is in two rows, so little can be "
            "learned from them as categories. Put an encoder of texts in front, such as "
            "TableVectorizer of the package skrub, or drop the column.",
            UnusedDataWarning,
        )


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _is_date(label: str) -> bool:
    if _DATE.fullmatch(label):
        return True
    try:
        datetime.fromisoformat(label)
    except ValueError:
        return False
    return True
