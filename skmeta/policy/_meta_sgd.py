"""Meta-SGD for policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.learners import GradientLearner, MetaSGD
from skmeta.policy._maml import PolicyMAML


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
            inner_clip_norm=self.inner_clip_norm,
            first_order=self.first_order,
        )

    def inner_memory(self, n_done: int) -> dict[str, Any]:
        return {}

    def step_size_state(self, own: Mapping[str, Tensor]) -> State:
        return {f"rate.{n}": torch.full_like(v, self.inner_lr) for n, v in own.items()}
