"""Options, small groups of settings for experts; and all settings of a run, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from os import PathLike
from typing import Any

import torch

from skmeta._sklearn_compat import Interval, StrOptions, parameter_names
from skmeta.backend import MODES, NETWORK_PRECISIONS
from skmeta.learners._core._parameters import (
    Declared,
    as_option,
    declarations,
    option_class,
    parameter,
    shared_parameter,
)
from skmeta.priors import MetaPrior
from skmeta.training import OPTIMIZERS, SCHEDULES


@dataclass(repr=False)
class Validation(Declared):
    """How meta-training is validated, for the parameter ``validation``.

    Parameters
    ----------
    fraction : float, default=0.1
        Share of the classes or groups that is set aside to choose the best state by; at least
        ``n_way`` classes, and none if that were more than a third.
    n_tasks : int, default=100
        Tasks of a validation, and of ``score``.
    every : int, default=100
        Iterations between two validations, rows of ``history_`` and checkpoints.
    %(parameters)s

    Examples
    --------
    >>> from skmeta.learners import MAML, Validation
    >>> MAML(validation=Validation(0.2, patience=5)).set_params(validation__patience=3).validation
    Validation(fraction=0.2, patience=3)
    """

    fraction: float = parameter(0.1, Interval(Real, 0, 1, closed="left"), role="training")
    n_tasks: int = parameter(100, Interval(Integral, 1, None, closed="left"), role="training")
    every: int = parameter(100, Interval(Integral, 1, None, closed="left"), role="training")
    patience: int | None = shared_parameter("patience", None)


@dataclass(repr=False)
class MetaOptimizer(Declared):
    """The optimizer of the outer loop, for the parameter ``meta_optimizer``.

    Parameters
    ----------
    name : {"adam", "sgd"}, default="adam"
        The algorithm.
    schedule : {"auto", "constant", "linear", "cosine"}, default="auto"
        How ``meta_lr`` falls towards 0 at the last iteration. ``auto``: ``cosine`` for Adam,
        ``linear`` for SGD.
    %(parameters)s

    Examples
    --------
    >>> from skmeta.learners import MAML, MetaOptimizer
    >>> learner = MAML(meta_optimizer=MetaOptimizer("sgd", clip_norm=None), meta_lr=0.1)
    """

    name: str = parameter("adam", StrOptions(set(OPTIMIZERS)), role="training")
    schedule: str = parameter("auto", StrOptions({"auto", *SCHEDULES}), role="training")
    clip_norm: float | None = shared_parameter("clip_norm", 10.0)

    def resolve_schedule(self) -> str:
        """Return the schedule that ``"auto"`` stands for."""
        if self.schedule != "auto":
            return self.schedule
        return "linear" if self.name == "sgd" else "cosine"


@dataclass(repr=False)
class ExecutionOptions(Declared):
    """How meta-training computes, for the parameter ``execution``.

    Parameters
    ----------
    mode : {"auto", "loop", "threads", "vmap"}, default="auto"
        How the tasks of a meta-iteration are computed: one by one, one thread per task, or
        vectorised. ``auto`` chooses by device and size.
    precision : {"float32", "float64", "bfloat16"}, default="float32"
        Precision of meta-training. With ``bfloat16``, a network's convolutions and products of
        matrices are computed in it, while weights and statistics stay in float32; it needs a
        processor with AVX-512-BF16 or AMX, or a GPU.
    chunk_size : int or None, default=None
        Tasks vectorised at once; None: as many as fit into 1 GiB, or half of a GPU's memory.
    n_jobs : int or None, default=None
        Threads over tasks: -1 is one per core, None all that torch uses.

    Examples
    --------
    >>> from skmeta.learners import ExecutionOptions, MAML
    >>> learner = MAML(execution=ExecutionOptions(precision="float64", n_jobs=2))
    """

    mode: str = parameter("auto", StrOptions(set(MODES)), role="machine")
    precision: str = parameter("float32", StrOptions(set(NETWORK_PRECISIONS)), role="training")
    chunk_size: int | None = parameter(
        None, Interval(Integral, 1, None, closed="left"), None, role="machine"
    )
    n_jobs: int | None = parameter(None, Integral, None, role="machine")


@dataclass(repr=False)
class TaskSampling(Declared):
    """How meta-training draws the rows of a task, for the parameter ``sampling``.

    Parameters
    ----------
    shots_per : {"auto", "class", "task"}, default="auto"
        What ``n_shot`` and ``n_query`` count in classifications by groups. ``task``: rows in all,
        drawn as they come, so that a class may be absent and a group may have one class.
        ``class``: rows of each class. ``auto``: ``task``, unless the learner needs rows of each
        class (ProtoNet, and heads that start from prototypes).
    superclass : mapping, callable or None, default=None
        From a class to its superclass, such as the alphabet of a character. The classes of a task
        are then drawn from one superclass, and whole superclasses are set aside for validation.

    Examples
    --------
    >>> from skmeta.learners import ProtoNet, TaskSampling
    >>> learner = ProtoNet(sampling=TaskSampling(superclass=lambda name: name.split("/")[0]))
    """

    shots_per: str = parameter("auto", StrOptions({"auto", "class", "task"}), role="training")
    superclass: Any = parameter(None, Mapping, callable, None, role="training")


def task_type_parameter() -> Any:
    """Declare what the tasks are, for learners of both kinds."""
    return parameter("auto", StrOptions({"auto", "classification", "regression"}))


@dataclass(frozen=True)
class Settings:
    """What the machinery of a fit reads; the defaults are those of a learner in closed form.

    Attributes
    ----------
    task_type, n_way, ..., random_state
        The parameters of these names, with options as objects. Where a learner lacks a parameter,
        its default here holds: no outer loop, no network, and double precision.
    """

    task_type: str = "auto"
    n_way: int = 5
    n_shot: int | tuple[int, int] = 5
    n_query: int = 15
    sampling: TaskSampling = field(default_factory=TaskSampling)
    augment: Any = None
    backbone: Any = "identity"
    backbone_params: Mapping[str, Any] | None = None
    input_shape: tuple[int, ...] | None = None
    transductive: bool = False
    standardize: bool | str = "auto"
    prior: MetaPrior | str | None = None
    n_inner_steps: int = 0
    n_iterations: int = 0
    meta_batch_size: int = 1
    meta_lr: float = 1e-3
    meta_optimizer: MetaOptimizer = field(default_factory=MetaOptimizer)
    validation: Validation = field(default_factory=lambda: Validation(0.0))
    device: str | torch.device = "auto"
    execution: ExecutionOptions = field(
        default_factory=lambda: ExecutionOptions(precision="float64")
    )
    checkpoint: str | PathLike[str] | None = None
    verbose: int = 0
    random_state: Any = None

    @property
    def draws_tasks(self) -> bool:
        """Whether meta-training draws tasks; a learner in closed form uses all rows at once."""
        return self.n_iterations > 0 or self.validation.fraction > 0


def read_settings(learner: Any) -> Settings:
    """Read the settings of a learner, with its options checked.

    Parameters
    ----------
    learner : MetaLearner
        The learner.

    Returns
    -------
    Settings
        A number or a string in place of an option is its first setting.

    Raises
    ------
    ValueError
        If an option has a value that is not allowed, or a checkpoint could not be resumed.
    """
    values = {name: getattr(learner, name) for name in parameter_names(type(learner))}
    for name, declared in declarations(type(learner)).items():
        if (kind := option_class(declared)) is not None:
            values[name] = as_option(kind, values[name])
    given = {f.name: values[f.name] for f in fields(Settings) if f.name in values}
    settings = Settings(**given)
    precision = settings.execution.precision
    if precision not in learner.precisions:
        raise ValueError(
            f"{type(learner).__name__} computes in {' or '.join(learner.precisions)}, but "
            f"execution has precision={precision!r}. Set one of these."
        )
    if settings.checkpoint is not None and not isinstance(settings.random_state, Integral):
        raise ValueError(
            f"checkpoint={str(settings.checkpoint)!r} can only be resumed with the same tasks, but "
            f"random_state is {settings.random_state!r}. Set random_state to an integer."
        )
    return settings


def read_setting(learner: Any, name: str) -> Any:
    """Read one setting that is no option: the learner's parameter, or the default of the others."""
    return vars(learner).get(name, getattr(Settings, name))
