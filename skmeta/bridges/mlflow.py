"""A finished search in MLflow: one run for the search, and a nested run for each candidate."""

import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional
from skmeta.search import MetaLearnedSearchCV
from skmeta.search.space import plain_value

mlflow = import_optional("mlflow", "mlflow")

__all__ = ["log_search"]

Metrics = list[tuple[str, float, int]]  # name, value and step

# Limits of MLflow: characters of a value, and entries of one batch.
_LONGEST_PARAM = 500
_MOST_METRICS = 1000
_FOLD = re.compile(r"split(\d+)_(.+)")
_SETTINGS = ("n_iter", "racing", "early_stopping", "batch_size", "time_budget", "random_state")
_RESULTS = ("best_score_", "refit_time_", "search_time_", "n_resumed_")


def log_search(search: Any, *, run_name: str | None = None, report: bool = True) -> str:
    """Log a fitted search to MLflow.

    The search is one run. It has the best parameters, the best score, the settings of the search,
    and ``best_so_far``, the best score after each candidate. Each candidate is a nested run with
    its parameters, the mean and standard deviation of each metric, the score of each fold (fold k
    is step k), and its times.

    Parameters
    ----------
    search : fitted search
        A :class:`~skmeta.search.MetaLearnedSearchCV`, or a search of scikit-learn.
    run_name : str, default=None
        Name of the run, by default the class of the estimator.
    report : bool, default=True
        Add the page that ``search.report`` writes as ``report.html``, if the search has one.

    Returns
    -------
    run_id : str
        Identifier of the run of the search.

    Raises
    ------
    ImportError
        If MLflow is not installed.
    NotFittedError
        If the search is not fitted.

    Notes
    -----
    Runs go to the tracking server and the experiment that ``mlflow.set_tracking_uri`` and
    ``mlflow.set_experiment`` have set. If a run is open, the run of the search is nested in it.

    The status of a candidate is ``FINISHED`` if it has a score, ``KILLED`` if racing stopped it,
    and ``FAILED`` if a fit failed. Values that are not finite are left out. Parameters longer than
    500 characters are cut.

    Examples
    --------
    >>> import mlflow
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skmeta import MetaLearnedSearchCV
    >>> from skmeta.bridges.mlflow import log_search
    >>> search = MetaLearnedSearchCV(SVC(), n_iter=10, random_state=0)
    >>> mlflow.set_tracking_uri("sqlite:///mlflow.db")  # doctest: +SKIP
    >>> run_id = log_search(search.fit(*load_iris(return_X_y=True)))  # doctest: +SKIP
    """
    check_is_fitted(search, "cv_results_")
    name = run_name or type(search.estimator).__name__
    with mlflow.start_run(run_name=name, nested=True) as run:
        mlflow.set_tag("search", type(search).__name__)
        _log(run, _search_params(search), _search_metrics(search))
        if report and isinstance(search, MetaLearnedSearchCV):
            with tempfile.TemporaryDirectory() as folder:
                mlflow.log_artifact(str(search.report(Path(folder) / "report.html")))
        for number, params in enumerate(search.cv_results_["params"]):
            _log_candidate(run, search, number, params)
    run_id: str = run.info.run_id
    return run_id


def _search_params(search: Any) -> dict[str, Any]:
    settings = {name: getattr(search, name, None) for name in _SETTINGS}
    plain = {n: v for n, v in settings.items() if isinstance(v, bool | int | float | str)}
    best = {f"best_{name}": v for name, v in getattr(search, "best_params_", {}).items()}
    return {**plain, "n_splits": search.n_splits_, **best}


def _search_metrics(search: Any) -> Metrics:
    results = {name: getattr(search, name) for name in _RESULTS if hasattr(search, name)}
    metrics = [(name.rstrip("_"), float(value), 0) for name, value in results.items()]
    metric = getattr(search.refit, "metric", search.refit)
    scores = search.cv_results_.get(f"mean_test_{'score' if metric is True else metric}")
    if scores is None:  # several metrics, and a function chooses
        return metrics
    so_far = np.fmax.accumulate(np.asarray(scores, dtype=float))
    return [*metrics, *(("best_so_far", float(v), k) for k, v in enumerate(so_far))]


def _log_candidate(parent: Any, search: Any, number: int, params: Mapping[str, Any]) -> None:
    client = mlflow.MlflowClient()
    tags = {"mlflow.parentRunId": parent.info.run_id}
    if "source" in search.cv_results_:
        tags["source"] = str(search.cv_results_["source"][number])
    experiment = parent.info.experiment_id
    run = client.create_run(experiment, run_name=f"candidate {number}", tags=tags)
    _log(run, params, list(_candidate_metrics(search.cv_results_, number)))
    client.set_terminated(run.info.run_id, status=_status(search, number))


def _candidate_metrics(results: Mapping[str, Any], number: int) -> Iterator[tuple[str, float, int]]:
    for column, values in results.items():
        if column == "params" or column.startswith("param_") or column == "source":
            continue
        match = _FOLD.fullmatch(column)
        name, step = (column, 0) if match is None else (match[2], int(match[1]))
        yield name, float(values[number]), step


def _status(search: Any, number: int) -> str:
    results = search.cv_results_
    means = [float(v[number]) for n, v in results.items() if n.startswith("mean_test_")]
    if np.isfinite(means).all():
        return "FINISHED"
    is_stopped = results["n_folds"][number] < search.n_splits_ if "n_folds" in results else False
    return "KILLED" if is_stopped else "FAILED"


def _log(run: Any, params: Mapping[str, Any], metrics: Metrics) -> None:
    """Log parameters, and metrics in as few requests as MLflow allows."""
    client, run_id, now = mlflow.MlflowClient(), run.info.run_id, int(1000 * time.time())
    entries = [
        mlflow.entities.Param(_clean(name), str(plain_value(value))[:_LONGEST_PARAM])
        for name, value in params.items()
    ]
    client.log_batch(run_id, params=entries)
    values = [
        mlflow.entities.Metric(_clean(name), value, now, step)
        for name, value, step in metrics
        if math.isfinite(value)
    ]
    for start in range(0, len(values), _MOST_METRICS):
        client.log_batch(run_id, metrics=values[start : start + _MOST_METRICS])


def _clean(name: str) -> str:
    """Return a name that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", name)
