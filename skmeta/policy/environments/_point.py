"""A point in the plane that walks to a hidden goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from skmeta._validation import check_count
from skmeta.policy.environments._gymnasium import gymnasium
from skmeta.policy.environments._vector import NumpyVectorEnv, Parameters, SingleEnv

_MAX_STEP = 0.1
_CLOSE = 0.01


class PointVectorEnv(NumpyVectorEnv):
    """A point in the plane that is rewarded for being close to a goal it does not observe.

    The observation is the position, the action a step of at most 0.1 in each direction, the
    reward minus the distance to the goal. An episode ends within 0.01 of the goal in both
    directions.

    Parameters
    ----------
    tasks : sequence of mapping of str to float
        ``goal_x`` and ``goal_y`` of each episode.
    max_episode_steps : int, default=100
        Steps after which an episode is truncated.
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

    A task is a goal, drawn uniformly from a square around the origin, where every episode starts.
    The reward of a step is minus the distance to the goal afterwards, so a policy can find the
    goal by trying only. An episode ends within 0.01 of the goal, or after 100 steps.

    Parameters
    ----------
    half_width : float, default=0.5
        Half the side of the square; 0.5 is the unit square of the paper.
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

    def __init__(self, half_width: float = 0.5, max_episode_steps: int = 100) -> None:
        if not 0 < half_width <= 5:
            raise ValueError(
                f"half_width must be above 0 and at most 5 (half of what a hundred steps can "
                f"cross), got {half_width!r}."
            )
        self.half_width = half_width
        self.max_episode_steps = check_count(max_episode_steps, "max_episode_steps")
        self.observation_space, self.action_space = PointVectorEnv.spaces()

    def sample(self, n: int, rng: np.random.Generator) -> list[Parameters]:
        """Draw goals.

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator
            Source of the numbers.

        Returns
        -------
        list of dict of length n
            ``goal_x`` and ``goal_y`` of each task.
        """
        goals = rng.uniform(-self.half_width, self.half_width, (n, 2))
        return [{"goal_x": float(x), "goal_y": float(y)} for x, y in goals]

    def make(self, task: Parameters) -> SingleEnv:
        """Make the environment of a task.

        Parameters
        ----------
        task : mapping of str to float
            ``goal_x`` and ``goal_y``.

        Returns
        -------
        gymnasium.Env
            One environment; it renders pictures.
        """
        return SingleEnv(self.make_vector([task], 1))

    def make_vector(self, tasks: Sequence[Parameters], n_episodes: int) -> PointVectorEnv:
        """Make ``n_episodes`` environments of each task, in the order of the tasks.

        Parameters
        ----------
        tasks : sequence of mapping
            The tasks.
        n_episodes : int
            Environments of each task.

        Returns
        -------
        gymnasium.vector.VectorEnv
            ``len(tasks) * n_episodes`` environments.
        """
        each = [task for task in tasks for _ in range(n_episodes)]
        return PointVectorEnv(each, self.max_episode_steps)
