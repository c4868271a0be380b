"""Keys of candidates, and the text that they are digests of."""

import hashlib
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np

from skmeta.search.space._parts import is_estimator

__all__ = ["candidate_key", "stable_repr"]


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
    """Return text that is equal for equal values, in this process and in others."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        # 1 and 1.0 differ: max_features, for example, takes a count or a share.
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(stable_repr, value))})"
    if isinstance(value, Mapping):
        items = sorted(f"{stable_repr(k)}: {stable_repr(v)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
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
    except Exception:  # pickling runs code of the object, which may raise anything
        return f"{type(value).__module__}.{type(value).__qualname__}"
