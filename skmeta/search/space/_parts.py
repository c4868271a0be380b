"""Parts of an estimator: the steps of a pipeline, and other parameters that are estimators."""

from collections.abc import Mapping
from inspect import signature
from numbers import Real
from typing import Any

from sklearn.base import BaseEstimator, clone

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
        for name, declared in signature(type(part)).parameters.items():
            if declared.default is not declared.empty:
                params.setdefault(f"{prefix}{name}", declared.default)
    return params


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
    defaults: dict[str, Any] = {}
    # A class such as XGBClassifier passes parameters on to the constructor of its base.
    for base in reversed(type(estimator).__mro__):
        try:
            declared = signature(base).parameters
        except (TypeError, ValueError):  # a class without a signature
            continue
        defaults |= {n: p.default for n, p in declared.items() if p.default is not p.empty}
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
