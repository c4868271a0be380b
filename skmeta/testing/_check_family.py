"""The published conformance check for families of environments."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_family(family: Any, *, n_tasks: int = 3, n_episodes: int = 2) -> None:
    """Check that a family of environments keeps the promises of a TaskFamily.

    Parameters
    ----------
    family : TaskFamily
        An instance, of skmeta's families or of your own.
    n_tasks : int, default=3
        Tasks to check it on.
    n_episodes : int, default=2
        Episodes of each task.

    Raises
    ------
    AssertionError
        If a promise is broken. The message names it.

    Examples
    --------
    >>> from skmeta.policy import PointNavigation
    >>> from skmeta.testing import check_family
    >>> check_family(PointNavigation())
    """
    # Gymnasium is optional, and needed by those alone who check a family.
    from skmeta.policy.environments import TaskFamily, make_vector

    name = type(family).__name__
    assert isinstance(family, TaskFamily), (
        f"{name} must have methods sample(n, rng) and make(task), and max_episode_steps."
    )
    tasks = _sampled_tasks(family, name, n_tasks)
    spaces = [_spaces(family.make(task)) for task in tasks]
    assert all(found == spaces[0] for found in spaces), (
        f"All tasks of {name} must have the same spaces, got {spaces}."
    )
    env = make_vector(family, tasks, n_episodes)
    assert env.num_envs == n_tasks * n_episodes, (
        f"{name}.make_vector must make {n_tasks} times {n_episodes} environments, got "
        f"{env.num_envs}."
    )
    found = (env.single_observation_space, env.single_action_space)
    assert found == spaces[0], (
        f"{name}.make_vector and {name}.make must have the same spaces, got {found} and "
        f"{spaces[0]}."
    )
    first, second = (_play(env, family.max_episode_steps, name) for _ in range(2))
    assert len(first) == len(second), f"The same seed must give the same episodes of {name}."
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b), f"The same seed must give the same episodes of {name}."
    for task in tasks:
        _play_single(family.make(task), family.max_episode_steps, name)


def _sampled_tasks(family: Any, name: str, n: int) -> list[Any]:
    tasks = [list(family.sample(n, np.random.default_rng(0))) for _ in range(2)]
    assert len(tasks[0]) == n, (
        f"{name}.sample({n}, rng) must return {n} tasks, got {len(tasks[0])}."
    )
    assert repr(tasks[0]) == repr(tasks[1]), (
        f"{name}.sample must take all its random numbers from rng: the same seed gave {tasks[0]} "
        f"and {tasks[1]}."
    )
    return tasks[0]


def _spaces(env: Any) -> tuple[Any, Any]:
    found = env.observation_space, env.action_space
    env.close()
    return found


def _play(env: Any, limit: int, name: str) -> list[np.ndarray]:
    """Observations and rewards of episodes with drawn actions, until each is over."""
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    record = [np.array(seen)]
    over = np.zeros(env.num_envs, dtype=bool)
    for _ in range(limit):
        seen, rewards, terminated, truncated, _ = env.step(env.action_space.sample())
        rewards = np.asarray(rewards, dtype=np.float64)
        assert rewards.shape == (env.num_envs,), (
            f"{name} must give one reward per environment, got shape {rewards.shape}."
        )
        assert np.isfinite(rewards[~over]).all(), f"Rewards of {name} must be finite: {rewards}."
        for row in np.asarray(seen)[~over]:
            assert env.single_observation_space.contains(row), (
                f"An observation of {name} is not in its space: {row} of {row.dtype}."
            )
        record += [np.array(seen), rewards]
        over |= np.asarray(terminated) | np.asarray(truncated)
        if over.all():
            break
    assert over.all(), (
        f"Every episode of {name} must be over after max_episode_steps={limit} steps, "
        f"{(~over).sum()} are not."
    )
    return record


def _play_single(env: Any, limit: int, name: str) -> None:
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen), (
        f"An observation of {name} is not in its space: {seen!r}."
    )
    for _ in range(limit):
        seen, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(reward), f"Rewards of {name} must be finite, got {reward}."
        assert env.observation_space.contains(seen), (
            f"An observation of {name} is not in its space: {seen!r}."
        )
        if terminated or truncated:
            env.close()
            return
    raise AssertionError(
        f"Every episode of {name} must be over after max_episode_steps={limit} steps."
    )
