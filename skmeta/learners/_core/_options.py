"""How tasks are drawn; and all settings of a run, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any

import torch

from skmeta._sklearn_compat import StrOptions
from skmeta.priors import MetaPrior
from skmeta.training import (
    Declared,
    ExecutionOptions,
    MetaOptimizer,
    Validation,
    parameter,
    read_parameters,
)


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
    values = read_parameters(learner)
    if values.get("backbone") == "mlp":
        prior = values.get("prior")
        # A learner that goes on from a prior has the prior's network.
        has_skip = prior.backbone_params.get("skip") if isinstance(prior, MetaPrior) else None
        has_skip = getattr(learner, "mlp_has_skip", False) if prior is None else has_skip
        if has_skip:
            values["backbone_params"] = {"skip": True, **(values["backbone_params"] or {})}
    return Settings(**{f.name: values[f.name] for f in fields(Settings) if f.name in values})


def read_setting(learner: Any, name: str) -> Any:
    """Read one setting that is no option: the learner's parameter, or the default of the others."""
    return vars(learner).get(name, getattr(Settings, name))
