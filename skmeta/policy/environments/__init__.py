"""Environments, and families of environments with different parameters or goals."""

from skmeta.policy.environments._family import EnvironmentFamily as EnvironmentFamily
from skmeta.policy.environments._family import TaskFamily as TaskFamily
from skmeta.policy.environments._family import make_vector as make_vector
from skmeta.policy.environments._gymnasium import gymnasium as gymnasium
from skmeta.policy.environments._point import PointNavigation as PointNavigation
from skmeta.policy.environments._vector import NumpyVectorEnv as NumpyVectorEnv
from skmeta.policy.environments._vector import Parameters as Parameters
from skmeta.policy.environments._vector import SingleEnv as SingleEnv
