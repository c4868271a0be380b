"""Policies that adapt to a new environment after a few episodes (meta-reinforcement learning)."""

from skmeta.policy._learner import PolicyLearner
from skmeta.policy._maml import PolicyMAML
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
    "NumpyVectorEnv",
    "Pendulum",
    "PointNavigation",
    "PolicyLearner",
    "PolicyMAML",
    "TaskFamily",
]
