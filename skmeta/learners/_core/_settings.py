"""Parameters of learners with an outer loop and a network; all settings of a run in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from numbers import Integral
from types import MappingProxyType, SimpleNamespace
from typing import Any

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta._training import (
    ExecutionOptions,
    MetaOptimizer,
    OuterLoopSettings,
    parameter,
    read_parameters,
)
from skmeta.backbones import resolve_backbone
from skmeta.priors import MetaPrior

# How outer loops of the papers step: no schedule, no clipping, the last state is kept.
PUBLISHED_LOOP: Mapping[str, Any] = MappingProxyType(
    {
        "meta_optimizer": MetaOptimizer(schedule="constant", clip_norm=None),
        "validation": 0.0,
        "n_way": 5,
    }
)


class TaskSettings(OuterLoopSettings, shared=True):
    """What the tasks of an outer loop are, and where it starts.

    Parameters
    ----------
    n_shot : int or tuple of two ints, default=5
        Support rows of a task; a range ``(low, high)`` draws the number. See :ref:`shots`.
    n_query : int, default=15
        Query rows of a task, counted as ``n_shot``.
    n_way : int or tuple of two ints, default=5
        Classes of a task that is drawn from classes; a range ``(low, high)`` draws the number for
        each meta-iteration. With groups, a task has all classes.
    sampling : {"auto", "class", "task"}, default="auto"
        What ``n_shot`` and ``n_query`` count in classifications by groups. See :ref:`shots`.
    superclass : mapping, callable or None, default=None
        From a class to the superclass that a task is drawn from. See :ref:`own-networks`.
    prior : MetaPrior or None, default=None
        Where meta-training starts; None draws the weights. See :ref:`going-on`.
    """

    n_shot: int | tuple[int, int] = parameter(
        5, Interval(Integral, 1, None, closed="left"), tuple, list
    )
    n_query: int = parameter(15, Interval(Integral, 1, None, closed="left"))
    n_way: int | tuple[int, int] = parameter(
        5, Interval(Integral, 2, None, closed="left"), tuple, list
    )
    sampling: str = parameter("auto", StrOptions({"auto", "class", "task"}), role="training")
    superclass: Any = parameter(None, Mapping, callable, None, role="training")
    prior: Any = parameter(None, MetaPrior, None, role="training")


class NetworkSettings(TaskSettings, shared=True):
    """The network of a learner, and the rows that it reads.

    Parameters
    ----------
    backbone : str, torch.nn.Module or an architecture, default="mlp"
        Network that turns a row into features: ``"mlp"``, ``"conv4"``, ``"identity"``, ``"cells"``,
        a module, or the ``architecture_`` that MetaNAS found. See :ref:`own-networks`.
    backbone_params : dict or None, default=None
        Keyword arguments of a named backbone, such as ``{'hidden': (64, 64)}``.
    input_shape : tuple of int or None, default=None
        Shape of a row for the backbone, such as ``(1, 28, 28)``; None takes it from ``X``.
    standardize : bool or "auto", default="auto"
        Whether features and targets are standardised; ``auto`` leaves images as they are, but
        divides those of bytes (uint8, 0 to 255) by 255.
    augment : str, callable, list of these or None, default=None
        Changes of images in meta-training: ``'affine'``, ``'mirror'``, ``'rotations'`` or a
        function. See :ref:`own-networks`.
    transductive : bool, default=False
        Whether query rows are normalised by their own statistics. See :ref:`transductive`.
    """

    backbone: Any = parameter("mlp", role="training")
    backbone_params: dict[str, Any] | None = parameter(None, dict, None, role="training")
    input_shape: tuple[int, ...] | None = parameter(None, tuple, list, None, role="training")
    standardize: bool | str = parameter("auto", "boolean", StrOptions({"auto"}), role="training")
    augment: Any = parameter(None, str, list, tuple, callable, None, role="training")
    transductive: bool = parameter(False, "boolean")


@cache
def _closed_form() -> dict[str, Any]:
    """Settings of a learner without a loop or a network: the identity, in double precision."""
    settings = NetworkSettings(
        n_iterations=0,
        validation=0.0,
        execution=ExecutionOptions(precision="float64"),
        backbone="identity",
        random_state=0,
    )
    return vars(read_parameters(settings)) | {"n_inner_steps": 0, "target_type": "auto"}


def read_settings(learner: Any) -> Any:
    """Read and check the settings of a learner.

    They are those of :func:`~skmeta._training.read_parameters`, with those of a closed form where
    it lacks some, and ``draws_tasks``: whether meta-training draws tasks or uses all rows at once.
    """
    settings = SimpleNamespace(**(_closed_form() | vars(read_parameters(learner))))
    settings.backbone, settings.backbone_params = resolve_backbone(
        settings.backbone, settings.backbone_params
    )
    if settings.meta_batch_size == "auto":
        settings.meta_batch_size = 25 if settings.backbone in ("mlp", "identity") else 4
    if settings.validation.patience == "auto":
        n = max(5, settings.n_iterations // (2 * settings.validation.every))
        patience = n if learner.algorithm.can_end_early else None
        settings.validation = replace(settings.validation, patience=patience)
    settings.draws_tasks = settings.n_iterations > 0 or settings.validation.fraction > 0
    if settings.backbone == "mlp":
        prior = settings.prior
        # A learner that goes on from a prior has the prior's network.
        has_skip = prior.backbone_params.get("skip") if isinstance(prior, MetaPrior) else None
        has_skip = learner.algorithm.mlp_has_skip if prior is None else has_skip
        if has_skip:
            settings.backbone_params = {"skip": True, **(settings.backbone_params or {})}
    return settings
