"""Importers: configurations that were measured elsewhere become one past search."""

import difflib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import is_classifier

from skmeta.exceptions import HistoryFormatError
from skmeta.search.history._measurements import Measurements, Params
from skmeta.search.record import (
    CandidateRecord,
    Configuration,
    DataFingerprint,
    RecordedSearch,
    SearchRecord,
    dataset_features,
    fingerprint_data,
)
from skmeta.search.space import (
    candidate_key,
    canonical_configurations,
    canonical_names,
    plain_value,
    predictor_name,
    signature,
    target_scale,
)

_ADDED = "added"  # replaces a description of the values, which may be added in parts


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of the data set that configurations were measured on."""

    name: str | None
    X: Any = None
    y: Any = None


def make_search(estimator: Any, data: DataSet, measured: Measurements) -> RecordedSearch:
    """Return measured configurations as a search.

    Measurements of the same estimator, data set and metrics are one search, whether they are
    added together or one by one.
    """
    name, classes, space, configurations, keys = _describe(estimator, measured.params)
    fingerprint = _fingerprint(data)
    _check_name(data, fingerprint)
    identity = [
        "measured",
        fingerprint.digest if data.name is None else data.name,
        fingerprint.digest,
        name,
        classes,
        sorted(measured.signs.items()),
        measured.refit_metric,
    ]
    record = SearchRecord(
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        dataset=data.name,
        data_digest=fingerprint.digest,
        data_sketch=fingerprint.sketch,
        estimator=name,
        signature=classes,
        space=space,
        metrics=dict(measured.signs),
        refit_metric=measured.refit_metric,
        dataset_features=_features(estimator, data),
        target_scale=_target_scale(estimator, data.y),
    )
    now = time.time()
    return RecordedSearch(
        record=record,
        candidates=tuple(_candidates(configurations, keys, measured)),
        started=now,
        finished=now,
    )


def _describe(
    estimator: Any, params: Params
) -> tuple[str, str, dict[str, str], list[Configuration], list[str]]:
    """Return the predictor's name, estimator's signature, space, configurations and keys."""
    if isinstance(estimator, str):
        named = [
            {k if "." in k else f"{estimator}.{k}": plain_value(v) for k, v in one.items()}
            for one in params
        ]
        space = dict.fromkeys(sorted({name for one in named for name in one}), _ADDED)
        return estimator, estimator, space, list(named), [candidate_key(one) for one in named]
    instance = estimator() if isinstance(estimator, type) else estimator
    if not hasattr(instance, "get_params"):
        raise HistoryFormatError(
            f"estimator must be an estimator, its class or the class's name, not {estimator!r}. "
            "Give SVC(), for example."
        )
    _check_names(instance, params)
    configurations = canonical_configurations(instance, params)
    keys = [candidate_key(one) for one in params]
    names = canonical_names(instance)
    searched = {names[name] for one in params for name in one if name in names}
    space = dict.fromkeys(sorted(searched), _ADDED)
    return predictor_name(instance, params), signature(instance), space, configurations, keys


def _target_scale(estimator: Any, y: Any) -> float:
    if isinstance(estimator, str):
        return 1.0
    return target_scale(estimator() if isinstance(estimator, type) else estimator, y)


def _check_names(estimator: Any, params: Params) -> None:
    known = set(estimator.get_params(deep=True))
    for number, one in enumerate(params):
        for name in one:
            if name not in known and not _is_of_a_part(name, one):
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else "See estimator.get_params()."
                raise HistoryFormatError(
                    f"params[{number}] has {name!r}, which {type(estimator).__name__} does not "
                    f"have. {hint}"
                )


def _is_of_a_part(name: str, params: Mapping[str, Any]) -> bool:
    """Return whether a parameter belongs to a part that the candidate itself sets."""
    steps = name.split("__")
    return any("__".join(steps[:k]) in params for k in range(1, len(steps)))


def _fingerprint(data: DataSet) -> DataFingerprint:
    return DataFingerprint("", ()) if data.X is None else fingerprint_data(data.X, data.y)


def _features(estimator: Any, data: DataSet) -> dict[str, float]:
    """Return the features of a data set; none if it is unknown whether its targets are classes."""
    if data.X is None or isinstance(estimator, str):
        return {}
    instance = estimator() if isinstance(estimator, type) else estimator
    return dataset_features(data.X, data.y, is_classification=is_classifier(instance))


def _check_name(data: DataSet, fingerprint: DataFingerprint) -> None:
    name = fingerprint.digest if data.name is None else data.name
    if not isinstance(name, str) or not name:
        raise HistoryFormatError(
            f"dataset must be the name of the data set, a text that is not empty, not "
            f"{data.name!r}. Give it, or give X and y."
        )


def _candidates(
    configurations: Sequence[Configuration], keys: Sequence[str], measured: Measurements
) -> Iterable[CandidateRecord]:
    for k, (configuration, key) in enumerate(zip(configurations, keys, strict=True)):
        yield CandidateRecord(
            configuration=configuration,
            key=key,
            scores={name: folds[k] for name, folds in measured.scores.items()},
            fit_times=measured.fit_times[k],
            score_times=measured.score_times[k],
        )
