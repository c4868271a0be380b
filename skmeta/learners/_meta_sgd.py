"""Meta-SGD: MAML with a learned step size for every parameter."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from skmeta._backend import Rows, State
from skmeta.learners._core import (
    Context,
    GradientLearner,
    InitialWeightsLearner,
    InnerLoopAlgorithm,
    Memory,
    Point,
    initial_head,
)


class MetaSGDAlgorithm(InnerLoopAlgorithm):
    """Take steps whose sizes are a part of the state, ``rate.*``."""

    can_be_recorded: ClassVar[bool] = True

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        state = super().init_state(context, generator)
        # A head that starts from zero or from prototypes has no learned weights, but learned step
        # sizes: one row, shared by all classes.
        adapted = initial_head("shared", context.network.n_features, 1, generator) | state
        return state | self.step_sizes(adapted)

    def step_sizes(self, adapted: State) -> State:
        return {f"rate.{n}": torch.full_like(v, self.settings.inner_lr) for n, v in adapted.items()}

    def _start_point(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> Point:
        if start is not None:
            start = {n: v for n, v in start.items() if not n.startswith("rate.")}
        point = super()._start_point(context, state, support, start)
        rates = {n: state[f"rate.{n}"] for n in point.fast}
        if context.head == "learned":
            # Each class has step sizes of its own; a task may have some of the classes only.
            for name in ("head.weight", "head.bias"):
                rates[name] = rates[name].index_select(0, context.classes)
        return point._replace(memory={"rates": rates})

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """Take one inner step: theta' = theta - alpha * grad, element by element (equation 2)."""
        rates = memory.get("rates") or {n: state[f"rate.{n}"] for n in fast}
        return self.damped_step(rates, fast, gradient, memory, value)

    def _final_state(self, context: Context, point: Point, support: Rows) -> State:
        point = self.undo_worse_step(context, point, support)
        return super()._final_state(context, point, support)


class MetaSGD(InitialWeightsLearner, GradientLearner):
    """MAML with a step size learned for every parameter, direction included.

    theta' = theta - alpha * gradient of the support loss, element by element; theta and alpha
    descend the query loss together. ``inner_lr`` is where each alpha starts. If one of several
    inner steps raises the support loss, it is undone, and the next steps are half as long.

    References
    ----------
    Li, Zhou, Chen and Li (2017), Meta-SGD: learning to learn quickly for few-shot learning,
    equation 2 and algorithm 1.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MetaSGD
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = MetaSGD(n_shot=5, n_iterations=20, random_state=0).fit(X, y, groups=groups)
    >>> sorted(n for n in learner.prior_.tensors if n.startswith("rate.head"))
    ['rate.head.bias', 'rate.head.weight']
    """

    n_iterations: int = 4000

    algorithm = MetaSGDAlgorithm
