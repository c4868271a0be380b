"""Environments, and families of environments with different parameters or goals."""

from skmeta.policy.environments._cartpole import CartPoleVectorEnv
from skmeta.policy.environments._family import (
    EnvironmentFamily,
    TaskFamily,
    make_vector,
)
from skmeta.policy.environments._gymnasium import gymnasium
from skmeta.policy.environments._pendulum import PendulumVectorEnv
from skmeta.policy.environments._point import PointNavigation, PointVectorEnv
from skmeta.policy.environments._vector import NumpyVectorEnv, SingleEnv

__all__ = [
    "CartPoleVectorEnv",
    "EnvironmentFamily",
    "NumpyVectorEnv",
    "PendulumVectorEnv",
    "PointNavigation",
    "PointVectorEnv",
    "SingleEnv",
    "TaskFamily",
    "gymnasium",
    "make_vector",
]
