"""Text that is equal for equal values, and the keys of candidates, which are digests of it."""

import hashlib
from collections.abc import Mapping
from functools import partial
from inspect import signature
from os import PathLike
from types import FunctionType, MethodType, ModuleType
from typing import Any

import joblib
import numpy as np

from skmeta._identity._own_code import name_of, own_code

# Parameters of estimators that have no effect on scores.
_NO_EFFECT = {"memory", "n_jobs", "verbose"}


def candidate_key(params: Mapping[str, Any]) -> str:
    """Return a digest of a candidate's parameters. Equal parameters have equal keys.

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
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def stable_repr(value: Any) -> str:
    """Return text that is equal for equal values, in this process and in others.

    A user's own functions and classes are equal if their code is. Estimators may differ in
    `n_jobs`, `verbose` and the cache of a pipeline.
    """
    return _text(value, ())


def _text(value: Any, within: tuple[Any, ...]) -> str:
    """Return the text of a value, by name if it is one of those that it belongs to."""
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "detach"):  # A tensor's pickle has addresses of memory.
        value = value.detach().cpu().double().numpy()
    if value is None or isinstance(value, (bool, int, float, str)):
        # 1 and 1.0 differ: max_features, for example, takes a count or a share.
        return repr(value)
    if any(value is outer for outer in within):
        return name_of(value)
    text = partial(_text, within=(*within, value))
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(text, value))})"
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({', '.join(sorted(map(text, value)))})"
    if isinstance(value, Mapping):
        items = sorted(f"{text(k)}: {text(v)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (type, FunctionType)):
        code = own_code(value, text)
        return f"{name_of(value)}#{code}" if code else name_of(value)
    if isinstance(value, MethodType):
        return f"{text(value.__self__)}.{text(value.__func__)}"
    if callable(value) and hasattr(value, "__qualname__"):
        return name_of(value)
    if hasattr(value, "get_params"):
        return f"{text(type(value))}({text(_params_that_matter(value))})"
    if hasattr(value, "rvs") and hasattr(value, "dist"):  # a frozen distribution of scipy
        return f"rvs{text([type(value.dist).__name__, list(value.args), dict(value.kwds)])}"
    if isinstance(value, partial):
        return f"partial{text([value.func, value.args, value.keywords])}"
    if _is_plain(value):
        return f"{text(type(value))}({text(vars(value))})"
    if hasattr(value, "state_dict"):  # a module of torch with a pickle of its own
        return f"{text(type(value))}({value!r}, {text(value.state_dict())})"
    try:
        return f"{type(value).__name__}:{joblib.hash(value)}"
    except Exception:  # pickling runs code of the object, which may raise anything
        return name_of(type(value))


def _params_that_matter(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator, with defaults for those without effect on scores."""
    params = dict(estimator.get_params(deep=False))
    declared = signature(type(estimator)).parameters if _NO_EFFECT & set(params) else {}
    for name in _NO_EFFECT & set(params) & set(declared):
        # A cache is a folder or a joblib.Memory; anything else is a parameter of that name.
        if name != "memory" or isinstance(params[name], (str, PathLike, joblib.Memory)):
            params[name] = declared[name].default
    return params


def _is_plain(value: Any) -> bool:
    """Whether an object is its attributes: pickling does nothing else with it."""
    kind = type(value)
    own = (getattr(kind, name, None) for name in ("__reduce__", "__reduce_ex__", "__getstate__"))
    plain = (
        getattr(object, name, None) for name in ("__reduce__", "__reduce_ex__", "__getstate__")
    )
    return hasattr(value, "__dict__") and not isinstance(value, ModuleType) and [*own] == [*plain]
