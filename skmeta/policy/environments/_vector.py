"""Vector environments that advance all episodes at once with NumPy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from skmeta.policy.environments._gymnasium import gymnasium

Parameters = Mapping[str, float]
"""Physical parameters of one task, by name."""


class NumpyVectorEnv(gymnasium.vector.VectorEnv):
    """A vector environment whose episodes may have different physical parameters.

    An ended episode does not change, with reward 0, until :meth:`reset`.

    Parameters
    ----------
    tasks : sequence of mapping of str to float
        Parameters of each episode; those left out have the values of :attr:`defaults`.
    max_episode_steps : int
        Steps after which an episode is truncated.

    Attributes
    ----------
    state : ndarray of shape (n_state, num_envs)
        State of each episode.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 -- as Gymnasium declares it
        "autoreset_mode": "Disabled",
    }
    defaults: ClassVar[Parameters] = {}

    def __init__(self, tasks: Sequence[Parameters], max_episode_steps: int) -> None:
        self.num_envs = len(tasks)
        self.max_episode_steps = max_episode_steps
        # Autoreset modes are an enumeration from Gymnasium 1.1 on.
        modes = getattr(gymnasium.vector, "AutoresetMode", None)
        if modes is not None:
            self.metadata = {**self.metadata, "autoreset_mode": modes.DISABLED}
        self.parameters = {
            name: np.array([task.get(name, value) for task in tasks], dtype=np.float64)
            for name, value in self.defaults.items()
        }
        self.single_observation_space, self.single_action_space = self.spaces()
        batch = gymnasium.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, self.num_envs)
        self.action_space = batch(self.single_action_space, self.num_envs)
        self.state = np.zeros((0, self.num_envs))
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self._terminated = np.zeros(self.num_envs, dtype=bool)
        self._truncated = np.zeros(self.num_envs, dtype=bool)

    @classmethod
    @abstractmethod
    def spaces(cls) -> tuple[Any, Any]:
        """Observation space and action space of one episode."""

    @abstractmethod
    def begin(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw the first states of ``n`` episodes, of shape (n_state, n)."""

    @abstractmethod
    def advance(self, state: np.ndarray, action: np.ndarray) -> tuple[Any, Any, Any]:
        """Return next states, rewards and whether each episode ends, for all episodes."""

    @abstractmethod
    def observe(self) -> np.ndarray:
        """Return observations of shape (num_envs, n_features), float32."""

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin new episodes.

        Parameters
        ----------
        seed : int, optional
            Seed of all episodes together.
        options : dict, optional
            Not used.

        Returns
        -------
        observations : ndarray of shape (num_envs, n_features)
            First observations.
        info : dict
            Empty.
        """
        super().reset(seed=seed)
        self.state = self.begin(self.np_random, self.num_envs)
        for flags in (self._steps, self._terminated, self._truncated):
            flags[:] = 0
        return self.observe(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every episode by one step.

        Parameters
        ----------
        actions : ndarray of shape (num_envs, ...)
            One action per episode.

        Returns
        -------
        observations : ndarray of shape (num_envs, n_features)
            After the step.
        rewards : ndarray of shape (num_envs,)
            0 for episodes that were over.
        terminated, truncated : ndarray of bool of shape (num_envs,)
            Whether the episode has ended, or has been cut at ``max_episode_steps``.
        info : dict
            Empty.
        """
        over = self._terminated | self._truncated
        state, rewards, terminated = self.advance(self.state, np.asarray(actions))
        if over.any():
            state = np.where(over, self.state, state)
            rewards = np.where(over, 0.0, rewards)
            terminated = np.where(over, self._terminated, terminated)
        self.state = state
        self._steps += ~over
        self._terminated = terminated
        self._truncated = self._steps >= self.max_episode_steps
        return self.observe(), rewards, terminated.copy(), self._truncated.copy(), {}


class SingleEnv(gymnasium.Env):
    """One episode of a :class:`NumpyVectorEnv` as an ordinary environment.

    Parameters
    ----------
    vector : NumpyVectorEnv
        With ``num_envs=1``.
    """

    def __init__(self, vector: NumpyVectorEnv) -> None:
        self.vector = vector
        self.observation_space = vector.single_observation_space
        self.action_space = vector.single_action_space
        self.max_episode_steps = vector.max_episode_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode; see :meth:`NumpyVectorEnv.reset`."""
        observations, info = self.vector.reset(seed=seed)
        return observations[0], info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by one step; see :meth:`NumpyVectorEnv.step`."""
        observations, rewards, terminated, truncated, info = self.vector.step(np.asarray([action]))
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info
