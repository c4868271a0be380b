"""Reptile for policies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from skmeta.backend import Execution, State
from skmeta.learners import GradientLearner, Reptile
from skmeta.policy._core import PolicyLearner, PolicySession, Sample, outer_loss


@dataclass(kw_only=True, eq=False, repr=False)
class PolicyReptile(PolicyLearner):
    """Move the policy towards the adapted policies of the tasks.

    theta <- theta + meta_lr * mean over tasks of (theta' - theta), where theta' is the policy after
    ``n_inner_steps`` policy gradient steps, each on new episodes. It needs first derivatives only.

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
    >>> from skmeta.policy import PointNavigation, PolicyReptile
    >>> learner = PolicyReptile(n_iterations=2, meta_batch_size=4, n_episodes=5, random_state=0)
    >>> learner.fit(PointNavigation()).prior_.learner
    'PolicyReptile'
    """

    n_inner_steps: int = 3
    meta_optimizer: str = "sgd"
    meta_lr: float = 0.5
    schedule: str = "linear"

    def inner_learner(self) -> GradientLearner:
        return Reptile(
            inner_lr=self.inner_lr,
            n_inner_steps=self.n_inner_steps,
            inner_clip_norm=self.inner_clip_norm,
        )

    def meta_gradient(
        self,
        session: PolicySession,
        state: State,
        samples: tuple[Sample, ...],
        execution: Execution,
    ) -> tuple[State, Tensor]:
        gradient: tuple[State, Tensor] = execution.mean(partial(_towards, session, state), samples)
        return gradient


def _towards(
    session: PolicySession, state: State, samples: tuple[Sample, ...]
) -> tuple[State, Tensor]:
    *before, last = samples
    adapted = session.adapt(state, before)
    log_prob, _ = session.log_prob(adapted, last)
    return {n: v - adapted[n] for n, v in state.items()}, outer_loss(log_prob, last, None)
