"""Parameters of learners: each is declared once, in the class that has it first.

The declaration has its default, what it may be, and who reads it. The docstring of the same class
describes it; those of the classes below take the description over.

Roles of a parameter:

- ``"prior"``: adaptation to a new task depends on it, so a prior keeps it.
- ``"training"``: only meta-training depends on it.
- ``"machine"``: no result depends on it, so that a checkpoint can be resumed with another value.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import Field, field
from typing import Any

from sklearn.base import BaseEstimator

from skmeta._doc_link import DocLink
from skmeta._docstrings import SHARED_PARAMETERS
from skmeta._sklearn_compat import parameter_names, validate_params
from skmeta.training import OUTER_LOOP_CONSTRAINTS


def parameter(default: Any, *constraints: Any, role: str = "prior") -> Any:
    """Declare a parameter of a learner, as a field of its dataclass.

    Parameters
    ----------
    default : object
        Its default.
    *constraints
        What it may be, as scikit-learn's ``_parameter_constraints`` say it; by default anything. A
        class of options among them lets a learner take its first setting in place of an instance.
    role : {"prior", "training", "machine"}, default="prior"
        Who reads it; see above.

    Returns
    -------
    dataclasses.Field
        The declaration.
    """
    return field(default=default, metadata={"constraints": list(constraints), "role": role})


def shared_parameter(name: str, default: Any, role: str = "training") -> Any:
    """Declare a parameter that learners of policies have, too."""
    return parameter(default, *OUTER_LOOP_CONSTRAINTS[name], role=role)


class Declared(DocLink, BaseEstimator):
    """Completes constraints and docstrings of its subclasses by their declared parameters."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        constraints: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            if base is cls:
                fields = declarations(cls, inherited=False)
                constraints |= {n: f.metadata["constraints"] for n, f in fields.items()}
            constraints |= vars(base).get("_parameter_constraints", {})
        cls._parameter_constraints = {n: c or "no_validation" for n, c in constraints.items()}
        complete(cls)


def declarations(cls: type, *, inherited: bool = True) -> dict[str, Field[Any]]:
    """Return the declared parameters of a class by name, those of its base classes first."""
    found: dict[str, Field[Any]] = {}
    for base in reversed(cls.__mro__ if inherited else (cls,)):
        known = dict(vars(base)) | vars(base).get("__dataclass_fields__", {})
        for name in inspect.get_annotations(base):
            if isinstance(known.get(name), Field) and known[name].metadata:
                found[name] = known[name]
    return found


def option_class(declared: Field[Any] | None) -> type[Declared] | None:
    """Return the class of options that the value of a parameter is made of, if there is one."""
    kinds = [] if declared is None else declared.metadata["constraints"]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Declared)), None)


def as_option(kind: type[Declared], value: Any) -> Any:
    """Return an option as its object: one that is given, or one made of its first setting.

    Parameters
    ----------
    kind : type
        Class of the option.
    value : object
        An instance, its first setting, or None for its defaults.

    Returns
    -------
    object
        An instance with values that are allowed.
    """
    option = value if isinstance(value, kind) else kind() if value is None else kind(value)
    validate_params(option)
    return option


def settings_by_role(estimator: Any, *roles: str) -> Iterator[tuple[str, Any]]:
    """Yield names and values of the parameters of an estimator that have one of some roles.

    Parameters
    ----------
    estimator : Declared
        A learner, or one of its options. Options within it come as dicts.
    *roles : str
        The roles. A parameter that is not declared has the role ``"prior"``.

    Yields
    ------
    tuple of str and object
        A parameter.
    """
    declared = declarations(type(estimator))
    for name in parameter_names(type(estimator)):
        value, kind = getattr(estimator, name), option_class(declared.get(name))
        if kind is not None:
            if nested := dict(settings_by_role(as_option(kind, value), *roles)):
                yield name, nested
        elif (declared[name].metadata["role"] if name in declared else "prior") in roles:
            yield name, value


def complete(cls: type) -> None:
    """Write what a class inherits into its docstring.

    Parameters
    ----------
    cls : type
        ``%(parameters)s`` in its docstring is replaced by the parameters that its base classes
        describe, with its own defaults; ``%(attributes)s`` by the attributes.
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    if "%(parameters)s" not in text:
        return
    parameters = {n: f"{n} : {kind}\n{_wrap(of)}" for n, (kind, of) in SHARED_PARAMETERS.items()}
    attributes: dict[str, str] = {}
    for base in reversed(cls.__mro__[1:]):
        described = inspect.cleandoc(vars(base).get("__doc__") or "")
        parameters |= _entries(described, "Parameters")
        attributes |= _entries(described, "Attributes")
    own = _entries(text, "Parameters")
    lines = []
    for name in declarations(cls):
        if name not in own and name in parameters:
            header, _, description = parameters[name].partition("\n")
            default = getattr(cls, name)
            default = default.default if isinstance(default, Field) else default
            lines.append(f"{header.partition(', default=')[0]}, default={default!r}\n{description}")
    shared = {"parameters": "\n".join(lines), "attributes": "\n".join(attributes.values())}
    cls.__doc__ = text % shared + "\n"


def _entries(text: str, section: str) -> dict[str, str]:
    """Return the entries of a section of a numpydoc docstring, by name."""
    body = text.partition(f"{section}\n{'-' * len(section)}\n")[2]
    body = re.split(r"\n\n\w[\w ]*\n---", body)[0].strip()
    entries = [entry for entry in re.split(r"\n(?=\w+ : )", body) if " : " in entry]
    return {entry.partition(" : ")[0]: entry for entry in entries}


def _wrap(text: str) -> str:
    return textwrap.indent(textwrap.fill(text, 88), "    ")
