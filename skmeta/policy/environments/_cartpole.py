"""CartPole with poles and motors of different sizes, all episodes at once.

References
----------
Barto, Sutton and Anderson (1983), Neuronlike adaptive elements that can solve difficult learning
control problems; the equations are those of Florian (2007), Correct equations for the dynamics of
the cart-pole system, as Gymnasium's ``CartPole-v1`` has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from skmeta.policy.environments._gymnasium import gymnasium
from skmeta.policy.environments._vector import NumpyVectorEnv, Parameters

_ANGLE_LIMIT = 12 * 2 * math.pi / 360
_POSITION_LIMIT = 2.4
_SECONDS = 0.02


class CartPoleVectorEnv(NumpyVectorEnv):
    """``CartPole-v1`` of Gymnasium, vectorised over episodes with parameters of their own.

    The state is position, velocity, angle and angular velocity.

    Parameters
    ----------
    tasks : sequence of mapping of str to float
        ``gravity``, ``masscart``, ``masspole``, ``length`` (half the pole's) and ``force_mag`` of
        each episode, in SI units. A negative ``force_mag`` swaps the two actions.
    max_episode_steps : int, default=500
        Steps after which an episode is truncated.
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
                x + _SECONDS * v,
                v + _SECONDS * thrust,
                angle + _SECONDS * spin,
                spin + _SECONDS * turn,
            ]
        )
        fell = (np.abs(after[0]) > _POSITION_LIMIT) | (np.abs(after[2]) > _ANGLE_LIMIT)
        return after, np.ones(self.num_envs), fell

    def observe(self) -> np.ndarray:
        return self.state.T.astype(np.float32)
