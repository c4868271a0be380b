"""What identifies a value, in this process and in others: text that is equal for equal values.

Two values are equal if nothing that can change a score differs. A user's own functions and classes
are what their code, and the values that it names, are: a search that is resumed must not take over
the scores of other code. Of an estimator, what a clone of it has counts: its parameters. Of one
whose clone is itself, such as a ``FrozenEstimator``, and of any object that is copied, all of its
state counts. ``repr`` of an estimator has addresses of functions, and ``joblib.hash`` knows a
function by its name alone.

What cannot be seen, such as a file that code reads, is said: see `Identity`.
"""

import hashlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import signature
from os import PathLike
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.base import clone

from skmeta._identity._code import version_of
from skmeta._identity._walk import (
    PLAIN,
    Walk,
    is_code,
    plain_scalar,
    reason_of_path,
    text_of_array,
)
from skmeta._sklearn_compat import cloned_settings, is_cloned_by_parameters

# Parameters of estimators that have no effect on scores.
_NO_EFFECT = {"memory", "n_jobs", "verbose"}
# What an estimator computes depends on them, whatever package it is from.
_BASE_PACKAGES = {"sklearn", "numpy", "scipy"}
_PROCESS = hashlib.sha256(np.random.default_rng().bytes(32)).hexdigest()[:16]
_counter = itertools.count()


class Identity(NamedTuple):
    """A text, versions of the packages whose code it names, and what of a value it does not see."""

    text: str
    versions: str
    unseen: tuple[str, ...]  # such as "mine.transform calls open()"


def candidate_key(params: Mapping[str, Any]) -> str:
    """Return a digest of a candidate's parameters. Equal parameters have equal keys."""
    text = "\n".join(f"{name}={stable_repr(params[name])}" for name in sorted(params))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def stable_repr(value: Any) -> str:
    """Return text that is equal for equal values, in this process and in others.

    A user's own code counts. `n_jobs`, `verbose` and the cache of a pipeline do not.
    """
    if type(value) in PLAIN:
        return repr(value)
    return _texts().text(value)


def identify(*values: Any) -> Identity:
    """Return the identity of some values together."""
    texts = _texts()
    texts.packages, texts.unseen = set(_BASE_PACKAGES), []
    text = "\n".join(map(texts.text, values))
    packages = sorted(texts.packages - sys.stdlib_module_names)
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    return Identity(text, versions, tuple(dict.fromkeys(texts.unseen)))


@contextmanager
def remembered_texts() -> Iterator[None]:
    """Compute the texts of code, estimators and what is copied whole once in the context."""
    token = _remembered.set(_Texts(is_kept=True))
    try:
        yield
    finally:
        _remembered.reset(token)


class _Texts:
    """Texts of values, some of which are remembered if it serves several values."""

    def __init__(self, *, is_kept: bool = False) -> None:
        self._is_kept = is_kept
        self.packages: set[str] = set()  # of the values so far, as is what is unseen
        self.unseen: list[str] = []
        # The objects are kept, so that their identities stay theirs.
        self._known: dict[int, tuple[Any, Walk]] = {}
        self._of_estimators: dict[int, tuple[Any, _Seen]] = {}

    def text(self, value: Any, within: tuple[Any, ...] = ()) -> str:
        """Return the text of a value that is a parameter, or holds parameters."""
        value = plain_scalar(value)
        kind = type(value)
        if kind in PLAIN:
            self.unseen += reason_of_path(value)
            # 1 and 1.0 differ: max_features, for example, takes a count or a share.
            return repr(value)
        if kind is np.ndarray and not value.dtype.hasobject:
            return text_of_array(value)
        is_cloned = hasattr(value, "get_params") and not isinstance(value, type)
        is_cloned = is_cloned and is_cloned_by_parameters(value)
        if not is_cloned and kind not in _CONTAINERS:
            return self._add(self._walk(value))
        if any(value is outer for outer in within):
            return kind.__name__
        if is_cloned and self._is_kept and not within:
            return self._add(self._settings(value))
        return self._parts(value, within, is_cloned)

    def _parts(self, value: Any, within: tuple[Any, ...], is_cloned: bool) -> str:
        """Return the text of an estimator or a container by the texts of what it holds."""
        kind, text = type(value), partial(self.text, within=(*within, value))
        if is_cloned:
            settings = [*map(text, cloned_settings(value))]
            return f"{text(kind)}({', '.join([text(_params_that_matter(value)), *settings])})"
        if kind is dict:
            return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
        parts = [*map(text, value)]
        return f"{kind.__name__}({', '.join(sorted(parts) if kind in _SETS else parts)})"

    def _add(self, seen: "Walk | _Seen") -> str:
        self.packages |= seen.packages
        self.unseen += seen.unseen
        return seen.text

    def _settings(self, value: Any) -> "_Seen":
        """Return the text of an estimator. Candidates share those of a list of estimators."""
        if id(value) not in self._of_estimators:
            own = _Texts(is_kept=True)
            own._known, own._of_estimators = self._known, self._of_estimators
            text = own._parts(value, (), is_cloned=True)
            self._of_estimators[id(value)] = value, _Seen(text, own.packages, own.unseen)
        return self._of_estimators[id(value)][1]

    def _walk(self, value: Any) -> Walk:
        """Return the walk of code, or of an object that is copied whole."""
        if id(value) not in self._known:
            is_cloned = hasattr(value, "__sklearn_clone__") and not isinstance(value, type)
            walk = Walk(None if is_code(value) else self._walk)
            walk.write(clone(value) if is_cloned else value)
            if walk.is_unknown and not is_code(value):
                # It is not known to equal anything.
                own = next(_counter) if self._is_kept else id(value)
                walk.text += f"@{_PROCESS}.{own}"
            self._known[id(value)] = value, walk
        return self._known[id(value)][1]


class _Seen(NamedTuple):
    """The text of an estimator, the packages that it names, and what of it is not seen."""

    text: str
    packages: set[str]
    unseen: list[str]


_SETS = (set, frozenset)
_CONTAINERS = (list, tuple, dict, *_SETS)
_remembered: ContextVar[_Texts | None] = ContextVar("skmeta_remembered_texts", default=None)


def _texts() -> _Texts:
    remembered = _remembered.get()
    return _Texts() if remembered is None else remembered


def _params_that_matter(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator, with defaults for those without effect on scores."""
    params = dict(sorted(estimator.get_params(deep=False).items()))
    declared = signature(type(estimator)).parameters if _NO_EFFECT & set(params) else {}
    for name in _NO_EFFECT & set(params) & set(declared):
        # A cache is a folder or a joblib.Memory; anything else is a parameter of that name.
        if name != "memory" or isinstance(params[name], (str, PathLike, joblib.Memory)):
            params[name] = declared[name].default
    return params
