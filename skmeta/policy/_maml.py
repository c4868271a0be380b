"""MAML for policies, with the outer steps of ProMP and of the MAML paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.backend import Execution, State
from skmeta.learners import MAML, GradientLearner, MAMLPlusPlus
from skmeta.learners._core import parameter
from skmeta.policy._core import (
    PolicyLearner,
    PolicySession,
    Sample,
    mean_kl,
    outer_loss,
    sampling_loss,
    trust_region_step,
)


@dataclass(kw_only=True, eq=False, repr=False)
class PolicyMAML(PolicyLearner):
    """Model-agnostic meta-learning of a policy: weights from which a few updates suffice.

    In each task of a meta-batch the policy plays ``n_episodes`` episodes, takes a policy gradient
    step (:class:`~skmeta.learners.MAML`'s inner step), plays again with the adapted policy, and so
    on. The prior descends minus the advantage after the last update, through the inner steps
    (second order), or not (``first_order=True``).

    Parameters
    ----------
    first_order : bool, default=False
        Whether the meta-gradient ignores how the inner gradients depend on the prior.
    multi_step_loss : bool, default=False
        Whether the policy after each update counts for the meta-gradient, all alike, instead of
        the policy after the last update alone.
    outer : {"clip", "trust_region"}, default="clip"
        Outer step: the optimizer on a clipped ratio (ProMP), or a natural gradient step within a
        trust region (as in the MAML paper), which ignores ``meta_lr``, ``meta_optimizer``,
        ``schedule`` and ``clip_norm``.
    clip_ratio : float, default=0.3
        The ratio of new to old probabilities counts up to one plus or minus this (epsilon).
    inner_kl_weight : float, default=5e-4
        Weight of the divergence of the policies before each update from those that played (eta in
        ProMP), for ``outer='clip'``.
    max_kl : float, default=0.01
        Size of the trust region: largest mean divergence of an outer step.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, algorithm 3.
    Rothfuss, Lee, Clavera, Asfour and Abbeel (2019), ProMP: proximal meta-policy search.

    Examples
    --------
    >>> from skmeta.policy import PointNavigation, PolicyMAML
    >>> family = PointNavigation()
    >>> learner = PolicyMAML(n_iterations=2, meta_batch_size=4, n_episodes=5, random_state=0)
    >>> learner.fit(family).prior_
    MetaPrior(PolicyMAML on mlp, policy, 2 features, ...)
    """

    first_order: bool = parameter(False, "boolean", role="training")
    learn_inner_lr: bool = parameter(False, "boolean", role="training")
    multi_step_loss: bool = parameter(False, "boolean", role="training")
    outer: str = parameter("clip", StrOptions({"clip", "trust_region"}), role="training")
    clip_ratio: float = parameter(0.3, Interval(Real, 0, None, closed="neither"), role="training")
    inner_kl_weight: float = parameter(
        5e-4, Interval(Real, 0, None, closed="left"), role="training"
    )
    max_kl: float = parameter(0.01, Interval(Real, 0, None, closed="neither"), role="training")

    def inner_learner(self) -> GradientLearner:
        return MAML(
            inner_lr=self.inner_lr,
            n_inner_steps=self.n_inner_steps,
            inner_clip_norm=self.inner_clip_norm,
            first_order=self.first_order,
            plus_plus=MAMLPlusPlus(learn_inner_lr=self.learn_inner_lr),
        )

    def step_size_state(self, own: Mapping[str, Tensor]) -> State:
        if not self.learn_inner_lr:
            return {}
        n_steps = max(1, self.n_inner_steps)
        return {f"rate.{n}": torch.full((n_steps,), self.inner_lr) for n in own}

    def outer_optimizer(self) -> dict[str, Any]:
        if self.outer == "trust_region":
            # The gradient is the whole step; the outer loop only applies it.
            return {"optimizer": "sgd", "lr": 1.0, "schedule": "constant", "clip_norm": None}
        return super().outer_optimizer()

    def meta_gradient(
        self,
        session: PolicySession,
        state: State,
        samples: tuple[Sample, ...],
        execution: Execution,
    ) -> tuple[State, Tensor]:
        loss = partial(meta_loss, self, session)
        if self.outer == "trust_region":
            return trust_region_step(
                loss, partial(meta_kl, session), state, samples, execution, self.max_kl
            )
        return execution.gradient(loss, state, samples)


def meta_loss(
    learner: PolicyMAML, session: PolicySession, state: State, samples: tuple[Sample, ...]
) -> tuple[Tensor, Tensor]:
    """Return the loss of a task after adaptation, from episodes before and after each update.

    Parameters
    ----------
    learner : PolicyMAML
        The settings.
    session : PolicySession
        Learner, network and distribution of actions.
    state : dict of Tensor
        The prior.
    samples : tuple of Sample of length n_inner_steps + 1
        Episodes of one task.

    Returns
    -------
    loss : Tensor of shape ()
        What the prior descends.
    gain : Tensor of shape ()
        The same, to be recorded.
    """
    *before, last = samples
    fast = session.begin(state)
    penalty = torch.zeros_like(last.credit)
    clip_ratio = learner.clip_ratio if learner.outer == "clip" else None
    gains: list[Tensor] = []
    for k, sample in enumerate(before):
        log_prob, outputs = session.log_prob(fast, sample)
        if learner.outer == "clip" and learner.inner_kl_weight > 0:
            kl = mean_kl(session.distribution, fast, outputs, sample)
            penalty = penalty + learner.inner_kl_weight * kl / len(before)
        if learner.estimator == "e-maml":
            penalty = penalty + sampling_loss(log_prob, sample, last.credit)
        fast = session.step(state, fast, k, sample)
        if learner.multi_step_loss:
            log_prob, _ = session.log_prob(fast, samples[k + 1])
            gains.append(outer_loss(log_prob, samples[k + 1], clip_ratio))
    if not gains:
        log_prob, _ = session.log_prob(fast, last)
        gains.append(outer_loss(log_prob, last, clip_ratio))
    value = torch.stack(gains).mean() + penalty
    return value, value


def meta_kl(session: PolicySession, state: State, samples: tuple[Sample, ...]) -> Tensor:
    """Return the mean divergence of an adapted policy from the one that played its episodes.

    Parameters
    ----------
    session : PolicySession
        Learner, network and distribution of actions.
    state : dict of Tensor
        The prior.
    samples : tuple of Sample of length n_inner_steps + 1
        Episodes of one task.

    Returns
    -------
    Tensor of shape ()
        The divergence.
    """
    *before, last = samples
    fast = session.adapt(state, before)
    return mean_kl(session.distribution, fast, session.outputs(fast, last.x), last)
