"""Learners with an outer loop, and those of a network: their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.learners._core._base import MetaLearner
from skmeta.learners._core._options import (
    ExecutionOptions,
    MetaOptimizer,
    TaskSampling,
    Validation,
)
from skmeta.learners._core._parameters import parameter, shared_parameter
from skmeta.priors import MetaPrior


@dataclass(kw_only=True, eq=False, repr=False)
class OuterLoopLearner(MetaLearner):
    """A learner that is meta-trained by an outer loop.

    Parameters
    ----------
    n_way : int, default=5
        Classes of a task that is drawn from classes. With groups it has no effect: a task then has
        all classes.
    sampling : TaskSampling or None, default=None
        How the rows of a task are drawn.
    prior : MetaPrior or None, default=None
        Where meta-training starts: ``prior_`` of a learner with the same backbone, such as last
        month's. Its network, its standardisation and what else the learners have in common are
        taken over. None draws the weights.
    n_iterations : int, default=1000
        Meta-iterations, at most.
    meta_optimizer : {"adam", "sgd"} or MetaOptimizer, default="adam"
        Optimizer of the outer loop. A :class:`MetaOptimizer` also says how the step size falls and
        how gradients are clipped.
    validation : float or Validation, default=0.1
        Share of the classes or groups that is set aside to choose the best state by; 0: none. A
        :class:`Validation` also says how often, on how many tasks, and when to stop early.
    execution : {"auto", "loop", "threads", "vmap"} or ExecutionOptions, default="auto"
        How the tasks of a meta-iteration are computed. An :class:`ExecutionOptions` also sets the
        precision, the number of threads and the tasks vectorised at once.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s
    """

    n_way: int = parameter(5, Interval(Integral, 2, None, closed="left"))
    sampling: Any = parameter(None, TaskSampling, None, role="training")
    prior: Any = parameter(None, MetaPrior, None, role="training")
    n_iterations: int = parameter(1000, Interval(Integral, 1, None, closed="left"), role="training")
    meta_batch_size: int = shared_parameter("meta_batch_size", 8)
    meta_lr: float = shared_parameter("meta_lr", 1e-3)
    meta_optimizer: Any = parameter("adam", str, MetaOptimizer, role="training")
    validation: Any = parameter(0.1, Real, Validation, role="training")
    execution: Any = parameter("auto", str, ExecutionOptions, role="machine")
    checkpoint: str | PathLike[str] | None = shared_parameter("checkpoint", None, role="machine")
    verbose: int = shared_parameter("verbose", 0, role="machine")


@dataclass(kw_only=True, eq=False, repr=False)
class NetworkLearner(OuterLoopLearner):
    """A learner that meta-trains a network: the base class for learners of your own.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="mlp"
        Network that turns a row into features: ``"mlp"``, ``"conv4"``, ``"resnet12"``,
        ``"identity"`` or ``"cells"``. A module of your own maps
        ``(n_rows, *input_shape)`` to ``(n_rows, n_features)``; dropout in it is inactive.
    backbone_params : dict or None, default=None
        Keyword arguments of a named backbone, such as ``{'hidden': (64, 64)}``.
    input_shape : tuple of int or None, default=None
        Shape that a row is given to the backbone in, such as ``(1, 28, 28)``. None takes it from
        ``X``; a square grey image is assumed for ``conv4`` and ``resnet12``.
    standardize : bool or "auto", default="auto"
        Whether features (and targets of a regression) are centred and scaled by the meta-training
        rows; ``auto``: tables, but not images.
    augment : str, callable, list of these or None, default=None
        Changes the images of meta-training tasks, but not of validation: ``'affine'`` turns,
        shears, scales and shifts each image; ``'mirror'`` and ``'rotations'`` mirror and turn
        those of a class alike, so that they are those of another class; a callable takes and
        returns the images of one task, a tensor ``(n_rows, channels, height, width)``, such as a
        transform of torchvision's v2.
    transductive : bool, default=False
        Whether batch normalisation uses the query set's own statistics, as the papers do, instead
        of the support set's. A row's prediction then depends on the rows beside it.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s
    """

    backbone: Any = parameter("mlp", role="training")
    backbone_params: dict[str, Any] | None = parameter(None, dict, None, role="training")
    input_shape: tuple[int, ...] | None = parameter(None, tuple, list, None, role="training")
    standardize: bool | str = parameter("auto", "boolean", StrOptions({"auto"}), role="training")
    augment: Any = parameter(None, str, list, tuple, callable, None, role="training")
    transductive: bool = parameter(False, "boolean")
