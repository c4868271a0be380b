"""MAML and Meta-SGD for policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmeta._sklearn_compat import fit_context, validate_params
from skmeta.backend import State
from skmeta.learners import MAML, GradientLearner, MAMLPlusPlus, MetaSGD
from skmeta.policy._core import (
    PolicySession,
    PolicySettings,
    Sample,
    evaluate,
    initial_prior,
    meta_fit,
    surrogate_loss,
)
from skmeta.policy.environments import TaskFamily
from skmeta.priors import MetaPrior
from skmeta.training import parameter


@dataclass(kw_only=True, eq=False, repr=False)
class PolicyMAML(PolicySettings):
    """Model-agnostic meta-learning of a policy: weights from which a few updates suffice.

    In each task of a meta-batch the policy plays ``n_episodes`` episodes, takes a policy gradient
    step (:class:`~skmeta.learners.MAML`'s inner step), plays again with the adapted policy, and so
    on. The prior descends minus the advantage after the last update, through the inner steps
    (second order), or not (``first_order=True``).

    Parameters
    ----------
    first_order : bool, default=False
        Whether the meta-gradient ignores how the inner gradients depend on the prior.
    learn_inner_lr : bool, default=False
        Whether the step size is learned, one for each tensor and step; ``inner_lr`` is where it
        starts. Steps beyond those of the meta-training take the last one.
    multi_step_loss : bool, default=False
        Whether the meta-gradient is that of the policies after each update, with equal weights,
        instead of the policy after the last update alone.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, algorithm 3.
    Rothfuss, Lee, Clavera, Asfour and Abbeel (2019), ProMP: proximal meta-policy search, for the
    estimators.

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

    def inner_learner(self) -> GradientLearner:
        return MAML(
            inner_lr=self.inner_lr,
            n_inner_steps=self.n_inner_steps,
            first_order=self.first_order,
            plus_plus=MAMLPlusPlus(learn_inner_lr=self.learn_inner_lr),
        )

    def step_size_state(self, own: Mapping[str, Tensor]) -> State:
        if not self.learn_inner_lr:
            return {}
        n_steps = max(1, self.n_inner_steps)
        return {f"rate.{n}": torch.full((n_steps,), self.inner_lr) for n in own}

    # ------------------------------------------------------------------------------ for users

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, family: TaskFamily, y: Any = None) -> Self:
        """Meta-train on the tasks of a family.

        Parameters
        ----------
        family : TaskFamily
            Draws tasks and makes their environments.
        y : None
            Not used; here for pipelines.

        Returns
        -------
        self : object
            With ``prior_`` and ``history_``.

        Raises
        ------
        EpisodeError
            If a policy cannot learn in the family's environments.
        CheckpointError
            If the checkpoint belongs to another run.
        """
        self.prior_, self.history_ = meta_fit(self, family, meta_loss)
        return self

    def score(self, family: TaskFamily, y: Any = None) -> float:
        """Return the mean return in new tasks after ``n_inner_steps`` updates, without exploration.

        Parameters
        ----------
        family : TaskFamily
            Draws the tasks, with ``random_state``.
        y : None
            Not used.

        Returns
        -------
        float
            The mean return.
        """
        return float(self.score_tasks(family)[-1].mean())

    def score_tasks(
        self,
        family: TaskFamily,
        *,
        n_tasks: int = 40,
        n_updates: int | None = None,
        explore: bool = False,
    ) -> np.ndarray:
        """Return the mean return in each of many tasks, before and after each update.

        Parameters
        ----------
        family : TaskFamily
            Draws the tasks, with ``random_state``.
        n_tasks : int, default=40
            Number of tasks.
        n_updates : int, optional
            Number of updates, each on ``n_episodes`` episodes; by default ``n_inner_steps``.
        explore : bool, default=False
            Whether to measure with drawn actions instead of the most likely ones.

        Returns
        -------
        ndarray of shape (n_updates + 1, n_tasks)
            Mean returns over ``n_episodes`` episodes.
        """
        check_is_fitted(self, "prior_")
        return evaluate(self, self.prior_, family, n_tasks, n_updates, explore)

    def initial_prior(self, family: TaskFamily) -> MetaPrior:
        """Return the prior before any meta-training, with random weights, for comparisons.

        Parameters
        ----------
        family : TaskFamily
            Gives the spaces, and the scale of observations.

        Returns
        -------
        MetaPrior
            The prior.
        """
        validate_params(self)
        return initial_prior(self, family)


@dataclass(kw_only=True, eq=False, repr=False)
class PolicyMetaSGD(PolicyMAML):
    """:class:`PolicyMAML` with a step size learned for every parameter, direction included.

    theta' = theta - alpha * policy gradient, element by element; theta and alpha descend the loss
    after adaptation together. ``inner_lr`` is the start of each alpha.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    References
    ----------
    Li, Zhou, Chen and Li (2017), Meta-SGD: learning to learn quickly for few-shot learning,
    algorithm 2.

    Examples
    --------
    >>> from skmeta.policy import PointNavigation, PolicyMetaSGD
    >>> learner = PolicyMetaSGD(n_iterations=2, meta_batch_size=4, n_episodes=5, random_state=0)
    >>> prior = learner.fit(PointNavigation()).prior_
    >>> prior.tensors["rate.log_std"].shape
    (2,)
    """

    def inner_learner(self) -> GradientLearner:
        return MetaSGD(
            inner_lr=self.inner_lr,
            n_inner_steps=self.n_inner_steps,
            first_order=self.first_order,
        )

    def inner_memory(self, n_done: int) -> dict[str, Any]:
        return {}

    def step_size_state(self, own: Mapping[str, Tensor]) -> State:
        return {f"rate.{n}": torch.full_like(v, self.inner_lr) for n, v in own.items()}


def meta_loss(
    session: PolicySession, state: State, samples: tuple[Sample, ...]
) -> tuple[Tensor, Tensor]:
    """Return the loss of a task after adaptation, from episodes before and after each update.

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
    loss : Tensor of shape ()
        What the prior descends.
    loss : Tensor of shape ()
        The same, to be recorded.
    """
    *before, last = samples
    fast = session.begin(state)
    losses: list[Tensor] = []
    for k, sample in enumerate(before):
        fast = session.step(state, fast, k, sample)
        if session.learner.multi_step_loss:
            losses.append(
                surrogate_loss("lvc", session.log_prob(fast, samples[k + 1]), samples[k + 1])
            )
    if not losses:
        losses.append(surrogate_loss("lvc", session.log_prob(fast, last), last))
    value = torch.stack(losses).mean()
    return value, value
