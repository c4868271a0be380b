"""Pendulums of different lengths and masses, all episodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from skmeta.policy.environments._gymnasium import gymnasium
from skmeta.policy.environments._vector import NumpyVectorEnv, Parameters

_MAX_SPEED = 8.0
_MAX_TORQUE = 2.0
_SECONDS = 0.05


class PendulumVectorEnv(NumpyVectorEnv):
    """``Pendulum-v1`` of Gymnasium, vectorised over episodes with parameters of their own.

    The state is the angle (0 is upright, radians) and the angular velocity.

    Parameters
    ----------
    tasks : sequence of mapping of str to float
        ``g`` (m/s²), ``m`` (kg) and ``l`` (m) of each episode.
    max_episode_steps : int, default=200
        Steps after which an episode is truncated.
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
        speed = np.clip(speed + acceleration * _SECONDS, -_MAX_SPEED, _MAX_SPEED)
        after = np.stack([angle + speed * _SECONDS, speed])
        return after, -cost, np.zeros(self.num_envs, dtype=bool)

    def observe(self) -> np.ndarray:
        angle, speed = self.state
        return np.stack([np.cos(angle), np.sin(angle), speed], axis=1).astype(np.float32)
