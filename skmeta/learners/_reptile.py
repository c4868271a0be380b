"""Reptile: move the initialisation towards the result of training on each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from skmeta.backend import State, TaskTensors
from skmeta.learners._core import Context, InnerLoopLearner, reptile_gradient


@dataclass(kw_only=True, eq=False, repr=False)
class Reptile(InnerLoopLearner):
    """Move the initialisation towards the result of training on each task.

    theta <- theta + meta_lr * mean over tasks of (theta' - theta), where theta' is the result of
    ``n_inner_steps`` gradient steps on all rows of the task, support and query. It needs first
    derivatives only. Unlike the authors' code, a step uses all rows of the task, and plain
    gradient descent.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

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

    can_be_recorded: ClassVar[bool] = True

    def meta_gradient(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[State, dict[str, Tensor]]:
        return reptile_gradient(self, context, state, task)
