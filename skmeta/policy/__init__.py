"""Policies that adapt to a new environment after a few episodes (meta-reinforcement learning)."""

from skmeta.policy._core import PolicyLearner
from skmeta.policy._display import PolicyDisplay
from skmeta.policy._gif import render_gif
from skmeta.policy._maml import PolicyMAML
from skmeta.policy._meta_sgd import PolicyMetaSGD
from skmeta.policy._policy import MetaPolicy
from skmeta.policy._reptile import PolicyReptile
from skmeta.policy.environments import (
    CartPole,
    EnvironmentFamily,
    NumpyVectorEnv,
    Pendulum,
    PointNavigation,
    TaskFamily,
)

__all__ = [
    "CartPole",
    "EnvironmentFamily",
    "MetaPolicy",
    "NumpyVectorEnv",
    "Pendulum",
    "PointNavigation",
    "PolicyDisplay",
    "PolicyLearner",
    "PolicyMAML",
    "PolicyMetaSGD",
    "PolicyReptile",
    "TaskFamily",
    "render_gif",
]
