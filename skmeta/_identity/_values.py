"""What identifies a value, in this process and in others: text that is equal for equal values.

Two values are equal if nothing that can change a score differs. A user's own functions and classes
are what their code, and the values that it names, are: a search that is resumed must not take over
the scores of other code. Of an estimator, what a clone of it has counts: its parameters. Of one
whose clone is itself, such as a ``FrozenEstimator``, and of any object that is copied, all of its
state counts. ``repr`` of an estimator has addresses of functions, and ``joblib.hash`` knows a
function by its name alone.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import signature
from os import PathLike
from types import FunctionType, MethodType, ModuleType
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from skmeta._identity._code import is_installed, name_of, own_code, text_of_module
from skmeta._sklearn_compat import cloned_settings, is_cloned_by_parameters

# Parameters of estimators that have no effect on scores.
_NO_EFFECT = {"memory", "n_jobs", "verbose"}
_PLAIN = (type(None), bool, int, float, str)
_counter = itertools.count()


def candidate_key(params: Mapping[str, Any]) -> str:
    """Return a digest of a candidate's parameters. Equal parameters have equal keys."""
    text = "\n".join(f"{name}={stable_repr(params[name])}" for name in sorted(params))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def stable_repr(value: Any) -> str:
    """Return text that is equal for equal values, in this process and in others.

    A user's own code counts. `n_jobs`, `verbose` and the cache of a pipeline do not.
    """
    if type(value) in _PLAIN:
        return repr(value)
    remembered = _remembered.get()
    return (_Texts() if remembered is None else remembered).text(value)


@contextmanager
def remembered_texts() -> Iterator[None]:
    """Compute the texts of code, and of what is copied whole, once until the context ends."""
    token = _remembered.set(_Texts(is_kept=True))
    try:
        yield
    finally:
        _remembered.reset(token)


class _Texts:
    """Texts of values, some of which are remembered if it serves several values."""

    def __init__(self, *, is_kept: bool = False) -> None:
        self._is_kept = is_kept
        # The objects are kept, so that their identities stay theirs.
        self._known: dict[tuple[str, int], tuple[Any, str]] = {}

    def text(self, value: Any, within: tuple[Any, ...] = (), *, is_whole: bool = False) -> str:
        """Return the text of a value; fitted attributes count if `is_whole`, as they are copied."""
        if isinstance(value, np.generic) and value.dtype.kind in "biufSU" and value.itemsize <= 8:
            value = value.item()
        if isinstance(value, _PLAIN):
            # 1 and 1.0 differ: max_features, for example, takes a count or a share.
            return repr(value)
        if any(value is outer for outer in within):
            return name_of(value)
        text = partial(self.text, within=(*within, value), is_whole=is_whole)
        kind = type(value)
        if kind in (list, tuple):
            return f"{kind.__name__}({', '.join(map(text, value))})"
        if kind in (set, frozenset):
            return f"{kind.__name__}({', '.join(sorted(map(text, value)))})"
        if isinstance(value, Mapping):
            items = sorted(f"{text(k)}: {text(v)}" for k, v in value.items())
            return "{" + ", ".join(items) + "}"
        if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
            array = np.ascontiguousarray(value)
            digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
            return f"{name_of(value)}:{value.dtype}{value.shape}{digest}"
        if hasattr(value, "detach"):  # A tensor's pickle has addresses of memory.
            return f"{value.dtype}{text(value.detach().cpu().double().numpy())}"
        whole = partial(self.text, within=(*within, value), is_whole=True)
        if isinstance(value, (type, FunctionType)):
            code = self._once("code", value, lambda: own_code(value, whole))
            return f"{name_of(value)}#{code}" if code else name_of(value)
        if isinstance(value, ModuleType):
            return text_of_module(value)
        if isinstance(value, MethodType):
            return f"{whole(value.__self__)}.{whole(value.__func__)}"
        if hasattr(value, "__wrapped__") and callable(value):  # of a cache, for example
            return f"{name_of(value)}({whole(value.__wrapped__)})"
        if callable(value) and hasattr(value, "__qualname__"):
            return name_of(value)
        if hasattr(value, "get_params"):
            if is_whole or not is_cloned_by_parameters(value):

                def compute() -> str:
                    cloned = value if is_whole else clone(value)
                    return f"{whole(kind)}({whole(dict(vars(cloned)))})"

                return self._once("whole" if is_whole else "clone", value, compute)
            parts = [text(_params_that_matter(value)), *map(whole, cloned_settings(value))]
            return f"{text(kind)}({', '.join(parts)})"
        if isinstance(value, partial):
            return f"partial{whole([value.func, value.args, value.keywords])}"
        if hasattr(value, "rvs") and hasattr(value, "dist"):  # a frozen distribution of scipy
            dist, args = self._dist(value.dist, whole), [[*value.args], dict(value.kwds)]
            return f"rvs({dist}, {whole(args)})"
        if _is_plain(value):
            return f"{whole(kind)}({whole(vars(value))})"
        if hasattr(value, "state_dict"):  # a module of torch with a pickle of its own
            return f"{whole(kind)}({value!r}, {whole(value.state_dict())})"
        return self._pickled(value, within, whole)

    def _dist(self, dist: Any, whole: Any) -> str:
        """Return the text of a distribution of SciPy, which may have values of its own."""
        # SciPy's own are known by name, and a frozen one has a copy.
        from scipy import stats  # loaded where there is such a distribution

        own = getattr(stats, str(getattr(dist, "name", None)), None)
        if type(dist) is type(own) and type(dist).__name__ not in ("rv_sample", "rv_histogram"):
            return type(dist).__name__
        return f"{whole(type(dist))}:{joblib.hash(dist)}"

    def _pickled(self, value: Any, within: tuple[Any, ...], whole: Any) -> str:
        """Return the text of an object by what a pickle has of it."""
        kind = type(value)
        if is_installed(kind.__module__):
            try:
                return f"{name_of(value)}:{joblib.hash(value)}"
            except Exception:  # pickling runs code of the object, which may raise anything
                pass
        try:
            return f"{whole(kind)}({whole([*map(_listed, value.__reduce_ex__(4))])})"
        except Exception:  # reducing runs code of the object, too
            # Code may name connections and locks. Otherwise it is not known to equal anything.
            if any(isinstance(outer, (type, FunctionType)) for outer in within):
                return name_of(value)
            return self._once("unknown", value, lambda: f"{name_of(value)}@{self._token(value)}")

    def _token(self, value: Any) -> str:
        return f"{_PROCESS}.{next(_counter)}" if self._is_kept else f"{_PROCESS}.{id(value)}"

    def _once(self, what: str, value: Any, compute: Any) -> str:
        key = what, id(value)
        if key not in self._known:
            self._known[key] = value, compute()
        return self._known[key][1]


_remembered: ContextVar[_Texts | None] = ContextVar("skmeta_remembered_texts", default=None)
_PROCESS = hashlib.sha256(np.random.default_rng().bytes(32)).hexdigest()[:16]


def _listed(part: Any) -> Any:
    """Return what a pickle has of an object; iterators of items as lists."""
    return [*part] if isinstance(part, Iterator) else part


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
    builtins = (list, tuple, set, frozenset, np.ndarray, str, bytes, bytearray)
    return (
        hasattr(value, "__dict__")
        and not isinstance(value, (ModuleType, *builtins))
        and [*own] == [*plain]
    )
