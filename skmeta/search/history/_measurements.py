"""Check measurements of configurations that a user, scikit-learn or Optuna provides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from skmeta.exceptions import HistoryFormatError

Params = Sequence[Mapping[str, Any]]
Folds = list[tuple[float, ...]]

DEFAULT_METRIC = "score"


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Configurations, with the scores of each."""

    params: Params
    scores: Mapping[str, Folds]
    signs: Mapping[str, int]
    refit_metric: str


def measurements(
    params: Any,
    scores: Any,
    *,
    scoring: str | None = None,
    greater_is_better: bool | Mapping[str, bool] | None = None,
) -> Measurements:
    """Return checked measurements of configurations."""
    candidates = _check_params(params)
    by_metric = scores if isinstance(scores, Mapping) else {scoring or DEFAULT_METRIC: scores}
    chosen = next(iter(by_metric)) if scoring is None and len(by_metric) == 1 else scoring
    if chosen not in by_metric:
        raise HistoryFormatError(
            f"scoring must name the metric to maximise, one of {sorted(by_metric)}; got "
            f"{scoring!r}."
        )
    n = len(candidates)
    return Measurements(
        params=candidates,
        scores={name: _check_folds(f"scores of {name!r}", v, n) for name, v in by_metric.items()},
        signs={name: _sign(name, greater_is_better) for name in by_metric},
        refit_metric=str(chosen),
    )


def _check_params(params: Any) -> Params:
    is_list = isinstance(params, Iterable) and not isinstance(params, Mapping)
    candidates = list(params) if is_list else []
    if not candidates or not all(isinstance(one, Mapping) for one in candidates):
        raise HistoryFormatError(
            f"params must be a list of dicts, one per candidate, such as [{{'C': 1.0}}, ...], got "
            f"{params!r:.100}."
        )
    return candidates


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


def measurements_of_search(search: Any, scoring: str | None) -> Measurements:
    """Return the candidates of a fitted search of scikit-learn."""
    results = search.cv_results_
    # A halving search scored the others with less than the full resources.
    resources = np.asarray(results.get("n_resources", np.zeros(len(results["params"]))))
    kept = np.flatnonzero(resources == resources.max())
    columns = {name: [values[k] for k in kept] for name, values in results.items()}
    names = [name.removeprefix("mean_test_") for name in columns if name.startswith("mean_test_")]
    own = search.refit if len(names) > 1 else search.scoring
    metric = scoring or (own if isinstance(own, str) else None)
    # In scikit-learn, the score of a single metric is named "score", whatever the metric.
    recorded = {name: metric or name if names == [DEFAULT_METRIC] else name for name in names}
    return measurements(
        columns["params"],
        {recorded[name]: _folds(columns, name) for name in names},
        scoring=metric,
        greater_is_better=True,
    )


def _folds(columns: Mapping[str, list[Any]], name: str) -> list[list[float]]:
    splits: list[list[Any]] = []
    while f"split{len(splits)}_test_{name}" in columns:
        splits.append(columns[f"split{len(splits)}_test_{name}"])
    return [[float(v) for v in row] for row in zip(*splits, strict=True)]


def measurements_of_study(
    study: Any, *, names: Mapping[str, str] | None, scoring: str | None
) -> Measurements:
    """Return the finished trials of a study of Optuna with one objective."""
    if len(study.directions) > 1:
        raise HistoryFormatError(
            f"The study has {len(study.directions)} objectives, and add_optuna takes one. Add its "
            "trials with add(estimator, params, scores)."
        )
    trials = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "FAIL")]
    return measurements(
        [{(names or {}).get(k, k): v for k, v in trial.params.items()} for trial in trials],
        [t.value if t.state.name == "COMPLETE" else np.nan for t in trials],
        scoring=scoring,
        greater_is_better=study.direction.name == "MAXIMIZE",
    )
