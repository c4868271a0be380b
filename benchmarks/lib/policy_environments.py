"""CartPole and Pendulum with different physical parameters, all episodes at once.

The equations of CartPole are those of Florian (2007), Correct equations for the dynamics of the
cart-pole system, as Gymnasium's ``CartPole-v1`` has them.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np

from skmeta.policy import EnvironmentFamily
from skmeta.policy.environments import NumpyVectorEnv, Parameters

_ANGLE_LIMIT = 12 * 2 * math.pi / 360
_POSITION_LIMIT = 2.4
_CART_SECONDS = 0.02
_MAX_SPEED = 8.0
_MAX_TORQUE = 2.0
_PENDULUM_SECONDS = 0.05


class CartPoleVectorEnv(NumpyVectorEnv):
    """``CartPole-v1`` of Gymnasium, all episodes at once, with parameters of their own (SI units).

    The state is position, velocity, angle and angular velocity. ``length`` is half the pole's; a
    negative ``force_mag`` swaps the two actions.
    """

    defaults: ClassVar[Parameters] = {
        "gravity": 9.8,
        "masscart": 1.0,
        "masspole": 0.1,
        "length": 0.5,
        "force_mag": 10.0,
    }

    def __init__(self, tasks: Sequence[Parameters], max_episode_steps: int = 500) -> None:
        super().__init__(tasks, max_episode_steps)
        p = self.parameters
        self._total_mass = p["masscart"] + p["masspole"]
        self._pole_moment = p["masspole"] * p["length"]

    @classmethod
    def spaces(cls) -> tuple[Any, Any]:
        high = np.array([2 * _POSITION_LIMIT, np.inf, 2 * _ANGLE_LIMIT, np.inf], dtype=np.float32)
        return gymnasium.spaces.Box(-high, high, dtype=np.float32), gymnasium.spaces.Discrete(2)

    def begin(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.uniform(-0.05, 0.05, (4, n))

    def advance(self, state: np.ndarray, action: np.ndarray) -> tuple[Any, Any, Any]:
        p = self.parameters
        x, v, angle, spin = state
        force = np.where(action == 1, p["force_mag"], -p["force_mag"])
        cos, sin = np.cos(angle), np.sin(angle)
        pull = (force + self._pole_moment * spin**2 * sin) / self._total_mass
        turn = (p["gravity"] * sin - cos * pull) / (
            p["length"] * (4.0 / 3.0 - p["masspole"] * cos**2 / self._total_mass)
        )
        thrust = pull - self._pole_moment * turn * cos / self._total_mass
        after = np.stack(
            [
                x + _CART_SECONDS * v,
                v + _CART_SECONDS * thrust,
                angle + _CART_SECONDS * spin,
                spin + _CART_SECONDS * turn,
            ]
        )
        fell = (np.abs(after[0]) > _POSITION_LIMIT) | (np.abs(after[2]) > _ANGLE_LIMIT)
        return after, np.ones(self.num_envs), fell

    def observe(self) -> np.ndarray:
        return self.state.T.astype(np.float32)


class PendulumVectorEnv(NumpyVectorEnv):
    """``Pendulum-v1`` of Gymnasium, all episodes at once, with parameters of their own (SI units).

    The state is the angle (0 is upright, radians) and the angular velocity.
    """

    defaults: ClassVar[Parameters] = {"g": 10.0, "m": 1.0, "l": 1.0}

    def __init__(self, tasks: Sequence[Parameters], max_episode_steps: int = 200) -> None:
        super().__init__(tasks, max_episode_steps)

    @classmethod
    def spaces(cls) -> tuple[Any, Any]:
        high = np.array([1.0, 1.0, _MAX_SPEED], dtype=np.float32)
        torque = np.array([_MAX_TORQUE], dtype=np.float32)
        box = gymnasium.spaces.Box
        return box(-high, high, dtype=np.float32), box(-torque, torque, dtype=np.float32)

    def begin(self, rng: np.random.Generator, n: int) -> np.ndarray:
        high = np.array([[np.pi], [1.0]])
        return rng.uniform(-high, high, (2, n))

    def advance(self, state: np.ndarray, action: np.ndarray) -> tuple[Any, Any, Any]:
        p = self.parameters
        angle, speed = state
        torque = np.clip(action.reshape(self.num_envs), -_MAX_TORQUE, _MAX_TORQUE)
        from_top = (angle + np.pi) % (2 * np.pi) - np.pi
        cost = from_top**2 + 0.1 * speed**2 + 0.001 * torque**2
        acceleration = (
            3 * p["g"] / (2 * p["l"]) * np.sin(angle) + 3.0 / (p["m"] * p["l"] ** 2) * torque
        )
        speed = np.clip(speed + acceleration * _PENDULUM_SECONDS, -_MAX_SPEED, _MAX_SPEED)
        after = np.stack([angle + speed * _PENDULUM_SECONDS, speed])
        return after, -cost, np.zeros(self.num_envs, dtype=bool)

    def observe(self) -> np.ndarray:
        angle, speed = self.state
        return np.stack([np.cos(angle), np.sin(angle), speed], axis=1).astype(np.float32)


class VectorFamily(EnvironmentFamily):
    """A family of CartPole or Pendulum whose episodes are simulated at once."""

    classes: ClassVar[dict[str, type[NumpyVectorEnv]]] = {
        "CartPole-v1": CartPoleVectorEnv,
        "Pendulum-v1": PendulumVectorEnv,
    }

    def make_vector(self, tasks: Sequence[Parameters], n_episodes: int) -> NumpyVectorEnv:
        """Make ``n_episodes`` environments of each task, in the order of the tasks."""
        each = [task for task in tasks for _ in range(n_episodes)]
        return self.classes[self.env_id](each, self.max_episode_steps)
