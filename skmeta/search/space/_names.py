"""Names for what is searched that do not depend on a pipeline's step names.

``svc__C`` in one pipeline, ``clf__C`` in another and ``C`` of a bare estimator are all
``"SVC.C"``, so that what one search learned serves the next.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from skmeta.search.record import Configuration, Value

__all__ = [
    "candidate_key",
    "canonical_configurations",
    "canonical_names",
    "describe_estimator",
    "is_estimator",
    "plain_value",
    "predictor_name",
    "replace_parts",
    "signature",
    "stable_repr",
    "structural_params",
]


def describe_estimator(estimator: Any) -> dict[str, Value]:
    """Return every parameter of an estimator and its parts, under canonical names.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict of str -> bool, int, float, str or None
        ``"Class.parameter"`` -> value. A part that is an estimator is named by its class.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> described = describe_estimator(make_pipeline(StandardScaler(), SVC(C=10)))
    >>> described["SVC.C"], described["Pipeline.final_step"]
    (10, 'SVC')
    """
    params = estimator.get_params(deep=True)
    names = canonical_names(estimator)
    return {names[path]: plain_value(value) for path, value in params.items() if path in names}


def canonical_names(estimator: Any) -> dict[str, str]:
    """Return the canonical name of every parameter that `estimator` has.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict of str -> str
        ``get_params`` name -> canonical name. Of two parts of the same class the second, in the
        order of their names, is ``"Class#2"``. Lists of parts (a pipeline's ``steps``) are
        described by the parts and left out.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from sklearn.pipeline import Pipeline
    >>> canonical_names(Pipeline([("clf", SVC())]))["clf__C"]
    'SVC.C'
    """
    params = estimator.get_params(deep=True)
    owners: dict[str, str] = {"": type(estimator).__name__}
    taken = {type(estimator).__name__: 1}
    for path in sorted(params):
        if is_estimator(params[path]):
            kind = type(params[path]).__name__
            taken[kind] = taken.get(kind, 0) + 1
            owners[path] = kind if taken[kind] == 1 else f"{kind}#{taken[kind]}"
    positions = _step_positions(estimator, params)
    names = {}
    for path, value in params.items():
        prefix, _, leaf = path.rpartition("__")
        if prefix not in owners or _is_list_of_parts(value):
            continue
        names[path] = f"{owners[prefix]}.{positions.get(path, leaf)}"
    return names


def canonical_configurations(
    estimator: Any, candidates: Sequence[Mapping[str, Any]]
) -> list[Configuration]:
    """Return what `estimator` would be with each candidate's parameters set.

    Parameters
    ----------
    estimator : estimator
    candidates : sequence of dict
        Parameters for ``set_params``.

    Returns
    -------
    list of dict
        The full description of each, as `describe_estimator` gives it, at a fraction of the cost.
    """
    structures: dict[str, tuple[dict[str, str], dict[str, Value]]] = {}
    configurations: list[Configuration] = []
    current = estimator.get_params(deep=True)
    for params in candidates:
        parts = structural_params(current, params)
        key = candidate_key(parts)
        if key not in structures:
            structured = replace_parts(estimator, parts)
            structures[key] = canonical_names(structured), describe_estimator(structured)
        names, base = structures[key]
        plain = {
            names[name]: plain_value(value)
            for name, value in params.items()
            if name in names and name not in parts
        }
        configurations.append({**base, **plain})
    return configurations


def replace_parts(estimator: Any, parts: Mapping[str, Any]) -> Any:
    """Return a copy of `estimator` with some of its parts replaced."""
    copy = clone(estimator, safe=False)
    return copy.set_params(**clone(dict(parts), safe=False)) if parts else copy


def structural_params(current: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a candidate's parameters that change what an estimator is made of.

    Parameters
    ----------
    current : dict
        The estimator's own parameters, ``get_params(deep=True)``.
    params : dict
        The candidate's.

    Returns
    -------
    dict
    """
    return {
        name: value
        for name, value in params.items()
        if is_estimator(value)
        or _is_list_of_parts(value)
        # A step may be switched off.
        or (isinstance(value, str) and value in ("passthrough", "drop"))
        or (value is None and is_estimator(current.get(name)))
    }


def predictor_name(estimator: Any, candidates: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return the class of the step that predicts, or of all that a search chooses between.

    Parameters
    ----------
    estimator : estimator
    candidates : iterable of dict, default=()
        Parameters that a search may set.

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
    found = {}
    current = estimator.get_params(deep=True)
    for params in candidates:
        parts = structural_params(current, params)
        key = candidate_key(parts)
        if key not in found:
            found[key] = _final_class(replace_parts(estimator, parts))
    return "|".join(sorted(set(found.values()) or {_final_class(estimator)}))


def signature(estimator: Any) -> str:
    """Return the classes an estimator is made of.

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


def candidate_key(params: Mapping[str, Any]) -> str:
    """Return a digest of a candidate's parameters; equal parameters have equal keys.

    Parameters
    ----------
    params : dict

    Returns
    -------
    str of 24 characters

    Examples
    --------
    >>> import numpy as np
    >>> candidate_key({"C": 1.0}) == candidate_key({"C": np.float64(1)})
    True
    """
    text = "\n".join(f"{name}={stable_repr(params[name])}" for name in sorted(params))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def stable_repr(value: Any) -> str:
    """Return text that is equal for equal values, in this process and the next."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return repr(value)
    if isinstance(value, (int, float)):
        # 1 and 1.0 fit the same model almost everywhere, but not where a count and a share
        # are told apart by type (max_features).
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(stable_repr, value))})"
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(sorted(f"{stable_repr(k)}: {stable_repr(v)}" for k, v in value.items()))
            + "}"
        )
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if is_estimator(value):
        kind = type(value)
        return f"{kind.__module__}.{kind.__qualname__}({stable_repr(value.get_params(deep=False))})"
    if hasattr(value, "rvs") and hasattr(value, "dist"):  # a frozen distribution of scipy
        parts = (type(value.dist).__name__, list(value.args), dict(value.kwds))
        return f"rvs{stable_repr(list(parts))}"
    try:
        return f"{type(value).__name__}:{joblib.hash(value)}"
    except Exception:  # not every object can be pickled
        return f"{type(value).__module__}.{type(value).__qualname__}"


def plain_value(value: Any) -> Value:
    """Return a parameter's value as a bool, int, float, str or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_estimator(value):
        return type(value).__name__
    if isinstance(value, (list, tuple)) and len(value) <= 8:
        return repr(value)
    return stable_repr(value)[:120]


def is_estimator(value: Any) -> bool:
    """Whether a value is an estimator rather than its class."""
    return hasattr(value, "get_params") and not isinstance(value, type)


def _is_list_of_parts(value: Any) -> bool:
    # steps, transformers or estimators: a list of (name, estimator, ...).
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(
            isinstance(part, (list, tuple))
            and len(part) > 1
            and isinstance(part[0], str)
            and (is_estimator(part[1]) or part[1] in ("passthrough", "drop", None))
            for part in value
        )
    )


def _step_positions(estimator: Any, params: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each step of each pipeline in it, a name that only tells where it stands."""
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
