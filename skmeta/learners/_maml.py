"""MAML and ANIL: learn an initialisation from which a few gradient steps suffice."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from skmeta._backend import State, TaskTensors
from skmeta._sklearn_compat import Interval
from skmeta._training import Declared, parameter
from skmeta.learners._core import (
    PUBLISHED_LOOP,
    Context,
    GradientLearner,
    InitialWeightsLearner,
    InnerLoopAlgorithm,
    InputOptions,
    Memory,
    initial_head,
    loss,
    measures,
)


class MAMLPlusPlus(Declared, kw_only=False, eq=True):
    """The options of MAML++, for the parameter ``plus_plus`` of MAML and ANIL.

    Parameters
    ----------
    multi_step_loss : float, default=0.0
        Share of the meta-training, from its start, in which the query losses after all inner steps
        count, with weights that go over to the last one; 0: the last one only.
    first_order_until : float, default=0.0
        Share of the meta-training, from its start, in which the meta-gradient is of first order.
    learn_inner_lr : bool, default=False
        Whether the step size is learned, one for each tensor and step; ``inner_lr`` is where it
        starts. Steps beyond those of the meta-training take the last one.
    per_step_norm : bool, default=False
        Whether batch normalisations have scales and shifts of their own after each step, which are
        learned, but not adapted.

    References
    ----------
    Antoniou, Edwards and Storkey (2019), How to train your MAML, section 4.

    Examples
    --------
    >>> from skmeta.learners import MAML, MAMLPlusPlus
    >>> learner = MAML(plus_plus=MAMLPlusPlus(learn_inner_lr=True), n_inner_steps=5)
    """

    multi_step_loss: float = parameter(0.0, Interval(Real, 0, 1, closed="both"), role="training")
    first_order_until: float = parameter(0.0, Interval(Real, 0, 1, closed="both"), role="training")
    learn_inner_lr: bool = parameter(False, "boolean", role="training")
    per_step_norm: bool = parameter(False, "boolean", role="training")


class MAMLAlgorithm(InnerLoopAlgorithm):
    """Take gradient steps; the query loss after them is the meta-loss."""

    def skips_zero_gradient(self, state: State) -> bool:
        return not any(n.startswith("norm.") for n in state)

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        state = super().init_state(context, generator)
        # A head that starts from zero or from prototypes is adapted, too.
        rates = self.step_sizes(state | initial_head("shared", 1, 1, generator))
        if not self._options.per_step_norm:
            return state | rates
        norms = {
            f"norm.{n}": state[n].repeat(self.n_trained_steps, 1)
            for n in context.network.norm_weights
        }
        return state | rates | norms

    def step_sizes(self, adapted: State) -> State:
        if not self._options.learn_inner_lr:
            return {}
        rate = torch.full((self.n_trained_steps,), self.settings.inner_lr)
        return {f"rate.{n}": rate.clone() for n in sorted(adapted) if self.is_adapted(n)}

    @property
    def _options(self) -> MAMLPlusPlus:
        options: MAMLPlusPlus = self.settings.plus_plus or MAMLPlusPlus()
        return options

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """Take one inner step: theta' = theta - alpha grad (Finn et al. 2017, equation 1).

        In MAML++ alpha belongs to the tensor and the step, and so do the scales and shifts of
        batch normalisations, which no step adapts.
        """
        step = memory.get("step", 0)

        def at_step(values: Tensor) -> Tensor:
            return values[min(step, len(values) - 1)]

        rates = {n: at_step(state[r]) for n in fast if (r := f"rate.{n}") in state}
        new = {n: v - rates.get(n, self.settings.inner_lr) * gradient[n] for n, v in fast.items()}
        norms = {n.removeprefix("norm."): v for n, v in state.items() if n.startswith("norm.")}
        new |= {n: at_step(v) for n, v in norms.items()}
        return new, {"step": step + 1}

    def meta_loss(self, context: Context, state: State, task: TaskTensors) -> tuple[Tensor, State]:
        options = self._options
        if context.progress < options.first_order_until and not self.first_order:
            early = copy.copy(self)
            early.first_order = True
            return early.meta_loss(context, state, task)
        if context.progress < options.multi_step_loss and self.n_steps(context) > 1:
            return self._multi_step_loss(context, state, task)
        return super().meta_loss(context, state, task)

    def recording_key(self, context: Context) -> Hashable:
        if not type(self).__module__.startswith("skmeta."):
            return None  # A subclass may depend on anything.
        options = self._options
        if context.progress < options.multi_step_loss and self.n_steps(context) > 1:
            return None  # Weights change at each iteration.
        return "first-order" if context.progress < options.first_order_until else "exact"

    def _multi_step_loss(
        self, context: Context, state: State, task: TaskTensors
    ) -> tuple[Tensor, State]:
        annealed = context.progress / self._options.multi_step_loss
        point = self._start_point(context, state, task.support)
        total = task.query.w.new_zeros(())
        for weight in step_weights(self.n_steps(context), annealed):
            point = self._take_step(context, state, point, task.support)
            adapted = self._final_state(context, point, task.support)
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
    plus_plus : MAMLPlusPlus or None, default=None
        Options of MAML++. Its cosine schedule is that of all learners.

    Notes
    -----
    Batch normalisation computes the statistics of the support set again at every step. MAML++
    keeps running averages for each step instead.

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
            "inputs": InputOptions(standardize=False),
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

    plus_plus: Any = parameter(None, MAMLPlusPlus, None, role="training")
    n_iterations: int = 4000

    algorithm = MAMLAlgorithm


class ANILAlgorithm(MAMLAlgorithm):
    """Adapt the head alone."""

    def is_adapted(self, name: str) -> bool:
        """Whether a task adapts the tensor of this name: those of the head only."""
        return name.startswith("head.")


class ANIL(MAML):
    """Almost no inner loop: MAML whose tasks adapt the head alone.

    Features are computed once per task. It is faster than MAML, and often as good.

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
