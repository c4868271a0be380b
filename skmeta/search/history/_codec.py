"""Records as rows of text, and back.

A field that queries read has a column of its own; one JSON text, ``details``, has the others. How a
field is read follows from its type, and a field with its default is not written. So a field that
is added later is missing in older rows, which can still be read.

``details`` begins with a digest of the row, so that a value that was changed by accident is seen.

For a damaged row, functions raise a `FileFormatError` that names the column.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache, partial
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from skmeta._warnings import warn_caller
from skmeta.exceptions import FileFormatError, SearchWarning
from skmeta.search.record import CandidateRecord, Configuration, RecordedSearch, SearchRecord

Row = dict[str, Any]
T = TypeVar("T")

# Fields that have a column. Those in `_JSON_COLUMNS` are JSON in it, as `details` is.
CANDIDATE_FIELDS = ("key", "configuration", "scores")
SEARCH_FIELDS = ("fingerprint", "dataset", "data_digest", "estimator", "refit_metric")
_JSON_COLUMNS = {"configuration", "scores", "details"}

_SEAL, _SEAL_LENGTH = '{"digest":"', 16

_MAX_SHOWN = 5  # damaged rows that a warning names
# Some databases require a length of columns that are compared.
KEY_LENGTH = 128


def dump(value: Any) -> str:
    """Return compact JSON, with NaN and Infinity as Python writes them."""
    return json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else dict(value)


def candidate_to_row(candidate: CandidateRecord) -> Row:
    """Return the columns of a candidate."""
    return _to_row(candidate, CANDIDATE_FIELDS)


def row_to_candidate(row: Mapping[str, Any], owner: str = "") -> CandidateRecord:
    """Return the candidate that `candidate_to_row` encoded, and `seal` signed for its search."""
    candidate: CandidateRecord = _from_row(CandidateRecord, CANDIDATE_FIELDS, row)
    _check_seal(row, CANDIDATE_FIELDS, owner)
    return candidate


def search_to_row(record: SearchRecord) -> Row:
    """Return the columns of a search. The column ``dataset`` has the label of an unnamed one."""
    row = _to_row(record, SEARCH_FIELDS) | {"dataset": record.dataset_label}
    for name in ("dataset", "estimator", "refit_metric"):
        # Not every database accepts NUL and lone surrogates.
        row[name] = row[name].replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    return row


def row_to_search(row: Mapping[str, Any]) -> SearchRecord:
    """Return the record that `search_to_row` encoded."""
    label, digest = (read_column(row, name, str) for name in ("dataset", "data_digest"))
    name = None if label == digest[:12] else label
    record: SearchRecord = _from_row(SearchRecord, SEARCH_FIELDS, {**row, "dataset": name})
    _check_seal(row, SEARCH_FIELDS)
    return record


def row_to_recorded(row: Mapping[str, Any]) -> RecordedSearch:
    """Return a search without its candidates."""
    started = read_column(row, "started", float)
    return RecordedSearch(record=row_to_search(row), candidates=(), started=started)


def row_to_past(
    row: Row, candidates: Mapping[int, Iterable[Row]], damage: list[str]
) -> tuple[SearchRecord, list[tuple[Configuration, Mapping[str, tuple[float, ...]]]]]:
    """Return a search, and configuration and scores of its candidates, which are by its id."""
    return row_to_search(row), decode_rows(candidates[row["id"]], _row_to_scores, damage)


def _row_to_scores(row: Row) -> tuple[Configuration, Mapping[str, tuple[float, ...]]]:
    hints = _hints(CandidateRecord)
    configuration, scores = (read_column(row, n, hints[n]) for n in ("configuration", "scores"))
    return configuration, scores


def decode_rows(rows: Iterable[Row], decode: Callable[[Row], T], damage: list[str]) -> list[T]:
    """Return the decoded rows; append a description of each damaged row to `damage`."""
    decoded = []
    for row in rows:
        try:
            decoded.append(decode(row))
        except FileFormatError as error:
            kind, owner = "search", ""
            if "search_id" in row:
                kind, owner = "candidate", f" of search {row['search_id']}"
            damage.append(f"{kind} {row['id']}{owner}: {error}")
    return decoded


def warn_of_damage(name: str, damage: Sequence[str]) -> None:
    """Warn that damaged rows of a history were left out."""
    if not damage:
        return
    more = f"; and {len(damage) - _MAX_SHOWN} more" if len(damage) > _MAX_SHOWN else ""
    warn_caller(
        f"{name} has damaged rows, which are left out: {'; '.join(damage[:_MAX_SHOWN])}{more}. A "
        "search that is run again evaluates its damaged candidates anew and replaces their rows.",
        SearchWarning,
    )


def seal(row: Row, owner: str = "") -> Row:
    """Return a row with its digest, which belongs to a search if an `owner` is given."""
    columns = SEARCH_FIELDS if "fingerprint" in row else CANDIDATE_FIELDS
    digest = _digest(row, columns, row["details"], owner)
    comma = "" if row["details"] == "{}" else ","
    return row | {"details": f'{_SEAL}{digest}"{comma}{row["details"][1:]}'}


def _check_seal(row: Mapping[str, Any], columns: Sequence[str], owner: str = "") -> None:
    """Raise if a row has a digest, and it is that of other values."""
    text = row["details"]
    if text.startswith(_SEAL):
        end = len(_SEAL) + _SEAL_LENGTH
        rest = "{" + text[end + 1 :].removeprefix(",")
        if text[len(_SEAL) : end] != _digest(row, columns, rest, owner):
            raise FileFormatError("a value was changed after it was recorded")


def _digest(row: Mapping[str, Any], columns: Sequence[str], details: str, owner: str) -> str:
    text = repr((owner, [row[name] for name in columns], details))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_SEAL_LENGTH]


# -- records and values ----------------------------------------------------------------------------


def _to_row(record: Any, columns: Sequence[str]) -> Row:
    row = {n: getattr(record, n) for n in columns}
    # NaN is not equal to itself, but its text is.
    details = {
        field.name: value
        for field in fields(record)
        if field.name not in columns
        and repr(value := getattr(record, field.name)) != repr(_default(field))
    }
    row["details"] = details
    return row | {name: dump(row[name]) for name in _JSON_COLUMNS & row.keys()}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _from_row(kind: Any, columns: Sequence[str], row: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    values = {name: read_column(row, name, hints[name]) for name in columns}

    def build(details: dict[str, Any]) -> Any:
        others = {n: _read(hints[n], v) for n, v in details.items() if n in hints}
        return kind(**values, **others)

    return _decode(row, "details", build)


def read_column(row: Mapping[str, Any], name: str, hint: Any) -> Any:
    """Return the value of a column, which is to have a type."""
    return _decode(row, name, partial(_read, hint))


def _decode(row: Mapping[str, Any], name: str, decode: Callable[[Any], Any]) -> Any:
    """Return the decoded value of a column, or raise `FileFormatError` that names it."""
    try:
        value = row[name]
        return decode(_parse(value) if name in _JSON_COLUMNS else value)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FileFormatError(f"{name} is damaged: {str(error)[:120]}") from error


_hints = cache(get_type_hints)


def _parse(text: Any) -> dict[str, Any]:
    value = json.loads(_read(str, text))
    if not isinstance(value, dict):
        raise ValueError(f"JSON of a {type(value).__name__}, not of an object")
    return value


def _read(hint: Any, value: Any) -> Any:
    """Return a value of JSON as one of a type, and raise a ValueError for another one."""
    if type(value) is hint:
        return value
    kind, parts = get_origin(hint), get_args(hint)
    if kind is UnionType:
        return _read(type(value) if type(value) in parts else parts[0], value)
    if kind is tuple and isinstance(value, list):
        if parts[-1] is ... and _are(parts[0], value):
            return tuple(value)
        hints = parts[:1] * len(value) if parts[-1] is ... else parts
        return tuple(_read(part, v) for part, v in zip(hints, value, strict=True))
    if kind is Mapping and isinstance(value, dict):
        if _are(parts[1], value.values()):
            return value
        return {name: _read(parts[1], v) for name, v in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    raise ValueError(f"{value!r:.60} is not of type {hint}")


def _are(hint: Any, values: Iterable[Any]) -> bool:
    """Return whether all values have one of some plain types, as they almost always do."""
    plain = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return {type(value) for value in values} <= {*plain}
