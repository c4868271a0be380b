"""Adaptation by gradient steps: what MAML, ANIL, Meta-SGD, Reptile and fine-tuning share.

``adapt`` takes ``n_inner_steps`` steps from the initial state of a task. A step descends the
support loss; ``update``, the idea of a learner, turns a gradient into a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from skmeta._backend import Rows, State
from skmeta._sklearn_compat import Interval, StrOptions
from skmeta._training import parameter
from skmeta.learners._core._algorithm import (
    HEADS,
    Algorithm,
    Context,
    initial_head,
    linear,
    loss,
    prototype_head,
    start_head,
)
from skmeta.learners._core._base import NetworkLearner
from skmeta.learners._core._inputs import target_type_parameter

Memory = dict[str, Any]
"""What an inner optimizer carries from step to step: tensors, and the number of steps."""

Measured = tuple[Tensor, State]
"""Features of a support set, and their normalisation statistics."""


class Point(NamedTuple):
    """An adaptation between two steps.

    `fast` has ``body.*`` and ``head.*``; `measured` the features of the support set at `fast` and
    their statistics, if known; `memory` is carried by the inner optimizer from step to step;
    `n_head_only` is the number of next steps whose loss has no gradient with respect to the body.
    """

    fast: State
    measured: Measured | None
    memory: Memory
    n_head_only: int


class InnerLoopAlgorithm(Algorithm):
    """Adapt a network and a linear head by gradient steps.

    A subclass may write a step (:meth:`update`), and which tensors a task adapts
    (:meth:`is_adapted`).
    """

    # What head_init="auto" means for tasks whose classes are new each time.
    default_head: ClassVar[str] = "prototype"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        # Whether the outer gradient ignores how the inner ones depend on the state.
        self.first_order: bool = getattr(settings, "first_order", True)

    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        point = self._start_point(context, state, support, start)
        for _ in range(self.n_steps(context)):
            point = self._take_step(context, state, point, support)
        return self._final_state(context, state, point, support)

    def n_steps(self, context: Context) -> int:
        """Return the number of inner steps: those of the meta-training, or of a new task."""
        n_train_steps: int | None = getattr(self.settings, "n_train_steps", None)
        if n_train_steps is None or context.progress == 1:
            n_train_steps = self.settings.n_inner_steps
        return n_train_steps

    @property
    def n_trained_steps(self) -> int:
        """Number of inner steps in meta-training, at least 1."""
        n_train_steps: int | None = getattr(self.settings, "n_train_steps", None)
        return max(1, self.settings.n_inner_steps if n_train_steps is None else n_train_steps)

    def _start_point(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> Point:
        if start is not None:
            # Normalisation statistics are computed again, not adapted.
            return Point({n: v for n, v in start.items() if not n.startswith("stat.")}, None, {}, 0)
        # Equal rows of the head give equal logits. The loss of a classification then has no
        # gradient in the body, of any order, and the first step need not look for it.
        return Point(*self.first_fast(context, state, support), {}, int(context.has_equal_rows))

    def first_fast(
        self, context: Context, state: State, support: Rows
    ) -> tuple[State, Measured | None]:
        """Return the ``body.*`` and ``head.*`` that a task starts from, and measured features."""
        body = {n: v for n, v in state.items() if n.startswith("body.")}
        if context.head == "prototype":
            measured = context.network.measure(body, support.x)
            return body | prototype_head(measured[0], support, context.n_outputs), measured
        n_features = context.network.n_features
        head = start_head(context.head, state, context.classes, n_features, support.w)
        return body | head, None

    def _take_step(self, context: Context, state: State, point: Point, support: Rows) -> Point:
        fast, measured, memory, n_head_only = point
        frozen = context.network.frozen & fast.keys()
        adapted = {n for n in fast if self.is_adapted(n)} - frozen
        body = {n for n in adapted if n.startswith("body.")}
        moved = adapted - body if n_head_only else adapted
        if moved.isdisjoint(body) and measured is None:
            measured = context.network.measure(fast, support.x)
        inner_loss = self._support_loss(context, state, fast, moved, support, measured)
        kept = {n: fast[n] for n in frozen}
        fast, memory, _ = self.descend(state, fast, memory, inner_loss, moved)
        fast = fast | kept
        if not (moved.isdisjoint(body) and self.skips_zero_gradient(state)):
            measured = None
        return Point(fast, measured, memory, max(0, n_head_only - 1))

    def support_loss(
        self, context: Context, state: State, outputs: Tensor, support: Rows
    ) -> Tensor:
        """Compute the loss of a support set that a step descends, of outputs (n, k)."""
        return loss(context.kind, outputs, support)

    def _support_loss(
        self,
        context: Context,
        state: State,
        fast: State,
        names: set[str],
        support: Rows,
        measured: Measured | None,
    ) -> Callable[[State], Tensor]:
        """Make the support loss as a function of the named tensors.

        Known features are used if the body is not among these tensors.
        """
        fixed = {n: v for n, v in fast.items() if n not in names}
        features = None
        if measured is not None and not any(n.startswith("body.") for n in names):
            features = measured[0].detach() if self.first_order else measured[0]

        def inner_loss(part: State) -> Tensor:
            at = fixed | part
            x = context.network.measure(at, support.x)[0] if features is None else features
            return self.support_loss(context, state, linear(at, x), support)

        return inner_loss

    def descend(
        self,
        state: State,
        fast: State,
        memory: Memory,
        inner_loss: Callable[[State], Tensor],
        moved: Set[str] | None = None,
    ) -> tuple[State, Memory, Tensor]:
        """Take one inner step on a loss of any kind, and return the loss before it, too."""
        # In a fixed order, so that an update may ravel them. Tensors that `moved` lacks have
        # gradient 0.
        part = {n: v for n, v in fast.items() if self.is_adapted(n)}
        at = {n: v for n, v in part.items() if moved is None or n in moved}
        gradient, value = self._inner_gradient(inner_loss, at)
        gradient = {n: gradient[n] if n in at else torch.zeros_like(v) for n, v in part.items()}
        part, memory = self.update(dict(state), part, gradient, memory, value)
        return fast | part, memory, value

    def _inner_gradient(
        self, inner_loss: Callable[[State], Tensor], at: State
    ) -> tuple[State, Tensor]:
        if not self.first_order:
            exact: tuple[State, Tensor] = torch.func.grad_and_value(inner_loss)(at)
            return exact
        gradient, value = torch.func.grad_and_value(inner_loss)(
            {n: v.detach() for n, v in at.items()}
        )
        return {n: g.detach() for n, g in gradient.items()}, value.detach()

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """Take one inner step: theta' = theta - alpha grad (Finn et al. 2017, equation 1)."""
        return {n: fast[n] - self.settings.inner_lr * gradient[n] for n in fast}, memory

    def _final_state(self, context: Context, state: State, point: Point, support: Rows) -> State:
        measured = point.measured
        if measured is None and context.network.has_statistics:
            measured = context.network.measure(point.fast, support.x)
        return point.fast if measured is None else point.fast | measured[1]

    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        return linear(adapted, context.features(adapted, x))

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        head = initial_head(
            context.head, context.network.n_features, len(context.classes), generator
        )
        return context.network.initial_weights() | head

    def learned_settings(self, adapted: State) -> State:
        """Return the initial values of the settings that are learned for adapted tensors."""
        return {}

    def is_adapted(self, name: str) -> bool:
        """Return whether a task adapts the tensor of this name."""
        return True

    def skips_zero_gradient(self, state: State) -> bool:
        """Return whether a step does not change a tensor whose gradient is zero."""
        return True

    def resolve_head(self, kind: str, names_kind: str) -> str:
        if kind == "regression":
            # One output, which means the same in every task.
            return "zeros" if self.settings.head_init == "zeros" else "learned"
        if self.settings.head_init == "auto":
            return self.default_head if names_kind == "classes" else "learned"
        return str(self.settings.head_init)

    def needs_every_class(self, head: str) -> bool:
        return head == "prototype"


def adam_step(
    fast: State, gradient: State, memory: Memory, lr: float, beta1: float = 0.9
) -> tuple[State, Memory]:
    """Take one step of Adam (Kingma and Ba 2015, in the order of the end of section 2)."""
    step = memory["step"] + 1 if memory else torch.ones((), dtype=torch.float64)
    new: State = {"step": step}
    part = {}
    for n, g in gradient.items():
        m = (1 - beta1) * g + (beta1 * memory[f"m.{n}"] if memory and beta1 else 0)
        v = 0.001 * g * g + (0.999 * memory[f"v.{n}"] if memory else 0)
        new[f"m.{n}"], new[f"v.{n}"] = m, v
        rate = lr * torch.sqrt(1 - 0.999**step) / (1 - beta1**step)
        part[n] = fast[n] - rate.to(g.dtype) * m / (torch.sqrt(v) + 1e-8)
    return part, new


class InnerLoopLearner(NetworkLearner):
    """A learner that adapts a network and a linear head by gradient steps.

    Parameters
    ----------
    inner_lr : float, default=0.1
        Step size of the inner loop (alpha in the papers), on standardised features and targets. See
        :ref:`gradient-steps`.
    n_inner_steps : int, default=1
        Number of gradient steps of the adaptation to a task.
    head_init : {"auto", "shared", "zeros", "prototype", "learned"}, default="auto"
        What the linear head of a task starts from. See :ref:`heads`.
    target_type : {"auto", "classification", "regression"}, default="auto"
        What the tasks are; ``auto`` infers it from ``y`` and ``groups``. See :ref:`task-type`.
    meta_batch_size : int or "auto", default=8
        Tasks of a meta-iteration; ``auto``: 25 for the backbones ``"mlp"`` and ``"identity"``, 4
        for others.
    meta_lr : float or "auto", default=0.001
        Step size of the outer loop (beta in the papers) at its start; ``auto``: 0.002 for new
        classes with these two backbones, where large steps overfit few classes, else 0.005.
    """

    inner_lr: float = parameter(0.1, Interval(Real, 0, None, closed="neither"))
    n_inner_steps: int = parameter(1, Interval(Integral, 0, None, closed="left"))
    head_init: str = parameter("auto", StrOptions(set(HEADS)))
    target_type: str = target_type_parameter()
    meta_batch_size: int | str = parameter(
        8, Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), role="training"
    )
    meta_lr: float | str = parameter(
        1e-3, Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), role="training"
    )

    algorithm = InnerLoopAlgorithm

    def _choose_meta_lr(self, kind: str, new_classes: bool) -> float:
        """Return the step size of the outer loop that ``"auto"`` means."""
        return 0.002 if new_classes and self.backbone in ("mlp", "identity") else 0.005


class GradientLearner(InnerLoopLearner):
    """An :class:`InnerLoopLearner` whose meta-gradient goes through the inner loop.

    Parameters
    ----------
    first_order : bool, default=False
        Leave second derivatives out of the meta-gradient: faster, and often nearly as good.
    """

    first_order: bool = parameter(False, "boolean")


class InitialWeightsLearner(InnerLoopLearner):
    """An :class:`InnerLoopLearner` of the weights from which a task starts, with measured defaults.

    The defaults were chosen by ``benchmarks/measure/defaults.py``.

    Parameters
    ----------
    n_train_steps : int or None, default=None
        Inner steps of a task in meta-training; None: ``n_inner_steps``, as for a new task.
    """

    n_train_steps: int | None = parameter(None, Interval(Integral, 0, None, closed="left"), None)
    inner_lr: float = 0.05
    meta_batch_size: int | str = "auto"
    meta_lr: float | str = "auto"
    n_iterations: int = 2000

    # By data set: the settings of the paper.
    _published: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def as_published(cls, data: str, **changes: Any) -> Self:
        """Make a learner with the settings of its paper.

        Parameters
        ----------
        data : {"sinusoids", "omniglot"}
            Data set of the paper: :func:`~skmeta.datasets.make_sinusoid_tasks`, or 5-way 1-shot
            tasks of :func:`~skmeta.datasets.load_omniglot`.
        **changes
            Other parameters, and those that should differ.

        Returns
        -------
        learner : object
            A learner, unfitted.

        Raises
        ------
        ValueError
            If the paper has no such data set.

        Examples
        --------
        >>> from skmeta.learners import MAML
        >>> MAML.as_published("omniglot", n_iterations=100).inner_lr
        0.4
        """
        if not cls._published:
            raise ValueError(f"{cls.__name__} has no published settings here. Set the parameters.")
        if data not in cls._published:
            known = " or ".join(map(repr, sorted(cls._published)))
            raise ValueError(
                f"data must be {known} for {cls.__name__}, got {data!r}. Set the parameters of "
                "another experiment yourself."
            )
        return cls(**(dict(cls._published[data]) | changes))
