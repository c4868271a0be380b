"""Evaluations and searches as rows of text, and back.

The texts are strict JSON, so that a database or another language can read them. JSON has no
non-finite numbers. In a configuration, NaN is written as ``{"float": "nan"}``, which differs from
all other values. In a list of numbers, NaN is ``null`` and infinity is ``"Infinity"``.

For a damaged row, functions raise a `HistoryFormatError` that names the column.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from skmeta.exceptions import HistoryFormatError
from skmeta.search.record import Configuration, Evaluation, SearchRecord, Value

Row = dict[str, Any]
T = TypeVar("T")

_NON_FINITE = ("nan", "inf", "-inf")
_INFINITIES = ("Infinity", "-Infinity")

# Some databases require a length of columns that are compared.
KEY_LENGTH = 128
SOURCE_LENGTH = 32


def dump(value: Any) -> str:
    """Return strict, compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def encode_configuration(configuration: Configuration) -> str:
    """Return a configuration as JSON. Its values must be plain."""
    return dump({str(name): _encode_value(name, v) for name, v in configuration.items()})


def decode_configuration(text: str) -> dict[str, Value]:
    """Return the configuration that `encode_configuration` wrote."""
    values: dict[str, Value] = _parse(text, dict)
    if text.count("{") == 1 and "[" not in text:  # almost always, all values are plain
        return values
    return {name: _decode_value(value) for name, value in values.items()}


def _decode_value(value: Any) -> Value:
    if isinstance(value, dict):
        if [*value] != ["float"] or value["float"] not in _NON_FINITE:
            raise ValueError(f"{value!r:.60} is no value of a parameter")
        return float(value["float"])
    if isinstance(value, list):
        raise ValueError(f"{value!r:.60} is no value of a parameter")
    found: Value = value
    return found


def _encode_value(name: str, value: Any) -> Any:
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


def encode_numbers(values: Sequence[float]) -> list[Any]:
    """Return numbers for a JSON list, with null for NaN."""
    numbers = [v.item() if isinstance(v, np.generic) else v for v in values]
    return [v if math.isfinite(v) else _name_non_finite(v) for v in numbers]


def _name_non_finite(value: float) -> str | None:
    return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def decode_numbers(values: Any) -> tuple[float, ...]:
    """Return the floats that `encode_numbers` wrote."""
    if not isinstance(values, list):
        raise ValueError(f"{values!r:.60} is no list of numbers")
    return tuple(map(_decode_number, values))


def _decode_number(value: Any) -> float:
    if value is None:
        return math.nan
    # Most values are floats, and this runs for each score of a history.
    if type(value) is float or type(value) is int or value in _INFINITIES:
        return float(value)
    raise ValueError(f"{value!r:.60} is no number")


def _encode_by_name(numbers: Mapping[str, Sequence[float]]) -> str:
    return dump({name: encode_numbers(values) for name, values in numbers.items()})


def decode_scores(text: str) -> dict[str, tuple[float, ...]]:
    """Return metric -> score of each fold."""
    return {name: decode_numbers(values) for name, values in _parse(text, dict).items()}


def _encode_or_none(numbers: Sequence[float]) -> str | None:
    return dump(encode_numbers(numbers)) if len(numbers) else None


def _decode_list(text: str | None) -> tuple[float, ...]:
    return decode_numbers(_parse(text, list)) if text else ()


def _decode_counts(text: str | None) -> tuple[int, ...]:
    counts = _parse(text, list) if text else []
    if not all(type(count) is int for count in counts):
        raise ValueError(f"{counts!r:.60} is no list of counts")
    return tuple(counts)


def _parse(text: Any, kind: type) -> Any:
    """Return parsed JSON, checked for its kind."""
    if not isinstance(text, str):
        raise ValueError(f"a {type(text).__name__}, not text")
    value = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(value, kind):
        raise ValueError(f"JSON of a {type(value).__name__}, not of a {kind.__name__}")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not in JSON")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__}, not text")
    return value


def decode_column(row: Mapping[str, Any], name: str, decode: Callable[[Any], T]) -> T:
    """Return the decoded value of a column, or raise `HistoryFormatError` that names it."""
    try:
        return decode(row[name])
    except KeyError:
        raise HistoryFormatError(f"{name} is missing") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise HistoryFormatError(f"{name} is damaged: {str(error)[:120]}") from error


def _encode_float(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _decode_float(value: Any) -> float:
    if value is not None and not isinstance(value, (int, float)):
        raise ValueError(f"{value!r:.60} is no number")
    return math.nan if value is None else float(value)


def _clean(text: str) -> str:
    """Return text that every database accepts: without NUL and without lone surrogates."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def evaluation_to_row(evaluation: Evaluation) -> Row:
    """Return the columns of an evaluation."""
    e = evaluation
    if len(e.key) > KEY_LENGTH or len(e.source) > SOURCE_LENGTH:
        raise HistoryFormatError(
            f"An evaluation's key has at most {KEY_LENGTH} characters and its source at most "
            f"{SOURCE_LENGTH}, got {e.key!r} and {e.source!r}. Shorten them."
        )
    return {
        "key": e.key,
        "configuration": encode_configuration(e.configuration),
        "params": e.params,
        "scores": _encode_by_name(e.scores),
        "train_scores": _encode_by_name(e.train_scores) if e.train_scores else None,
        "fit_times": _encode_or_none(e.fit_times),
        "score_times": _encode_or_none(e.score_times),
        "n_test_samples": _encode_or_none(e.n_test_samples),
        "n_rounds": _encode_or_none(e.n_rounds),
        "error": None if e.error is None else _clean(e.error),
        "source": e.source,
        "predicted_mean_score": _encode_float(e.predicted_mean_score),
        "predicted_std_score": _encode_float(e.predicted_std_score),
    }


def row_to_evaluation(row: Mapping[str, Any]) -> Evaluation:
    """Return the evaluation that `evaluation_to_row` encoded.

    Raises
    ------
    HistoryFormatError
        If a column is damaged; the message names it.
    """
    # Histories of version 0.1 lack these columns.
    row = {"predicted_mean_score": None, "predicted_std_score": None, "n_rounds": None, **row}
    return Evaluation(
        key=decode_column(row, "key", _text),
        configuration=decode_column(row, "configuration", decode_configuration),
        params=decode_column(row, "params", lambda text: _text(text or "")),
        scores=decode_column(row, "scores", decode_scores),
        train_scores=decode_column(row, "train_scores", lambda t: decode_scores(t) if t else {}),
        fit_times=decode_column(row, "fit_times", _decode_list),
        score_times=decode_column(row, "score_times", _decode_list),
        n_test_samples=decode_column(row, "n_test_samples", _decode_counts),
        n_rounds=decode_column(row, "n_rounds", _decode_list),
        error=decode_column(row, "error", lambda text: None if text is None else _text(text)),
        source=decode_column(row, "source", _text),
        predicted_mean_score=decode_column(row, "predicted_mean_score", _decode_float),
        predicted_std_score=decode_column(row, "predicted_std_score", _decode_float),
    )


# Fields that queries filter by have their own column. The others are in one JSON text.
_DETAILS = ("data_sketch", "signature", "space", "cv", "metrics", "versions")


def labels_without_name(data_digest: str) -> tuple[str, ...]:
    """Return what the column ``dataset`` holds where the user gave no name.

    It is the digest's first 12 characters; version 0.1 also wrote the whole digest.
    """
    return ("", data_digest, data_digest[:12])


def search_to_row(record: SearchRecord) -> Row:
    """Return the columns of a search."""
    details = {
        "data_sketch": [int(v) for v in record.data_sketch],
        "signature": record.signature,
        "space": dict(record.space),
        "cv": record.cv,
        "metrics": {name: int(sign) for name, sign in record.metrics.items()},
        "dataset_features": dict(
            zip(
                record.dataset_features,
                encode_numbers([*record.dataset_features.values()]),
                strict=True,
            )
        ),
        "versions": dict(record.versions),
        "seed": record.seed,
        "learned_until": record.learned_until and list(record.learned_until),
        "target_scale": float(record.target_scale),
    }
    return {
        "fingerprint": record.fingerprint,
        "dataset": _clean(record.dataset_label),
        "data_digest": record.data_digest,
        "estimator": _clean(record.estimator),
        "refit_metric": _clean(record.refit_metric),
        "details": dump(details),
    }


def row_to_search(row: Mapping[str, Any]) -> SearchRecord:
    """Return the record that `search_to_row` encoded.

    Raises
    ------
    HistoryFormatError
        If a column is damaged; the message names it.
    """
    details = decode_column(row, "details", _decode_details)
    digest = decode_column(row, "data_digest", _text)
    label = decode_column(row, "dataset", _text)
    return SearchRecord(
        fingerprint=decode_column(row, "fingerprint", _text),
        dataset=None if label in labels_without_name(digest) else label,
        data_digest=digest,
        estimator=decode_column(row, "estimator", _text),
        refit_metric=decode_column(row, "refit_metric", _text),
        **details,
    )


def decode_time(value: Any) -> float:
    """Return a time in seconds since 1970."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is no time")
    return float(value)


def row_to_times(row: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return when a search started and finished."""
    finished = decode_column(row, "finished", lambda t: None if t is None else decode_time(t))
    return decode_column(row, "started", decode_time), finished


def _decode_details(text: Any) -> dict[str, Any]:
    details = _parse(text, dict)
    missing = [name for name in _DETAILS if name not in details]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    if not all(type(sign) is int for sign in _mapping(details["metrics"]).values()):
        raise ValueError("metrics are no signs")
    features = _mapping(details.get("dataset_features", {}))
    return {
        "data_sketch": _decode_counts(dump(details["data_sketch"])),
        "signature": _text(details["signature"]),
        "space": {name: _text(value) for name, value in _mapping(details["space"]).items()},
        "cv": _text(details["cv"]),
        "metrics": dict(details["metrics"]),
        "dataset_features": dict(zip(features, decode_numbers([*features.values()]), strict=True)),
        "versions": {name: _text(v) for name, v in _mapping(details["versions"]).items()},
        # Version 0.1 did not write these three.
        "seed": _count_or_none(details.get("seed")),
        "learned_until": _decode_position(details.get("learned_until")),
        "target_scale": _decode_scale(details.get("target_scale", 1.0)),
    }


def _count_or_none(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError(f"{value!r:.60} is no count")
    return value


def _decode_scale(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r:.60} is no scale of targets")
    return float(value)


def _decode_position(value: Any) -> tuple[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or [type(part) for part in value] != [str, int]:
        raise ValueError(f"{value!r:.60} is no position in a history")
    return value[0], value[1]


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} is no object")
    return value
