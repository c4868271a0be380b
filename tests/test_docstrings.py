"""Docstrings of public names pass numpydoc's validation.

All of numpydoc's checks are on but for these:

- GL01: the summary begins in the line of the opening quotes.
- ES01, EX01, SA01: an extended summary, examples and "See Also" are given where they help.
- RT02, RT03: a returned value may have a name, and no description if the summary says what it is.
- PR03: parameters of learners are documented in groups, not in the order of the signature.

A parameter or a returned value may also be documented by attributes (data classes and named
tuples), by a base class, or by the one line of a small method.
"""

import inspect
from dataclasses import is_dataclass
from importlib import import_module
from pkgutil import iter_modules

import pytest
from sklearn.base import BaseEstimator

import skmeta
from skmeta import bridges

validate = pytest.importorskip("numpydoc.validate").validate

OFF = {"GL01", "ES01", "EX01", "SA01", "RT02", "RT03", "PR03"}
# Classes that nobody makes by their constructors: learners document the parameters of their base
# classes, and priors of searches are learned.
UNDOCUMENTED = {
    *("MetaLearner", "InnerLoopLearner", "GradientLearner", "PolicyLearner"),
    "SearchPrior",
}
BRIDGES = [f"skmeta.bridges.{part.name}" for part in iter_modules(bridges.__path__)]
MODULES = [f"skmeta.{part.name}" for part in iter_modules(skmeta.__path__) if part.name[0] != "_"]


def public_names():
    """Yield the module and name of each public class, function and method, once."""
    seen = set()
    for module in [*MODULES, *BRIDGES]:
        if module in BRIDGES:
            pytest.importorskip(module.rpartition(".")[2])
        found = import_module(module)
        for name in found.__all__:
            value = getattr(found, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)) or value in seen:
                continue
            seen.add(value)
            yield f"{module}.{name}"
            for part, member in vars(value).items() if inspect.isclass(value) else ():
                is_member = inspect.isroutine(member) or isinstance(member, property)
                # What is inherited is documented in the base class.
                if part[0] != "_" and is_member and getattr(member, "__doc__", None):
                    yield f"{module}.{name}.{part}"


def is_excused(name, code, found):
    owner, _, last = name.rpartition(".")
    if code == "PR02":  # The constructor of an abstract class tells who calls it.
        return owner in MODULES and inspect.isabstract(getattr(import_module(owner), last))
    if code not in {"PR01", "RT01", "YD01"}:
        return False
    if owner not in [*MODULES, *BRIDGES]:  # a method
        module, _, class_name = owner.rpartition(".")
        bases = inspect.getmro(getattr(import_module(module), class_name))[1:]
        is_overridden = any(getattr(vars(base).get(last), "__doc__", None) for base in bases)
        # One line says all of a small method: "Return the number of tasks."
        return (
            is_overridden
            or "\n" not in found["docstring"].strip()
            or "Yields" in found["docstring"]
        )
    value = getattr(import_module(owner), last)
    is_record = is_dataclass(value) and not issubclass(value, BaseEstimator)
    has_attributes = is_record or hasattr(value, "_fields")
    return last in UNDOCUMENTED or has_attributes or getattr(value, "_is_protocol", False)


def test_docstrings_pass_numpydoc():
    findings = []
    for name in public_names():
        found = validate(name)
        findings += [
            f"{name}: {code} {message}"
            for code, message in found["errors"]
            if code not in OFF and not is_excused(name, code, found)
        ]
    assert not findings, "\n".join(findings)
