"""The contract of a meta-learning algorithm: pure methods on states, tasks and a context.

Before it stand the heads and losses that algorithms share. Notation: n rows, d features, k outputs
(classes, or 1 for a regression). A linear head is ``head.weight`` (k, d) and ``head.bias`` (k,). It
starts from one learned row for all classes (``shared``; Ye and Chao (2022), How to train your MAML
to excel in few-shot classification, section 5), from zero (``zeros``), from a learned row per class
(``learned``, MAML), or from class means (``prototype``; Triantafillou et al. (2020), Meta-Dataset,
section 3.1).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._backend import Execution, Network, Rows, Scaler, State, TaskTensors, TensorAdapter
from skmeta.learners._core._inputs import TaskSource
from skmeta.priors import MetaPrior

HEADS = ("auto", "shared", "zeros", "prototype", "learned")


def initial_head(head: str, n_features: int, n_rows: int, generator: torch.Generator) -> State:
    """Draw the meta-parameters of a head: `n_rows` learned rows, one shared row, or none."""
    if head in ("zeros", "prototype"):
        return {}
    rows = n_rows if head == "learned" else 1
    bound = n_features**-0.5
    weight = torch.empty(rows, n_features).uniform_(-bound, bound, generator=generator)
    return {"head.weight": weight, "head.bias": torch.zeros(rows)}


def start_head(head: str, state: State, classes: Tensor, n_features: int, like: Tensor) -> State:
    """Make the head that a task starts from before its rows are known.

    `classes` (k,) is the row of each output in a learned head; `like` gives device and precision.
    """
    k = classes.shape[0]
    if head == "learned":
        return {n: state[n].index_select(0, classes) for n in ("head.weight", "head.bias")}
    if head == "shared":
        weight, bias = state["head.weight"], state["head.bias"]
        return {"head.weight": weight.expand(k, -1), "head.bias": bias.expand(k)}
    zeros = like.new_zeros(k, n_features + 1)
    return {"head.weight": zeros[:, 1:], "head.bias": zeros[:, 0]}


def prototype_head(features: Tensor, support: Rows, k: int) -> State:
    """Make the head that classifies by the nearest class mean c: w = 2 c, b = -|c|^2."""
    centres, offset = class_means(features, support, k)
    return {"head.weight": 2 * centres, "head.bias": offset - (centres * centres).sum(1)}


def class_means(features: Tensor, rows: Rows, k: int) -> tuple[Tensor, Tensor]:
    """Compute the weighted mean feature of each class (k, d), and what to add to the logits (k,).

    A class without rows has mean 0 and an offset of -1e9, so that it is never predicted.
    """
    member = _membership(rows.y, features.new_empty(len(rows.y), k)) * rows.w[:, None]
    weight = member.sum(0)
    means = (member.T @ features) / torch.where(weight > 0, weight, 1.0)[:, None]
    return means, torch.where(weight > 0, 0.0, -1e9).to(features.dtype)


def _membership(y: Tensor, like: Tensor) -> Tensor:
    # F.one_hot looks at the values of y, which vmap does not allow.
    return (y[:, None] == torch.arange(like.shape[1], device=y.device)).to(like.dtype)


def linear(state: State, features: Tensor) -> Tensor:
    """Return the outputs (n, k) of the head on features (n, d)."""
    return features @ state["head.weight"].T + state["head.bias"]


def loss(kind: str, outputs: Tensor, rows: Rows, smoothing: float | Tensor = 0.0) -> Tensor:
    """Compute the weighted mean cross-entropy, or mean squared error, of outputs (n, k).

    A class that is true has the probability 1 - `smoothing`, and all share the rest.
    """
    if kind == "classification":
        log_p = F.log_softmax(outputs, 1)
        losses = -(log_p * _membership(rows.y, log_p)).sum(1)
        if isinstance(smoothing, Tensor) or smoothing:
            losses = losses - smoothing * (losses + log_p.mean(1))
    else:
        losses = (outputs[:, 0] - rows.y) ** 2
    return (rows.w * losses).sum() / rows.w.sum()


def score(kind: str, outputs: Tensor, rows: Rows) -> Tensor:
    """Compute the weighted accuracy, or minus the weighted mean squared error."""
    if kind == "classification":
        hits = (outputs.argmax(1) == rows.y).to(rows.w.dtype)
        return (rows.w * hits).sum() / rows.w.sum()
    return -loss(kind, outputs, rows)


def measures(kind: str, outputs: Tensor, rows: Rows) -> State:
    """Return the metrics of a task, ``"loss"`` and ``"score"``, each a tensor of shape ()."""
    return {"loss": loss(kind, outputs, rows), "score": score(kind, outputs, rows)}


# ----------------------------------------------------------------------------- the contract


# One logit per row and class of a support set, which most learners compute.
_MAX_ONE_HOT = 25_000_000


@dataclass(frozen=True)
class Context:
    """Network, kind and head of a task: all that is fixed while it is learned.

    Attributes
    ----------
    network : Network
        Turns rows into features.
    kind : {"classification", "regression"}
        What the tasks are.
    head : {"none", "shared", "zeros", "prototype", "learned"}
        What a task's linear head starts from; ``"none"`` if the learner has no such head.
    classes : Tensor of shape (n_outputs,)
        Row of each output in a learned head; its length alone matters to other heads.
    progress : float
        Share of the meta-training that is done; 1 for a new task.
    transductive : bool
        Whether batch normalisation uses the query set's own statistics.
    dtype : torch.dtype
        Precision of a learner's own network, where it may be lower than that of its rows.
    """

    network: Network
    kind: str
    head: str
    classes: Tensor
    progress: float = 1.0
    transductive: bool = False
    dtype: torch.dtype = torch.float32

    @property
    def n_outputs(self) -> int:
        """Number of classes, or 1 for a regression."""
        return int(self.classes.shape[0])

    @property
    def has_equal_rows(self) -> bool:
        """Whether a task's head starts with the same row for every class."""
        return self.kind == "classification" and self.head in ("shared", "zeros")

    def features(self, adapted: State, x: Tensor) -> Tensor:
        """Return features of query rows, by statistics of the support set or of their own."""
        if self.transductive and self.network.has_statistics:
            return self.network.measure(adapted, x)[0]
        return self.network.features(adapted, x)


class Algorithm(ABC):
    """What an author of a learner writes: methods without side effects. See :ref:`own-learner`.

    Parameters
    ----------
    settings : learner
        The learner whose parameters the methods read.

    Notes
    -----
    State is passed in and returned, never kept. ``state`` are the meta-parameters, and ``adapted``
    what :meth:`adapt` makes of them for a task, as named tensors; ``support`` and ``task.query``
    are rows x (n_rows, *input_shape) with targets y and weights w (n_rows,); metrics are ``"loss"``
    and ``"score"`` (greater is better).
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
    # Whether ``patience="auto"`` may end meta-training before its last iteration.
    can_end_early: ClassVar[bool] = True
    # Whether ``backbone="mlp"`` has the input beside the last hidden layer.
    mlp_has_skip: ClassVar[bool] = False

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def init_state(self, context: Context, generator: torch.Generator) -> State:
        """Draw the meta-parameters: the state that meta-training changes."""

    def estimate_state(
        self,
        context: Context,
        adapter: TensorAdapter,
        scaler: Scaler,
        state: State,
        source: TaskSource,
        rng: np.random.Generator,
    ) -> State:
        """Estimate a part of the drawn state in closed form, before the outer loop."""
        return state

    @abstractmethod
    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        """Learn a task from its support set, or continue from the `start` that a call returned."""

    @abstractmethod
    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        """Predict logits, or standardised targets, (n_rows, n_outputs) with an adapted state."""

    def task_attributes(self, context: Context, adapted: State) -> dict[str, Any]:
        """Return what an estimator that learned the task shows, by names that end with ``_``."""
        return {}

    def prepare(self, context: Context, adapted: State) -> State:
        """Compute once what each call of :meth:`forward` for a task would compute again."""
        return dict(adapted)

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        """Return the loss of the query set after adaptation to the support set, and metrics."""
        adapted = self.adapt(context, state, task.support)
        outputs = self.forward(context, adapted, task.query.x)
        metrics = measures(context.kind, outputs, task.query)
        return metrics["loss"], metrics

    @property
    def validates_query(self) -> bool:
        """Whether a validation measures the query set, or else the support set."""
        return True

    def recording_key(self, context: Context) -> Hashable:
        """Return what the meta-gradient depends on besides state and task; None: do not record."""
        # A subclass may depend on anything, so each class says itself that it can be recorded.
        return "exact" if vars(type(self)).get("can_be_recorded") else None

    def meta_gradient(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[State, State]:
        """Return the gradient that the outer optimizer descends for one task, and metrics."""

        def objective(at: State) -> tuple[Tensor, State]:
            return self.meta_loss(context, at, task)

        gradient, metrics = torch.func.grad(objective, has_aux=True)(state)
        return gradient, metrics

    def mean_gradient(
        self, context: Context, state: State, tasks: TaskTensors, execution: Execution
    ) -> tuple[State, State]:
        """Return the mean of :meth:`meta_gradient` over the stacked tasks of a meta-batch."""
        key = self.recording_key(context)
        if type(self).meta_gradient is Algorithm.meta_gradient:
            # The gradient of a loss: one backward pass serves all tasks.
            return execution.gradient(partial(self.meta_loss, context), state, tasks, key)
        mean: tuple[State, State] = execution.mean(
            partial(self.meta_gradient, context), state, tasks, key
        )
        return mean

    def check_task(self, prior: MetaPrior, n_rows: int, n_columns: int, n_classes: int) -> None:
        """Raise an error or warn if a support set of this size is too large."""
        if n_rows * n_classes > _MAX_ONE_HOT:
            raise ValueError(
                f"{n_rows:,} rows of {n_classes:,} classes make {n_rows * n_classes:,} logits, but "
                f"a prior of this kind takes at most {_MAX_ONE_HOT:,} in fit. Pass fewer rows or "
                "classes, or use prior='tabular', whose memory does not grow with their product."
            )

    def is_sound(self, name: str, value: Tensor) -> bool:
        """Return whether a tensor of an adapted state has values that it may have."""
        return bool(value.isfinite().all())

    def resolve_head(self, kind: str, names_kind: str) -> str:
        """Choose what the linear head of a new task starts from; "none" if there is no head."""
        return "none"

    def needs_every_class(self, head: str) -> bool:
        """Return whether a task can only be learned from rows of each of its classes."""
        return False
