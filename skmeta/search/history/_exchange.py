"""Histories as tables and files, for other programs and other machines.

JSON lines: a first line with format and version, then a line for each search, followed by one for
each of its candidates. Parquet: a row a candidate (one with no key for a search without any), and
the same texts in columns; format and version are in the file's metadata.
"""

import gzip
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np

from skmeta._optional import import_optional
from skmeta.exceptions import HistoryError, HistoryFormatError
from skmeta.search.history import _codec
from skmeta.search.record import Evaluation, RecordedSearch

FORMAT = "skmeta.history"
VERSION = 1
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")

_SEARCH_COLUMNS = (
    "fingerprint",
    "dataset",
    "data_digest",
    "estimator",
    "refit_metric",
    "details",
    "started",
    "finished",
)
_EVALUATION_COLUMNS = (
    "key",
    "configuration",
    "params",
    "scores",
    "train_scores",
    "fit_times",
    "score_times",
    "n_test_samples",
    "error",
    "source",
    "predicted_mean_score",
    "predicted_std_score",
)
_NUMBER_COLUMNS = ("started", "finished", "predicted_mean_score", "predicted_std_score")


def to_frame(searches: Iterable[RecordedSearch]) -> Any:
    """Return a pandas DataFrame with one row a candidate."""
    pandas = import_optional("pandas", "history")
    rows = [
        _frame_row(number, search, evaluation)
        for number, search in enumerate(searches)
        for evaluation in search.evaluations
    ]
    frame = pandas.DataFrame(rows)
    scores = [name for name in frame.columns if name.startswith("mean_test_")]
    params = [name for name in frame.columns if name not in {*_FRAME_COLUMNS, *scores}]
    return frame.reindex(columns=[*_FRAME_COLUMNS, *sorted(scores), *sorted(params)])


_FRAME_COLUMNS = (
    "search",
    "dataset",
    "estimator",
    "metric",
    "score",
    "score_std",
    "mean_fit_time",
    "mean_score_time",
    "error",
    "source",
)


def _frame_row(number: int, search: RecordedSearch, evaluation: Evaluation) -> dict[str, Any]:
    metric = search.record.refit_metric
    folds = evaluation.scores.get(metric, ())
    return {
        "search": number,
        "dataset": search.record.dataset_label,
        "estimator": search.record.estimator,
        "metric": metric,
        "score": _mean(folds) * search.record.metrics.get(metric, 1),
        "score_std": float(np.std(folds)) if len(folds) > 1 else np.nan,
        "mean_fit_time": _mean(evaluation.fit_times),
        "mean_score_time": _mean(evaluation.score_times),
        "error": evaluation.error,
        "source": evaluation.source,
        **{f"mean_test_{name}": _mean(values) for name, values in evaluation.scores.items()},
        **evaluation.configuration,
    }


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else np.nan


def write_file(path: Path, searches: Iterable[RecordedSearch]) -> None:
    """Write searches to a new file, whole or not at all."""
    kind = _kind_of(path)
    if not path.parent.is_dir():
        raise HistoryError(
            f"The folder {str(path.parent)!r} does not exist. Create it before a history is "
            f"exported to {path.name!r}."
        )
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp.{path.name}")
    try:
        if kind == ".parquet":
            _write_parquet(temporary, searches)
        else:
            with _open_text(temporary, "x") as file:
                file.writelines(json.dumps(line) + "\n" for line in _lines(searches))
        os.replace(temporary, path)
    except OSError as error:
        raise HistoryError(f"{str(path)!r} cannot be written ({error}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_file(path: Path) -> list[RecordedSearch]:
    """Return the searches in a file that `write_file` wrote."""
    kind = _kind_of(path)
    if not path.is_file():
        raise HistoryError(
            f"{str(path)!r} is not a file. Give one that SearchHistory.export wrote."
        )
    try:
        return _read_parquet(path) if kind == ".parquet" else _read_lines(path)
    except HistoryFormatError:
        raise
    except (OSError, EOFError) as error:
        raise HistoryError(f"{str(path)!r} cannot be read ({error}).") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise HistoryFormatError(
            f"{str(path)!r} was cut short or altered ({type(error).__name__}: {error}). "
            "Export the history again."
        ) from error


def is_exchange_file(path: Path) -> bool:
    """Return whether a path has the suffix of an exported history."""
    return path.name.lower().endswith(SUFFIXES)


def _kind_of(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise HistoryFormatError(
        f"{path.name!r} does not say how a history is to be written. "
        f"Let it end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
    )


def _search_row(search: RecordedSearch) -> dict[str, Any]:
    times = {"started": search.started, "finished": search.finished}
    return {**_codec.search_to_row(search.record), **times}


def _lines(searches: Iterable[RecordedSearch]) -> Iterator[dict[str, Any]]:
    yield {"format": FORMAT, "version": VERSION}
    for search in searches:
        yield {"search": _expand(_search_row(search))}
        for evaluation in search.evaluations:
            yield {"evaluation": _expand(_codec.evaluation_to_row(evaluation))}


# Columns that hold JSON: a line shows what is in them.
_JSON_COLUMNS = {
    "details",
    "configuration",
    "scores",
    "train_scores",
    "fit_times",
    "score_times",
    "n_test_samples",
}


def _expand(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: json.loads(v) if v and k in _JSON_COLUMNS else v for k, v in row.items()}


def _shrink(row: Mapping[str, Any]) -> dict[str, Any]:
    keep = {k: v for k, v in row.items() if v is None or k not in _JSON_COLUMNS}
    return {**keep, **{k: _codec.dump(v) for k, v in row.items() if k not in keep}}


def _open_text(path: Path, mode: str) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return cast(TextIO, gzip.open(path, mode + "t", encoding="utf-8"))
    return cast(TextIO, open(path, mode, encoding="utf-8"))


def _read_lines(path: Path) -> list[RecordedSearch]:
    rows: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    with _open_text(path, "r") as file:
        head = json.loads(file.readline() or "{}")
        _check_format(path, head.get("format"), head.get("version"))
        for text in file:
            line = json.loads(text)
            if "search" in line:
                rows.append((_shrink(line["search"]), []))
            else:
                rows[-1][1].append(_shrink(line["evaluation"]))
    return [_to_recorded(search, evaluations) for search, evaluations in rows]


def _to_recorded(
    search: Mapping[str, Any], evaluations: Iterable[Mapping[str, Any]]
) -> RecordedSearch:
    return RecordedSearch(
        record=_codec.row_to_search(search),
        evaluations=tuple(_codec.row_to_evaluation(row) for row in evaluations),
        started=float(search["started"]),
        finished=None if search["finished"] is None else float(search["finished"]),
    )


def _check_format(path: Path, found: object, version: object) -> None:
    if found != FORMAT or not isinstance(version, int):
        raise HistoryFormatError(
            f"{str(path)!r} is not an exported history. Give a file that SearchHistory.export "
            "wrote, or a table of scores to SearchHistory.add."
        )
    if version > VERSION:
        raise HistoryFormatError(
            f"{str(path)!r} has format {version}, and this version of skmeta reads up to format "
            f"{VERSION}. Upgrade skmeta."
        )


def _write_parquet(path: Path, searches: Iterable[RecordedSearch]) -> None:
    arrow = import_optional("pyarrow", "history")
    parquet = import_optional("pyarrow.parquet", "history")
    nothing = dict.fromkeys(_EVALUATION_COLUMNS)
    rows = [
        {**_search_row(search), **row}
        for search in searches
        for row in [_codec.evaluation_to_row(e) for e in search.evaluations] or [nothing]
    ]
    kinds = dict.fromkeys(_NUMBER_COLUMNS, arrow.float64())
    schema = arrow.schema(
        [(n, kinds.get(n, arrow.string())) for n in (*_SEARCH_COLUMNS, *_EVALUATION_COLUMNS)],
        metadata={"format": FORMAT, "version": str(VERSION)},
    )
    table = arrow.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, path, compression="zstd")


def _read_parquet(path: Path) -> list[RecordedSearch]:
    parquet = import_optional("pyarrow.parquet", "history")
    with parquet.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
        version = metadata.get(b"version", b"").decode()
        known = metadata.get(b"format", b"").decode()
        _check_format(path, known, int(version) if version.isdecimal() else None)
        rows = file.read().to_pylist()
    by_search: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_search.setdefault(row["fingerprint"], []).append(row)
    return [
        _to_recorded(group[0], [row for row in group if row["key"] is not None])
        for group in by_search.values()
    ]
