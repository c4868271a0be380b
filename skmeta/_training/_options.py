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

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import partial
from numbers import Integral, Real
from os import PathLike
from types import SimpleNamespace
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skmeta._backend import MODES, NETWORK_PRECISIONS, Execution, Network
from skmeta._sklearn_compat import Interval, StrOptions, parameter_names, printed, validate_params
from skmeta._training._loop import OPTIMIZERS, SCHEDULES
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
    # Whether many learners share its parameters, which then stand after their own.
    _is_shared: ClassVar[bool] = False

    def __init_subclass__(
        cls, kw_only: bool = True, eq: bool = False, shared: bool = False, **kwargs: Any
    ) -> None:
        cls._is_shared = shared
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
        if kw_only:
            _order_parameters(cls)
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
    """Return the declared parameters of a class by name: the algorithm's own, then shared ones."""
    fields: dict[str, Field[Any]] = {}
    own: list[str] = []
    shared: list[str] = []
    for base in cls.__mro__ if inherited else (cls,):
        known = vars(base).get("__dataclass_fields__", {})
        declared = [n for n in inspect.get_annotations(base) if n in known and known[n].metadata]
        fields = {n: known[n] for n in declared} | fields
        if vars(base).get("_is_shared"):
            shared += [n for n in declared if n not in shared]
        else:
            own = declared + [n for n in own if n not in declared]
    return {n: fields[n] for n in [*(n for n in own if n not in shared), *shared]}


def _order_parameters(cls: type) -> None:
    """Give the constructor's signature the order of :func:`declarations`."""
    if "__init__" not in vars(cls):
        return
    constructor: Any = vars(cls)["__init__"]
    known = inspect.signature(constructor).parameters
    order = ["self", *declarations(cls)]
    names = [*(n for n in order if n in known), *(n for n in known if n not in order)]
    constructor.__signature__ = inspect.Signature([known[n] for n in names])


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
    """Write the parameters and attributes that base classes describe into a class's docstring."""
    if not vars(cls).get("__doc__"):
        return
    inherited: dict[str, dict[str, str]] = {"Parameters": {}, "Attributes": {}}
    for base in reversed(cls.__mro__[1:]):
        sections_of_base = _sections(vars(base).get("__doc__"))
        for name, entries in inherited.items():
            entries |= _entries(sections_of_base.get(name, ""))
    intro, *sections = _sections(cls.__doc__).items()
    known, defaults = dict(sections), {each.name: each.default for each in fields(cls)}
    described = _entries(known.pop("Parameters", ""))
    parameters = {}
    for name in declarations(cls):
        if name not in described and name in inherited["Parameters"]:
            header, _, description = inherited["Parameters"][name].partition("\n")
            header = f"{header.partition(', default=')[0]}, default={defaults[name]!r}"
            described[name] = f"{header}\n{description}"
        if name in described:
            parameters[name] = described.pop(name)
    parameters |= described
    attributes = inherited["Attributes"] | _entries(known.pop("Attributes", ""))
    written = {"Parameters": "\n".join(parameters.values())}
    written |= {"Attributes": "\n".join(attributes.values())} | known
    parts = [f"{name}\n{'-' * len(name)}\n{body}" for name, body in written.items() if body]
    cls.__doc__ = "\n\n".join([intro[1], *parts]) + "\n"


def _sections(docstring: str | None) -> dict[str, str]:
    """Return the sections of a numpydoc docstring by title; that of the introduction is empty."""
    titles = r"(?:^|\n\n)(\w[\w ]*)\n---+\n"
    intro, *rest = re.split(titles, inspect.cleandoc(docstring or ""))
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return {"": intro.strip()} | {name: body.strip() for name, body in pairs}


def _entries(section: str) -> dict[str, str]:
    """Return the entries of a section of a numpydoc docstring, by name."""
    entries = [entry for entry in re.split(r"\n(?=\w+ : )", section) if " : " in entry]
    return {entry.partition(" : ")[0]: entry for entry in entries}


# ------------------------------------------- what each meta-training is told, and options

# -1 is one thread per core, -2 one less.
N_JOBS = (
    Interval(Integral, 1, None, closed="left"),
    Interval(Integral, None, -1, closed="right"),
    None,
)


class Validation(Declared, kw_only=False, eq=True):
    """How meta-training is validated, for the parameter ``validation``.

    Parameters
    ----------
    fraction : float, default=0.1
        Share of the classes or groups that is set aside to choose the best state by; at least
        ``n_way`` classes, and none if that were more than a third. Policies are validated on new
        tasks, unless it is 0.
    n_tasks : int, default=100
        Tasks of a validation, and of ``score``.
    every : int, default=100
        Iterations between two validations, rows of ``learning_curve_`` and checkpoints.
    patience : int, "auto" or None, default="auto"
        Validations without a better score after which meta-training ends. ``auto``: half of
        those of ``n_iterations``, and at least five; never for policies, learned optimizers and
        MetaNAS, whose search has phases. None: never.

    Examples
    --------
    >>> from skmeta.learners import MAML, Validation
    >>> MAML(validation=Validation(0.2, patience=5)).set_params(validation__patience=3).validation
    Validation(fraction=0.2, patience=3)
    """

    fraction: float = parameter(0.1, Interval(Real, 0, 1, closed="left"), role="training")
    n_tasks: int = parameter(100, Interval(Integral, 1, None, closed="left"), role="training")
    every: int = parameter(100, Interval(Integral, 1, None, closed="left"), role="training")
    patience: int | str | None = parameter(
        "auto",
        Interval(Integral, 1, None, closed="left"),
        StrOptions({"auto"}),
        None,
        role="training",
    )


class MetaOptimizer(Declared, kw_only=False, eq=True):
    """The optimizer of the outer loop, for the parameter ``meta_optimizer``.

    Parameters
    ----------
    name : {"adam", "sgd"}, default="adam"
        The algorithm.
    schedule : {"auto", "constant", "linear", "cosine"}, default="auto"
        How ``meta_lr`` falls towards 0 at the last iteration. ``auto``: ``cosine`` for Adam,
        ``linear`` for SGD.
    clip_norm : float or None, default=10.0
        Largest norm of the meta-gradient; None does not clip.

    Examples
    --------
    >>> from skmeta.learners import MAML, MetaOptimizer
    >>> learner = MAML(meta_optimizer=MetaOptimizer("sgd", clip_norm=None), meta_lr=0.1)
    """

    name: str = parameter("adam", StrOptions(set(OPTIMIZERS)), role="training")
    schedule: str = parameter("auto", StrOptions({"auto", *SCHEDULES}), role="training")
    clip_norm: float | None = parameter(
        10.0, Interval(Real, 0, None, closed="neither"), None, role="training"
    )

    def resolve_schedule(self) -> str:
        """Return the schedule that ``"auto"`` stands for."""
        if self.schedule != "auto":
            return self.schedule
        return "linear" if self.name == "sgd" else "cosine"


class ExecutionOptions(Declared, kw_only=False, eq=True):
    """How meta-training computes, for the parameter ``execution``.

    Parameters
    ----------
    mode : {"auto", "loop", "threads", "vmap"}, default="auto"
        How the tasks of a meta-iteration are computed: one by one, one thread per task, or
        vectorised, as many at once as fit into 1 GiB or half of a GPU's memory. ``auto`` chooses by
        device and size.
    precision : {"float32", "float64", "bfloat16"}, default="float32"
        Precision of meta-training. With ``bfloat16``, a network's convolutions and products of
        matrices are computed in it, while weights and statistics stay in float32; it saves time on
        processors with AVX-512-BF16 or AMX, and on GPUs.
    n_jobs : int or None, default=None
        Threads over tasks: -1 is one per core, None all that torch uses.
    checkpoint : path or None, default=None
        File from which an interrupted ``fit`` resumes. See :ref:`going-on`.

    Examples
    --------
    >>> from skmeta.learners import ExecutionOptions, MAML
    >>> learner = MAML(execution=ExecutionOptions(precision="float64", n_jobs=2))
    """

    mode: str = parameter("auto", StrOptions(set(MODES)), role="machine")
    precision: str = parameter("float32", StrOptions(set(NETWORK_PRECISIONS)), role="training")
    n_jobs: int | None = parameter(None, *N_JOBS, role="machine")
    checkpoint: str | PathLike[str] | None = parameter(None, str, PathLike, None, role="machine")

    def open(
        self, network: Network, device: torch.device, flops_per_task: float, **more: Any
    ) -> Execution:
        """Decide how tasks are computed; the arguments are those of ``Execution``."""
        return Execution(
            self.mode,
            device=device,
            flops_per_task=flops_per_task,
            n_jobs=self.n_jobs,
            can_vectorise=partial(getattr, network, "can_vectorise"),
            **more,
        )


class FitSettings(Declared, shared=True):
    """Settings of every learner, with an outer loop or without.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        Where to compute; ``auto`` takes a GPU if there is one.
    """

    # What it may compute in.
    _precisions: ClassVar[tuple[str, ...]] = tuple(NETWORK_PRECISIONS)

    device: Any = parameter("auto", str, torch.device, role="machine")


class OuterLoopSettings(FitSettings, shared=True):
    """Settings of a learner with an outer loop.

    Parameters
    ----------
    n_iterations : int, default=1000
        Meta-iterations, at most.
    meta_batch_size : int, default=8
        Tasks of a meta-iteration.
    meta_lr : float, default=0.001
        Step size of the outer loop (beta in the papers) at its start.
    meta_optimizer : {"adam", "sgd"} or MetaOptimizer, default="adam"
        Optimizer of the outer loop, or a :class:`~skmeta.learners.MetaOptimizer`.
    validation : float or Validation, default=0.1
        Share of the classes or groups that is set aside to choose the best state, or a
        :class:`~skmeta.learners.Validation`, which can also stop early.
    execution : {"auto", "loop", "threads", "vmap"} or ExecutionOptions, default="auto"
        How tasks are computed, or an :class:`~skmeta.learners.ExecutionOptions`, which also has the
        precision and the file of a checkpoint. See :ref:`execution`.
    verbose : int, "auto" or "bar", default="auto"
        ``"bar"`` and 1 show a progress bar, ``"auto"`` in a terminal or notebook only, after two
        seconds; 0 shows nothing.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the random weights and tasks.
    """

    n_iterations: int = parameter(1000, Interval(Integral, 1, None, closed="left"), role="training")
    meta_batch_size: int | str = parameter(
        8, Interval(Integral, 1, None, closed="left"), role="training"
    )
    meta_lr: float | str = parameter(
        1e-3, Interval(Real, 0, None, closed="neither"), role="training"
    )
    meta_optimizer: Any = parameter("adam", str, MetaOptimizer, role="training")
    validation: Any = parameter(0.1, Real, Validation, role="training")
    execution: Any = parameter("auto", str, ExecutionOptions, role="machine")
    verbose: int | str = parameter("auto", "verbose", StrOptions({"auto", "bar"}), role="machine")
    random_state: Any = parameter(None, "random_state", np.random.Generator, role="training")


def read_parameters(learner: FitSettings) -> SimpleNamespace:
    """Read and check the parameters of a learner, with its options as objects.

    A number or a string in place of an option is its first setting.
    """
    values = {name: getattr(learner, name) for name in parameter_names(type(learner))}
    values |= options_of(learner)
    execution = values.get("execution", ExecutionOptions())
    precision, checkpoint = execution.precision, execution.checkpoint
    if "execution" in values and precision not in learner._precisions:
        raise ValueError(
            f"{type(learner).__name__} computes in {' or '.join(learner._precisions)}, but "
            f"execution has precision={precision!r}. Set one of these."
        )
    if checkpoint is not None and not isinstance(values["random_state"], Integral):
        raise ValueError(
            f"checkpoint={str(checkpoint)!r} can only be resumed with the same tasks, but "
            f"random_state is {values['random_state']!r}. Set random_state to an integer."
        )
    return SimpleNamespace(**values)


def fingerprint(learner: Any, *content: Any) -> str:
    """Return a hexadecimal digest of a run's settings and data, which its checkpoint must have."""
    settings = settings_by_role(learner, "prior", "training")
    text = {n: printed(getattr(value, "digest", value)) for n, value in settings}
    names = [learner_name(type(learner)), text]
    digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
    for part in content:
        values = np.asarray(part)
        is_number = values.dtype.kind in "biuf"
        digest.update(np.ascontiguousarray(values if is_number else values.astype(str)).tobytes())
    return digest.hexdigest()
