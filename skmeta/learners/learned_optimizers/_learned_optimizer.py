"""The learned optimizer: a network that turns each parameter's gradients into its updates."""

from __future__ import annotations

import zlib
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from skmeta._backend import Execution, Rows, State, TaskTensors, to_numpy, tree_map
from skmeta._sklearn_compat import Interval, StrOptions, fit_context
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
from skmeta.learners.learned_optimizers._problems import TRUNCATION, fit_problems

# Meta-training multiplies the loss that the optimizer sees by exp(u), with u in [-1, 1], for each
# task.
_LOSS_SCALING = 1.0


class LearnedOptimizerAlgorithm(InnerLoopAlgorithm):
    """Take steps of a learned network, and descend the mean loss over them."""

    can_end_early: ClassVar[bool] = False

    def skips_zero_gradient(self, state: State) -> bool:
        return False

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        own = self.settings
        rule = initial_rule(own.network, own.n_hidden, own.n_inner_steps, generator)
        return super().init_state(context, generator) | rule

    @property
    def validates_query(self) -> bool:
        return bool(self.settings.objective == "query")

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
            n_steps = min(TRUNCATION, self.settings.n_inner_steps - done)
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
        rows = task.query if self.validates_query else task.support
        total = task.query.w.new_zeros(())
        for _ in range(n_steps):
            seen = task.support
            if "rows" in noise:
                step = point.memory.get("step", total)
                index = noise["rows"].index_select(0, step.long().reshape(1))[0]
                seen = Rows(*(part.index_select(0, index) for part in seen))
            point = self._take_step(context, state, point, seen)
            adapted = self._final_state(context, state, point, task.support)
            total = total + loss(context.kind, self.forward(context, adapted, rows.x), rows)
        metrics = measures(context.kind, self.forward(context, adapted, rows.x), rows)
        return total / self.settings.n_inner_steps, ((point.fast, point.memory), metrics)

    def _draw(self, context: Context, state: State, task: TaskTensors) -> State:
        """Draw the scale of a task's loss, its start, and the rows of each step if they vary."""
        support = task.support
        seen = support.w > 0
        content = b"".join(to_numpy(values[seen]).tobytes() for values in support)
        generator = torch.Generator().manual_seed(zlib.crc32(content))
        draw = 2 * torch.rand(1, generator=generator, dtype=torch.float64) - 1
        noise = {"loss_scale": torch.exp(_LOSS_SCALING * draw).to(support.w)[0]}
        if (size := self.settings.batch_size) is not None:
            noise["rows"] = self._draw_rows(seen, size, generator)
        for name, value in state.items():
            if name.startswith(("body.", "head.")):
                order = torch.randperm(value.numel(), generator=generator).to(value.device)
                noise[f"start.{name}"] = value.reshape(-1)[order].reshape(value.shape)
        return noise

    def _draw_rows(self, seen: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """Draw positions of rows that are no padding, (n_inner_steps, size)."""
        known = seen.nonzero()[:, 0]
        positions = [
            torch.cat([torch.randperm(len(known), generator=generator) for _ in range(n_rounds)])
            for n_rounds in [-(-size // len(known))] * self.settings.n_inner_steps
        ]
        return known[torch.stack(positions)[:, :size].to(known.device)]


class LearnedOptimizer(GradientLearner):
    """Gradient descent whose updates are the outputs of a learned network.

    The network is the same for all parameters. It reads the gradients of each one, and its output
    times ``inner_lr`` is added to it. :meth:`fit_problems` learns an optimizer for losses of your
    own; :meth:`fit` learns from a table of tasks, as every learner does. :class:`PriorOptimizer` is
    a ``torch.optim.Optimizer`` of it, for training loops of your own.

    ``network="mlp"`` is a correction of Adam with a step size that falls along a line: it learns
    the step size of each tensor at each time, which of four momenta to follow, and a correction for
    each entry. It knows how many steps are still to come, and shortens steps if gradients turn
    against the steps before. Step sizes are relative to the numbers of inputs of the layers, so
    that they suit other widths, too. ``"lstm"`` is the published LSTM of two layers. So that longer
    runs do not diverge, updates beyond the horizon, the number of steps that it was trained for,
    shrink as horizon / step, an update that does not point downhill is replaced by a gradient step,
    and gradient descent takes over if the loss rises clearly.

    Parameters
    ----------
    n_inner_steps : int, default=20
        Number of steps of a run: the horizon. For problems, the longest.
    network : {"mlp", "lstm"}, default="mlp"
        What computes the updates.
    n_hidden : int, default=8
        Hidden units of the network; the published LSTM has 20.
    objective : {"query", "support"}, default="query"
        Loss that :meth:`fit` descends: that of the query set, to learn tasks of few rows, or that
        of the support set, to minimise a given loss. ``learning_curve_`` has the same loss.
    batch_size : int or None, default=None
        Rows of the support set that each step of :meth:`fit` sees, drawn anew for each step; None:
        all of them.

    See Also
    --------
    LSTMMetaLearner : Learns where to start, too, which suits tasks of few rows better.

    References
    ----------
    Andrychowicz et al. (2016), Learning to learn by gradient descent by gradient descent, equation
    3, section 2.1 and appendix A (``"lstm"``).
    Metz et al. (2022), Practical tradeoffs between memory, compute, and performance in learned
    optimizers, section 3 (the inputs of ``"mlp"``).
    Lv, Jiang and Li (2017), Learning gradient descent: better generalization and longer horizons,
    section 4.1 (random scaling of the loss).

    Examples
    --------
    >>> import torch
    >>> from skmeta.learners import LearnedOptimizer, PriorOptimizer
    >>> class Quadratic:
    ...     def init(self, rng):
    ...         return {"theta": torch.tensor(rng.normal(size=2))}
    ...     def loss(self, theta, rng):
    ...         return ((theta["theta"] - 3) ** 2).sum()
    >>> learner = LearnedOptimizer(n_inner_steps=10, n_iterations=2, random_state=0)
    >>> learner = learner.fit_problems(Quadratic())
    >>> network = torch.nn.Linear(3, 2)
    >>> optimizer = PriorOptimizer(network.parameters(), learner.prior_, n_inner_steps=100)
    """

    inner_lr: float = 0.1
    n_inner_steps: int = 20
    meta_batch_size: int = 4
    meta_lr: float = 0.003
    network: str = parameter("mlp", StrOptions({"mlp", "lstm"}))
    n_hidden: int = parameter(8, Interval(Integral, 1, None, closed="left"))
    objective: str = parameter("query", StrOptions({"query", "support"}), role="training")
    batch_size: int | None = parameter(
        None, Interval(Integral, 1, None, closed="left"), None, role="training"
    )

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_inner_steps": [Interval(Integral, 1, None, closed="left")]
    }

    algorithm = LearnedOptimizerAlgorithm

    @fit_context(prefer_skip_nested_validation=True)
    def fit_problems(self, problems: Any, validation: Any = None) -> Self:
        """Meta-train on problems of your own: losses that are to be minimised.

        A problem is an object with two methods. ``init(rng)`` returns where a run starts, a dict of
        tensors by name; draw it anew each time, and other sizes, too, if the optimizer is to work
        for them. ``loss(theta, rng)`` returns the loss at such a dict as a tensor of shape ();
        draw the rows of a batch in it. ``rng`` is a NumPy generator, the only source of randomness
        to use. Each meta-iteration draws ``meta_batch_size`` problems and a number of steps between
        a tenth of ``n_inner_steps`` and ``n_inner_steps``.

        Parameters
        ----------
        problems : object or list of object
            The problems.
        validation : object or list of object, default=None
            Other problems. The state with the lowest mean loss on four runs of each is kept; the
            parameter ``validation`` says how often it is measured. Without it, the last one is.

        Returns
        -------
        self : object
            The fitted learner. ``learning_curve_`` has mean losses over all steps of a run.

        Raises
        ------
        TypeError
            If a problem lacks a method, or ``init`` does not return a dict of tensors of floats.
        ValueError
            If a loss is not one finite number, or does not depend on the tensors.
        """
        prior, history = fit_problems(self, problems, validation)
        self.prior_, self.learning_curve_ = prior, history
        return self
