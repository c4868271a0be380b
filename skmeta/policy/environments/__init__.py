"""Environments, and families of environments with different parameters or goals."""

from skmeta.policy.environments._family import EnvironmentFamily, TaskFamily, make_vector
from skmeta.policy.environments._vector import (
    NumpyVectorEnv,
    Parameters,
    PointNavigation,
    SingleEnv,
    gymnasium,
)
