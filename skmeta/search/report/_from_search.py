"""Summary of a fitted search."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.analysis import metric_name_of, metric_of
from skmeta.search.prior import JointPrior
from skmeta.search.record import CandidateRecord
from skmeta.search.report._code import code_of_estimator, code_of_params
from skmeta.search.report._summary import PriorSummary, SearchSummary
from skmeta.search.space import short_names, shown_value, signature

__all__ = ["summarise_search"]

_PACKAGES = ("skmeta", "scikit-learn", "numpy", "scipy")


def summarise_search(search: Any) -> SearchSummary:
    """Return what a report shows of a fitted search.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Fitted.

    Returns
    -------
    SearchSummary
    """
    wanted = getattr(search.refit, "metric", search.refit)
    metric = metric_of(search.cv_results_, wanted if isinstance(wanted, str) else None)
    return SearchSummary(
        estimator=_estimator_text(search),
        dataset=search.dataset,
        metric=metric_name_of(search, metric) or metric,
        score_key=metric,
        candidates=_candidates(search.cv_results_, search.n_splits_),
        best=_best(search, metric),
        code=_code(search),
        facts=_facts(search),
        versions={"python": platform.python_version(), **_versions()},
        prior=_prior(search),
    )


def _estimator_text(search: Any) -> str:
    given = search.estimator
    parts = given if isinstance(given, list | tuple) else [given]
    return " or ".join(signature(part) for part in parts)


def _candidates(results: Any, n_splits: int) -> list[CandidateRecord]:
    candidates = results["params"]
    n = len(candidates)
    names = short_names(dict.fromkeys(name for params in candidates for name in params))
    n_folds = np.asarray(results.get("n_folds", np.full(n, n_splits)))
    metrics = [key.removeprefix("mean_test_") for key in results if key.startswith("mean_test_")]
    unknown = np.full(n, np.nan)
    predicted = [results.get(f"predicted_{kind}_score", unknown) for kind in ("mean", "std")]
    sources = results.get("source", np.full(n, "grid"))
    return [
        CandidateRecord(
            configuration={names[name]: shown_value(value) for name, value in params.items()},
            key=str(i),
            scores={
                metric: tuple(float(results[f"split{k}_test_{metric}"][i]) for k in range(n_splits))
                for metric in metrics
            },
            fit_times=(float(results["mean_fit_time"][i]),) * int(n_folds[i]),
            score_times=(float(results["mean_score_time"][i]),) * int(n_folds[i]),
            source=str(sources[i]),
            predicted_mean_score=float(predicted[0][i]),
            predicted_std_score=float(predicted[1][i]),
        )
        for i, params in enumerate(candidates)
    ]


def _best(search: Any, metric: str) -> int | None:
    if hasattr(search, "best_index_"):
        return int(search.best_index_)
    scores: NDArray[np.float64] = search.cv_results_[f"mean_test_{metric}"]
    return int(np.nanargmax(scores)) if np.isfinite(scores).any() else None


def _code(search: Any) -> str:
    code = code_of_estimator(search.best_estimator_) if hasattr(search, "best_estimator_") else None
    if code is not None:
        return code
    params: Mapping[str, Any] = getattr(search, "best_params_", {})
    return code_of_params(params) if params else "# The search chose no candidate."


def _facts(search: Any) -> dict[str, str]:
    n_candidates = len(search.cv_results_["params"])
    resumed = f", {search.n_resumed_} of them on record before" if search.n_resumed_ else ""
    facts = {
        "Candidates": f"{n_candidates}{resumed}",
        "Folds": str(search.n_splits_),
        "Ended by": search.stopped_by_,
        "Search": f"{search.search_time_:.3g} s",
    }
    if hasattr(search, "refit_time_"):
        facts["Refit"] = f"{search.refit_time_:.3g} s"
    facts["Rows"] = f"{search.n_samples_fit_:,}"
    n_features = (
        getattr(search, "n_features_in_", None) if hasattr(search, "best_estimator_") else None
    )
    if n_features is not None:
        facts["Columns"] = f"{n_features:,}"
    return facts


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # a source tree that was not installed
            versions[name] = "unknown"
    return versions


def _prior(search: Any) -> PriorSummary | None:
    report = search.prior_report_
    if search.prior_ is None or not report:
        return None
    return PriorSummary(
        text=_describe_prior(search.prior_),
        learned_weight=float(report["learned_weight"]),
        datasets=tuple(map(str, report["datasets"])),
        task_weights=np.asarray(report["task_weights"], dtype=np.float64),
    )


def _describe_prior(prior: Any) -> str:
    if isinstance(prior, JointPrior):
        own, shipped = map(_describe_prior, prior.parts)
        return f"{own} (your own), and {shipped} (shipped with the package)"
    n_searches, n_datasets = len(prior), len(set(prior.datasets))
    searches = "1 past search" if n_searches == 1 else f"{n_searches:,} past searches"
    datasets = "1 data set" if n_datasets == 1 else f"{n_datasets:,} data sets"
    estimators = [name.replace("|", " or ") for name in prior.estimators if name]
    kinds = f" of {', '.join(estimators)}" if estimators else ""
    metrics = [metric for metric in getattr(prior, "metrics", ()) if metric]
    return f"{searches}{kinds} on {datasets}" + (
        f", scored by {', '.join(metrics)}" if metrics else ""
    )
