"""Families of environments: tasks that differ in physical parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from skmeta._validation import check_count, suggest
from skmeta.exceptions import EpisodeError
from skmeta.policy.environments._vector import Parameters, gymnasium


class TaskFamily(Protocol):
    """Interface of a family of environments.

    A family may also have ``make_vector(tasks, n_episodes)``, which returns one
    ``gymnasium.vector.VectorEnv`` of ``len(tasks) * n_episodes`` environments in the order of the
    tasks. Without it, environments are made one by one and stepped in a loop. ``max_episode_steps``
    is an attribute that limits the length of an episode.
    """

    max_episode_steps: int

    def sample(self, n: int, rng: np.random.Generator) -> Sequence[Any]:
        """Draw ``n`` tasks; a task is anything that ``make`` takes."""

    def make(self, task: Any) -> gymnasium.Env:
        """Make the environment of one task. All tasks have the same spaces."""


def make_vector(family: TaskFamily, tasks: Sequence[Any], n_episodes: int) -> Any:
    """Make one vector environment of ``n_episodes`` environments per task, in their order."""
    own = getattr(family, "make_vector", None)
    if own is not None:
        return own(tasks, n_episodes)
    each = [partial(family.make, task) for task in tasks for _ in range(n_episodes)]
    return gymnasium.vector.SyncVectorEnv(each)


class EnvironmentFamily:
    """Environments of Gymnasium that differ in physical parameters.

    Parameters
    ----------
    env_id : str
        Name of an environment that Gymnasium has registered, such as ``"Pendulum-v1"``.
    parameters : mapping of str to distribution
        What varies: names of constructor arguments, or of attributes of the unwrapped
        environment. A distribution is one of :mod:`scipy.stats`, or anything else with
        ``rvs(size=..., random_state=...)``.
    max_episode_steps : int, optional
        Steps after which an episode is truncated; by default the registered number.

    Attributes
    ----------
    observation_space, action_space : gymnasium.Space
        Spaces of all tasks.

    Raises
    ------
    EpisodeError
        If the environment is not registered, does not have a parameter, or has no limit of steps.

    Notes
    -----
    Environments are stepped one by one. An attribute is set after the constructor has run; what
    the constructor computed from it is not computed anew, except for ``CartPole-v1``.

    Examples
    --------
    >>> from scipy.stats import uniform
    >>> from skmeta.policy import EnvironmentFamily
    >>> family = EnvironmentFamily("Pendulum-v1", {"m": uniform(0.5, 1), "l": uniform(0.5, 1)})
    >>> task, = family.sample(1, np.random.default_rng(0))
    >>> sorted(task)
    ['l', 'm']
    """

    def __init__(
        self, env_id: str, parameters: Mapping[str, Any], *, max_episode_steps: int | None = None
    ) -> None:
        self.env_id = env_id
        self.parameters: dict[str, Any] = dict(parameters)
        try:
            spec = gymnasium.spec(env_id)
        except gymnasium.error.Error as error:
            raise EpisodeError(
                f"env_id={env_id!r} is not an environment of Gymnasium: {error} See "
                "gymnasium.pprint_registry(), or import the package that registers it."
            ) from error
        limit = max_episode_steps if max_episode_steps is not None else spec.max_episode_steps
        if limit is None:
            raise EpisodeError(
                f"{env_id} has no limit of steps, so an episode might never end. Set "
                "max_episode_steps."
            )
        self.max_episode_steps: int = check_count(limit, "max_episode_steps")
        for name, distribution in self.parameters.items():
            if not hasattr(distribution, "rvs"):
                raise EpisodeError(
                    f"parameters[{name!r}] must be a distribution with a method rvs, such as "
                    f"scipy.stats.uniform(0.5, 1), got {distribution!r}."
                )
        entry: Any = spec.entry_point
        if isinstance(entry, str):
            entry = gymnasium.envs.registration.load_env_creator(entry)
        self._arguments = set(inspect.signature(entry).parameters) if callable(entry) else set()
        (task,) = self.sample(1, np.random.default_rng(0))
        env = self.make(task)
        self.observation_space: Any = env.observation_space
        self.action_space: Any = env.action_space
        env.close()

    def sample(self, n: int, rng: np.random.Generator) -> list[Parameters]:
        """Draw `n` tasks: the value of each parameter."""
        drawn = {
            name: np.asarray(distribution.rvs(size=n, random_state=rng), dtype=np.float64)
            for name, distribution in self.parameters.items()
        }
        return [{name: float(values[i]) for name, values in drawn.items()} for i in range(n)]

    def make(self, task: Parameters, **kwargs: Any) -> gymnasium.Env:
        """Make the environment of a task; `kwargs` are passed on to :func:`gymnasium.make`."""
        given = {name: value for name, value in task.items() if name in self._arguments}
        env = gymnasium.make(
            self.env_id,
            max_episode_steps=self.max_episode_steps,
            disable_env_checker=True,
            **given,
            **kwargs,
        )
        inner = env.unwrapped
        for name in task.keys() - given.keys():
            if not hasattr(inner, name):
                known = sorted({*self._arguments, *vars(inner)})
                raise EpisodeError(
                    f"{self.env_id} has neither a constructor argument nor an attribute "
                    f"{name!r}.{suggest(name, known)} Name one of: {', '.join(known)}."
                )
            setattr(inner, name, task[name])
        if isinstance(inner, gymnasium.envs.classic_control.CartPoleEnv):
            # Attributes that its constructor computes from other attributes.
            inner.total_mass = inner.masscart + inner.masspole
            inner.polemass_length = inner.masspole * inner.length
        return env
