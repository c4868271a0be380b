"""Play episodes of many tasks at once.

Notation: M tasks, E episodes of each, T steps of the longest episode, d features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmeta.exceptions import EpisodeError


@dataclass(frozen=True)
class Episodes:
    """Record of the episodes.

    Attributes
    ----------
    observation : ndarray of shape (M, E, T, d)
        As the environment gives them; 0 after the end of an episode.
    action : ndarray of shape (M, E, T) or (M, E, T, d)
        In the policy's units.
    reward : ndarray of shape (M, E, T)
        0 after the end of an episode.
    weight : ndarray of shape (M, E, T)
        1 for a step that was made, 0 after the end of an episode.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    weight: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        """Return the sum of rewards of each episode, of shape (M, E)."""
        total: np.ndarray = self.reward.sum(2)
        return total


def collect(
    env: Any,
    act: Callable[[np.ndarray], np.ndarray],
    to_environment: Callable[[np.ndarray], np.ndarray],
    n_tasks: int,
    max_steps: int,
    rng: np.random.Generator,
) -> Episodes:
    """Play one episode in each environment.

    Parameters
    ----------
    env : gymnasium.vector.VectorEnv
        M times E environments, in the order of the tasks. Steps after the end of an episode are
        ignored.
    act : callable
        Maps observations (M, E, d) to actions (M, E, ...) in the policy's units.
    to_environment : callable
        Maps these to the environment's units.
    n_tasks : int
        M.
    max_steps : int
        Steps after which an episode is cut.
    rng : numpy.random.Generator
        Seeds the environments.

    Returns
    -------
    Episodes
        What happened.

    Raises
    ------
    EpisodeError
        If an observation or a reward is not a finite number.
    """
    n = env.num_envs
    seen, _ = env.reset(seed=int(rng.integers(2**31)))
    active = np.ones(n, dtype=bool)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for step in range(max_steps):
        seen = np.where(active[:, None], np.asarray(seen, np.float64).reshape(n, -1), 0.0)
        _check_finite(seen, "observation", step)
        action = act(seen.reshape(n_tasks, -1, seen.shape[1]))
        flat = action.reshape(n, *action.shape[2:])
        after, reward, terminated, truncated, _ = env.step(to_environment(flat))
        reward = np.where(active, np.asarray(reward, np.float64), 0.0)
        _check_finite(reward, "reward", step)
        parts.append((seen, flat, reward, active))
        active = active & ~(np.asarray(terminated) | np.asarray(truncated))
        if not active.any():
            break
        seen = after
    stacked = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
    observation, actions, rewards, weight = (
        part.reshape(n_tasks, n // n_tasks, *part.shape[1:]) for part in stacked
    )
    return Episodes(observation, actions, rewards, weight.astype(np.float64))


def concatenate(parts: Sequence[Episodes], n_episodes: int) -> Episodes:
    """Join episodes of the same tasks, and keep the first ones.

    Parameters
    ----------
    parts : sequence of Episodes
        Episodes of the same M tasks.
    n_episodes : int
        Episodes to keep of each task.

    Returns
    -------
    Episodes
        Padded to the longest episode.
    """
    longest = max(part.reward.shape[2] for part in parts)

    def joined(name: str) -> np.ndarray:
        arrays = []
        for part in parts:
            values = getattr(part, name)
            pad = [(0, 0)] * values.ndim
            pad[2] = (0, longest - values.shape[2])
            arrays.append(np.pad(values, pad))
        return np.concatenate(arrays, axis=1)[:, :n_episodes]

    return Episodes(*(joined(n) for n in ("observation", "action", "reward", "weight")))


def _check_finite(values: np.ndarray, what: str, step: int) -> None:
    if np.isfinite(values).all():
        return
    bad = ~np.isfinite(values).reshape(len(values), -1).all(1)
    at = int(bad.argmax())
    given = values[at].tolist()
    raise EpisodeError(
        f"The {what} of environment {at} is {given} at step {step} ({bad.sum()} such environments "
        f"in all), but each {what} must be a finite number. Mend the environment, or wrap it in "
        f"one that ends the episode before this."
    )
