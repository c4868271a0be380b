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
from skmeta.search.space import plain_value, signature

mlflow = import_optional("mlflow", "mlflow")

__all__ = ["log_search"]

# Limits of MLflow: characters of a value, and entries of one batch.
_LONGEST_PARAM = 500
_LONGEST_TAG = 5000
_MOST_METRICS = 1000
_MOST_PARAMS = 100
_FOLD = re.compile(r"split(\d+)_(.+)")
_SETTINGS = ("n_iter", "racing", "early_stopping", "batch_size", "time_budget", "random_state")


def log_search(
    search: Any,
    *,
    run_name: str | None = None,
    experiment_name: str | None = None,
    tracking_uri: str | None = None,
    tags: Mapping[str, str] | None = None,
    report: bool = True,
) -> str:
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
    experiment_name : str, default=None
        The experiment, which is created if it does not exist. By default the one that MLflow is
        set to, or its default one if `tracking_uri` is given. If a run is open there, the run of
        the search is nested in it.
    tracking_uri : str, default=None
        Where to log: a folder, a database such as ``"sqlite:///mlflow.db"``, or a server. By
        default the one that MLflow is set to. New versions of MLflow take a folder only if the
        environment variable ``MLFLOW_ALLOW_FILE_STORE`` is ``true``.
    tags : dict of str to str, default=None
        Tags of the run of the search.
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
    The status of a candidate is ``FINISHED`` if it has a score, ``KILLED`` if racing stopped it,
    and ``FAILED`` if a fit failed. Values that are not finite are left out. Parameters longer than
    500 characters are cut.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skmeta import MetaLearnedSearchCV
    >>> from skmeta.bridges.mlflow import log_search
    >>> search = MetaLearnedSearchCV(SVC(), n_iter=10, random_state=0)
    >>> X, y = load_iris(return_X_y=True)
    >>> run_id = log_search(search.fit(X, y), tracking_uri="sqlite:///mlflow.db")  # doctest: +SKIP
    """
    check_is_fitted(search, "cv_results_")
    client = mlflow.MlflowClient(tracking_uri=tracking_uri)
    name = run_name or type(search.estimator).__name__
    info = _begin_run(client, name, experiment_name, is_default=tracking_uri is None)
    run_id: str = info.run_id
    ended = "FAILED"
    try:
        for tag, value in {**_search_tags(search), **(tags or {})}.items():
            client.set_tag(run_id, tag, value)
        _log(client, run_id, _search_params(search), _search_metrics(search))
        if report and isinstance(search, MetaLearnedSearchCV):
            with tempfile.TemporaryDirectory() as folder:
                client.log_artifact(run_id, str(search.report(Path(folder) / "report.html")))
        for number, params in enumerate(search.cv_results_["params"]):
            _log_candidate(client, info, search, number, params)
        ended = "FINISHED"
    finally:
        client.set_terminated(run_id, status=ended)
    return run_id


def _begin_run(client: Any, name: str, experiment_name: str | None, is_default: bool) -> Any:
    """Begin the run of a search, and return what MLflow knows of it."""
    if experiment_name is None and is_default:
        # Only this function of MLflow knows the experiment that the user has set.
        with mlflow.start_run(run_name=name, nested=True) as run:
            return run.info
    experiment_id = "0"
    if experiment_name is not None:
        existing = client.get_experiment_by_name(experiment_name)
        created = existing is None
        experiment_id = (
            client.create_experiment(experiment_name) if created else existing.experiment_id
        )
    return client.create_run(experiment_id, run_name=name).info


def _search_tags(search: Any) -> dict[str, str]:
    tags = {"estimator": _classes(search.estimator), "search": type(search).__name__}
    for name in ("dataset", "stopped_by_"):
        if getattr(search, name, None) is not None:
            tags[name.rstrip("_")] = str(getattr(search, name))
    return {name: value[:_LONGEST_TAG] for name, value in tags.items()}


def _classes(estimator: Any) -> str:
    is_list = isinstance(estimator, list | tuple)
    return ", ".join(map(signature, estimator)) if is_list else signature(estimator)


def _search_params(search: Any) -> dict[str, Any]:
    settings = {name: getattr(search, name, None) for name in _SETTINGS}
    plain = {n: v for n, v in settings.items() if isinstance(v, bool | int | float | str)}
    best = {f"best_{name}": v for name, v in getattr(search, "best_params_", {}).items()}
    return {**plain, "n_splits": search.n_splits_, **best}


def _search_metrics(search: Any) -> list[tuple[str, float, int]]:
    names = ("best_score_", "refit_time_", "search_time_", "n_resumed_")
    results = {name: getattr(search, name) for name in names if hasattr(search, name)}
    metrics = [(name.rstrip("_"), float(value), 0) for name, value in results.items()]
    metric = getattr(search.refit, "metric", search.refit)
    scores = search.cv_results_.get(f"mean_test_{'score' if metric is True else metric}")
    if scores is None:  # several metrics, and a function chooses
        return metrics
    so_far = np.fmax.accumulate(np.asarray(scores, dtype=float))
    return [*metrics, *(("best_so_far", float(v), k) for k, v in enumerate(so_far))]


def _log_candidate(client: Any, parent: Any, search: Any, number: int, params: Any) -> None:
    tags = {"mlflow.parentRunId": parent.run_id}
    if "source" in search.cv_results_:
        tags["source"] = str(search.cv_results_["source"][number])
    run = client.create_run(parent.experiment_id, run_name=f"candidate {number}", tags=tags)
    metrics = list(_candidate_metrics(search.cv_results_, number))
    _log(client, run.info.run_id, params, metrics)
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


def _log(
    client: Any, run_id: str, params: Mapping[str, Any], metrics: list[tuple[str, float, int]]
) -> None:
    """Log parameters and metrics, as many at a time as MLflow takes."""
    now = int(1000 * time.time())
    values = [
        mlflow.entities.Metric(_clean(name), value, now, step)
        for name, value, step in metrics
        if math.isfinite(value)
    ]
    entries = [
        mlflow.entities.Param(_clean(name), str(plain_value(value))[:_LONGEST_PARAM])
        for name, value in params.items()
    ]
    for start in range(0, len(values), _MOST_METRICS):
        client.log_batch(run_id, metrics=values[start : start + _MOST_METRICS])
    for start in range(0, len(entries), _MOST_PARAMS):
        client.log_batch(run_id, params=entries[start : start + _MOST_PARAMS])


def _clean(name: str) -> str:
    """Return a name that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", name)
