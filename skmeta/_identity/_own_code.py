"""Digests of a user's own functions and classes, whose code may change under the same name.

A search that is resumed must not take over the scores of other code. What belongs to an installed
package is known by its name.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from inspect import unwrap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

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
