"""One value and all that it refers to, written as one text.

Objects are numbered as they are met, and each is written once: so circles end, and the text is as
long as what is there. An object is its class and what a pickle has of it; functions, classes and
modules of a user are their code, see `_code`.
"""

import copyreg
import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import lru_cache
from pickle import whichmodule  # type: ignore[attr-defined]  # has no stub
from types import (
    BuiltinMethodType,
    CellType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Self

import numpy as np

from skmeta._identity import _code
from skmeta._identity._code import is_installed, leads_to, name_of

PLAIN = (type(None), bool, int, float, complex, str, bytes)
# Of objects of these kinds, nothing counts: locks, and dictionaries that hold caches.
_EMPTY = (
    *(type(threading.Lock()), type(threading.RLock())),
    *(weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet),
)
_SLOTS = (
    *(WrapperDescriptorType, MethodDescriptorType, ClassMethodDescriptorType),
    *(GetSetDescriptorType, MemberDescriptorType),
)
_CACHED = type(lru_cache(len))
_IS_HEAP_TYPE = 1 << 9  # a class that was made by a class statement, not by C
_LENGTH_OF_PATH = 1024


def is_code(value: Any) -> bool:
    """Return whether a value is a function, a class or a module."""
    return isinstance(value, (type, FunctionType, ModuleType))


def plain_scalar(value: Any) -> Any:
    """Return Python's number or text for one of NumPy, and any other value as it is."""
    is_known = isinstance(value, np.generic) and value.dtype.kind in "biufSU"
    return value.item() if is_known and (value.dtype.kind in "SU" or value.itemsize <= 8) else value


def text_of_array(array: np.ndarray) -> str:
    """Return the text of an array without objects."""
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return f"{name_of(array)}:{array.dtype}{array.shape}{digest}"


class Walk:
    """Writes one value; says which packages its code is from, and what of it is not seen.

    `walk_of_code`, if it is given, returns the walk of a function, class or module that is met.
    """

    def __init__(
        self,
        walk_of_code: Callable[[Any], "Walk"] | None = None,
        writing: tuple[Any, ...] = (),
    ) -> None:
        self.text = ""
        self.packages: set[str] = set()
        self.unseen: list[str] = []
        self.is_unknown = False  # an object cannot be taken apart
        self._numbers: dict[int, int] = {}
        self._met: list[Any] = []
        self._walk_of_code = walk_of_code
        self._writing = writing  # members of sets that are being written

    def write(self, root: Any) -> Self:
        """Set the text of a value: its name alone, if that leads to installed code."""
        self.text = first = self._text(root)
        lines = [first]
        for one in self._met:  # which grows meanwhile
            lines += self._lines(one)
        if self._met:
            self.text = f"{name_of(root)}#{_digest(chr(10).join(lines))}"
        return self

    def _lines(self, one: Any) -> Iterator[str]:
        """Yield the texts of the parts of an object that has a number."""
        yield f"-- {self._numbers[id(one)]}"
        try:
            for part in self._parts(one):
                if isinstance(part, _code.Unseen):
                    self.unseen.append(f"{name_of(one)} {part.reason}")
                elif isinstance(part, _code.Package):
                    self.packages.add(part.name)
                else:
                    yield self._text(part)
        except Exception as error:  # taking apart runs code of the object, which may raise anything
            self.is_unknown = True
            self.unseen.append(f"{name_of(one)} cannot be taken apart ({type(error).__name__})")

    def _text(self, value: Any) -> str:
        """Return the text of a value, or the number of an object that is written elsewhere."""
        value = plain_scalar(value)
        kind = type(value)
        if kind in PLAIN:
            self.unseen += reason_of_path(value)
            return repr(value)
        if kind is tuple:
            return f"({', '.join(map(self._text, value))})"
        if kind in (set, frozenset):
            return f"{kind.__name__}({', '.join(sorted(map(self._member, value)))})"
        if kind is np.ndarray and not value.dtype.hasobject:
            return text_of_array(value)
        if kind is MethodType:
            return f"{self._text(value.__self__)}.{self._text(value.__func__)}"
        if kind in (BuiltinMethodType, MethodWrapperType):
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, ModuleType):
                return f"{self._text(owner)}.{value.__name__}"
            return self._compiled(value)
        if kind in _SLOTS:
            return f"{self._text(value.__objclass__)}.{value.__name__}"
        if kind in _EMPTY:
            return name_of(value)
        if isinstance(value, ModuleType) and is_installed(value.__name__):
            return self._installed(value.__name__, f"module {value.__name__}")
        if callable(value) and leads_to(value):
            if not (isinstance(value, type) and any(_code.replaced_members(value))):
                return self._installed(value.__module__, name_of(value))
        elif isinstance(value, type) and not value.__flags__ & _IS_HEAP_TYPE:
            return self._compiled(value)
        if self._walk_of_code is not None and is_code(value):
            return self._include(self._walk_of_code(value))
        number = self._numbers.setdefault(id(value), len(self._met))
        if number == len(self._met):
            self._met.append(value)
        return f"{name_of(value)}#{number}"

    def _member(self, value: Any) -> str:
        """Return the text of a member of a set, whose order must have no effect on numbers."""
        value = plain_scalar(value)
        if type(value) in PLAIN:
            return self._text(value)
        if any(value is one for one in self._writing):
            return name_of(value)
        return self._include(Walk(self._walk_of_code, (*self._writing, value)).write(value))

    def _include(self, other: "Walk") -> str:
        self.packages |= other.packages
        self.unseen += other.unseen
        self.is_unknown |= other.is_unknown
        return other.text

    def _installed(self, module: str, text: str) -> str:
        self.packages.add(module.partition(".")[0])
        return text

    def _compiled(self, value: Any) -> str:
        """Return the name of a function or class of C."""
        module = getattr(value, "__module__", None) or "builtins"
        if is_installed(module):
            return self._installed(module, name_of(value))
        self.unseen.append(f"{name_of(value)} is compiled")
        return name_of(value)

    def _parts(self, value: Any) -> Iterator[Any]:
        """Yield what an object consists of."""
        if isinstance(value, FunctionType):
            yield from _code.parts_of_function(value)
        elif isinstance(value, type):
            if leads_to(value):
                yield name_of(value)
                yield _code.Package(value.__module__.partition(".")[0])
                yield from _code.replaced_members(value)
            else:
                yield from _code.parts_of_class(value)
        elif isinstance(value, ModuleType):
            yield from _code.parts_of_module(value)
        elif isinstance(value, CodeType):
            yield from _code.parts_of_code(value)
        else:
            yield type(value)
            yield from self._contents(value)

    def _contents(self, value: Any) -> Iterator[Any]:
        """Yield what an object has in addition to its class."""
        kind = type(value)
        if kind is list:
            yield from value
        elif kind in (dict, MappingProxyType):
            for key, item in value.items():
                yield key
                yield item
        elif kind is np.ndarray:
            yield str(value.dtype), value.shape
            yield value.tolist()
        elif kind is property:
            yield value.fget, value.fset, value.fdel
        elif kind in (classmethod, staticmethod):
            yield value.__func__
        elif kind is CellType:
            yield value.cell_contents
        elif kind is object:  # a mark, which is what its number is
            return
        elif isinstance(value, _CACHED):
            yield dict(vars(value))
            yield value.cache_parameters()
        elif hasattr(value, "detach") and hasattr(value, "cpu"):  # Its pickle has addresses.
            yield str(value.dtype), tuple(value.shape), bool(value.requires_grad)
            yield value.detach().cpu().double().numpy()
        elif hasattr(value, "rvs") and hasattr(value, "dist"):  # a frozen distribution of SciPy
            yield value.args
            yield dict(value.kwds)
            yield from self._distribution(value.dist)
        elif hasattr(value, "get_params") or _is_plain(value):
            yield from self._attributes(vars(value))
        elif hasattr(value, "state_dict"):  # a module of torch with a pickle of its own
            yield repr(value)
            yield value.state_dict()
        else:
            yield from self._reduced(value)

    def _attributes(self, known: Any) -> Iterator[Any]:
        for name, item in sorted(known.items()):
            yield name
            yield item

    def _distribution(self, dist: Any) -> Iterator[Any]:
        """Yield what a distribution of SciPy is: its class, and what it was made of."""
        yield type(dist)
        if not (leads_to(type(dist)) and type(dist).__name__ not in ("rv_sample", "rv_histogram")):
            state = dist.__getstate__()
            drawn = {"_random_state", "_updated_ctor_param"}
            yield from self._attributes({k: v for k, v in state.items() if k not in drawn})

    def _reduced(self, value: Any) -> Iterator[Any]:
        """Yield what a pickle has of an object."""
        reducer = copyreg.dispatch_table.get(type(value))
        reduced = value.__reduce_ex__(4) if reducer is None else reducer(value)
        if isinstance(reduced, str):
            home = whichmodule(value, reduced)
            if not is_installed(home):
                yield _code.Unseen("is known by its name only")
            yield _code.Package(home.partition(".")[0])
            yield reduced
            return
        for part in reduced:
            yield [*part] if isinstance(part, Iterator) else part


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def reason_of_path(value: Any) -> list[str]:
    """Return why a text cannot be identified: [] unless it is the path of what is there."""
    is_likely = type(value) is str and os.sep in value and len(value) < _LENGTH_OF_PATH
    if is_likely and value.strip("./\\") and "\0" not in value and os.path.exists(value):
        return [f"{value!r} is the path of a file or folder"]
    return []


def _is_plain(value: Any) -> bool:
    """Return whether an object is its attributes: pickling does nothing else with it."""
    kind = type(value)
    names = ("__reduce__", "__reduce_ex__", "__getstate__")
    builtins = (list, tuple, dict, set, frozenset, np.ndarray, *PLAIN[1:], bytearray)
    return (
        hasattr(value, "__dict__")
        and not any(vars(base).get("__slots__") for base in kind.__mro__)
        and not isinstance(value, builtins)
        and all(getattr(kind, name, None) is getattr(object, name, None) for name in names)
        and kind not in copyreg.dispatch_table
    )
