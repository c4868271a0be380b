"""What identifies a value, in this process and in others: text that is equal for equal values.

It covers a user's own functions and classes, whose code may change under the same name: a search
that is resumed must not take over the scores of other code. What belongs to an installed package is
known by its name. ``repr`` of an estimator has addresses of functions, and ``joblib.hash`` knows a
function by its name alone. At the end are objects whose copies are the object itself.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from inspect import signature, unwrap
from os import PathLike
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn, Self

import joblib
import numpy as np

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


_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def own_code(value: Any, text_of: Callable[[Any], str]) -> str:
    """Return a digest of the code of a function or class, or "" if it is not the user's own.

    The digest covers bytecode, constants, defaults and closures, of the function or class itself
    and of the user's other functions and classes that it refers to. Comments have no effect.

    Parameters
    ----------
    value : function or type
    text_of : callable
        Returns the text of a value that is neither.

    Returns
    -------
    str of 8 characters, or ""
    """
    if _is_installed(value.__module__):
        return ""
    reached, todo, texts = {id(value)}, [value], []
    while todo:
        for part in _parts(todo.pop()):
            if not isinstance(part, (FunctionType, type)):
                texts.append(text_of(part))
                continue
            texts.append(name_of(part))
            if id(part) not in reached and not _is_installed(part.__module__):
                reached.add(id(part))
                todo.append(part)
    text = "\n".join(texts)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def name_of(value: Any) -> str:
    """Return the qualified name of a function, of a class, or of the class of another object."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


@cache
def _is_installed(module: str | None) -> bool:
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if module is None or module == "__main__":
        return False
    if file is None:
        return module in sys.builtin_module_names
    path = Path(file)
    is_ours = module.partition(".")[0] == "skmeta"
    return (
        is_ours or path.is_relative_to(_STANDARD_LIBRARY) or not _INSTALLED.isdisjoint(path.parts)
    )


def _parts(value: Any) -> Iterator[Any]:
    """Yield what a function or a class consists of."""
    return _parts_of_class(value) if isinstance(value, type) else _parts_of_function(value)


def _parts_of_class(owner: type) -> Iterator[Any]:
    # Other attributes are often counters and flags, which change meanwhile.
    for base in owner.__mro__:
        yield name_of(base)
        if _is_installed(base.__module__):
            continue
        for name, member in sorted(vars(base).items()):
            # Of class and static methods, properties, and cached properties.
            inner = [getattr(member, key, None) for key in ("__func__", "fget", "func")]
            for inner_member in (unwrap(member) if callable(member) else member, *inner):
                if isinstance(inner_member, FunctionType):
                    yield name
                    yield inner_member


def _parts_of_function(function: FunctionType) -> Iterator[Any]:
    yield from _parts_of_code(function.__code__)
    yield function.__defaults__
    yield function.__kwdefaults__
    for cell in function.__closure__ or ():
        yield _content(cell)
    # Data and modules among the globals are not looked at.
    for name in sorted(_global_names(function.__code__) & set(function.__globals__)):
        value = function.__globals__[name]
        if _is_constant(value) or isinstance(value, (FunctionType, type)):
            yield name
            yield value


def _parts_of_code(code: CodeType) -> Iterator[Any]:
    yield code.co_code.hex()
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts_of_code(constant)
        else:
            yield constant


def _global_names(code: CodeType) -> set[str]:
    inner = (_global_names(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*inner)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


class Uncopied:
    """A clone or a copy of an object is the object itself."""

    def __sklearn_clone__(self) -> Self:
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Immutable(Uncopied):
    """Base class of immutable objects. A constructor writes with ``vars(self).update``."""

    _advice = ""  # how to make a changed object

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"A {type(self).__name__} is immutable, so {name!r} cannot be set. {self._advice}"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"A {type(self).__name__} is immutable, so {name!r} cannot be deleted. {self._advice}"
        )
