"""One declaration of a parameter: its default, what it may be, its description, and who reads it.

Roles of a parameter:

- ``"prior"``: adaptation to a new task depends on it, so a prior keeps it.
- ``"training"``: only meta-training depends on it.
- ``"machine"``: no result depends on it, so that a checkpoint can be resumed with another value.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, field
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from skmeta._docstrings import SHARED_PARAMETERS
from skmeta._sklearn_compat import parameter_names, validate_params
from skmeta.training import OUTER_LOOP_CONSTRAINTS

ATTRIBUTES = """\
prior_ : MetaPrior
    What was learned.
history_ : dict of list
    Learning curve, one entry for each evaluation: ``iteration``, ``train_loss``, ``train_score``,
    ``validation_loss``, ``validation_score`` (accuracy, or minus the squared error in
    standardised units), ``meta_lr``, ``seconds``. For comparison, the same in each entry, the
    scores of plain models on the validation tasks: ``nearest_mean_score``, ``task_ridge_score``,
    ``pooled_ridge_score`` (those that apply).
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, if ``X`` had some."""


def parameter(default: Any, kind: str, text: str, *constraints: Any, role: str = "prior") -> Any:
    """Declare a parameter of a learner, as a field of its dataclass.

    Parameters
    ----------
    default : object
        Its default.
    kind, text : str
        Type and description, for the docstring.
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
    metadata = {"kind": kind, "text": text, "constraints": list(constraints), "role": role}
    return field(default=default, metadata=metadata)


def shared_parameter(name: str, default: Any, role: str = "training") -> Any:
    """Declare a parameter that learners of policies have, too."""
    return parameter(default, *SHARED_PARAMETERS[name], *OUTER_LOOP_CONSTRAINTS[name], role=role)


class Declared(BaseEstimator):
    """Completes constraints and docstrings of its subclasses by their declared parameters."""

    shared_attributes: ClassVar[str] = ATTRIBUTES

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


def complete(cls: type[Declared]) -> None:
    """Write declared parameters and shared attributes into the docstring of a class.

    Parameters
    ----------
    cls : type
        ``%(parameters)s`` and ``%(attributes)s`` in its docstring are replaced. What it describes
        itself stays as it is.
    """
    if cls.__doc__ is None or "%(parameters)s" not in cls.__doc__:
        return
    text, lines = inspect.cleandoc(cls.__doc__), []
    for name, declared in declarations(cls).items():
        if f"\n{name} : " in text:
            continue
        default = getattr(cls, name, MISSING)
        default = default.default if isinstance(default, Field) else default
        lines += [f"{name} : {declared.metadata['kind']}, default={default!r}"]
        lines += ["    " + line for line in textwrap.wrap(declared.metadata["text"], 88)]
    cls.__doc__ = (
        text % {"parameters": "\n".join(lines), "attributes": cls.shared_attributes} + "\n"
    )
