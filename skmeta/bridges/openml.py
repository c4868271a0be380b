"""Runs and flows of OpenML as files: nothing here uses the network.

A run is a folder: ``description.xml`` (the task and the scores of each fold), ``flow.xml`` (the
estimator), ``predictions.arff``, and ``trace.arff`` (the candidates of a search).
"""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional
from skmeta.exceptions import HistoryFormatError
from skmeta.search import MetaLearnedSearchCV, SearchHistory

openml = import_optional("openml", "openml")
arff = import_optional("arff", "openml")

__all__ = ["add_run", "write_run"]

_NAMESPACE = "http://openml.org/openml"
_IN_TRACE = "parameter_"
# OpenML's name of a metric of scikit-learn, and its sign.
_MEASURES = {
    "accuracy": ("predictive_accuracy", 1),
    "roc_auc": ("area_under_roc_curve", 1),
    "roc_auc_ovr_weighted": ("area_under_roc_curve", 1),
    "f1_weighted": ("f_measure", 1),
    "neg_mean_absolute_error": ("mean_absolute_error", -1),
    "neg_root_mean_squared_error": ("root_mean_squared_error", -1),
}


def write_run(
    search: MetaLearnedSearchCV, folder: Any, y: Any, *, task_id: int, run_details: str = ""
) -> Path:
    """Write the best candidate of a search as a run of OpenML.

    The run can be read with ``OpenMLRun.from_filesystem(folder, expect_model=False)`` of the
    package openml. Its trace has all candidates, with their scores on each fold.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        A fitted search with ``return_predictions=True`` or ``"predict_proba"``, one metric, and the
        folds of the task: ``cv`` is the list of the task's splits, or a splitter that makes the
        same folds each time.
    folder : path-like
        Where to write. It is created; it must not have files of a run.
    y : array-like of shape (n_samples,)
        The targets that the search was fitted with, in the order of the rows of the task.
    task_id : int
        Number of the task on OpenML.
    run_details : str, default=""
        A remark.

    Returns
    -------
    folder : Path
        The folder.

    Raises
    ------
    ImportError
        If the package openml is not installed.
    ValueError
        If the search has no predictions or several metrics, if its folds cannot be drawn again, or
        if OpenML has no format for the estimator.
    FileExistsError
        If the folder has files of a run.

    See Also
    --------
    add_run : Reads a run into a history.

    Notes
    -----
    The best candidate was chosen by its score on the same folds, so that the scores of the run are
    optimistic. Say so in `run_details` if you publish it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skmeta import MetaLearnedSearchCV
    >>> from skmeta.bridges.openml import write_run
    >>> X, y = load_iris(return_X_y=True)
    >>> search = MetaLearnedSearchCV(SVC(), n_iter=5, return_predictions=True, random_state=0)
    >>> folder = write_run(search.fit(X, y), "run", y, task_id=59)  # doctest: +SKIP
    """
    check_is_fitted(search, "cv_results_")
    y = np.asarray(y)
    params = _own_params(search)
    rows = _prediction_rows(search, y)
    flow = _flow(clone(search.estimator).set_params(**params))
    trace = arff.dumps(_trace(search))
    predictions = arff.dumps(_predictions(search, rows, y, task_id))
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    for name in ("description.xml", "predictions.arff", "trace.arff", "flow.xml"):
        if (where / name).exists():
            raise FileExistsError(f"{where} has {name} already. Give another folder.")
    flow.to_filesystem(where)
    (where / "description.xml").write_bytes(_description(search, task_id, run_details))
    (where / "predictions.arff").write_text(predictions, encoding="utf-8")
    (where / "trace.arff").write_text(trace, encoding="utf-8")
    return where


def add_run(
    history: SearchHistory,
    folder: Any,
    estimator: Any,
    *,
    scoring: str,
    dataset: str | None = None,
    X: Any = None,
    y: Any = None,
) -> SearchHistory:
    """Add a run of OpenML to a history, as one past search.

    If the run has ``trace.arff``, its candidates are added, each with its scores on the folds.
    Otherwise the one configuration of the run is added, with the scores of ``description.xml``.

    Parameters
    ----------
    history : SearchHistory
        Where to add it.
    folder : path-like
        A run in files: that of :func:`write_run`, or one that the package openml wrote.
    estimator : estimator
        The estimator that the run configured, such as ``make_pipeline(StandardScaler(), SVC())``,
        with the same names of steps.
    scoring : str
        Name of the metric, as scikit-learn has it. A trace does not say which metric it has.
    dataset : str, default=None
        Name of the data set in the history, by default ``"openml task"`` and its number.
    X, y : array-like, default=None
        The data set. Its fingerprint is kept, but no rows.

    Returns
    -------
    history : SearchHistory
        The history.

    Raises
    ------
    ImportError
        If the package openml is not installed.
    HistoryFormatError
        If the folder has no run, or the run has no scores or parameters that can be read.

    See Also
    --------
    write_run : Writes a run.

    Notes
    -----
    Files may come from anybody: a pickled model beside them is not loaded, and no class that
    they name is imported.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from skmeta.search import SearchHistory
    >>> from skmeta.bridges.openml import add_run
    >>> history = add_run(
    ...     SearchHistory("searches.db"), "run", SVC(), scoring="accuracy"
    ... )  # doctest: +SKIP
    """
    folder = Path(folder)
    run = _read_description(folder)
    known = set(estimator.get_params(deep=True))
    if (folder / "trace.arff").exists():
        candidates = _read_trace(folder / "trace.arff")
    else:
        params = {n: v for n, v in _read_parameters(folder, run).items() if n in known}
        candidates = [(params, _read_scores(folder, run, scoring))]
    history.add(
        estimator,
        [params for params, _ in candidates],
        _as_table([scores for _, scores in candidates]),
        dataset=dataset or f"openml task {_text(run, 'task_id')}",
        X=X,
        y=y,
        scoring=scoring,
    )
    return history


# -- writing -------------------------------------------------------------------------------------


def _flow(model: Any) -> Any:
    name = type(model).__name__
    extension = openml.extensions.get_extension_by_model(model, raise_if_no_extension=False)
    if extension is None:
        raise ValueError(
            f"The package openml has no format for {name}. Search an estimator or a pipeline of "
            "scikit-learn."
        )
    try:
        return extension.model_to_flow(model)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"The package openml cannot describe {name}: {error}") from error


def _own_params(search: MetaLearnedSearchCV) -> dict[str, Any]:
    if isinstance(search.estimator, list | tuple):
        raise ValueError("A search over several estimators has no single flow. Search one of them.")
    known = search.estimator.get_params(deep=True)
    return {name: value for name, value in search.best_params_.items() if name in known}


def _prediction_rows(search: MetaLearnedSearchCV, y: np.ndarray) -> list[list[int]]:
    """Return repeat, fold and number of each row, in the order of the folds."""
    if not hasattr(search, "cv_predictions_"):
        raise ValueError("A run needs predictions: search with return_predictions=True.")
    if search.multimetric_:
        raise ValueError("A run has one metric. Give scoring one name.")
    if len(y) != len(search.cv_predictions_):
        raise ValueError(
            f"y has {len(y)} rows, but the search has predictions of "
            f"{len(search.cv_predictions_)}. Give the y that it was fitted with."
        )
    cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    if getattr(cv, "shuffle", False) and not isinstance(cv.random_state, int):
        raise ValueError(
            "The folds of a splitter that shuffles without a seed cannot be drawn again. Give it "
            "random_state, or pass the task's splits as cv."
        )
    folds = [test for _, test in cv.split(np.zeros((len(y), 1)), y)]
    return [[0, k, int(row)] for k, test in enumerate(folds) for row in np.sort(test)]


def _predictions(
    search: MetaLearnedSearchCV, rows: list[list[int]], y: np.ndarray, task_id: int
) -> dict[str, Any]:
    predictions = search.cv_predictions_
    if is_classifier(search.estimator):
        classes = [str(label) for label in search.classes_]
        shares = predictions
        if predictions.ndim == 1:
            shares = (predictions[:, None] == search.classes_).astype(float)
        best = search.classes_[shares.argmax(axis=1)]
        # OpenML's learning curves have several samples of a fold; others have number 0.
        values = [
            [*place, 0, row, str(best[row]), str(y[row]), *shares[row].tolist()]
            for *place, row in rows
        ]
        names = ["repeat", "fold", "sample", "row_id"]
        targets: list[tuple[str, Any]] = [("prediction", classes), ("correct", classes)]
        targets += [(f"confidence.{label}", "NUMERIC") for label in classes]
    else:
        values = [[*place, row, float(predictions[row]), float(y[row])] for *place, row in rows]
        names = ["repeat", "fold", "row_id"]
        targets = [("prediction", "NUMERIC"), ("truth", "NUMERIC")]
    attributes = [*((name, "NUMERIC") for name in names), *targets]
    return {
        "description": "",
        "relation": f"openml_task_{task_id}_predictions",
        "attributes": attributes,
        "data": values,
    }


def _trace(search: MetaLearnedSearchCV) -> dict[str, Any]:
    results, metric = search.cv_results_, _metric_column(search)
    names = sorted({name for params in results["params"] for name in params})
    data = []
    for fold in range(search.n_splits_):
        scores = results[f"split{fold}_test_{metric}"]
        for k, params in enumerate(results["params"]):
            if math.isfinite(scores[k]):
                chosen = "true" if k == search.best_index_ else "false"
                # A candidate may lack a parameter that others have.
                values = [json.dumps(_plain(params[n])) if n in params else None for n in names]
                data.append([0, fold, k, float(scores[k]), chosen, *values])
    columns = [(name, "NUMERIC") for name in ("repeat", "fold", "iteration", "evaluation")]
    return {
        "description": "",
        "relation": "Trace",
        "attributes": [
            *columns,
            ("selected", ["true", "false"]),
            *((_IN_TRACE + name, "STRING") for name in names),
        ],
        "data": data,
    }


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return value if is_plain else repr(value)


def _metric_column(search: MetaLearnedSearchCV) -> str:
    prefix = "mean_test_"
    [name] = [str(key) for key in search.cv_results_ if key.startswith(prefix)]
    return name.removeprefix(prefix)


def _description(search: MetaLearnedSearchCV, task_id: int, details: str) -> bytes:
    ET.register_namespace("oml", _NAMESPACE)
    run = ET.Element(_tag("run"))
    ET.SubElement(run, _tag("task_id")).text = str(task_id)
    # Empty until the flow is published, as the package openml has it.
    ET.SubElement(run, _tag("flow_id"))
    if details:
        ET.SubElement(run, _tag("run_details")).text = details
    output = ET.SubElement(run, _tag("output_data"))
    column, scoring = _metric_column(search), search.scoring
    default = "accuracy" if is_classifier(search.estimator) else "r2"
    name = scoring if isinstance(scoring, str) else default if scoring is None else column
    measure, sign = _MEASURES.get(name, (name, 1))
    for fold in range(search.n_splits_):
        value = search.cv_results_[f"split{fold}_test_{column}"][search.best_index_]
        element = ET.SubElement(output, _tag("evaluation"), repeat="0", fold=str(fold))
        ET.SubElement(element, _tag("name")).text = measure
        ET.SubElement(element, _tag("value")).text = repr(float(sign * value))
    text: bytes = ET.tostring(run, encoding="utf-8", xml_declaration=True)
    return text


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


# -- reading -------------------------------------------------------------------------------------


def _read_description(folder: Path) -> ET.Element:
    path = folder / "description.xml"
    try:
        run = ET.parse(path).getroot()
    except FileNotFoundError as error:
        raise HistoryFormatError(f"{folder} has no description.xml, so it is no run.") from error
    except ET.ParseError as error:
        raise HistoryFormatError(f"{path} is damaged: {error}.") from error
    if run.tag != _tag("run"):
        raise HistoryFormatError(f"{path} describes no run of OpenML; it begins with {run.tag}.")
    return run


def _text(element: ET.Element, name: str) -> str:
    return (element.findtext(_tag(name)) or "").strip()


def _read_trace(path: Path) -> list[tuple[dict[str, Any], list[float]]]:
    """Return the parameters and the scores of each candidate."""
    try:
        with path.open(encoding="utf-8") as file:
            trace = openml.runs.OpenMLRunTrace.trace_from_arff(arff.load(file))
    except (arff.ArffException, ValueError) as error:
        raise HistoryFormatError(f"{path} is no trace of OpenML: {error}") from error
    scores: dict[str, tuple[dict[str, Any], list[float]]] = {}
    for step in trace:
        params = {
            name.removeprefix(_IN_TRACE): _value(text)
            for name, text in step.get_parameters().items()
            if text is not None
        }
        key = json.dumps(params, sort_keys=True, default=repr)
        scores.setdefault(key, (params, []))[1].append(float(step.evaluation))
    return list(scores.values())


def _value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):  # no JSON, or nested too deeply
        return text


def _read_scores(folder: Path, run: ET.Element, scoring: str) -> list[float]:
    measure, sign = _MEASURES.get(scoring, (scoring, 1))
    by_fold: dict[tuple[int, int], float] = {}
    measures = set()
    for one in run.iterfind(f"{_tag('output_data')}/{_tag('evaluation')}"):
        measures.add(_text(one, "name"))
        if _text(one, "name") == measure and "fold" in one.attrib:
            try:
                place = int(one.get("repeat", 0)), int(one.attrib["fold"])
                by_fold[place] = sign * float(_text(one, "value"))
            except ValueError as error:
                raise HistoryFormatError(
                    f"The run in {folder} has a score or a fold that is no number: {error}."
                ) from error
    if not by_fold:
        raise HistoryFormatError(
            f"The run in {folder} has no fold's {measure!r}, which is scoring={scoring!r}. It has "
            f"{sorted(measures)}."
        )
    return [by_fold[place] for place in sorted(by_fold)]


def _read_parameters(folder: Path, run: ET.Element) -> dict[str, Any]:
    """Return the parameters of a run's one configuration."""
    if not (folder / "flow.xml").exists():
        raise HistoryFormatError(
            f"{folder} has neither trace.arff nor flow.xml, so that its parameters are unknown."
        )
    flow = openml.flows.OpenMLFlow.from_filesystem(folder)
    prefixes: dict[str, str] = {}
    params = dict(_flow_parameters(flow, "", prefixes))
    for setting in run.iterfind(_tag("parameter_setting")):
        prefix = prefixes.get(_text(setting, "component"), "")
        params[prefix + _text(setting, "name")] = _value(_text(setting, "value"))
    return {name: value for name, value in params.items() if not isinstance(value, list | dict)}


def _flow_parameters(flow: Any, prefix: str, prefixes: dict[str, str]) -> Iterator[tuple[str, Any]]:
    prefixes[str(flow.flow_id)] = prefix
    yield from ((prefix + name, _value(text)) for name, text in flow.parameters.items())
    for name, part in flow.components.items():
        yield from _flow_parameters(part, f"{prefix}{name}__", prefixes)


def _as_table(scores: list[list[float]]) -> np.ndarray:
    """Return the scores of the folds; their means, if candidates have different folds."""
    if len({len(values) for values in scores}) > 1:
        return np.array([[np.mean(values)] for values in scores])
    return np.array(scores)
