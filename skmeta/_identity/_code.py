"""What a user's own functions and classes consist of, as far as it can be seen.

It is what is loaded, not what a file says: a file may have been edited since. What belongs to an
installed package is known by its name.
"""

import dis
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def name_of(value: Any) -> str:
    """Return the qualified name of a function, of a class, or of the class of another object."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def own_code(value: Any, text_of: Callable[[Any], str]) -> str:
    """Return a digest of the code of a user's own function or class, or "" if it is not.

    It covers bytecode, constants, defaults, closures, attributes, and what the code names.
    """
    if is_installed(value.__module__):
        # What a factory of a package returns has the user's values in its closure.
        is_made = isinstance(value, FunctionType) and "<locals>" in value.__qualname__
        return _digest(map(text_of, _contents(value))) if is_made else ""
    reached, todo, texts = {id(value)}, [value], []
    while todo:
        for part in _parts(todo.pop()):
            if not isinstance(part, (FunctionType, type)):
                texts.append(text_of(part))
                continue
            texts.append(name_of(part))
            if id(part) in reached:
                continue
            reached.add(id(part))
            if not is_installed(part.__module__):
                todo.append(part)
            elif isinstance(part, FunctionType) and "<locals>" in part.__qualname__:
                texts += map(text_of, _contents(part))
    return _digest(texts)


def _digest(texts: Any) -> str:
    text = "\n".join(texts)
    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


@cache
def is_installed(module: str | None) -> bool:
    """Return whether a module belongs to an installed package or to Python."""
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if module is None or module == "__main__":
        return False
    if file is None:
        return module in sys.builtin_module_names
    is_ours = module.partition(".")[0] == "skmeta"
    return is_ours or _is_installed_file(file)


def _is_installed_file(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(_STANDARD_LIBRARY) or not _INSTALLED.isdisjoint(path.parts)


# -- classes and functions -------------------------------------------------------------------------


def _parts(value: Any) -> Iterator[Any]:
    """Yield what a function or a class consists of."""
    return _parts_of_class(value) if isinstance(value, type) else _parts_of_function(value)


def _parts_of_class(owner: type) -> Iterator[Any]:
    for base in owner.__mro__:
        yield name_of(base)
        if is_installed(base.__module__):
            continue
        for name, member in sorted(vars(base).items()):
            # Of class and static methods, properties, and cached properties.
            inner = [getattr(member, key, None) for key in ("__func__", "fget", "fset", "func")]
            inner = [one for one in inner if isinstance(one, FunctionType)]
            if inner or isinstance(member, FunctionType):
                yield name
                yield from inner or [member]
            elif name.startswith("__"):  # what Python keeps of a class, some of it later
                continue
            elif not hasattr(type(member), "__get__") or hasattr(member, "__wrapped__"):
                yield name
                yield member


def _parts_of_function(function: FunctionType) -> Iterator[Any]:
    yield from _parts_of_code(function.__code__)
    yield function.__defaults__
    yield function.__kwdefaults__
    yield {name: one for name, one in vars(function).items() if name != "__wrapped__"}
    known, (globals_read, names, imported) = function.__globals__, _names(function.__code__)
    for value in _contents(function):
        yield from _global_parts(value, names)
    for name in sorted(globals_read & set(known)):
        yield name
        yield from _global_parts(known[name], names)
    for level, name in sorted(imported):
        package = str(known.get("__package__") or "")
        try:
            full = resolve_name("." * level + name, package)
        except ImportError:
            continue
        yield full
        yield from _global_parts(sys.modules[full], names) if full in sys.modules else _file(full)


def _global_parts(value: Any, names: set[str]) -> Iterator[Any]:
    """Yield a global; of a user's own module, what code that has some names may use of it."""
    if not isinstance(value, ModuleType):
        yield value
    elif not is_installed(value.__name__):
        # A submodule may name its package.
        for name in sorted(names & set(vars(value))):
            yield name
            yield from _global_parts(vars(value)[name], names - {name})


def text_of_module(module: ModuleType) -> str:
    """Return the text of a module that is kept as a value: of a user's own, by its file."""
    own = "" if is_installed(module.__name__) else "".join(_file(module.__name__))
    return f"module {module.__name__} {own}"


def _file(module: str) -> Iterator[str]:
    """Yield a digest of the file of a module, unless it is installed."""
    parent = module.rpartition(".")[0]
    try:
        spec = find_spec(module) if not parent or parent in sys.modules else None
        origin = spec.origin if spec is not None and spec.has_location else None
        if origin is not None and not _is_installed_file(origin):
            yield sha256(Path(origin).read_bytes()).hexdigest()
    except (ImportError, ValueError, OSError):  # it cannot be imported, or not be read
        return


def _parts_of_code(code: CodeType) -> Iterator[Any]:
    yield code.co_code.hex()
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts_of_code(constant)
        else:
            yield constant


def _names(code: CodeType) -> tuple[set[str], set[str], set[tuple[int, str]]]:
    """Return the globals that code reads, all of its names, and what it imports: (level, name)."""
    read: set[str] = set()
    imported: set[tuple[int, str]] = set()
    last: list[Any] = []
    names = set(code.co_names)
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            read.add(str(step.argval))
        elif step.opname == "IMPORT_NAME":
            # The level is pushed before the names that are imported.
            level = last[-2] if len(last) > 1 and isinstance(last[-2], int) else 0
            imported.add((level, str(step.argval)))
        last = [*last[-1:], step.argval]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _names(constant)
            read, names, imported = read | inner[0], names | inner[1], imported | inner[2]
    return read, names, imported


def _contents(function: FunctionType) -> Iterator[Any]:
    """Yield the values in the closure of a function."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            yield None
