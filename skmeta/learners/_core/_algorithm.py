"""The contract of a meta-learning algorithm: settings, and pure methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skmeta._doc_link import DocLink
from skmeta._sklearn_compat import Interval, StrOptions, parameter_names
from skmeta.backend import (
    NETWORK_PRECISIONS,
    Execution,
    Rows,
    Scaler,
    State,
    TaskTensors,
    TensorAdapter,
)
from skmeta.exceptions import EpisodeError
from skmeta.learners._core._context import Context, GroupMethods, TaskLimits
from skmeta.learners._core._heads import loss, score
from skmeta.learners._core._task_source import TaskSource
from skmeta.priors import MetaPrior
from skmeta.training import OUTER_LOOP_CONSTRAINTS

# Parameters that some learners had in version 0.1, where they had no effect.
REMOVED = frozenset({"head_init", "task_type", "first_order"})


@dataclass(kw_only=True, eq=False, repr=False)
class Algorithm(GroupMethods, DocLink, BaseEstimator, ABC):
    """A meta-learning algorithm: its settings, and pure methods that take the state they need."""

    backbone: Any = "mlp"
    backbone_params: dict[str, Any] | None = None
    input_shape: tuple[int, ...] | None = None
    n_way: int = 5
    n_shot: int | tuple[int, int] = 5
    n_query: int = 15
    shots_per: str = "auto"
    transductive: bool = False
    test_time_augment: Any = "auto"
    standardize: Any = "auto"
    prior: Any = None
    n_iterations: int = 1000
    meta_batch_size: int = 8
    meta_lr: float = 1e-3
    meta_optimizer: str = "adam"
    schedule: str = "cosine"
    clip_norm: float | None = 10.0
    label_noise: float = 0.0
    augment: Any = None
    superclass: Any = None
    validation_fraction: float = 0.1
    n_validation_tasks: int = 100
    evaluate_every: int = 100
    patience: int | None = None
    device: Any = "auto"
    precision: str = "float32"
    execution: str = "auto"
    chunk_size: int | None = None
    n_jobs: int | None = None
    checkpoint: str | PathLike[str] | None = None
    verbose: int = 0
    random_state: Any = None

    kinds: ClassVar[tuple[str, ...]] = ("classification", "regression")
    # Whether a value of a row may be missing (NaN).
    allow_nan: ClassVar[bool] = False
    # The tensor of a state that has a row for each class, if the classes of all tasks are the same.
    class_tensor: ClassVar[str] = "head.weight"
    # Whether a task may have classes for which a prior that has parameters of classes has none.
    takes_other_classes: ClassVar[bool] = False
    # Sizes and values that the learner takes in a new task.
    limits: ClassVar[TaskLimits] = TaskLimits()

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OUTER_LOOP_CONSTRAINTS,
        "backbone": "no_validation",  # build_backbone names what is wrong.
        "backbone_params": [dict, None],
        "input_shape": [tuple, list, None],
        "n_way": [Interval(Integral, 2, None, closed="left")],
        "n_shot": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "n_query": [Interval(Integral, 1, None, closed="left")],
        "shots_per": [StrOptions({"auto", "class", "task"})],
        "transductive": ["boolean"],
        "test_time_augment": [str, list, tuple, None],
        "standardize": ["boolean", StrOptions({"auto"})],
        "prior": [MetaPrior, None],
        "label_noise": [Interval(Real, 0, 1, closed="left")],
        "augment": [str, list, tuple, callable, None],
        "superclass": [Mapping, callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_validation_tasks": [Interval(Integral, 1, None, closed="left")],
        "precision": [StrOptions(set(NETWORK_PRECISIONS))],
    }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle; parameters that this class had in an earlier version are dropped."""
        names = parameter_names(type(self))
        super().__setstate__({n: v for n, v in state.items() if n in names or n not in REMOVED})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.allow_nan
        return tags

    def starting_prior(self) -> MetaPrior | None:
        """Return the prior that meta-training starts from, unless :meth:`init_state` reads it.

        Returns
        -------
        MetaPrior or None
            None if weights are drawn, or if :meth:`init_state` takes them from ``prior``.
        """
        start: MetaPrior | None = self.prior
        return start

    @abstractmethod
    def init_state(self, context: Context, generator: torch.Generator) -> State:
        """Draw the meta-parameters.

        Parameters
        ----------
        context : Context
            Network, kind and head of the tasks.
        generator : torch.Generator
            Source of the random numbers.

        Returns
        -------
        dict of Tensor
            The state that meta-training changes.
        """

    def begin_state(
        self,
        context: Context,
        adapter: TensorAdapter,
        scaler: Scaler,
        state: State,
        source: TaskSource,
        rng: np.random.Generator,
    ) -> State:
        """Make the state that meta-training begins with, from the one drawn and the rows given.

        Parameters
        ----------
        context : Context
            Network, kind and head of the tasks.
        adapter : TensorAdapter
            Brings rows to the device.
        scaler : Scaler
            The standardisation that ``adapter`` applies.
        state : dict of Tensor
            What :meth:`init_state` drew.
        source : TaskSource
            The rows.
        rng : numpy.random.Generator
            Draws tasks, if they are needed.

        Returns
        -------
        dict of Tensor
            The state, by default as it was drawn.
        """
        return state

    @abstractmethod
    def adapt(
        self,
        context: Context,
        state: Mapping[str, Tensor],
        support: Rows,
        start: State | None = None,
    ) -> State:
        """Learn a task from its support set.

        Parameters
        ----------
        context : Context
            Network, kind and head of the task.
        state : mapping of str to Tensor
            The prior.
        support : Rows
            The support set.
        start : dict of Tensor, optional
            What an earlier call returned, to continue the adaptation from.

        Returns
        -------
        dict of Tensor
            The adapted state, as :meth:`forward` takes it.
        """

    @abstractmethod
    def forward(self, context: Context, adapted: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Predict query rows with an adapted state.

        Parameters
        ----------
        context : Context
            Network, kind and head of the task.
        adapted : mapping of str to Tensor
            What :meth:`adapt` returned.
        x : Tensor of shape (n_rows, *input_shape)
            Query rows.

        Returns
        -------
        Tensor of shape (n_rows, n_outputs)
            Logits, or standardised predictions.
        """

    def prepare(self, context: Context, adapted: Mapping[str, Tensor]) -> State:
        """Compute once what each call of :meth:`forward` for a task would compute again.

        Parameters
        ----------
        context : Context
            The surroundings of the task.
        adapted : mapping of str to Tensor
            What :meth:`adapt` returned.

        Returns
        -------
        dict of Tensor
            What :meth:`forward` takes in place of ``adapted``; by default ``adapted`` itself.
        """
        return dict(adapted)

    def meta_loss(
        self, context: Context, state: Mapping[str, Tensor], task: TaskTensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of the query set after adaptation to the support set.

        Parameters
        ----------
        context : Context
            Network, kind and head of the task.
        state : mapping of str to Tensor
            The prior.
        task : TaskTensors
            The task.

        Returns
        -------
        loss : Tensor of shape ()
            Cross-entropy, or squared error in standardised units.
        metrics : dict of Tensor
            ``"loss"`` and ``"score"`` (greater is better).
        """
        adapted = self.adapt(context, state, task.support)
        outputs = self.forward(context, adapted, task.query.x)
        value = loss(context.kind, outputs, task.query)
        return value, {"loss": value, "score": score(context.kind, outputs, task.query)}

    def recording_key(self, context: Context) -> Hashable:
        """Return what :meth:`meta_gradient` depends on besides the state and the task.

        As long as it is the same, a meta-training records the operations of the meta-gradient once,
        and repeats them.

        Parameters
        ----------
        context : Context
            Network, kind and head of the task. Only ``context.progress`` changes.

        Returns
        -------
        hashable or None
            By default None: the meta-gradient is not recorded.
        """
        return None

    def meta_gradient(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[State, dict[str, Tensor]]:
        """Compute the gradient that the outer optimizer descends, for one task.

        Parameters
        ----------
        context : Context
            Network, kind and head of the task.
        state : dict of Tensor
            The prior.
        task : TaskTensors
            The task.

        Returns
        -------
        gradient : dict of Tensor
            With the names and shapes of ``state``.
        metrics : dict of Tensor
            ``"loss"`` and ``"score"``.
        """

        def objective(at: State) -> tuple[Tensor, dict[str, Tensor]]:
            return self.meta_loss(context, at, task)

        gradient, metrics = torch.func.grad(objective, has_aux=True)(state)
        return gradient, metrics

    def mean_gradient(
        self, context: Context, state: State, tasks: TaskTensors, execution: Execution
    ) -> tuple[State, dict[str, Tensor]]:
        """Compute the mean of :meth:`meta_gradient` over a meta-batch.

        Parameters
        ----------
        context : Context
            Network, kind and head of the tasks.
        state : dict of Tensor
            The prior.
        tasks : TaskTensors
            The tasks, stacked along axis 0.
        execution : Execution
            How tasks are computed.

        Returns
        -------
        gradient : dict of Tensor
            With the names and shapes of ``state``.
        metrics : dict of Tensor
            ``"loss"`` and ``"score"``.
        """
        key = self.recording_key(context)
        if type(self).meta_gradient is Algorithm.meta_gradient:
            # The gradient of a loss: one backward pass serves all tasks.
            return execution.gradient(partial(self.meta_loss, context), state, tasks, key)
        mean: tuple[State, dict[str, Tensor]] = execution.mean_at(
            partial(self.meta_gradient, context), state, tasks, key
        )
        return mean

    def check_kind(self, kind: str) -> None:
        """Raise an error if the learner is not made for tasks of this kind.

        Parameters
        ----------
        kind : {"classification", "regression"}
            What the tasks are.

        Raises
        ------
        EpisodeError
            If they are of a kind that the learner cannot learn.
        """
        if kind not in self.kinds:
            raise EpisodeError(
                f"{type(self).__name__} learns {' and '.join(self.kinds)} tasks, but these are "
                f"{kind} tasks. Use a learner of {kind} tasks, such as MAML or MetaSGD."
            )

    def resolve_head(self, kind: str, names_kind: str) -> str:
        """Choose what the linear head of a new task starts from.

        Parameters
        ----------
        kind : {"classification", "regression"}
            What the tasks are.
        names_kind : {"classes", "groups"}
            What tasks are drawn from.

        Returns
        -------
        {"none", "shared", "zeros", "prototype", "learned"}
            The head; ``"none"`` if the learner has no linear head, which is the default.
        """
        return "none"

    def draws_tasks(self) -> bool:
        """Return whether ``fit`` draws tasks; a learner in closed form may use all rows at once.

        Returns
        -------
        bool
            True if there is an outer loop or a validation.
        """
        return self.n_iterations > 0 or self.validation_fraction > 0

    def needs_every_class(self, head: str) -> bool:
        """Return whether a task can only be learned from rows of each of its classes.

        Parameters
        ----------
        head : str
            What :meth:`resolve_head` returned.

        Returns
        -------
        bool
            By default False: a class without rows is known from other tasks.
        """
        return False

    def resolve_shots_per(self, kind: str, names_kind: str) -> str:
        """Decide whether ``n_shot`` counts the rows of each class, or of a task in all.

        Parameters
        ----------
        kind : {"classification", "regression"}
            What the tasks are.
        names_kind : {"classes", "groups"}
            What tasks are drawn from.

        Returns
        -------
        {"class", "task"}
            With ``shots_per="auto"``, rows in all for groups, unless the learner needs rows of
            each class.

        Raises
        ------
        EpisodeError
            If ``shots_per="task"`` cannot be.
        """
        if kind == "regression":
            return "task"
        needs_all = self.needs_every_class(self.resolve_head(kind, names_kind))
        if self.shots_per == "task" and (names_kind == "classes" or needs_all):
            why = (
                "tasks are drawn from classes, with as many rows of each"
                if names_kind == "classes"
                else "this learner needs rows of each class of a task"
            )
            raise EpisodeError(
                f"shots_per='task' draws rows whatever their class, but {why}. Set "
                "shots_per='class'."
            )
        if self.shots_per != "auto":
            return self.shots_per
        return "class" if names_kind == "classes" or needs_all else "task"

    def _features(self, context: Context, adapted: Mapping[str, Tensor], x: Tensor) -> Tensor:
        if self.transductive and context.network.has_statistics:
            return context.network.measure(adapted, x)[0]
        return context.network.features(adapted, x)
