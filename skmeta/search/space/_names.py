"""Names of parameters and estimators that do not depend on a pipeline's step names.

``svc__C`` in one pipeline, ``clf__C`` in another and ``C`` of a bare estimator are all
``"SVC.C"``, so that what one search learned serves the next.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from skmeta._identity import candidate_key
from skmeta.search.space._parts import (
    is_estimator,
    is_list_of_parts,
    replace_parts,
    structural_params,
)


def canonical_names(estimator: Any, searched: Iterable[str] = ()) -> dict[str, str]:
    """Return the canonical name of each parameter of an estimator.

    Parameters
    ----------
    estimator : estimator
    searched : iterable of str, default=()
        Names of parameters that ``get_params`` need not list, as CatBoost's does not.

    Returns
    -------
    dict of str -> str
        Name in ``get_params`` -> canonical name. If two parts have the same class, the second one
        in the order of their names is ``"Class#2"``. Lists of parts, such as a pipeline's
        ``steps``, have no name, since each part has one.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from sklearn.pipeline import Pipeline
    >>> canonical_names(Pipeline([("clf", SVC())]))["clf__C"]
    'SVC.C'
    """
    params = estimator.get_params(deep=True)
    owners: dict[str, str] = {"": type(estimator).__name__}
    counts = {type(estimator).__name__: 1}
    for path in sorted(params):
        if is_estimator(params[path]):
            kind = type(params[path]).__name__
            counts[kind] = counts.get(kind, 0) + 1
            owners[path] = kind if counts[kind] == 1 else f"{kind}#{counts[kind]}"
    positions = _step_positions(estimator, params)
    names = {}
    for path, value in {**dict.fromkeys(searched), **params}.items():
        prefix, _, leaf = path.rpartition("__")
        if prefix not in owners or is_list_of_parts(value):
            continue
        names[path] = f"{owners[prefix]}.{positions.get(path, leaf)}"
    return names


def predictor_name(estimator: Any, candidates: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return the class of the final predictor, or of all that a search chooses between.

    Parameters
    ----------
    estimator : estimator
    candidates : iterable of dict, default=()
        Parameters that the search may set.

    Returns
    -------
    str
        ``"SVC"``, or ``"RandomForestClassifier|SVC"``.

    Examples
    --------
    >>> from sklearn.pipeline import Pipeline
    >>> from sklearn.svm import SVC
    >>> predictor_name(Pipeline([("clf", SVC())]))
    'SVC'
    """
    classes = {}
    current = estimator.get_params(deep=True)
    for params in candidates:
        parts = structural_params(current, params)
        key = candidate_key(parts)
        if key not in classes:
            classes[key] = _final_class(replace_parts(estimator, parts))
    return "|".join(sorted(set(classes.values()) or {_final_class(estimator)}))


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the shortest end of each parameter's name that belongs to no other one.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    dict of str -> str

    Examples
    --------
    >>> short_names(["svc__C", "svc__gamma", "pca__n_components"])
    {'svc__C': 'C', 'svc__gamma': 'gamma', 'pca__n_components': 'n_components'}
    >>> short_names(["a__C", "b__C"])
    {'a__C': 'a__C', 'b__C': 'b__C'}
    """
    names = list(names)
    ends = {
        name: ["__".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        for name in names
        for parts in [name.split("__")]
    }
    counts: dict[str, int] = {}
    for own in ends.values():
        for end in own:
            counts[end] = counts.get(end, 0) + 1
    return {name: next((e for e in own if counts[e] == 1), name) for name, own in ends.items()}


def signature(estimator: Any) -> str:
    """Return the classes of an estimator and its parts.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> signature(make_pipeline(StandardScaler(), SVC()))
    'Pipeline(StandardScaler, SVC)'
    """
    params = estimator.get_params(deep=True)
    direct = [path for path in params if is_estimator(params[path]) and "__" not in path]
    order = [name for name, *_ in getattr(estimator, "steps", [])]
    direct.sort(key=lambda path: (order.index(path) if path in order else len(order), path))
    inner = ", ".join(signature(params[path]) for path in direct)
    return type(estimator).__name__ + (f"({inner})" if inner else "")


def _step_positions(estimator: Any, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the position of each step of each pipeline, as a name: ``"step_0"``."""
    positions = {}
    for prefix, pipeline in [("", estimator), *params.items()]:
        if not is_estimator(pipeline) or not isinstance(getattr(pipeline, "steps", None), list):
            continue
        for position, step in enumerate(pipeline.steps):
            last = position == len(pipeline.steps) - 1
            path = f"{prefix}__{step[0]}" if prefix else step[0]
            positions[path] = "final_step" if last else f"step_{position}"
    return positions


def _final_class(estimator: Any) -> str:
    while isinstance(getattr(estimator, "steps", None), list) and estimator.steps:
        parts = [step[1] for step in estimator.steps if is_estimator(step[1])]
        if not parts:
            break
        estimator = parts[-1]
    return type(estimator).__name__
