"""Configurations that were measured elsewhere: by a user, or a search of scikit-learn."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer_names

from skmeta._sklearn_compat import BaseSearchCV
from skmeta.exceptions import FileFormatError
from skmeta.search.record import (
    CandidateRecord,
    DataFingerprint,
    RecordedSearch,
    SearchRecord,
    dataset_features,
    fingerprint_data,
)
from skmeta.search.space import (
    SearchSpace,
    candidate_key,
    canonical_configurations,
    canonical_names,
    predictor_name,
    signature,
    target_scale,
)

_DEFAULT_METRIC = "score"
_ADDED = "added"  # replaces a description of the values, which may be added in parts

# Metric -> score of each fold, one tuple per candidate.
_Scores = dict[str, list[tuple[float, ...]]]


def measured_search(
    estimator: Any,
    params: Any,
    scores: Any,
    dataset: str | None,
    X: Any,
    y: Any,
    scoring: str | None,
    greater_is_better: bool | Mapping[str, bool] | None,
) -> RecordedSearch:
    """Return measured configurations as a search: one per estimator, data set and metrics."""
    if params is None and scores is None:
        params, scores, scoring = _read_fitted_search(estimator, scoring)
        estimator, greater_is_better = estimator.estimator, True
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise FileFormatError(f"estimator must be an estimator, such as SVC(), got {estimator!r}.")
    is_list = isinstance(params, Iterable) and not isinstance(params, Mapping)
    candidates: list[Any] = list(params) if is_list else []
    if not candidates or not all(isinstance(one, Mapping) for one in candidates):
        raise FileFormatError(
            f"params must be a list of dicts, one per candidate, such as [{{'C': 1.0}}, ...], got "
            f"{params!r:.100}."
        )
    SearchSpace([{name: [value] for name, value in one.items()} for one in candidates]).check(
        estimator
    )
    folds, metric = _check_scores(scores, scoring, len(candidates))
    signs = {name: _sign(name, greater_is_better) for name in folds}
    data = DataFingerprint("") if X is None else fingerprint_data(X, y)
    label = data.digest if dataset is None else dataset
    if not isinstance(label, str) or not label:
        raise FileFormatError(
            f"dataset must be the name of the data set, a text that is not empty, not {dataset!r}. "
            "Give it, or give X and y."
        )
    known = canonical_names(estimator)
    searched = {known[name] for one in candidates for name in one if name in known}
    kind, classes = predictor_name(estimator, candidates), signature(estimator)
    identity = ["measured", label, data.digest, kind, classes, sorted(signs.items()), metric]
    features = {}
    if X is not None:
        features = dataset_features(X, y, is_classification=is_classifier(estimator))
    record = SearchRecord(
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        dataset=dataset,
        data_digest=data.digest,
        data_sketch=data.sketch,
        data_columns=data.columns,
        estimator=kind,
        signature=classes,
        space=dict.fromkeys(sorted(searched), _ADDED),
        metrics=signs,
        refit_metric=metric,
        dataset_features=features,
        target_scale=target_scale(estimator, y),
    )
    measured = tuple(
        CandidateRecord(
            configuration=configuration,
            key=candidate_key(one),
            scores={name: values[k] for name, values in folds.items()},
        )
        for k, (configuration, one) in enumerate(
            zip(canonical_configurations(estimator, candidates), candidates, strict=True)
        )
    )
    return RecordedSearch(record=record, candidates=measured, started=time.time())


def _read_fitted_search(
    search: BaseSearchCV, scoring: str | None
) -> tuple[Sequence[Mapping[str, Any]], dict[str, Any], str | None]:
    """Return the candidates of a fitted search, their scores by metric, and its metric."""
    if not hasattr(search, "cv_results_"):
        raise FileFormatError(
            "Without params and scores, add needs a fitted search, such as GridSearchCV, got "
            f"{search!r:.100}. Scores from elsewhere are added with add(estimator, params, scores)."
        )
    results = search.cv_results_
    # A halving search scored the others with less than the full resources.
    resources = np.asarray(results.get("n_resources", np.zeros(len(results["params"]))))
    kept = np.flatnonzero(resources == resources.max())
    names = [name.removeprefix("mean_test_") for name in results if name.startswith("mean_test_")]
    own = search.refit if len(names) > 1 else search.scoring
    metric = scoring or (own if isinstance(own, str) else None)
    scores = {
        # In scikit-learn, the score of a single metric is named "score", whatever the metric.
        (metric or name) if names == [_DEFAULT_METRIC] else name: np.column_stack(
            [results[f"split{k}_test_{name}"][kept] for k in range(search.n_splits_)]
        )
        for name in names
    }
    return [results["params"][k] for k in kept], scores, metric


def _check_scores(scores: Any, scoring: str | None, n_candidates: int) -> tuple[_Scores, str]:
    """Return the scores of each fold by metric, and the metric that was maximised."""
    if scores is None:
        raise FileFormatError(
            "params were given without scores. Pass one score, or one list of scores, for each."
        )
    by_metric = scores if isinstance(scores, Mapping) else {scoring or _DEFAULT_METRIC: scores}
    chosen = next(iter(by_metric)) if scoring is None and len(by_metric) == 1 else scoring
    if chosen not in by_metric:
        raise FileFormatError(
            f"scoring must name the metric to maximise, one of {sorted(by_metric)}; got "
            f"{scoring!r}."
        )
    folds = {}
    for name, values in by_metric.items():
        rows = list(values)
        if len(rows) != n_candidates:
            raise FileFormatError(
                f"scores of {name!r}: {len(rows)} were given for the {n_candidates} dicts in "
                "params. Give one number, or one list of numbers, for each."
            )
        try:
            table = np.asarray(rows, dtype=np.float64).reshape(n_candidates, -1)
        except (TypeError, ValueError) as error:
            raise FileFormatError(
                f"scores of {name!r} must be numbers, or lists of numbers ({error}). NaN stands "
                "for a failed fit."
            ) from error
        folds[name] = [tuple(row) for row in table.tolist()]
    return folds, str(chosen)


def _sign(name: str, greater_is_better: bool | Mapping[str, bool] | None) -> int:
    given = greater_is_better
    if isinstance(given, Mapping):
        given = given.get(name)
    if given is not None:
        return 1 if given else -1
    if name == _DEFAULT_METRIC or name in get_scorer_names():
        return 1
    raise FileFormatError(
        f"It is not known whether a greater {name!r} is better, since scikit-learn has no scorer "
        "of that name. Give greater_is_better=True or False."
    )
