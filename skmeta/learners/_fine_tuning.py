"""Fine-tuning: the baseline that trains on the new task from given weights."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from skmeta._backend import Rows, State, TaskTensors
from skmeta.exceptions import EpisodeError
from skmeta.learners._core import (
    Context,
    InnerLoopAlgorithm,
    InnerLoopLearner,
    Memory,
    adam_step,
    measures,
)


class FineTuningAlgorithm(InnerLoopAlgorithm):
    """Take steps of Adam; meta-training fits one model to all tasks."""

    default_head: ClassVar[str] = "zeros"

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        return adam_step(fast, gradient, memory, self.settings.inner_lr)

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        """Compute the loss of one model for all tasks on all rows of a task, without adaptation."""
        if context.head != "learned":
            raise EpisodeError(
                "FineTuning pretrains one model for all tasks, so outputs must mean the same in "
                "each. Pass groups, and leave head_init='auto'; for tasks over ever new classes, "
                "use initial_prior, or another learner."
            )
        rows = Rows(*(torch.cat(parts) for parts in zip(task.support, task.query, strict=True)))
        start, _ = self.first_fast(context, state, rows)
        if context.network.has_statistics:
            start |= context.network.measure(start, rows.x)[1]
        outputs = self.forward(context, start, rows.x)
        metrics = measures(context.kind, outputs, rows)
        return metrics["loss"], metrics


class FineTuning(InnerLoopLearner):
    """The baseline without meta-learning: train on the new task, from given weights.

    Fitted on groups, it pretrains one model for all of them together (one learned head); a new
    task continues from there with ``n_inner_steps`` of Adam. Unfitted,
    ``initial_prior`` gives random weights: a
    few-shot estimator with that prior is trained from scratch.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import FineTuning
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = FineTuning(n_iterations=20, validation=0, random_state=0)
    >>> learner.fit(X, y, groups=groups).prior_.learner
    'FineTuning'
    """

    inner_lr: float = 0.01
    n_inner_steps: int = 200

    algorithm = FineTuningAlgorithm
