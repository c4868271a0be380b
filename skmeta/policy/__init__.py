"""Policies that adapt to a new environment: meta-reinforcement learning."""

from skmeta.policy._learners import PolicyMAML
from skmeta.policy._policy import MetaPolicy
from skmeta.policy.environments import EnvironmentFamily, PointNavigation

__all__ = ["EnvironmentFamily", "MetaPolicy", "PointNavigation", "PolicyMAML"]
