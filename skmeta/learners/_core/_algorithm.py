"""The contract of a meta-learning algorithm: settings, and pure methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skmeta.backend import Execution, Rows, Scaler, State, TaskTensors, TensorAdapter
from skmeta.learners._core._heads import Context, measures
from skmeta.learners._core._task_source import TaskSource
from skmeta.priors import MetaPrior
from skmeta.training import FitSettings

# Labels of each row as zeros and ones.
_MAX_ONE_HOT = 25_000_000


@dataclass(kw_only=True, eq=False, repr=False)
class Algorithm(FitSettings, ABC):
    """The contract of an algorithm, for authors of learners: methods without side effects.

    State is passed in and returned, never kept on the learner. Users call the methods of
    :class:`MetaLearner`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("classification", "regression")
    # Whether a value of a row may be missing (NaN).
    allow_nan: ClassVar[bool] = False
    # The tensor of a state that has a row for each class, if the classes of all tasks are the same.
    class_tensor: ClassVar[str] = "head.weight"
    # Whether a task may have classes for which a prior that has parameters of classes has none.
    takes_other_classes: ClassVar[bool] = False
    # Whether init_state itself takes the weights of the parameter ``prior``.
    loads_prior: ClassVar[bool] = False
    # Whether ``adapt`` does not use what it returned before, so that a pickle of a fitted estimator
    # needs the support set alone.
    adapts_anew: ClassVar[bool] = False
    # Whether the meta-gradient depends on the state and the task alone. It is not inherited.
    can_be_recorded: ClassVar[bool] = False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.allow_nan
        return tags

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

    def estimate_state(
        self,
        context: Context,
        adapter: TensorAdapter,
        scaler: Scaler,
        state: State,
        source: TaskSource,
        rng: np.random.Generator,
    ) -> State:
        """Estimate a part of the state in closed form, before the outer loop.

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
        self, context: Context, state: State, support: Rows, start: State | None = None
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
    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
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

    def prepare(self, context: Context, adapted: State) -> State:
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
        self, context: Context, state: State, task: TaskTensors
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
        metrics = measures(context.kind, outputs, task.query)
        return metrics["loss"], metrics

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
            By default None, which means that the meta-gradient is not recorded, unless the class
            itself says that it ``can_be_recorded``: a subclass may depend on anything.
        """
        return "exact" if vars(type(self)).get("can_be_recorded") else None

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
        mean: tuple[State, dict[str, Tensor]] = execution.mean(
            partial(self.meta_gradient, context), state, tasks, key
        )
        return mean

    def check_task(self, prior: MetaPrior, n_rows: int, n_columns: int, n_classes: int) -> None:
        """Raise an error or warn if a task is too large.

        By default, a learner computes a logit for each row and class of the support set.

        Parameters
        ----------
        prior : MetaPrior
            The prior.
        n_rows, n_columns, n_classes : int
            Size of the support set; no classes for a regression.

        Raises
        ------
        ValueError
            If it does not fit into memory.
        """
        if n_rows * n_classes > _MAX_ONE_HOT:
            raise ValueError(
                f"{n_rows:,} rows of {n_classes:,} classes make {n_rows * n_classes:,} logits, but "
                f"a prior of this kind takes at most {_MAX_ONE_HOT:,} in fit. Pass fewer rows or "
                "classes, or use prior='tabular', whose memory does not grow with their product."
            )

    @staticmethod
    def network_precision(precision: str, n_cells: int) -> str:
        """Choose the precision in which the network of a learner reads a table.

        Parameters
        ----------
        precision : {"float32", "float64"}
            Precision of the rows.
        n_cells : int
            Number of rows times number of columns.

        Returns
        -------
        {"float32", "float64"}
            By default ``precision``.
        """
        return precision

    def is_sound(self, name: str, value: Tensor) -> bool:
        """Return whether a tensor of an adapted state has values that it may have.

        Parameters
        ----------
        name : str
            Name of the tensor.
        value : Tensor
            The tensor.

        Returns
        -------
        bool
            By default whether all values are finite.
        """
        return bool(value.isfinite().all())

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
