"""Parameters of learners of all kinds: each is declared once, in the class that has it first.

A parameter is an annotated attribute of a subclass of :class:`Declared`. The declaration has its
default, what it may be, and who reads it. The docstring of the same class describes it; those of
the classes below take the description over.

Roles of a parameter:

- ``"prior"``: adaptation to a new task depends on it, so a prior keeps it.
- ``"training"``: only meta-training depends on it.
- ``"machine"``: no result depends on it, so that a checkpoint can be resumed with another value.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Self, dataclass_transform

from sklearn.base import BaseEstimator

from skmeta._sklearn_compat import parameter_names, validate_params
from skmeta._validation import ParameterHints


def parameter(default: Any, *constraints: Any, role: str = "prior") -> Any:
    """Declare a parameter of a learner, as a field of its dataclass, with the role of its reader.

    Constraints are those of scikit-learn's ``_parameter_constraints``, by default none. If one is a
    class of options, a learner takes its first setting in place of an instance.
    """
    return field(default=default, metadata={"constraints": list(constraints), "role": role})


@dataclass_transform(kw_only_default=True, eq_default=False)
class Declared(ParameterHints, BaseEstimator):
    """Makes dataclasses of its subclasses, and completes their constraints and docstrings."""

    # By parameter: the other settings of an option that is given by its first setting alone.
    _option_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init_subclass__(cls, kw_only: bool = True, eq: bool = False, **kwargs: Any) -> None:
        dataclass(kw_only=kw_only, eq=eq, repr=False, match_args=False)(cls)
        for own in fields(cls):  # Instances have them, and the signature has the defaults.
            if own.name in vars(cls) and own.name in inspect.get_annotations(cls):
                delattr(cls, own.name)
        super().__init_subclass__(**kwargs)
        constraints: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            if base is cls:
                own_fields = declarations(cls, inherited=False)
                constraints |= {n: f.metadata["constraints"] for n, f in own_fields.items()}
            constraints |= vars(base).get("_parameter_constraints", {})
        cls._parameter_constraints = {n: c or "no_validation" for n, c in constraints.items()}
        complete(cls)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of options, such as ``validation__patience``."""
        # An option that is given by its first setting alone becomes an object with all settings.
        for name in {key.partition("__")[0] for key in params if "__" in key}:
            if (option := options_of(self).get(name)) is not None:
                setattr(self, name, option)
        super().set_params(**params)
        return self


def declarations(cls: type, *, inherited: bool = True) -> dict[str, Field[Any]]:
    """Return the declared parameters of a class by name, its own first."""
    declared_fields: dict[str, Field[Any]] = {}
    for base in cls.__mro__ if inherited else (cls,):
        known = vars(base).get("__dataclass_fields__", {})
        for name in inspect.get_annotations(base):
            if name in known and known[name].metadata:
                declared_fields.setdefault(name, known[name])
    return declared_fields


def option_class(declared: Field[Any] | None) -> type[Declared] | None:
    """Return the class of a parameter's options, or None."""
    kinds = [] if declared is None else declared.metadata["constraints"]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Declared)), None)


def as_option(kind: type[Declared], value: Any, **others: Any) -> Any:
    """Return an option as a checked object: an instance as given, or one made of its first setting.

    None stands for the defaults; `others` are its other settings.
    """
    if not isinstance(value, kind):
        value = kind(**others) if value is None else kind(value, **others)
    validate_params(value)
    return value


def options_of(estimator: Any) -> dict[str, Any]:
    """Return the options of an estimator as their objects, by parameter."""
    options = {}
    for name, declared in declarations(type(estimator)).items():
        if (kind := option_class(declared)) is not None:
            others = estimator._option_defaults.get(name, {})
            options[name] = as_option(kind, getattr(estimator, name), **others)
    return options


def settings_by_role(estimator: Any, *roles: str) -> Iterator[tuple[str, Any]]:
    """Yield names and values of the parameters of an estimator that have one of some roles.

    Options within it are dicts. A parameter that is not declared has the role ``"prior"``.
    """
    declared, options = declarations(type(estimator)), options_of(estimator)
    for name in parameter_names(type(estimator)):
        if name in options:
            if nested := dict(settings_by_role(options[name], *roles)):
                yield name, nested
        elif (declared[name].metadata["role"] if name in declared else "prior") in roles:
            yield name, getattr(estimator, name)


def learner_name(cls: type) -> str:
    """Return the name by which a prior and the registries know a class of learners.

    It is the bare name for a learner of this package, and has the module for one of a user's, which
    may have the name of one of ours.
    """
    is_ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
    return cls.__name__ if is_ours else f"{cls.__module__}.{cls.__qualname__}"


def complete(cls: type) -> None:
    """Write what a class inherits into its docstring.

    ``%(parameters)s`` is replaced by the parameters that its base classes describe, with its own
    defaults; ``%(attributes)s`` by the attributes.
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    if "%(parameters)s" not in text:
        return
    parameters: dict[str, str] = {}
    attributes: dict[str, str] = {}
    for base in reversed(cls.__mro__[1:]):
        described = inspect.cleandoc(vars(base).get("__doc__") or "")
        parameters |= _entries(described, "Parameters")
        attributes |= _entries(described, "Attributes")
    own = _entries(text, "Parameters")
    lines, defaults = [], {each.name: each.default for each in fields(cls)}
    for name in declarations(cls):
        if name not in own and name in parameters:
            header, _, description = parameters[name].partition("\n")
            default = defaults[name]
            lines.append(f"{header.partition(', default=')[0]}, default={default!r}\n{description}")
    shared = {"parameters": "\n".join(lines), "attributes": "\n".join(attributes.values())}
    cls.__doc__ = text % shared + "\n"


def _entries(text: str, section: str) -> dict[str, str]:
    """Return the entries of a section of a numpydoc docstring, by name."""
    body = text.partition(f"{section}\n{'-' * len(section)}\n")[2]
    body = re.split(r"\n\n\w[\w ]*\n---", body)[0].strip()
    entries = [entry for entry in re.split(r"\n(?=\w+ : )", body) if " : " in entry]
    return {entry.partition(" : ")[0]: entry for entry in entries}
