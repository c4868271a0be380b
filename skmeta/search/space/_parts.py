"""Parts of an estimator, such as the steps of a pipeline, names of their parameters, and values.

Canonical names do not depend on a pipeline's step names: ``svc__C`` in one pipeline, ``clf__C`` in
another and ``C`` of a bare estimator are all ``"SVC.C"``, so that what one search learned serves
the next. A *configuration* has the parameters of a candidate under these names, with plain values.

Configurations are kept in histories, so they must not give away secrets. A parameter that is
searched is kept as it is. One that is not searched may hold anything, such as a password, and is
kept only if it cannot be a secret; otherwise a digest stands for it.
"""

import hashlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from skmeta._sklearn_compat import Interval, StrOptions, printed
from skmeta.search.record import Configuration, Value

_PLACEHOLDERS = ("passthrough", "drop")
_MAX_LENGTH = 8  # of a list whose values are shown
_MAX_CHARACTERS = 120


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
    """Return ``get_params(deep=True)``, with the defaults that CatBoost's leaves out."""
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
    """Return the default of each parameter of a class, also of bases that it passes them on to."""
    defaults: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        with suppress(TypeError, ValueError):  # a class without a signature
            declared = inspect.signature(base).parameters
            defaults |= {n: p.default for n, p in declared.items() if p.default is not p.empty}
    return defaults


def set_params_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator that differ from the defaults of its class."""
    defaults = class_defaults(estimator.__class__)
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        # 1 and True are equal, and mean different things to some estimators.
        if (type(value), repr(value)) != (type(defaults.get(name)), repr(defaults.get(name)))
    }


def replace_parts(estimator: Any, parts: Mapping[str, Any]) -> Any:
    """Return a copy of an estimator with some of its parts replaced."""
    copy = clone(estimator, safe=False)
    return copy.set_params(**clone(dict(parts), safe=False)) if parts else copy


def structural_params(current: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a candidate that replace parts of an estimator."""
    return {
        name: value
        for name, value in params.items()
        if is_estimator(value)
        or is_list_of_parts(value)
        or is_placeholder(value)
        or (value is None and is_estimator(current.get(name)))
    }


def takes_reals_only(estimator: Any, current: Mapping[str, Any], name: str) -> bool:
    """Return whether 1 and 1.0 mean the same for a parameter, unlike for ``max_features``."""
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
    """Return the canonical name of each parameter that ``get_params`` or `searched` lists.

    If two parts have the same class, the second one in the order of their names is ``"Class#2"``.
    Lists of parts, such as a pipeline's ``steps``, have no name, since each part has one.

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
    """Return the class of the final predictor, or of all choices, joined by ``"|"``."""
    current = estimator.get_params(deep=True)
    choices = [structural_params(current, params) for params in candidates]
    # Parts that print alike are of the same classes.
    distinct = {candidate_key(parts): parts for parts in choices}.values()
    classes = {_final_class(replace_parts(estimator, parts)) for parts in distinct}
    return "|".join(sorted(classes or {_final_class(estimator)}))


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the shortest end of each parameter's name that belongs to no other one.

    >>> short_names(["svc__C", "svc__gamma", "pca__n_components"])
    {'svc__C': 'C', 'svc__gamma': 'gamma', 'pca__n_components': 'n_components'}
    >>> short_names(["a__C", "b__C"])
    {'a__C': 'a__C', 'b__C': 'b__C'}
    """
    names, short = list(names), {}
    for name in names:
        parts = name.split("__")
        ends = ["__".join(parts[-n:]) for n in range(1, len(parts))]
        others = [f"__{other}" for other in names if other != name]
        own = (end for end in ends if not any(other.endswith(f"__{end}") for other in others))
        short[name] = next(own, name)
    return short


def signature(estimator: Any) -> str:
    """Return the classes of an estimator and its parts: ``"Pipeline(StandardScaler, SVC)"``."""
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


# -- configurations --------------------------------------------------------------------------------


def describe_estimator(estimator: Any) -> dict[str, Value]:
    """Return the parameters of an estimator and its parts, under canonical names."""
    params = estimator.get_params(deep=True)
    described = {}
    for path, name in canonical_names(estimator).items():
        prefix, _, leaf = path.rpartition("__")
        owner = params[prefix] if prefix else estimator
        described[name] = _value_without_secrets(type(owner), leaf, params[path])
    return described


def canonical_configurations(
    estimator: Any, candidates: Sequence[Mapping[str, Any]]
) -> list[Configuration]:
    """Return an estimator's configuration with each candidate's parameters set, unchanged."""
    return CandidateDescriber(estimator)(candidates)


def candidate_key(params: Mapping[str, Any]) -> str:
    """Return a digest of parameters as they are printed."""
    text = "\n".join(f"{name}={printed(params[name])}" for name in sorted(params))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


class CandidateDescriber:
    """Describe candidates of an estimator that does not change between calls; equal parts once."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._current = estimator.get_params(deep=True)
        # Parameters of the candidates' own that change what the estimator is made of.
        self._structures: dict[tuple[Any, ...], tuple[dict[str, str], dict[str, Value], Any]] = {}

    def __call__(self, candidates: Sequence[Mapping[str, Any]]) -> list[Configuration]:
        """Return the configurations of candidates."""
        configurations: list[Configuration] = []
        for params in candidates:
            parts = structural_params(self._current, params)
            key = (*params, *map(id, parts.values()))
            if key not in self._structures:
                structured = replace_parts(self._estimator, parts)
                described = canonical_names(structured, params), describe_estimator(structured)
                self._structures[key] = *described, parts  # kept, so that no id is used again
            names, base, _ = self._structures[key]
            plain = {
                names[name]: plain_value(value)
                for name, value in params.items()
                if name in names and name not in parts
            }
            configurations.append({**base, **plain})
        return configurations


def plain_value(value: Any) -> Value:
    """Return a parameter's value as a bool, int, float, str or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_estimator(value):
        return type(value).__name__
    if isinstance(value, (list, tuple)) and len(value) <= _MAX_LENGTH:
        return repr(value)
    return printed(value)[:_MAX_CHARACTERS]


def shown_value(value: Any) -> Value:
    """Return a parameter's value as people read it: a pipeline by the classes of its steps."""
    steps = getattr(value, "steps", None) if is_estimator(value) else None
    if not isinstance(steps, list):
        return plain_value(value)
    return "+".join(type(step[1]).__name__ for step in steps if is_estimator(step[1]))


def _value_without_secrets(owner: type, name: str, value: Any) -> Value:
    """Return the value of a parameter that is not searched, or a digest of it."""
    constraints = getattr(owner, "_parameter_constraints", {}).get(name, ())
    declared = constraints if isinstance(constraints, (list, tuple)) else [constraints]
    options = {text for one in declared if isinstance(one, StrOptions) for text in one.options}
    shown = (
        _is_number(value)
        or is_estimator(value)
        or (isinstance(value, (list, tuple)) and all(map(_is_number, value)))
        or is_placeholder(value)
        or (isinstance(value, str) and value in options)
        or printed(value) == printed(class_defaults(owner).get(name, ...))
    )
    if shown:
        return plain_value(value)
    text = printed(value).encode("utf-8", "backslashreplace")
    return f"digest:{hashlib.sha256(text).hexdigest()[:12]}"


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, np.number, np.bool_))
