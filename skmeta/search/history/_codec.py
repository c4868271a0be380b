"""Evaluations and searches as rows of text, and back.

The texts are strict JSON, so that a database or another language can read them. JSON has no
non-finite numbers: in a configuration one is ``{"float": "nan"}``, which no other value looks
like; in a list that holds only numbers NaN is ``null`` and infinity ``"Infinity"``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skmeta.exceptions import HistoryFormatError
from skmeta.search.record import Configuration, Evaluation, SearchRecord, Value

Row = dict[str, Any]

# Columns that are compared have a length, which some databases insist on.
KEY_LENGTH = 128
SOURCE_LENGTH = 32


def dump(value: Any) -> str:
    """Return strict, compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def encode_configuration(configuration: Configuration) -> str:
    """Return a configuration as JSON; its values must be plain."""
    return dump({str(name): _encode_value(name, v) for name, v in configuration.items()})


def decode_configuration(text: str) -> dict[str, Value]:
    """Return the configuration that `encode_configuration` wrote."""
    values: dict[str, Any] = json.loads(text)
    if '{"float":' in text:  # a quote inside a string is escaped, so this rarely errs
        values = {k: float(v["float"]) if isinstance(v, dict) else v for k, v in values.items()}
    return values


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
    """Return numbers as a JSON list; only they are in it, so NaN can be null."""
    numbers = [v.item() if isinstance(v, np.generic) else v for v in values]
    return [v if math.isfinite(v) else _name_non_finite(v) for v in numbers]


def _name_non_finite(value: float) -> str | None:
    return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def decode_numbers(values: Sequence[Any]) -> tuple[float, ...]:
    """Return the floats that `encode_numbers` wrote."""
    return tuple(math.nan if v is None else float(v) for v in values)


def _encode_by_name(numbers: Mapping[str, Sequence[float]]) -> str:
    return dump({name: encode_numbers(values) for name, values in numbers.items()})


def _decode_by_name(text: str | None) -> dict[str, tuple[float, ...]]:
    return {k: decode_numbers(v) for k, v in json.loads(text).items()} if text else {}


def _encode_or_none(numbers: Sequence[float]) -> str | None:
    return dump(encode_numbers(numbers)) if len(numbers) else None


def _encode_float(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _decode_float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _clean(text: str) -> str:
    """Return text that every database takes: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def evaluation_to_row(evaluation: Evaluation) -> Row:
    """Return the columns of an evaluation, without its search."""
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
        "error": None if e.error is None else _clean(e.error),
        "source": e.source,
        "predicted_mean_score": _encode_float(e.predicted_mean_score),
        "predicted_std_score": _encode_float(e.predicted_std_score),
    }


def row_to_evaluation(row: Mapping[str, Any]) -> Evaluation:
    """Return the evaluation that `evaluation_to_row` took apart."""
    return Evaluation(
        key=row["key"],
        configuration=decode_configuration(row["configuration"]),
        params=row["params"] or "",
        scores=_decode_by_name(row["scores"]),
        train_scores=_decode_by_name(row["train_scores"]),
        fit_times=decode_numbers(json.loads(row["fit_times"] or "[]")),
        score_times=decode_numbers(json.loads(row["score_times"] or "[]")),
        n_test_samples=tuple(json.loads(row["n_test_samples"] or "[]")),
        error=row["error"],
        source=row["source"],
        # Histories of version 0.1 do not have these columns.
        predicted_mean_score=_decode_float(row.get("predicted_mean_score")),
        predicted_std_score=_decode_float(row.get("predicted_std_score")),
    )


# What is asked for by value has a column of its own; everything else goes to one JSON text.
_DETAILS = ("data_sketch", "signature", "space", "cv", "metrics", "metafeatures", "versions")


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
        "metafeatures": dict(
            zip(record.metafeatures, encode_numbers([*record.metafeatures.values()]), strict=True)
        ),
        "versions": dict(record.versions),
        "seed": record.seed,
        "learned_until": record.learned_until and list(record.learned_until),
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
    """Return the search that `search_to_row` took apart."""
    details = json.loads(row["details"])
    values = decode_numbers([*details["metafeatures"].values()])
    details["metafeatures"] = dict(zip(details["metafeatures"], values, strict=True))
    details["data_sketch"] = tuple(details["data_sketch"])
    is_unnamed = row["dataset"] in labels_without_name(row["data_digest"])
    return SearchRecord(
        fingerprint=row["fingerprint"],
        dataset=None if is_unnamed else row["dataset"],
        data_digest=row["data_digest"],
        estimator=row["estimator"],
        refit_metric=row["refit_metric"],
        **{name: details[name] for name in _DETAILS},
        seed=details.get("seed"),  # version 0.1 did not write it
        learned_until=_decode_position(details.get("learned_until")),
    )


def _decode_position(value: Any) -> tuple[str, int] | None:
    return None if value is None else (str(value[0]), int(value[1]))
