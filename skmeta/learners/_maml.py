"""MAML and ANIL: learn an initialisation from which a few gradient steps suffice."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from skmeta._backend import Rows, State, TaskTensors
from skmeta._sklearn_compat import Interval
from skmeta._training import parameter
from skmeta.learners._core import (
    PUBLISHED_LOOP,
    Context,
    GradientLearner,
    InitialWeightsLearner,
    InnerLoopAlgorithm,
    Memory,
    Point,
    linear,
    loss,
    measures,
)
from skmeta.learners._inner_settings import at_step, check_units, initial_values, value_at


class MAMLAlgorithm(InnerLoopAlgorithm):
    """Take gradient steps; the query loss after them is the meta-loss."""

    def skips_zero_gradient(self, state: State) -> bool:
        return not self._decays(state) and not any(n.startswith("norm.") for n in state)

    def _decays(self, state: State) -> bool:
        is_learned = any(n.startswith("weight_decay") for n in state)
        return is_learned or self.settings.weight_decay != 0

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        self._check_settings(context)
        state = super().init_state(context, generator)
        # A head that starts from zero or from prototypes is adapted, too: one row for all classes.
        head = {"head.weight": torch.empty(1, context.network.n_features)}
        learned = self.learned_settings(head | {"head.bias": torch.empty(1)} | state)
        if not self.settings.per_step_norm:
            return state | learned
        norms = {
            f"norm.{n}": state[n].repeat(self.n_trained_steps, 1)
            for n in context.network.norm_weights
        }
        return state | learned | norms

    def _check_settings(self, context: Context) -> None:
        check_units(self.learned, context.kind)
        if self.settings.label_smoothing and context.kind != "classification":
            raise ValueError(
                f"label_smoothing={self.settings.label_smoothing}, but the tasks are of "
                f"{context.kind}. Leave it out."
            )

    @property
    def learned(self) -> dict[str, str]:
        """The settings of the inner loop that are learned, and by which unit."""
        return dict(self.settings.learn or {})

    def learned_settings(self, adapted: State) -> State:
        tensors = {n: adapted[n] for n in sorted(adapted) if self.is_adapted(n)}
        values: State = {}
        for name, unit in self.learned.items():
            start = float(getattr(self.settings, name))
            values |= initial_values(name, unit, start, tensors, self.n_trained_steps)
        return values

    def _start_point(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> Point:
        point = super()._start_point(context, state, support, start)
        is_learned = context.head == "learned"
        # Each class has step sizes of its own; a task may have some of the classes only.
        return point._replace(memory={"rows": context.classes}) if is_learned else point

    def support_loss(
        self, context: Context, state: State, outputs: Tensor, support: Rows
    ) -> Tensor:
        smoothing = value_at(state, "label_smoothing", "", 0, self.settings.label_smoothing, None)
        return loss(context.kind, outputs, support, smoothing)

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """Take one inner step: theta' = theta - alpha (grad + lambda theta).

        It is equation 1 of Finn et al. (2017) where lambda is 0. In MAML++ alpha belongs to the
        tensor and the step, and so do the scales and shifts of batch normalisations, which no step
        adapts.
        """
        step = memory.get("step", 0)

        def setting(name: str, tensor: str) -> Any:
            fixed = getattr(self.settings, name)
            return value_at(state, name, tensor, step, fixed, memory.get("rows"))

        if self._decays(state):
            gradient = {n: g + setting("weight_decay", n) * fast[n] for n, g in gradient.items()}
        rates = {n: setting("inner_lr", n) for n in fast}
        new, memory = self._move(state, rates, fast, gradient, memory, value)
        norms = {n.removeprefix("norm."): v for n, v in state.items() if n.startswith("norm.")}
        return new | {n: at_step(v, step) for n, v in norms.items()}, memory | {"step": step + 1}

    def _move(
        self,
        state: State,
        rates: State,
        fast: State,
        gradient: State,
        memory: Memory,
        value: Tensor,
    ) -> tuple[State, Memory]:
        """Take a step, from before the last one if that raised the support loss.

        Learned settings suit the steps of the meta-training, which are not undone, and later steps
        could diverge.
        """
        is_learned = any(n.startswith(("inner_lr", "weight_decay")) for n in state)
        if not is_learned or memory.get("step", 0) < self.n_trained_steps:
            return {n: v - rates[n] * gradient[n] for n, v in fast.items()}, memory
        scale = memory.get("scale", value.new_ones(()))
        if "before" in memory:
            known, before, slope = memory["before"]
            is_worse = ~(value <= known)  # Also if it is not a number.
            scale = torch.where(is_worse, 0.5 * scale, scale)
            value = torch.where(is_worse, known, value)
            fast = {n: torch.where(is_worse, before[n], v) for n, v in fast.items()}
            gradient = {n: torch.where(is_worse, slope[n], v) for n, v in gradient.items()}
        new = {n: v - scale * rates[n] * gradient[n] for n, v in fast.items()}
        return new, memory | {"scale": scale, "before": (value, fast, gradient)}

    def _final_state(self, context: Context, state: State, point: Point, support: Rows) -> State:
        if "before" in point.memory:
            known, before, _ = point.memory["before"]
            measured = context.network.measure(point.fast, support.x)
            outputs = linear(point.fast, measured[0])
            is_worse = ~(self.support_loss(context, state, outputs, support) <= known)
            fast = {
                n: torch.where(is_worse, before[n], v) if n in before else v
                for n, v in point.fast.items()
            }
            point = point._replace(fast=fast, measured=None)
        return super()._final_state(context, state, point, support)

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        if self._counts_all_steps(context):
            return self._multi_step_loss(context, state, task)
        return super().meta_loss(context, state, task)

    def recording_key(self, context: Context) -> Hashable:
        if not type(self).__module__.startswith("skmeta."):
            return None  # A subclass may depend on anything.
        return None if self._counts_all_steps(context) else "exact"  # Weights change with it.

    def _counts_all_steps(self, context: Context) -> bool:
        is_early: bool = context.progress < self.settings.multi_step_loss
        return is_early and self.n_steps(context) > 1

    def _multi_step_loss(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[Tensor, State]:
        annealed = context.progress / self.settings.multi_step_loss
        point = self._start_point(context, state, task.support)
        total = task.query.w.new_zeros(())
        for weight in step_weights(self.n_steps(context), annealed):
            point = self._take_step(context, state, point, task.support)
            adapted = self._final_state(context, state, point, task.support)
            outputs = self.forward(context, adapted, task.query.x)
            total = total + weight * loss(context.kind, outputs, task.query)
        return total, measures(context.kind, outputs, task.query)


class MAML(InitialWeightsLearner, GradientLearner):
    """Model-agnostic meta-learning: weights from which a few gradient steps learn a task.

    theta' = theta - inner_lr * gradient of the support loss; theta descends the query loss at
    theta', through the inner gradient (second order), or not (``first_order=True``, FOMAML).
    The guide is :doc:`/learners`. Defaults differ from the paper's settings, which
    :meth:`as_published` has.

    Parameters
    ----------
    weight_decay : float, default=0.0
        Weight decay of the inner loop: a step descends the support loss plus half of it times the
        sum of the squared adapted weights.
    label_smoothing : float, default=0.0
        Share of a row's probability that all classes get in the support loss.
    learn : dict or None, default=None
        Which of ``"inner_lr"``, ``"weight_decay"`` and ``"label_smoothing"`` are learned by the
        meta-gradient, and what has a value of its own: ``"scalar"``, ``"step"``, ``"tensor"``,
        ``"tensor and step"`` or ``"weight"``, with or without ``" and step"``; label smoothing is a
        ``"scalar"``. Values start from the parameters. If a new task takes more steps than in
        meta-training, a later one that raised the support loss is undone, and the next are half as
        long. See :ref:`learned-inner-loop`.
    multi_step_loss : float, default=0.0
        Share of the meta-training, from its start, in which the query losses after all inner steps
        count, with weights that go over to the last one (MAML++); 0: the last one only.
    per_step_norm : bool, default=False
        Whether batch normalisations have scales and shifts of their own after each step, which are
        learned, but not adapted (MAML++).

    Notes
    -----
    MAML++ also has ``learn={"inner_lr": "tensor and step"}``, the cosine schedule of all learners,
    and gradients of first order at first: fit with ``first_order=True``, and go on from its
    ``prior_``. Batch normalisation computes the statistics of the support set again at every step,
    where MAML++ keeps running averages for each step.

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, algorithms 1 and 2.
    Triantafillou et al. (2020), Meta-Dataset: a dataset of datasets for learning to learn from
    few examples, section 3.1 (a head that starts from prototypes).
    Ye and Chao (2022), How to train your MAML to excel in few-shot classification, section 5
    (a head of one shared row).
    Antoniou, Edwards and Storkey (2019), How to train your MAML, section 4 (MAML++).

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = MAML(n_shot=5, n_iterations=20, random_state=0).fit(X, y, groups=groups)
    >>> learner.prior_
    MetaPrior(MAML on mlp, regression, 1 feature, trained on 45 groups, ...)
    """

    _published: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Sections 5.1 and appendix A.1: networks are tested after more steps than in training.
        "sinusoids": {
            **PUBLISHED_LOOP,
            "inner_lr": 0.01,
            "n_train_steps": 1,
            "n_inner_steps": 10,
            "n_shot": 10,
            "n_query": 10,
            "meta_batch_size": 25,
            "meta_lr": 0.001,
            "n_iterations": 70_000,
            "standardize": False,
        },
        "omniglot": {
            **PUBLISHED_LOOP,
            "inner_lr": 0.4,
            "n_train_steps": 1,
            "n_inner_steps": 3,
            "n_shot": 1,
            "n_query": 1,
            "meta_batch_size": 32,
            "meta_lr": 0.001,
            "n_iterations": 60_000,
            "backbone": "conv4",
            "head_init": "learned",
            "transductive": True,
        },
    }

    weight_decay: float = parameter(0.0, Interval(Real, 0, None, closed="left"))
    label_smoothing: float = parameter(0.0, Interval(Real, 0, 1, closed="left"))
    learn: dict[str, str] | None = parameter(None, dict, None, role="training")
    multi_step_loss: float = parameter(0.0, Interval(Real, 0, 1, closed="both"), role="training")
    per_step_norm: bool = parameter(False, "boolean", role="training")
    n_iterations: int = 4000

    algorithm = MAMLAlgorithm


class ANILAlgorithm(MAMLAlgorithm):
    """Adapt the head alone."""

    @property
    def learned(self) -> dict[str, str]:
        """The settings of the inner loop that are learned, and by which unit."""
        return {"inner_lr": "tensor"} if self.settings.learn is None else super().learned

    def is_adapted(self, name: str) -> bool:
        """Whether a task adapts the tensor of this name: those of the head only."""
        return name.startswith("head.")


class ANIL(MAML):
    """Almost no inner loop: MAML whose tasks adapt the head alone.

    Features are computed once per task. It is faster than MAML, and often as good. By default, the
    step sizes of the head's weights and of its bias are learned, from ``inner_lr`` on:
    ``learn=None`` is ``{"inner_lr": "tensor"}`` here. With ``learn={}`` they are fixed, as in the
    paper.

    References
    ----------
    Raghu, Raghu, Bengio and Vinyals (2020), Rapid learning or feature reuse? Towards
    understanding the effectiveness of MAML, section 4.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import ANIL
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = ANIL(n_inner_steps=5, n_iterations=20, random_state=0)
    >>> learner.fit(X, y, groups=groups).prior_.kind
    'regression'
    """

    _published: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**settings, "learn": {}} for name, settings in MAML._published.items()
    }

    inner_lr: float = 0.1
    n_inner_steps: int = 5
    n_iterations: int = 2000

    algorithm = ANILAlgorithm


def step_weights(n_steps: int, annealed: float) -> list[float]:
    """Return the weights of the query losses after each inner step.

    They are equal at first; in the end, only the last loss counts. In between, weights change
    linearly as in the authors' code, which keeps the earlier weights above 3% of their first value:
    Antoniou, Edwards and Storkey (2019), How to train your MAML, section 4 (v in equation 3).
    """
    early = (1.0 - annealed) / n_steps
    return [early] * (n_steps - 1) + [1.0 - (n_steps - 1) * early]
