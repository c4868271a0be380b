"""Check measurements of configurations that a user, scikit-learn or Optuna provides."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from skmeta.exceptions import HistoryFormatError
from skmeta.search.space import candidate_key

Params = Sequence[Mapping[str, Any]]
Folds = list[tuple[float, ...]]

DEFAULT_METRIC = "score"


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Configurations, with scores and times of each."""

    params: Params
    scores: Mapping[str, Folds]
    signs: Mapping[str, int]
    refit_metric: str
    train_scores: Mapping[str, Folds]
    fit_times: Folds
    score_times: Folds


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
    """Return checked measurements of configurations."""
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
            f"params must be a list of dicts, one per candidate, not a {type(params).__name__}. "
            "Give [{'C': 1.0}, ...]."
        )
    candidates = list(params)
    for number, one in enumerate(candidates):
        if not isinstance(one, Mapping):
            raise HistoryFormatError(
                f"params[{number}] must be a dict of parameters, not {one!r}. "
                "Give [{'C': 1.0}, ...]."
            )
    return candidates


def _choose_metric(by_metric: Mapping[str, Any], scoring: str | None) -> str:
    if scoring is None and len(by_metric) == 1:
        return next(iter(by_metric))
    if scoring is None or scoring not in by_metric:
        raise HistoryFormatError(
            f"scoring must name the metric to maximise, one of {sorted(by_metric)}; got "
            f"{scoring!r}."
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
        f"It is not known whether a greater {name!r} is better, since scikit-learn has no scorer "
        "of that name. Give greater_is_better=True or False."
    )


def _check_folds(what: str, values: Any, n_candidates: int) -> Folds:
    """Return one tuple of floats per candidate, from a number or a list of numbers for each."""
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
    # In scikit-learn, the score of a single metric is named "score", whatever the metric.
    recorded_name = {n: scoring if names == [DEFAULT_METRIC] and scoring else n for n in names}
    return measurements(
        columns["params"],
        {recorded_name[name]: _folds(columns, "test", name) for name in names},
        scoring=scoring if scoring or len(names) > 1 else None,
        greater_is_better=greater_is_better,
        train_scores={
            recorded_name[name]: _folds(columns, "train", name)
            for name in names
            if f"mean_train_{name}" in columns
        },
        fit_times=columns.get("mean_fit_time"),
        score_times=columns.get("mean_score_time"),
    )


def _parse_params(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:  # a table that was read from CSV
        return ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise HistoryFormatError(
            f"The column 'params' holds the text {value[:60]!r}, which is not a dict of plain "
            "values. Give the cv_results_ as the search left it."
        ) from error


def _keep_full_resources(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Leave out candidates that a halving search scored with less than the full resources."""
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
    """Return the metric that a fitted search maximised; None if the metric has no name."""
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
