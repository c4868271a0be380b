"""Vector environments that advance all episodes at once with NumPy, and a point in the plane."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from skmeta._validation import check_count

try:
    import gymnasium.envs.classic_control
    import gymnasium.vector.utils
except ModuleNotFoundError as error:
    raise ImportError(
        "skmeta.policy needs gymnasium (1.0 or later), which is not installed. "
        "Install it: pip install '.[rl]'"
    ) from error

Parameters = Mapping[str, float]
"""Physical parameters of one task, by name."""

_MAX_STEP, _CLOSE = 0.1, 0.01  # of the point


class NumpyVectorEnv(gymnasium.vector.VectorEnv):
    """A vector environment whose episodes may have different physical parameters.

    `tasks` are the parameters of each episode, with :attr:`defaults` for those left out; `state` is
    (n_state, num_envs). An ended episode does not change, with reward 0, until :meth:`reset`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 -- as Gymnasium declares it
        "autoreset_mode": "Disabled"
    }
    defaults: ClassVar[Parameters] = {}

    def __init__(self, tasks: Sequence[Parameters], max_episode_steps: int) -> None:
        self.num_envs: int = len(tasks)
        self.max_episode_steps = max_episode_steps
        # Autoreset modes are an enumeration from Gymnasium 1.1 on.
        modes = getattr(gymnasium.vector, "AutoresetMode", None)
        if modes is not None:
            self.metadata = {**self.metadata, "autoreset_mode": modes.DISABLED}
        self.parameters: dict[str, np.ndarray] = {
            name: np.array([task.get(name, value) for task in tasks], dtype=np.float64)
            for name, value in self.defaults.items()
        }
        spaces = self.spaces()
        self.single_observation_space: Any = spaces[0]
        self.single_action_space: Any = spaces[1]
        batch = gymnasium.vector.utils.batch_space
        self.observation_space: Any = batch(self.single_observation_space, self.num_envs)
        self.action_space: Any = batch(self.single_action_space, self.num_envs)
        self.state: np.ndarray = np.zeros((0, self.num_envs))
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
        """Begin new episodes, with one seed for all."""
        super().reset(seed=seed)
        self.state = self.begin(self.np_random, self.num_envs)
        for flags in (self._steps, self._terminated, self._truncated):
            flags[:] = 0
        return self.observe(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every episode by one action."""
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
    """One episode of a :class:`NumpyVectorEnv` with ``num_envs=1`` as an ordinary environment."""

    def __init__(self, vector: NumpyVectorEnv) -> None:
        self.vector = vector
        self.observation_space: Any = vector.single_observation_space
        self.action_space: Any = vector.single_action_space
        self.max_episode_steps: int = vector.max_episode_steps

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


class PointVectorEnv(NumpyVectorEnv):
    """A point in the plane that is rewarded for being close to a goal it does not observe.

    The observation is the position, the action a step of at most 0.1 in each direction, the reward
    the negative distance to the goal. An episode ends within 0.01 of it in both directions.
    """

    defaults: ClassVar[Parameters] = {"goal_x": 0.0, "goal_y": 0.0}

    def __init__(self, tasks: Sequence[Parameters], max_episode_steps: int = 100) -> None:
        super().__init__(tasks, max_episode_steps)
        self._goal = np.stack([self.parameters["goal_x"], self.parameters["goal_y"]])

    @classmethod
    def spaces(cls) -> tuple[Any, Any]:
        step = np.full(2, _MAX_STEP, dtype=np.float32)
        # A hundred steps in one direction.
        far = np.full(2, 100 * _MAX_STEP, dtype=np.float32)
        box = gymnasium.spaces.Box
        return box(-far, far, dtype=np.float32), box(-step, step, dtype=np.float32)

    def begin(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return np.zeros((2, n))

    def advance(self, state: np.ndarray, action: np.ndarray) -> tuple[Any, Any, Any]:
        after = np.clip(state + np.clip(action.T, -_MAX_STEP, _MAX_STEP), -10.0, 10.0)
        x, y = after - self._goal
        return after, -np.sqrt(x * x + y * y), (np.abs(x) < _CLOSE) & (np.abs(y) < _CLOSE)

    def observe(self) -> np.ndarray:
        return self.state.T.astype(np.float32)


class PointNavigation:
    """Walk in the plane to a goal that is not observed: the 2D navigation of the MAML paper.

    A task is a goal, drawn uniformly from the unit square around the origin, where episodes start.
    The reward of a step is minus the distance to the goal afterwards, so a policy can find the
    goal by trying only. An episode ends within 0.01 of the goal, or after 100 steps.

    Parameters
    ----------
    max_episode_steps : int, default=100
        Steps of an episode, at most.

    Attributes
    ----------
    observation_space, action_space : gymnasium.spaces.Box
        Position, and step of at most 0.1 in each direction.

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, section 5.3, 2D navigation.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.policy import PointNavigation
    >>> family = PointNavigation()
    >>> task, = family.sample(1, np.random.default_rng(0))
    >>> sorted(task)
    ['goal_x', 'goal_y']
    >>> env = family.make(task)
    >>> env.reset(seed=0)[0]
    array([0., 0.], dtype=float32)
    """

    def __init__(self, max_episode_steps: int = 100) -> None:
        self.max_episode_steps: int = check_count(max_episode_steps, "max_episode_steps")
        spaces = PointVectorEnv.spaces()
        self.observation_space: Any = spaces[0]
        self.action_space: Any = spaces[1]

    def sample(self, n: int, rng: np.random.Generator) -> list[Parameters]:
        """Draw `n` goals: ``goal_x`` and ``goal_y`` of each task."""
        goals = rng.uniform(-0.5, 0.5, (n, 2))
        return [{"goal_x": float(x), "goal_y": float(y)} for x, y in goals]

    def make(self, task: Parameters) -> SingleEnv:
        """Make the environment of one goal."""
        return SingleEnv(self.make_vector([task], 1))

    def make_vector(self, tasks: Sequence[Parameters], n_episodes: int) -> PointVectorEnv:
        """Make ``n_episodes`` environments of each task, in the order of the tasks."""
        each = [task for task in tasks for _ in range(n_episodes)]
        return PointVectorEnv(each, self.max_episode_steps)
