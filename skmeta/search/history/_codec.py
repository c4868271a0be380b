"""Records as rows of text, and back.

A field that queries read has a column of its own; one JSON text, ``details``, has the others. How a
field is written follows from its type, and a field with its default is not written. So a field that
is added later is missing in older rows, which can still be read.

The texts are strict JSON, so that a database or another language can read them. JSON has no
non-finite numbers. In a configuration, NaN is written as ``{"float": "nan"}``, which differs from
all other values. Elsewhere, NaN is ``null`` and infinity is ``"Infinity"``.

For a damaged row, functions raise a `HistoryFormatError` that names the column.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

import numpy as np

from skmeta.exceptions import HistoryFormatError
from skmeta.search.record import CandidateRecord, Configuration, SearchRecord, Value

Row = dict[str, Any]
T = TypeVar("T")

_NON_FINITE = ("nan", "inf", "-inf")
_INFINITIES = ("Infinity", "-Infinity")

# Fields that have a column. Those in `JSON_COLUMNS` are JSON in it, as `details` is.
CANDIDATE_FIELDS = ("key", "configuration", "scores")
SEARCH_FIELDS = ("fingerprint", "dataset", "data_digest", "estimator", "refit_metric")
JSON_COLUMNS = {"configuration", "scores", "details"}

# Some databases require a length of columns that are compared.
KEY_LENGTH = 128


def dump(value: Any) -> str:
    """Return strict, compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def candidate_to_row(candidate: CandidateRecord) -> Row:
    """Return the columns of a candidate."""
    if len(candidate.key) > KEY_LENGTH:
        raise HistoryFormatError(
            f"A candidate's key has at most {KEY_LENGTH} characters, got {candidate.key!r}. "
            "Shorten it."
        )
    return _to_row(candidate, CANDIDATE_FIELDS)


def row_to_candidate(row: Mapping[str, Any]) -> CandidateRecord:
    """Return the candidate that `candidate_to_row` encoded.

    Raises
    ------
    HistoryFormatError
        If a column is damaged; the message names it.
    """
    return _from_row(CandidateRecord, CANDIDATE_FIELDS, row)


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
    label = decode_column(row, "dataset", _read_text)
    digest = decode_column(row, "data_digest", _read_text)
    name = None if label == unnamed_label(digest) else label
    return _from_row(SearchRecord, SEARCH_FIELDS, {**row, "dataset": name})


def unnamed_label(data_digest: str) -> str:
    """Return what the column ``dataset`` holds where the user gave no name."""
    return data_digest[:12]


def row_to_times(row: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return when a search started and finished, in seconds since 1970."""
    finished = decode_column(row, "finished", lambda t: None if t is None else _read_time(t))
    return decode_column(row, "started", _read_time), finished


def decode_configuration(text: str) -> dict[str, Value]:
    """Return the configuration in a column."""
    values: dict[str, Value] = _parse(text)
    if text.count("{") == 1 and "[" not in text:  # almost always, all values are plain
        return values
    return _read_configuration(values)


def decode_scores(text: str) -> dict[str, tuple[float, ...]]:
    """Return metric -> score of each fold, from a column."""
    return _read_by_name(_parse(text), _read_numbers)


def decode_column(row: Mapping[str, Any], name: str, decode: Callable[[Any], T]) -> T:
    """Return the decoded value of a column, or raise `HistoryFormatError` that names it."""
    try:
        return decode(row[name])
    except KeyError:
        raise HistoryFormatError(f"{name} is missing") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise HistoryFormatError(f"{name} is damaged: {str(error)[:120]}") from error


# -- records --------------------------------------------------------------------------------------


def _to_row(record: Any, columns: Sequence[str]) -> Row:
    row: Row = {}
    details = {}
    kind: Any = type(record)
    for name, (form, default) in _forms(kind).items():
        value = getattr(record, name)
        if name in columns:
            written = form.write(value)
            row[name] = dump(written) if name in JSON_COLUMNS else written
        elif repr(value) != repr(default):  # NaN is not equal to itself
            details[name] = form.write(value)
    return {**row, "details": dump(details)}


def _from_row(kind: type[T], columns: Sequence[str], row: Mapping[str, Any]) -> T:
    forms = _forms(cast(Any, kind))

    def read(name: str) -> Callable[[Any], Any]:
        if name in JSON_COLUMNS:
            return lambda text: forms[name].form.read(_parse(text))
        return forms[name].form.read

    def build(text: Any) -> T:
        details = _parse(text)
        others = {n: forms[n].form.read(v) for n, v in details.items() if n in forms}
        return kind(**values, **others)

    values = {name: decode_column(row, name, read(name)) for name in columns}
    return decode_column(row, "details", build)


class _Form(NamedTuple):
    """How values of one type become JSON, and are read from it."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class _Field(NamedTuple):
    form: _Form
    default: Any


@cache
def _forms(kind: Any) -> dict[str, _Field]:
    """Return the form and default of each field of a record."""
    hints = get_type_hints(kind)
    return {
        field.name: _Field(
            _FORMS[hints[field.name]],
            field.default if field.default_factory is MISSING else field.default_factory(),
        )
        for field in fields(kind)
    }


# -- forms ----------------------------------------------------------------------------------------


def _write_number(value: Any) -> Any:
    number = value.item() if isinstance(value, np.generic) else value
    if math.isfinite(number):
        return number
    return None if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def _read_number(value: Any) -> float:
    if value is None:
        return math.nan
    # Most values are floats, and this runs for each score of a history.
    if type(value) is float or type(value) is int or value in _INFINITIES:
        return float(value)
    raise ValueError(f"{value!r:.60} is no number")


def _write_numbers(values: Sequence[float]) -> list[Any]:
    return [_write_number(value) for value in values]


def _read_numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{values!r:.60} is no list of numbers")
    return tuple(map(_read_number, values))


def _read_count(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.60} is no count")
    return value


def _read_counts(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{values!r:.60} is no list of counts")
    return tuple(map(_read_count, values))


def _clean(text: str) -> str:
    """Return text that every database accepts: without NUL and without lone surrogates."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__}, not text")
    return value


def _read_time(value: Any) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is no time")
    return float(value)


def _write_configuration(configuration: Configuration) -> Any:
    return {str(name): _write_value(name, value) for name, value in configuration.items()}


def _write_value(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(float(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise HistoryFormatError(
        f"Parameter {name!r} has a value of type {type(value).__name__}, but a history holds bool, "
        "int, float, str and None. Describe the value by a name or a number."
    )


def _read_configuration(values: Any) -> dict[str, Value]:
    return _read_by_name(values, _read_value)


def _read_value(value: Any) -> Value:
    if isinstance(value, dict):
        if [*value] != ["float"] or value["float"] not in _NON_FINITE:
            raise ValueError(f"{value!r:.60} is no value of a parameter")
        return float(value["float"])
    if isinstance(value, list):
        raise ValueError(f"{value!r:.60} is no value of a parameter")
    plain: Value = value
    return plain


def _write_position(position: tuple[str, int] | None) -> list[Any] | None:
    return None if position is None else [*position]


def _read_position(value: Any) -> tuple[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or [type(part) for part in value] != [str, int]:
        raise ValueError(f"{value!r:.60} is no position in a history")
    return value[0], value[1]


def _read_by_name(values: Any, read: Callable[[Any], T]) -> dict[str, T]:
    if not isinstance(values, dict):
        raise ValueError(f"{values!r:.60} is no object")
    return {name: read(value) for name, value in values.items()}


def _parse(text: Any) -> Any:
    """Return a parsed JSON object."""
    value = json.loads(_read_text(text), parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError(f"JSON of a {type(value).__name__}, not of an object")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not in JSON")


def _or_none(form: _Form) -> _Form:
    return _Form(
        lambda value: None if value is None else form.write(value),
        lambda value: None if value is None else form.read(value),
    )


def _by_name(form: _Form) -> _Form:
    return _Form(
        lambda values: {name: form.write(value) for name, value in values.items()},
        lambda values: _read_by_name(values, form.read),
    )


_NUMBER, _NUMBERS = _Form(_write_number, _read_number), _Form(_write_numbers, _read_numbers)
_COUNT, _COUNTS = _Form(int, _read_count), _Form(lambda v: [*map(int, v)], _read_counts)
_TEXT = _Form(str, _read_text)
_FORMS: dict[Any, _Form] = {
    str: _TEXT,
    str | None: _or_none(_Form(_clean, _read_text)),
    int | None: _or_none(_COUNT),
    float: _NUMBER,
    tuple[float, ...]: _NUMBERS,
    tuple[int, ...]: _COUNTS,
    tuple[str, int] | None: _Form(_write_position, _read_position),
    Configuration: _Form(_write_configuration, _read_configuration),
    Mapping[str, tuple[float, ...]]: _by_name(_NUMBERS),
    Mapping[str, float]: _by_name(_NUMBER),
    Mapping[str, int]: _by_name(_COUNT),
    Mapping[str, str]: _by_name(_TEXT),
}
