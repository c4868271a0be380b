"""Configurations that were measured elsewhere, as one past search."""

import ast
import difflib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from skmeta.exceptions import HistoryFormatError
from skmeta.search.record import (
    Configuration,
    DataFingerprint,
    Evaluation,
    RecordedSearch,
    SearchRecord,
    fingerprint_data,
)
from skmeta.search.space import (
    candidate_key,
    canonical_configurations,
    plain_value,
    predictor_name,
    signature,
)

Params = Sequence[Mapping[str, Any]]
Folds = list[tuple[float, ...]]

DEFAULT_METRIC = "score"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is said of the data that the configurations were measured on."""

    name: str | None
    X: Any = None
    y: Any = None
    metafeatures: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Configurations, and what was measured of each."""

    params: Params
    scores: Mapping[str, Folds]
    signs: Mapping[str, int]
    refit_metric: str
    train_scores: Mapping[str, Folds]
    fit_times: Folds
    score_times: Folds


def make_search(estimator: Any, data: DataSet, measured: Measurements) -> RecordedSearch:
    """Return measured configurations as a search.

    Measurements of the same estimator on the same data set by the same metrics are one search,
    whether they come at once or one by one.
    """
    name, classes, configurations, keys = _describe(estimator, measured.params)
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
        metrics=dict(measured.signs),
        refit_metric=measured.refit_metric,
        metafeatures=_metafeatures(data),
    )
    now = time.time()
    return RecordedSearch(
        record=record,
        evaluations=tuple(_evaluations(configurations, keys, measured)),
        started=now,
        finished=now,
    )


def measurements(
    params: Any,
    scores: Any,
    *,
    scoring: str | None = None,
    greater_is_better: bool | Mapping[str, bool] | None = None,
    train_scores: Mapping[str, Folds] | None = None,
    fit_times: Any = None,
    score_times: Any = None,
) -> Measurements:
    """Check what was given of measured configurations."""
    candidates = _check_params(params)
    by_metric = scores if isinstance(scores, Mapping) else {scoring or DEFAULT_METRIC: scores}
    if not by_metric:
        raise HistoryFormatError("scores is empty. Give a list of scores, or one for each metric.")
    refit_metric = _choose_metric(by_metric, scoring)
    n = len(candidates)
    return Measurements(
        params=candidates,
        scores={name: _check_folds(f"scores of {name!r}", v, n) for name, v in by_metric.items()},
        signs={name: _sign(name, greater_is_better) for name in by_metric},
        refit_metric=refit_metric,
        train_scores=train_scores or {},
        fit_times=_check_folds("fit_times", fit_times, n),
        score_times=_check_folds("score_times", score_times, n),
    )


def _check_params(params: Any) -> Params:
    if isinstance(params, Mapping) or not isinstance(params, Iterable):
        raise HistoryFormatError(
            f"params is a list of dicts, one a candidate, not a {type(params).__name__}. "
            "Give [{'C': 1.0}, ...]."
        )
    candidates = list(params)
    for number, one in enumerate(candidates):
        if not isinstance(one, Mapping):
            raise HistoryFormatError(
                f"params[{number}] is a dict of parameters, not {one!r}. Give [{{'C': 1.0}}, ...]."
            )
    return candidates


def _choose_metric(by_metric: Mapping[str, Any], scoring: str | None) -> str:
    if scoring is None and len(by_metric) == 1:
        return next(iter(by_metric))
    if scoring is None or scoring not in by_metric:
        raise HistoryFormatError(
            f"scoring names the metric to maximise, one of {sorted(by_metric)}; got {scoring!r}."
        )
    return scoring


def _sign(name: str, greater_is_better: bool | Mapping[str, bool] | None) -> int:
    given = (
        greater_is_better.get(name) if isinstance(greater_is_better, Mapping) else greater_is_better
    )
    if given is not None:
        return 1 if given else -1
    if name == DEFAULT_METRIC or name in get_scorer_names():
        return 1
    raise HistoryFormatError(
        f"Whether {name!r} is better when greater is not known, since scikit-learn has no scorer "
        "of that name. Give greater_is_better=True or False."
    )


def _check_folds(what: str, values: Any, n_candidates: int) -> Folds:
    """Return one tuple of floats a candidate, from one number or a list of them each."""
    if values is None:
        return [()] * n_candidates
    rows = list(values)
    if len(rows) != n_candidates:
        raise HistoryFormatError(
            f"{what}: {len(rows)} were given for the {n_candidates} dicts in params. "
            "Give one number, or one list of numbers, for each."
        )
    try:
        return [tuple(float(v) for v in np.atleast_1d(np.asarray(row, float))) for row in rows]
    except (TypeError, ValueError) as error:
        raise HistoryFormatError(
            f"{what} must be numbers, or lists of numbers ({error}). NaN stands for a failed fit."
        ) from error


def _describe(estimator: Any, params: Params) -> tuple[str, str, list[Configuration], list[str]]:
    """Return the predictor's name, the estimator's signature, configurations and keys."""
    if isinstance(estimator, str):
        named = [
            {k if "." in k else f"{estimator}.{k}": plain_value(v) for k, v in one.items()}
            for one in params
        ]
        return estimator, estimator, list(named), [candidate_key(one) for one in named]
    instance = estimator() if isinstance(estimator, type) else estimator
    if not hasattr(instance, "get_params"):
        raise HistoryFormatError(
            f"estimator is an estimator, its class or the class's name, not {estimator!r}. "
            "Give SVC(), for example."
        )
    _check_names(instance, params)
    configurations = canonical_configurations(instance, params)
    keys = [candidate_key(one) for one in params]
    return predictor_name(instance, params), signature(instance), configurations, keys


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
    """Return whether a parameter belongs to an estimator that the candidate itself puts in."""
    steps = name.split("__")
    return any("__".join(steps[:k]) in params for k in range(1, len(steps)))


def _fingerprint(data: DataSet) -> DataFingerprint:
    return DataFingerprint("", ()) if data.X is None else fingerprint_data(data.X, data.y)


def _check_name(data: DataSet, fingerprint: DataFingerprint) -> None:
    name = fingerprint.digest if data.name is None else data.name
    if not isinstance(name, str) or not name:
        raise HistoryFormatError(
            f"dataset is the data set's name, a text that is not empty, not {data.name!r}. "
            "Give it, or give X and y."
        )


def _metafeatures(data: DataSet) -> dict[str, float]:
    return {str(name): float(value) for name, value in (data.metafeatures or {}).items()}


def _evaluations(
    configurations: Sequence[Configuration], keys: Sequence[str], measured: Measurements
) -> Iterable[Evaluation]:
    for k, (configuration, key) in enumerate(zip(configurations, keys, strict=True)):
        yield Evaluation(
            configuration=configuration,
            key=key,
            scores={name: folds[k] for name, folds in measured.scores.items()},
            train_scores={name: folds[k] for name, folds in measured.train_scores.items()},
            fit_times=measured.fit_times[k],
            score_times=measured.score_times[k],
        )


def measurements_of_cv_results(
    results: Mapping[str, Any],
    *,
    scoring: str | None,
    greater_is_better: bool | Mapping[str, bool] | None,
) -> Measurements:
    """Return the candidates of a ``cv_results_`` of scikit-learn."""
    columns = {str(name): list(results[name]) for name in results}
    if "params" not in columns or not any(name.startswith("mean_test_") for name in columns):
        raise HistoryFormatError(
            "The results have no column 'params', or no 'mean_test_...', as cv_results_ has. "
            "Give a fitted search, its cv_results_, or use add(estimator, params, scores)."
        )
    columns["params"] = [_parse_params(value) for value in columns["params"]]
    columns = _keep_full_resources(columns)
    names = [name.removeprefix("mean_test_") for name in columns if name.startswith("mean_test_")]
    # scikit-learn calls the score of a single metric "score", whatever the metric.
    called = {n: scoring if names == [DEFAULT_METRIC] and scoring else n for n in names}
    return measurements(
        columns["params"],
        {called[name]: _folds(columns, "test", name) for name in names},
        scoring=scoring if scoring or len(names) > 1 else None,
        greater_is_better=greater_is_better,
        train_scores={
            called[name]: _folds(columns, "train", name)
            for name in names
            if f"mean_train_{name}" in columns
        },
        fit_times=columns.get("mean_fit_time"),
        score_times=columns.get("mean_score_time"),
    )


def _parse_params(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:  # a table that was kept as CSV
        return ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise HistoryFormatError(
            f"The column 'params' holds the text {value[:60]!r}, which is not a dict of plain "
            "values. Give the cv_results_ as the search left it."
        ) from error


def _keep_full_resources(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Leave out what a halving search scored on a part of the rows only."""
    keys = [candidate_key(one) for one in columns["params"]]
    if "n_resources" not in columns or len(set(keys)) == len(keys):
        return columns
    most = max(columns["n_resources"])
    kept = [k for k, n in enumerate(columns["n_resources"]) if n == most]
    return {name: [values[k] for k in kept] for name, values in columns.items()}


def _folds(columns: Mapping[str, list[Any]], part: str, name: str) -> Folds:
    splits: list[list[Any]] = []
    while f"split{len(splits)}_{part}_{name}" in columns:
        splits.append(columns[f"split{len(splits)}_{part}_{name}"])
    values = splits or [columns[f"mean_{part}_{name}"]]
    return [tuple(float(v) for v in row) for row in zip(*values, strict=True)]


def metric_of_search(search: Any) -> str | None:
    """Return the metric that a fitted search maximised, None if it has no name."""
    if getattr(search, "multimetric_", False):
        return search.refit if isinstance(search.refit, str) else None
    return search.scoring if isinstance(getattr(search, "scoring", None), str) else None


def measurements_of_study(
    study: Any, *, names: Mapping[str, str] | None, scoring: str | None
) -> Measurements:
    """Return the finished trials of a study of Optuna."""
    trials = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "FAIL")]
    signs = [direction.name == "MAXIMIZE" for direction in study.directions]
    metrics = _names_of_objectives(study, scoring)
    failed = (np.nan,) * len(metrics)
    values = [trial.values if trial.state.name == "COMPLETE" else failed for trial in trials]
    return measurements(
        [{(names or {}).get(k, k): v for k, v in trial.params.items()} for trial in trials],
        {name: [row[k] for row in values] for k, name in enumerate(metrics)},
        scoring=scoring or metrics[0],
        greater_is_better=dict(zip(metrics, signs, strict=True)),
        fit_times=[trial.duration.total_seconds() if trial.duration else () for trial in trials],
    )


def _names_of_objectives(study: Any, scoring: str | None) -> list[str]:
    named = getattr(study, "metric_names", None)
    if named:
        return list(named)
    n = len(study.directions)
    return [scoring or DEFAULT_METRIC] if n == 1 else [f"objective_{k}" for k in range(n)]
