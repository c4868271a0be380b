"""Files of whole histories, for other programs and other machines.

JSON lines: the first line has format and version. Each search has one line, followed by one line
for each of its candidates. Parquet: each candidate has one row, with the same texts in its columns.
A search without candidates has one row without a key. Format and version are in the metadata.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from skmeta._files import atomic_writer
from skmeta._optional import import_optional
from skmeta.exceptions import HistoryError, HistoryFormatError
from skmeta.search.history import _codec
from skmeta.search.record import CandidateRecord, RecordedSearch

# The row of each search, and those of its candidates.
SearchRows = list[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]

FORMAT = "skmeta.history"
VERSION = 1
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")

_SEARCH_COLUMNS = (*_codec.SEARCH_FIELDS, "details", "started", "finished")
# Parquet has a search and its candidate in one row, so this column has another name there.
_CANDIDATE_DETAILS = "candidate_details"
_CANDIDATE_COLUMNS = (*_codec.CANDIDATE_FIELDS, _CANDIDATE_DETAILS)


def write_file(path: Path, searches: Iterable[RecordedSearch]) -> None:
    """Write searches to a file that only its owner can read, whole or not at all."""
    kind = _kind_of(path)
    if not path.parent.is_dir():
        raise HistoryError(
            f"The folder {str(path.parent)!r} does not exist. Create it before a history is "
            f"exported to {path.name!r}."
        )
    try:
        with atomic_writer(path, mode=0o600) as file:
            if kind == ".parquet":
                _write_parquet(file, searches)
            else:
                _write_lines(file, searches, is_compressed=kind.endswith(".gz"))
    except OSError as error:
        raise HistoryError(f"{str(path)!r} cannot be written ({error}).") from error


def read_file(path: Path) -> list[RecordedSearch]:
    """Return the searches in a file that `write_file` wrote.

    Raises
    ------
    HistoryError
        If the file cannot be read.
    HistoryFormatError
        If it is not an exported history, or damaged.
    """
    kind = _kind_of(path)
    if not path.is_file():
        raise HistoryError(
            f"{str(path)!r} is not a file. Give one that SearchHistory.export wrote."
        )
    try:
        rows = _read_parquet(path) if kind == ".parquet" else _read_lines(path)
        return [_to_recorded(search, candidates) for search, candidates in rows]
    except _ForeignFileError as error:
        raise HistoryFormatError(str(error)) from None
    except (OSError, EOFError) as error:
        raise HistoryError(f"{str(path)!r} cannot be read ({error}).") from error
    except _DAMAGE as error:
        raise HistoryFormatError(
            f"{str(path)!r} was cut short or altered ({type(error).__name__}: {str(error)[:200]}). "
            "Export the history again."
        ) from error


class _ForeignFileError(Exception):
    """The file is not an exported history, or one of a newer format."""


# Errors that parsers raise for a damaged file. HistoryFormatError is a ValueError.
_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    NotImplementedError,  # pyarrow, of a codec or an encoding that it does not have
    zlib.error,
)


def is_exchange_file(path: Path) -> bool:
    """Return whether a path has the suffix of an exported history."""
    return path.name.lower().endswith(SUFFIXES)


def _kind_of(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise HistoryFormatError(
        f"The name {path.name!r} has no suffix of a format that a history can be exported to. "
        f"Give it one of {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
    )


def _search_row(search: RecordedSearch) -> dict[str, Any]:
    times = {"started": search.started, "finished": search.finished}
    return {**_codec.search_to_row(search.record), **times}


def _lines(searches: Iterable[RecordedSearch]) -> Iterator[dict[str, Any]]:
    yield {"format": FORMAT, "version": VERSION}
    for search in searches:
        yield {"search": _parse_columns(_search_row(search))}
        for candidate in search.candidates:
            yield {"candidate": _parse_columns(_codec.candidate_to_row(candidate))}


def _parse_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose JSON texts are JSON themselves."""
    return {k: json.loads(v) if k in _codec.JSON_COLUMNS else v for k, v in row.items()}


def _dump_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _codec.dump(v) if k in _codec.JSON_COLUMNS else v for k, v in row.items()}


def _write_lines(
    file: BinaryIO, searches: Iterable[RecordedSearch], *, is_compressed: bool
) -> None:
    with ExitStack() as stack:
        if is_compressed:
            file = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file, mode="wb")))
        for line in _lines(searches):
            file.write((json.dumps(line) + "\n").encode())


def _open_text(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8"))
    return cast(TextIO, open(path, encoding="utf-8"))


def _read_lines(path: Path) -> SearchRows:
    rows: SearchRows = []
    with _open_text(path) as file:
        head = json.loads(file.readline() or "{}")
        _check_format(path, head.get("format"), head.get("version"))
        for text in file:
            line = json.loads(text)
            if "search" in line:
                rows.append((_dump_columns(line["search"]), []))
            else:
                rows[-1][1].append(_dump_columns(line["candidate"]))
    return rows


def _to_recorded(
    search: Mapping[str, Any], candidates: Iterable[Mapping[str, Any]]
) -> RecordedSearch:
    started, finished = _codec.row_to_times(search)
    return RecordedSearch(
        record=_codec.row_to_search(search),
        candidates=tuple(_codec.row_to_candidate(row) for row in candidates),
        started=started,
        finished=finished,
    )


def _check_format(path: Path, kind: object, version: object) -> None:
    if kind != FORMAT or type(version) is not int:
        raise _ForeignFileError(
            f"{str(path)!r} is not an exported history. Give a file that SearchHistory.export "
            "wrote, or a table of scores to SearchHistory.add."
        )
    if version > VERSION:
        raise _ForeignFileError(
            f"{str(path)!r} has format {version}, and this version of skmeta reads up to format "
            f"{VERSION}. Upgrade skmeta."
        )


def _write_parquet(file: BinaryIO, searches: Iterable[RecordedSearch]) -> None:
    arrow = import_optional("pyarrow", "history")
    parquet = import_optional("pyarrow.parquet", "history")
    rows = [
        {**_search_row(search), **row}
        for search in searches
        for row in [_parquet_columns(one) for one in search.candidates] or [{}]
    ]
    times = ("started", "finished")
    schema = arrow.schema(
        [
            (name, arrow.float64() if name in times else arrow.string())
            for name in (*_SEARCH_COLUMNS, *_CANDIDATE_COLUMNS)
        ],
        metadata={"format": FORMAT, "version": str(VERSION)},
    )
    table = arrow.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, file, compression="zstd")


def _parquet_columns(candidate: CandidateRecord) -> dict[str, Any]:
    row = _codec.candidate_to_row(candidate)
    row[_CANDIDATE_DETAILS] = row.pop("details")
    return row


def _read_parquet(path: Path) -> SearchRows:
    parquet = import_optional("pyarrow.parquet", "history")
    with parquet.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
        version = metadata.get(b"version", b"").decode()
        known = metadata.get(b"format", b"").decode()
        _check_format(path, known, int(version) if version.isdecimal() else None)
        rows = file.read().to_pylist()
    by_search: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_search.setdefault(row["fingerprint"], []).append(row)
    return [
        (
            group[0],
            [
                {**row, "details": row[_CANDIDATE_DETAILS]}
                for row in group
                if row["key"] is not None
            ],
        )
        for group in by_search.values()
    ]
