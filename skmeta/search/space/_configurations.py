"""Configurations: the parameters of a candidate under canonical names, with plain values.

Configurations are kept in histories, so they must not give away secrets. A parameter that is
searched is kept as it is. One that is not searched may hold anything, such as a password, and is
kept only if it cannot be a secret; otherwise a digest stands for it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skmeta._identity import candidate_key, stable_repr
from skmeta._sklearn_compat import StrOptions
from skmeta.search.record import Configuration, Value
from skmeta.search.space._parts import (
    canonical_names,
    class_defaults,
    is_estimator,
    is_placeholder,
    replace_parts,
    structural_params,
)

# Value of the number of rounds in the configurations of searches with early stopping. It is a kind
# of its own, so that priors tell it from any fixed number.
_EARLY_STOPPING = "early stopping"
_MAX_LENGTH = 8  # of a list whose values are shown
_MAX_CHARACTERS = 120


class RoundLimit(int):
    """Largest number of boosting rounds of an estimator that stops early.

    Estimators take it as the integer that it is. In a configuration it is ``"early stopping"``.
    """

    def __deepcopy__(self, memo: object) -> "RoundLimit":
        # Copies are the same object, as for other integers: scikit-learn's clone checks that.
        return self


def describe_estimator(estimator: Any) -> dict[str, Value]:
    """Return the parameters of an estimator and its parts, under canonical names.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict of str -> bool, int, float, str or None
        ``"Class.parameter"`` -> value. For a part that is an estimator, the name of its class.
        Values are shown if they are the default of the class, numbers, bools, None, short lists of
        these, or strings that the class declares as options. For others there is a digest.

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
    described = {}
    for path, name in canonical_names(estimator).items():
        prefix, _, leaf = path.rpartition("__")
        owner = params[prefix] if prefix else estimator
        described[name] = _value_without_secrets(type(owner), leaf, params[path])
    return described


def canonical_configurations(
    estimator: Any, candidates: Sequence[Mapping[str, Any]]
) -> list[Configuration]:
    """Return the configuration of an estimator with each candidate's parameters set.

    Parameters
    ----------
    estimator : estimator
    candidates : sequence of dict
        Parameters for ``set_params``. They are searched, so their values are kept.

    Returns
    -------
    list of dict
        Like `describe_estimator` of each candidate, at a fraction of the cost.
    """
    return CandidateDescriber(estimator)(candidates)


class CandidateDescriber:
    """Returns configurations as `canonical_configurations` does, for several calls.

    What candidates with the same parts have in common is computed once.

    Parameters
    ----------
    estimator : estimator
        It must not change between calls.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._current = estimator.get_params(deep=True)
        # Parameters of the candidates' own that change what the estimator is made of.
        self._structures: dict[tuple[str, ...], tuple[dict[str, str], dict[str, Value]]] = {}

    def __call__(self, candidates: Sequence[Mapping[str, Any]]) -> list[Configuration]:
        """Return the configurations of candidates."""
        configurations: list[Configuration] = []
        for params in candidates:
            parts = structural_params(self._current, params)
            key = (*params, candidate_key(parts) if parts else "")
            if key not in self._structures:
                structured = replace_parts(self._estimator, parts)
                described = canonical_names(structured, params), describe_estimator(structured)
                self._structures[key] = described
            names, base = self._structures[key]
            plain = {
                names[name]: plain_value(value)
                for name, value in params.items()
                if name in names and name not in parts
            }
            configurations.append({**base, **plain})
        return configurations


def plain_value(value: Any) -> Value:
    """Return a parameter's value as a bool, int, float, str or None."""
    if isinstance(value, RoundLimit):
        return _EARLY_STOPPING
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_estimator(value):
        return type(value).__name__
    if isinstance(value, (list, tuple)) and len(value) <= _MAX_LENGTH:
        return repr(value)
    return stable_repr(value)[:_MAX_CHARACTERS]


def shown_value(value: Any) -> Value:
    """Return a parameter's value as people read it: a pipeline by the classes of its steps."""
    steps = getattr(value, "steps", None) if is_estimator(value) else None
    if not isinstance(steps, list):
        return plain_value(value)
    return "+".join(type(step[1]).__name__ for step in steps if is_estimator(step[1]))


def _value_without_secrets(owner: type, name: str, value: Any) -> Value:
    """Return the value of a parameter that is not searched, or a digest of it."""
    shown = (
        _is_number(value)
        or is_estimator(value)
        or (isinstance(value, (list, tuple)) and all(map(_is_number, value)))
        or is_placeholder(value)
        or (isinstance(value, str) and value in _string_options(owner, name))
        or _is_default(owner, name, value)
    )
    if shown:
        return plain_value(value)
    text = stable_repr(value).encode("utf-8", "backslashreplace")
    return f"digest:{hashlib.sha256(text).hexdigest()[:12]}"


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, np.number, np.bool_))


def _is_default(owner: type, name: str, value: Any) -> bool:
    defaults = class_defaults(owner)
    return name in defaults and stable_repr(value) == stable_repr(defaults[name])


def _string_options(owner: type, name: str) -> set[str]:
    """Return the strings that a class of scikit-learn's kind declares for a parameter."""
    constraints = getattr(owner, "_parameter_constraints", {}).get(name, ())
    declared = constraints if isinstance(constraints, (list, tuple)) else [constraints]
    return {option for one in declared if isinstance(one, StrOptions) for option in one.options}
