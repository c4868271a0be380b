"""MAML: learn an initialisation from which a few gradient steps suffice."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from skmeta._sklearn_compat import Interval
from skmeta.backend import State, TaskTensors
from skmeta.learners._core import Context, GradientLearner, Memory, initial_head, loss, score


@dataclass(kw_only=True, eq=False, repr=False)
class MAML(GradientLearner):
    """Model-agnostic meta-learning: weights from which a few gradient steps learn a task.

    theta' = theta - inner_lr * gradient of the support loss; theta descends the query loss at
    theta', through the inner gradient (second order), or not (``first_order=True``, FOMAML).

    The options of MAML++ are ``multi_step_loss``, ``first_order_until``, ``learn_inner_lr`` and
    ``per_step_norm``; all are off by default. Its cosine schedule is that of all learners.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

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

    multi_step_loss: float = 0.0
    first_order_until: float = 0.0
    learn_inner_lr: bool = False
    per_step_norm: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **GradientLearner._parameter_constraints,
        "multi_step_loss": [Interval(Real, 0, 1, closed="both")],
        "first_order_until": [Interval(Real, 0, 1, closed="both")],
        "learn_inner_lr": ["boolean"],
        "per_step_norm": ["boolean"],
    }

    def skips_zero_gradient(self) -> bool:
        return not self.per_step_norm

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        state = super().init_state(context, generator)
        n_steps = max(1, self.n_inner_steps)
        own: State = {}
        if self.learn_inner_lr:
            # A head that starts from zero or from prototypes is adapted, too.
            names = {*state, *initial_head("shared", 1, 1, generator)}
            rate = torch.full((n_steps,), self.inner_lr)
            own |= {f"rate.{n}": rate.clone() for n in sorted(names) if self.is_adapted(n)}
        if self.per_step_norm:
            own |= {f"norm.{n}": state[n].repeat(n_steps, 1) for n in context.network.norm_weights}
        return state | own

    def update(
        self,
        state: Mapping[str, Tensor],
        fast: State,
        gradient: State,
        memory: Memory,
        value: Tensor,
    ) -> tuple[State, Memory]:
        """Take one inner step: theta' = theta - alpha grad (Finn et al. 2017, equation 1).

        In MAML++ alpha belongs to the tensor and the step, and so do the scales and shifts of
        batch normalisations, which no step adapts.
        """
        step = memory.get("step", 0)

        def of_step(values: Tensor) -> Tensor:
            return values[min(step, len(values) - 1)]

        rates = {n: of_step(state[f"rate.{n}"]) for n in fast} if self.learn_inner_lr else {}
        new = {n: v - rates.get(n, self.inner_lr) * gradient[n] for n, v in fast.items()}
        if self.per_step_norm:
            new |= {
                n.removeprefix("norm."): of_step(v)
                for n, v in state.items()
                if n.startswith("norm.")
            }
        return new, {"step": step + 1}

    def meta_loss(
        self, context: Context, state: Mapping[str, Tensor], task: TaskTensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if context.progress < self.first_order_until and not self.first_order:
            learner = copy.copy(self)
            learner.first_order = True
            return learner.meta_loss(context, state, task)
        if context.progress < self.multi_step_loss and self.n_inner_steps > 1:
            return self._multi_step_loss(context, state, task)
        return super().meta_loss(context, state, task)

    def recording_key(self, context: Context) -> Hashable:
        if not type(self).__module__.startswith("skmeta."):
            return None  # A subclass may depend on anything.
        if context.progress < self.multi_step_loss and self.n_inner_steps > 1:
            return None  # Weights change at each iteration.
        return "first-order" if context.progress < self.first_order_until else "exact"

    def _multi_step_loss(
        self, context: Context, state: Mapping[str, Tensor], task: TaskTensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weights = step_weights(self.n_inner_steps, context.progress / self.multi_step_loss)
        point = self._start_point(context, state, task.support)
        total = task.query.w.new_zeros(())
        for weight in weights:
            point = self._take_step(context, state, point, task.support)
            adapted = self._final_state(context, point, task.support)
            outputs = self.forward(context, adapted, task.query.x)
            value = loss(context.kind, outputs, task.query)
            total = total + weight * value
        return total, {"loss": value, "score": score(context.kind, outputs, task.query)}


def step_weights(n_steps: int, annealed: float) -> list[float]:
    """Return the weights of the query losses after each inner step.

    They are equal at first; in the end, only the last loss counts. In between, weights change
    linearly as in the authors' code, which keeps the earlier weights above 3% of their first value.

    Parameters
    ----------
    n_steps : int
        N, 1 or more.
    annealed : float
        Share of the annealing that is done, from 0 to 1.

    Returns
    -------
    list of float of length n_steps
        (1 - annealed) / N, and what remains to 1 for the last step.

    References
    ----------
    Antoniou, Edwards and Storkey (2019), How to train your MAML, section 4, multi-step loss
    optimization (the v of equation 3).
    """
    early = (1.0 - annealed) / n_steps
    return [early] * (n_steps - 1) + [1.0 - (n_steps - 1) * early]
