"""Parts of an estimator, such as the steps of a pipeline, and names of their parameters.

Canonical names do not depend on a pipeline's step names: ``svc__C`` in one pipeline, ``clf__C`` in
another and ``C`` of a bare estimator are all ``"SVC.C"``, so that what one search learned serves
the next.
"""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from numbers import Real
from typing import Any

from sklearn.base import BaseEstimator, clone

from skmeta._identity import candidate_key
from skmeta._sklearn_compat import Interval

_PLACEHOLDERS = ("passthrough", "drop")


def is_estimator(value: Any) -> bool:
    """Return whether a value is an estimator, and not its class."""
    return hasattr(value, "get_params") and not isinstance(value, type)


def is_list_of_parts(value: Any) -> bool:
    """Return whether a value is a list of (name, estimator, ...), such as a pipeline's steps."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(
            isinstance(part, (list, tuple))
            and len(part) > 1
            and isinstance(part[0], str)
            and (is_estimator(part[1]) or part[1] is None or is_placeholder(part[1]))
            for part in value
        )
    )


def every_param(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator and its parts, those that were never set included.

    CatBoost's ``get_params`` lists only what was set. The others have the defaults of its
    constructor.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict
        As ``get_params(deep=True)`` of an estimator of scikit-learn.
    """
    params = dict(estimator.get_params(deep=True))
    for path, part in [("", estimator), *params.items()]:
        if not is_estimator(part) or isinstance(part, BaseEstimator):
            continue
        prefix = f"{path}__" if path else ""
        for name, default in class_defaults(part.__class__).items():
            params.setdefault(f"{prefix}{name}", default)
    return params


@lru_cache(maxsize=256)
def class_defaults(kind: type) -> Mapping[str, Any]:
    """Return the default of each parameter of a class.

    A class such as XGBClassifier passes parameters on to the constructor of its base, so bases are
    looked at too.
    """
    defaults: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        with suppress(TypeError, ValueError):  # a class without a signature
            declared = inspect.signature(base).parameters
            defaults |= {n: p.default for n, p in declared.items() if p.default is not p.empty}
    return defaults


def set_params_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator that differ from the defaults of its class.

    Parameters
    ----------
    estimator : estimator
        Its parts are not looked into.

    Returns
    -------
    dict
    """
    defaults = class_defaults(estimator.__class__)
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if not _is_equal(value, defaults.get(name))
    }


def _is_equal(one: Any, other: Any) -> bool:
    # 1 and True are equal, and mean different things to some estimators.
    return one is other or (type(one) is type(other) and repr(one) == repr(other))


def replace_parts(estimator: Any, parts: Mapping[str, Any]) -> Any:
    """Return a copy of an estimator with some of its parts replaced.

    Parameters
    ----------
    estimator : estimator
    parts : dict
        Names of parameters, as for ``set_params``, and their new values.

    Returns
    -------
    estimator
    """
    copy = clone(estimator, safe=False)
    return copy.set_params(**clone(dict(parts), safe=False)) if parts else copy


def structural_params(current: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a candidate that replace parts of an estimator.

    Parameters
    ----------
    current : dict
        ``get_params(deep=True)`` of the estimator.
    params : dict
        Parameters of the candidate.

    Returns
    -------
    dict
    """
    return {
        name: value
        for name, value in params.items()
        if is_estimator(value)
        or is_list_of_parts(value)
        or is_placeholder(value)
        or (value is None and is_estimator(current.get(name)))
    }


def takes_reals_only(estimator: Any, current: Mapping[str, Any], name: str) -> bool:
    """Whether 1 and 1.0 mean the same for a parameter: ``max_features`` takes a count or a share.

    Parameters
    ----------
    estimator : estimator
    current : dict
        Its ``get_params(deep=True)``.
    name : str

    Returns
    -------
    bool
        False if the class does not declare it as scikit-learn's do.
    """
    part, _, leaf = name.rpartition("__")
    owner = current.get(part) if part else estimator
    declared = getattr(owner, "_parameter_constraints", {}).get(leaf, ())
    kinds = {one.type for one in declared if isinstance(one, Interval)}
    return kinds == {Real}


def is_placeholder(value: Any) -> bool:
    """Return whether a value is a string that stands in place of a part."""
    return isinstance(value, str) and value in _PLACEHOLDERS


# -- names -----------------------------------------------------------------------------------------


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
