"""Reptile: move the initialisation towards the result of training on each task."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from skmeta._backend import Rows, State, TaskTensors
from skmeta.learners._core import Context, InnerLoopAlgorithm, InnerLoopLearner, measures


class ReptileAlgorithm(InnerLoopAlgorithm):
    """Take the way to the adapted state for the gradient."""

    can_be_recorded: ClassVar[bool] = True

    def meta_gradient(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[State, State]:
        """Compute the state minus its adaptation to all rows of a task (algorithm 2)."""
        rows = Rows(*(torch.cat(parts) for parts in zip(task.support, task.query, strict=True)))
        adapted = self.adapt(context, state, rows)
        outputs = self.forward(context, adapted, task.query.x)
        gradient = {n: _difference(v, adapted[n]) for n, v in state.items()}
        return gradient, measures(context.kind, outputs, task.query)


class Reptile(InnerLoopLearner):
    """Move the initialisation towards the result of training on each task.

    theta <- theta + meta_lr * mean over tasks of (theta' - theta), where theta' is the result of
    ``n_inner_steps`` gradient steps on all rows of the task, support and query. It needs first
    derivatives only. Unlike the authors' code, a step uses all rows of the task, and plain
    gradient descent.

    References
    ----------
    Nichol, Achiam and Schulman (2018), On first-order meta-learning algorithms, algorithm 2.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import Reptile
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = Reptile(n_iterations=20, meta_lr=0.1, random_state=0).fit(X, y, groups=groups)
    >>> learner.prior_.learner
    'Reptile'
    """

    n_inner_steps: int = 5
    meta_optimizer: Any = "sgd"  # With a linear schedule.
    meta_lr: float = 1.0

    algorithm = ReptileAlgorithm


def _difference(before: Tensor, after: Tensor) -> Tensor:
    # A row shared by all classes moves towards the mean of the rows after training.
    return before - (after if after.shape == before.shape else after.mean(0, keepdim=True))
