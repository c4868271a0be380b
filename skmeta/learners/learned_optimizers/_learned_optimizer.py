"""The learned optimizer: an LSTM that turns each parameter's gradients into its updates."""

from __future__ import annotations

import zlib
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import torch
from torch import Tensor

from skmeta._backend import Execution, State, TaskTensors, to_numpy, tree_map
from skmeta._sklearn_compat import Interval, StrOptions
from skmeta._training import parameter
from skmeta.learners._core import (
    Context,
    GradientLearner,
    InnerLoopAlgorithm,
    Memory,
    Point,
    loss,
    measures,
)
from skmeta.learners.learned_optimizers._learned_update import initial_rule, learned_step

# Meta-training multiplies the loss that the optimizer sees by exp(u), with u in [-1, 1], for each
# task.
_LOSS_SCALING = 1.0


class LearnedOptimizerAlgorithm(InnerLoopAlgorithm):
    """Take steps of an LSTM for each weight, and descend the mean loss over them."""

    def skips_zero_gradient(self, state: State) -> bool:
        return False

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        rule = initial_rule(self.settings.n_hidden, self.settings.n_inner_steps, generator)
        return super().init_state(context, generator) | rule

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """Take one inner step: theta' = theta + u (equations 2 and 3)."""
        return learned_step(state, self.settings.inner_lr, fast, gradient, memory, value)

    # --------------------------------------------------------------------------- meta-training

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        """Compute the mean loss over the steps; see :meth:`Algorithm.meta_loss`."""
        item = task, self._draw(context, state, task)
        value, aux = self._segment(context, item, self.settings.n_inner_steps, None, dict(state))
        return value, aux[1]

    def meta_gradient(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[State, State]:
        """Compute the gradient of the mean loss, through some steps at once."""
        return self._gradient(context, state, (task, self._draw(context, state, task)))

    def mean_gradient(
        self, context: Context, state: State, tasks: TaskTensors, execution: Execution
    ) -> tuple[State, State]:
        drawn = [
            self._draw(context, state, tree_map(lambda x, i=i: x[i], tasks))
            for i in range(len(tasks.support.w))
        ]
        noise = {n: torch.stack([one[n] for one in drawn]) for n in drawn[0]}
        mean: tuple[State, State] = execution.mean(
            partial(self._gradient, context), state, (tasks, noise)
        )
        return mean

    def _gradient(
        self, context: Context, state: State, item: tuple[TaskTensors, State]
    ) -> tuple[State, State]:
        total: State | None = None
        carry, done = None, 0
        while done < self.settings.n_inner_steps:
            n_steps = min(
                self.settings.truncation or self.settings.n_inner_steps,
                self.settings.n_inner_steps - done,
            )
            segment = partial(self._segment, context, item, n_steps, carry)
            gradient, (carry, metrics) = torch.func.grad(segment, has_aux=True)(state)
            total = gradient if total is None else tree_map(torch.add, total, gradient)
            done += n_steps
        assert total is not None  # There is one step at least.
        return total, metrics

    def _segment(
        self,
        context: Context,
        item: tuple[TaskTensors, State],
        n_steps: int,
        carry: tuple[State, Memory] | None,
        state: State,
    ) -> tuple[Tensor, tuple[tuple[State, Memory], dict[str, Tensor]]]:
        """Take some steps; return the sum of their losses over ``n_inner_steps``, and the rest."""
        task, noise = item
        if carry is None:
            start = {n.removeprefix("start."): v for n, v in noise.items() if "start." in n}
            point = self._start_point(context, state | start, task.support)
            point = point._replace(memory={"loss_scale": noise["loss_scale"]})
        else:
            point = Point(carry[0], None, carry[1], 0)
        rows = task.query if self.settings.objective == "query" else task.support
        total = task.query.w.new_zeros(())
        for _ in range(n_steps):
            point = self._take_step(context, state, point, task.support)
            adapted = self._final_state(context, point, task.support)
            total = total + loss(context.kind, self.forward(context, adapted, rows.x), rows)
        outputs = self.forward(context, adapted, task.query.x)
        metrics = measures(context.kind, outputs, task.query)
        return total / self.settings.n_inner_steps, ((point.fast, point.memory), metrics)

    def _draw(self, context: Context, state: State, task: TaskTensors) -> State:
        """Draw the scale of a task's loss, and the weights that it starts from."""
        support = task.support
        seen = support.w > 0
        content = b"".join(to_numpy(values[seen]).tobytes() for values in support)
        generator = torch.Generator().manual_seed(zlib.crc32(content))
        draw = 2 * torch.rand(1, generator=generator, dtype=torch.float64) - 1
        noise = {"loss_scale": torch.exp(_LOSS_SCALING * draw).to(support.w)[0]}
        for name, value in state.items():
            if name.startswith(("body.", "head.")):
                order = torch.randperm(value.numel(), generator=generator).to(value.device)
                noise[f"start.{name}"] = value.reshape(-1)[order].reshape(value.shape)
        return noise


class LearnedOptimizer(GradientLearner):
    """Gradient descent whose updates are the outputs of a learned network.

    An LSTM of two layers, the same for all parameters but with a memory for each, reads their
    gradients; its output times ``inner_lr`` is added to them. It descends the mean loss over
    ``n_inner_steps`` steps, the horizon. :class:`PriorOptimizer` is a ``torch.optim.Optimizer`` of
    it, for training loops of your own. So that longer runs do not diverge, updates beyond the
    horizon shrink as horizon / step, an update that does not point downhill is replaced by a
    gradient step, and gradient descent takes over if the support loss rises clearly.

    Parameters
    ----------
    truncation : int or None, default=20
        Number of steps that meta-training back-propagates through at once; None: all of them.
    objective : {"query", "support"}, default="query"
        Loss that meta-training descends: that of the query set, to learn tasks of few rows, or
        that of the support set, to minimise a given loss.
    n_hidden : int, default=20
        Hidden units of the learned optimizer's LSTM, which has a state for each weight.

    See Also
    --------
    LSTMMetaLearner : Learns where to start, too, which suits tasks of few rows better.

    References
    ----------
    Andrychowicz et al. (2016), Learning to learn by gradient descent by gradient descent, equation
    3, section 2.1 and appendix A.
    Lv, Jiang and Li (2017), Learning gradient descent: better generalization and longer horizons,
    section 4.1 (random scaling).

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import LearnedOptimizer, PriorOptimizer
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = LearnedOptimizer(n_iterations=2, validation=0, random_state=0)
    >>> learner = learner.fit(X, y, groups=groups)
    >>> network = torch.nn.Linear(3, 2)
    >>> optimizer = PriorOptimizer(network.parameters(), learner.prior_)
    """

    inner_lr: float = 0.1
    n_inner_steps: int = 20
    first_order: bool = True
    n_hidden: int = parameter(20, Interval(Integral, 1, None, closed="left"))
    truncation: int | None = parameter(
        20, Interval(Integral, 1, None, closed="left"), None, role="training"
    )
    objective: str = parameter("query", StrOptions({"query", "support"}), role="training")

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_inner_steps": [Interval(Integral, 1, None, closed="left")]
    }

    algorithm = LearnedOptimizerAlgorithm
