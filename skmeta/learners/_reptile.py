"""Reptile: move the initialisation towards the result of training on each task."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import Rows, State, TaskTensors
from skmeta._sklearn_compat import Interval, StrOptions
from skmeta._training import MetaOptimizer, parameter
from skmeta.learners._core import (
    PUBLISHED_LOOP,
    Context,
    InitialWeightsLearner,
    InnerLoopAlgorithm,
    Memory,
    adam_step,
    measures,
)


class ReptileAlgorithm(InnerLoopAlgorithm):
    """Take the way to the adapted state for the gradient."""

    can_be_recorded: ClassVar[bool] = True

    def meta_gradient(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[State, State]:
        """Compute the state minus its adaptation to all rows of a task (algorithm 2)."""
        rows = Rows(*(torch.cat(parts) for parts in zip(task.support, task.query, strict=True)))
        # Prototypes of all rows would contain the rows that a step then classifies.
        start, _ = self.first_fast(context, state, task.support)
        adapted = self.adapt(context, state, rows, start)
        outputs = self.forward(context, adapted, task.query.x)
        gradient = {n: _difference(v, adapted[n]) for n, v in state.items()}
        return gradient, measures(context.kind, outputs, task.query)

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        if self.settings.inner_optimizer == "adam":
            # Without the first moment: Nichol et al. (2018), appendix A.
            return adam_step(fast, gradient, memory, self.settings.inner_lr, beta1=0.0)
        return super().update(state, fast, gradient, memory, value)

    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        size, n_rows = self.settings.inner_batch_size, len(support.y)
        if size is None or size >= n_rows:
            return super().adapt(context, state, support, start)
        # Tasks draw their rows at random, so that a fixed order of positions makes random batches.
        rng, order = np.random.default_rng(0), np.empty(0, dtype=np.int64)
        point = self._start_point(context, state, support, start)
        for _ in range(self.n_steps(context)):
            if len(order) < size:
                order = np.concatenate([order, rng.permutation(n_rows)])
            batch, order = torch.as_tensor(order[:size], device=support.y.device), order[size:]
            rows = Rows(*(values.index_select(0, batch) for values in support))
            # The small weight keeps a loss finite if all rows of a batch are padding.
            rows = rows._replace(w=rows.w + 1e-12)
            point = self._take_step(context, state, point._replace(measured=None), rows)
        return self._final_state(context, state, point._replace(measured=None), support)


class Reptile(InitialWeightsLearner):
    """Move the initialisation towards the result of training on each task.

    theta <- theta + meta_lr * mean over tasks of (theta' - theta), where theta' is the result of
    inner steps on all rows of the task, support and query, so that the training shots of the paper
    are ``n_shot + n_query``. It needs first derivatives only. By default, a step uses all rows of
    the task and plain gradient descent, and Adam moves theta by the mean difference. A head of
    prototypes starts from the support rows alone.
    :meth:`as_published` has the paper's settings.

    Parameters
    ----------
    inner_optimizer : {"sgd", "adam"}, default="sgd"
        Gradient descent, or Adam without its first moment (beta1 = 0), which each task starts anew.
    inner_batch_size : int or None, default=None
        Rows of an inner step, drawn without repetition until all were used; None: all.

    References
    ----------
    Nichol, Achiam and Schulman (2018), On first-order meta-learning algorithms, algorithm 2.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import Reptile
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = Reptile(n_iterations=20, random_state=0).fit(X, y, groups=groups)
    >>> learner.prior_.learner
    'Reptile'
    """

    _published: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "omniglot": {
            **PUBLISHED_LOOP,
            "inner_optimizer": "adam",
            "inner_lr": 0.001,
            "inner_batch_size": 10,
            "n_train_steps": 5,
            "n_inner_steps": 50,
            "n_shot": 1,
            "n_query": 9,
            "meta_optimizer": MetaOptimizer("sgd", schedule="linear", clip_norm=None),
            "meta_batch_size": 5,
            "meta_lr": 1.0,
            "n_iterations": 100_000,
            "backbone": "conv4",
            "head_init": "learned",
            "transductive": True,
        }
    }

    inner_optimizer: str = parameter("sgd", StrOptions({"sgd", "adam"}))
    inner_batch_size: int | None = parameter(None, Interval(Integral, 1, None, closed="left"), None)
    n_inner_steps: int = 5
    meta_lr: float | str = 0.01

    algorithm = ReptileAlgorithm


def _difference(before: Tensor, after: Tensor) -> Tensor:
    # A row shared by all classes moves towards the mean of the rows after training.
    return before - (after if after.shape == before.shape else after.mean(0, keepdim=True))
