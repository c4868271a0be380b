"""What a user's own functions, classes and modules consist of, and what of them cannot be seen.

It is what is loaded, not what a file says: a file may have been edited since. Code of an installed
package is known by its name and the version of the package, if the name leads to it: a decorator
may give the name of an installed function to a user's own.
"""

import builtins
import dis
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))

# What Python keeps of a class, some of it later, and annotations, which do nothing by themselves.
_KEPT_OF_CLASSES = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__"),
    *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    *("__static_attributes__", "__abstractmethods__", "_abc_impl", "__orig_bases__"),
    *("__parameters__", "__type_params__", "__match_args__"),
}

# -- what code reads that is no value: files, the environment, names that it makes up --------------

_READING_BUILTINS = {"open", "input", "eval", "exec", "compile", "globals", "__import__"}
_READING_MODULES = {
    *("os", "sys", "io", "pathlib", "glob", "shutil", "tempfile", "fileinput", "mmap", "ctypes"),
    *("subprocess", "socket", "ssl", "urllib", "http", "ftplib", "smtplib", "imaplib", "runpy"),
    *("sqlite3", "dbm", "shelve", "importlib", "pkgutil", "gc", "inspect", "zipfile", "tarfile"),
    *("requests", "httpx", "aiohttp", "urllib3", "sqlalchemy", "psycopg", "psycopg2", "pymongo"),
    *("boto3", "botocore", "fsspec", "s3fs", "gcsfs", "redis", "duckdb", "h5py", "netCDF4", "zarr"),
}
_HARMLESS = {
    *("path", "sep", "linesep", "join", "basename", "dirname", "splitext", "fspath", "PathLike"),
    *("cpu_count", "getpid", "float_info", "maxsize", "version_info", "byteorder", "platform"),
    *("signature", "isclass", "isfunction"),
}
_READING_NAMES = re.compile(
    r"(^|_)(open|read|load|fetch|download|urlopen|urlretrieve|getenv|environ|connect)(_|$)"
    r"|^(loadtxt|loadmat|loadarff|fromfile|genfromtxt|memmap|from_pretrained|import_module|argv"
    r"|iterdir|rglob|listdir|scandir|popen|Popen|check_output|f_globals|f_locals|__globals__)$"
)
# Code that names one of these may use any part of a module that it names.
_REFLECTING = {"getattr", "vars", "dir", "__dict__", "attrgetter", "methodcaller"}


def name_of(value: Any) -> str:
    """Return the qualified name of a function, of a class, or of the class of another object."""
    named = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


# -- installed packages ----------------------------------------------------------------------------


@cache
def is_installed(module: str | None) -> bool:
    """Return whether a module belongs to Python, or to an installed package of a known version."""
    if not module or module == "__main__":
        return False
    top = module.partition(".")[0]
    if top == "skmeta" or module in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not _is_installed_file(file):
        return False
    return top in sys.stdlib_module_names or version_of(top) is not None


def _is_installed_file(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(_STANDARD_LIBRARY) or not _INSTALLED.isdisjoint(path.parts)


def version_of(package: str) -> str | None:
    """Return the version of a package that is loaded; None if it has none."""
    own = getattr(sys.modules.get(package), "__version__", None)
    return own if isinstance(own, str) else _recorded_version(package)


@cache
def _recorded_version(package: str) -> str | None:
    for distribution in (package, *packages_distributions().get(package, ())):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


def leads_to(value: Any) -> bool:
    """Return whether the name of a function or class leads to it in an installed package."""
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or not is_installed(module):
        return False
    if isinstance(value, FunctionType) and not is_installed(_home(value)):
        return False
    reached: Any = sys.modules.get(module)
    for name in path.split("."):
        reached = getattr(reached, name, None)
    return reached is value


def _home(function: FunctionType) -> str | None:
    """Return the module whose globals a function reads; a decorator cannot change it."""
    return function.__globals__.get("__name__")


def replaced_members(owner: type) -> Iterator[Any]:
    """Yield name and function of each method of an installed class that a user has replaced."""
    for base in owner.__mro__:
        for name, member in [*vars(base).items()]:
            function = getattr(member, "__func__", member)
            home = _home(function) if isinstance(function, FunctionType) else None
            if home is not None and not is_installed(home):
                yield name
                yield function


# -- parts of the user's own -----------------------------------------------------------------------


class Unseen(NamedTuple):
    """What of a value cannot be seen, as words that follow its name."""

    reason: str


def parts_of_class(owner: type) -> Iterator[Any]:
    """Yield what a class consists of."""
    if type(owner) is not type:
        yield type(owner)
    for base in owner.__mro__:
        yield base
        if leads_to(base):
            continue
        for name, member in sorted(vars(base).items()):
            if name not in _KEPT_OF_CLASSES:
                yield name
                yield member


def parts_of_function(function: FunctionType) -> Iterator[Any]:
    """Yield what a function consists of: code, defaults, attributes, closure, what it names."""
    yield from parts_of_code(function.__code__)
    yield function.__defaults__
    yield function.__kwdefaults__
    yield dict(vars(function))
    named = _names(function.__code__)
    known, home = function.__globals__, _home(function)
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not assigned yet
            yield from _parts_of_named(cell.cell_contents, named.all)
    if is_installed(home):  # A factory of a package returned it, with the user's values.
        yield Package(str(home).partition(".")[0])
        return
    for name in sorted(named.read):
        if name in known:
            yield name
            yield from _parts_of_named(known[name], named.all)
        elif name in _READING_BUILTINS and hasattr(builtins, name):
            yield Unseen(f"calls {name}()")
    for name in sorted(filter(_READING_NAMES.search, named.all)):
        yield Unseen(f"names {name!r}")
    for level, name in sorted(named.imported):
        yield from _parts_of_import(level, name, known, named.all)


def parts_of_module(module: ModuleType) -> Iterator[Any]:
    """Yield all that a user's own module has."""
    for name, value in sorted(vars(module).items()):
        if not name.startswith("__"):
            yield name
            yield value


def parts_of_code(code: CodeType) -> Iterator[Any]:
    """Yield what code consists of, but for the lines that it comes from."""
    yield code.co_code
    yield code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    yield code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    yield code.co_exceptiontable
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from parts_of_code(constant)
        else:
            yield constant


def _parts_of_named(value: Any, names: frozenset[str]) -> Iterator[Any]:
    """Yield a value that code names; of a module, what code with these names may use of it."""
    if not isinstance(value, ModuleType):
        top = str(getattr(value, "__module__", None)).partition(".")[0]
        if top in _READING_MODULES and isinstance(value, (type, FunctionType)):
            yield Unseen(f"uses {name_of(value)}")
        yield value
        return
    yield value.__name__
    known = vars(value)
    used = sorted(names & set(known))
    if not is_installed(value.__name__):
        if names & _REFLECTING:
            yield value
            return
        # A submodule may name its package.
        for name in used:
            yield name
            yield from _parts_of_named(known[name], names - {name})
        return
    top = value.__name__.partition(".")[0]
    if top in _READING_MODULES:
        for name in used:
            if name not in _HARMLESS:
                yield Unseen(f"uses {top}.{name}")
    yield Package(top)
    for name in used:  # which a user may have replaced
        own = known[name]
        if isinstance(own, (FunctionType, type)) and not is_installed(own.__module__):
            yield name
            yield own


class Package(NamedTuple):
    """An installed package whose code is used."""

    name: str


def _parts_of_import(
    level: int, name: str, known: dict[str, Any], names: frozenset[str]
) -> Iterator[Any]:
    """Yield what a function may use of a module that it imports; load it if it is a user's own."""
    try:
        full = resolve_name("." * level + name, str(known.get("__package__") or ""))
    except ImportError:
        return
    yield full
    if full not in sys.modules:
        try:
            spec = find_spec(full)
            if spec is None or (spec.origin is not None and _is_installed_file(spec.origin)):
                yield Package(full.partition(".")[0])
                return
            import_module(full)
        except Exception as error:  # importing runs code, which may raise anything
            if not isinstance(error, ModuleNotFoundError):
                yield Unseen(f"imports {full}, which raises {type(error).__name__}")
            return
    yield from _parts_of_named(sys.modules[full], names)


class _Names(NamedTuple):
    """The globals that code reads, all of its names, and what it imports: (level, name)."""

    read: frozenset[str]
    all: frozenset[str]
    imported: frozenset[tuple[int, str]]


@lru_cache(maxsize=1024)
def _names(code: CodeType) -> _Names:
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
            read, names = read | inner.read, names | inner.all
            imported = imported | inner.imported
    return _Names(frozenset(read), frozenset(names), frozenset(imported))
