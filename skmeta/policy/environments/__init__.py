"""Environments, and families of environments with different parameters or goals."""

from skmeta.policy.environments._family import EnvironmentFamily, TaskFamily, make_vector
from skmeta.policy.environments._gymnasium import gymnasium
from skmeta.policy.environments._point import PointNavigation
from skmeta.policy.environments._vector import NumpyVectorEnv, Parameters, SingleEnv
