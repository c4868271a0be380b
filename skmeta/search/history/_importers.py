"""Importers: configurations that were measured elsewhere become one past search."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from sklearn.base import is_classifier

from skmeta._validation import suggest
from skmeta.exceptions import HistoryFormatError
from skmeta.search.history._measurements import Measurements, Params
from skmeta.search.record import (
    CandidateRecord,
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
    predictor_name,
    signature,
    target_scale,
)

_ADDED = "added"  # replaces a description of the values, which may be added in parts


def make_search(
    estimator: Any, dataset: str | None, X: Any, y: Any, measured: Measurements
) -> RecordedSearch:
    """Return measured configurations as a search.

    Measurements of the same estimator, data set and metrics are one search, whether they are
    added together or one by one.
    """
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise HistoryFormatError(
            f"estimator must be an estimator, such as SVC(), got {estimator!r}."
        )
    _check_names(estimator, measured.params)
    data = DataFingerprint("", ()) if X is None else fingerprint_data(X, y)
    label = data.digest if dataset is None else dataset
    if not isinstance(label, str) or not label:
        raise HistoryFormatError(
            f"dataset must be the name of the data set, a text that is not empty, not {dataset!r}. "
            "Give it, or give X and y."
        )
    known = canonical_names(estimator)
    searched = {known[name] for one in measured.params for name in one if name in known}
    kind, classes = predictor_name(estimator, measured.params), signature(estimator)
    signs = sorted(measured.signs.items())
    identity = ["measured", label, data.digest, kind, classes, signs, measured.refit_metric]
    features = {}
    if X is not None:
        features = dataset_features(X, y, is_classification=is_classifier(estimator))
    record = SearchRecord(
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        dataset=dataset,
        data_digest=data.digest,
        data_sketch=data.sketch,
        estimator=kind,
        signature=classes,
        space=dict.fromkeys(sorted(searched), _ADDED),
        metrics=dict(measured.signs),
        refit_metric=measured.refit_metric,
        dataset_features=features,
        target_scale=target_scale(estimator, y),
    )
    configurations = canonical_configurations(estimator, measured.params)
    candidates = tuple(
        CandidateRecord(
            configuration=configuration,
            key=candidate_key(params),
            scores={name: folds[k] for name, folds in measured.scores.items()},
        )
        for k, (configuration, params) in enumerate(
            zip(configurations, measured.params, strict=True)
        )
    )
    now = time.time()
    return RecordedSearch(record=record, candidates=candidates, started=now, finished=now)


def _check_names(estimator: Any, params: Params) -> None:
    known = set(estimator.get_params(deep=True))
    for number, one in enumerate(params):
        for name in one:
            if name not in known and not _is_of_a_part(name, one):
                hint = suggest(name, known) or " See estimator.get_params()."
                raise HistoryFormatError(
                    f"params[{number}] has {name!r}, which {type(estimator).__name__} does not "
                    f"have.{hint}"
                )


def _is_of_a_part(name: str, params: Mapping[str, Any]) -> bool:
    """Return whether a parameter belongs to a part that the candidate itself sets."""
    steps = name.split("__")
    return any("__".join(steps[:k]) in params for k in range(1, len(steps)))
