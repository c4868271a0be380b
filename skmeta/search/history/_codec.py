"""Records as rows of text, and back.

A field that queries read has a column of its own; one JSON text, ``details``, has the others. How a
field is read follows from its type, and a field with its default is not written. So a field that
is added later is missing in older rows, which can still be read.

For a damaged row, functions raise a `HistoryFormatError` that names the column.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryFormatError, HistoryWarning
from skmeta.search.record import CandidateRecord, Configuration, SearchRecord, Value

Row = dict[str, Any]
T = TypeVar("T")

# Fields that have a column. Those in `JSON_COLUMNS` are JSON in it, as `details` is.
CANDIDATE_FIELDS = ("key", "configuration", "scores")
SEARCH_FIELDS = ("fingerprint", "dataset", "data_digest", "estimator", "refit_metric")
JSON_COLUMNS = {"configuration", "scores", "details"}

_MAX_SHOWN = 5  # damaged rows that a warning names
# Some databases require a length of columns that are compared.
KEY_LENGTH = 128


def dump(value: Any) -> str:
    """Return compact JSON, with NaN and Infinity as Python writes them."""
    return json.dumps(value, separators=(",", ":"), default=_plain)


def candidate_to_row(candidate: CandidateRecord) -> Row:
    """Return the columns of a candidate."""
    if len(candidate.key) > KEY_LENGTH:
        raise HistoryFormatError(
            f"A candidate's key has at most {KEY_LENGTH} characters, got {candidate.key!r}. "
            "Shorten it."
        )
    for name, value in candidate.configuration.items():
        if not isinstance(value, Value | np.generic):
            raise HistoryFormatError(
                f"Parameter {name!r} has a value of type {type(value).__name__}, but a history "
                "holds bool, int, float, str and None. Describe the value by a name or a number."
            )
    return _to_row(candidate, CANDIDATE_FIELDS)


def row_to_candidate(row: Mapping[str, Any]) -> CandidateRecord:
    """Return the candidate that `candidate_to_row` encoded.

    Raises
    ------
    HistoryFormatError
        If a column is damaged; the message names it.
    """
    candidate: CandidateRecord = _from_row(CandidateRecord, CANDIDATE_FIELDS, row)
    return candidate


def search_to_row(record: SearchRecord) -> Row:
    """Return the columns of a search. The column ``dataset`` has the label of an unnamed one."""
    row = _to_row(record, SEARCH_FIELDS) | {"dataset": record.dataset_label}
    return row | {name: _clean(row[name]) for name in ("dataset", "estimator", "refit_metric")}


def row_to_search(row: Mapping[str, Any]) -> SearchRecord:
    """Return the record that `search_to_row` encoded.

    Raises
    ------
    HistoryFormatError
        If a column is damaged; the message names it.
    """
    label, digest = (decode_column(row, name, _text) for name in ("dataset", "data_digest"))
    name = None if label == digest[:12] else label
    record: SearchRecord = _from_row(SearchRecord, SEARCH_FIELDS, {**row, "dataset": name})
    return record


def row_to_times(row: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return when a search started and finished, in seconds since 1970."""
    finished = decode_column(row, "finished", lambda t: None if t is None else _time(t))
    return decode_column(row, "started", _time), finished


def decode_rows(rows: Iterable[Row], decode: Callable[[Row], T], damage: list[str]) -> list[T]:
    """Return the decoded rows; append a description of each damaged row to `damage`."""
    decoded = []
    for row in rows:
        try:
            decoded.append(decode(row))
        except HistoryFormatError as error:
            owner = row.get("search_id")
            name = f"search {row['id']}"
            if owner is not None:
                name = f"candidate {row['id']} of search {owner}"
            damage.append(f"{name}: {error}")
    return decoded


def warn_of_damage(name: str, damage: Sequence[str]) -> None:
    """Warn that damaged rows of a history were left out."""
    if not damage:
        return
    more = f"; and {len(damage) - _MAX_SHOWN} more" if len(damage) > _MAX_SHOWN else ""
    warn_caller(
        f"{name} has damaged rows, which are left out: {'; '.join(damage[:_MAX_SHOWN])}{more}. A "
        "search that is run again evaluates its damaged candidates anew and replaces their rows.",
        HistoryWarning,
    )


def row_to_scores(row: Row) -> tuple[dict[str, Value], dict[str, tuple[float, ...]]]:
    """Return configuration and scores of a candidate, whose other columns may be missing."""
    configuration = decode_column(row, "configuration", _decode_configuration)
    return configuration, decode_column(row, "scores", _decode_scores)


def decode_column(row: Mapping[str, Any], name: str, decode: Callable[[Any], T]) -> T:
    """Return the decoded value of a column, or raise `HistoryFormatError` that names it."""
    try:
        return decode(row[name])
    except KeyError:
        raise HistoryFormatError(f"{name} is missing") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise HistoryFormatError(f"{name} is damaged: {str(error)[:120]}") from error


def _decode_configuration(text: str) -> dict[str, Value]:
    values: dict[str, Value] = _parse(text)
    if text.count("{") == 1 and "[" not in text:  # almost always, all values are plain
        return values
    return cast(dict[str, Value], _reader(Configuration)(values))


def _decode_scores(text: str) -> dict[str, tuple[float, ...]]:
    return cast(
        dict[str, tuple[float, ...]], _reader(Mapping[str, tuple[float, ...]])(_parse(text))
    )


# -- records --------------------------------------------------------------------------------------


def _to_row(record: Any, columns: Sequence[str]) -> Row:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    row = {name: values.pop(name) for name in columns}
    row |= {name: dump(row[name]) for name in JSON_COLUMNS & row.keys()}
    kind: Any = type(record)
    defaults = _defaults(kind)
    # NaN is not equal to itself, but its text is.
    details = {n: v for n, v in values.items() if repr(v) != repr(defaults[n])}
    return {**row, "details": dump(details)}


def _from_row(kind: Any, columns: Sequence[str], row: Mapping[str, Any]) -> Any:
    readers = _readers(kind)

    def read(name: str) -> Any:
        def decode(value: Any) -> Any:
            return readers[name](_parse(value) if name in JSON_COLUMNS else value)

        return decode_column(row, name, decode)

    def build(text: Any) -> Any:
        others = {n: readers[n](v) for n, v in _parse(text).items() if n in readers}
        return kind(**values, **others)

    values = {name: read(name) for name in columns}
    return decode_column(row, "details", build)


@cache
def _readers(kind: Any) -> dict[str, Callable[[Any], Any]]:
    return {name: _reader(hint) for name, hint in get_type_hints(kind).items()}


@cache
def _defaults(kind: Any) -> dict[str, Any]:
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(kind)
    }


# -- values ---------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold in place of one that it cannot."""
    if isinstance(value, np.generic):
        return value.item()
    return dict(value)  # another mapping; anything else is an error


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return what reads a value of a type from JSON, and raises a ValueError for another one."""
    kind, parts = get_origin(hint), get_args(hint)
    readers = [_reader(part) for part in parts if part is not ...]
    are_floats = parts == (float, ...)

    def read(value: Any) -> Any:
        if type(value) is hint:
            return value
        if kind is UnionType:
            own = [one for one, part in zip(readers, parts, strict=True) if type(value) is part]
            return (own or readers)[0](value)
        if kind is tuple and isinstance(value, list):
            if are_floats and all(type(v) is float for v in value):
                return tuple(value)  # almost always, and this runs for the scores of a history
            ordered = readers * len(value) if parts[-1] is ... else readers
            return tuple(one(v) for one, v in zip(ordered, value, strict=True))
        if kind is Mapping and isinstance(value, dict):
            return {name: readers[1](v) for name, v in value.items()}
        if hint is float and type(value) is int:
            return float(value)
        raise ValueError(f"{value!r:.60} is not of type {hint}")

    return read


def _parse(text: Any) -> Any:
    """Return a parsed JSON object."""
    value = json.loads(_text(text))
    if not isinstance(value, dict):
        raise ValueError(f"JSON of a {type(value).__name__}, not of an object")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__}, not text")
    return value


def _time(value: Any) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is not a time")
    return float(value)


def _clean(text: str) -> str:
    """Return text that every database accepts: without NUL and without lone surrogates."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
