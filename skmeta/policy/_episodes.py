"""Episodes of many tasks: how they are played, and the policy gradients that they give.

Notation: M tasks, E episodes of each, T steps of the longest episode, d features; gamma the
discount, lambda the weight of longer estimates; pi the current policy, pi_0 the one that acted, A
the advantages, w weights of the steps (0 after the end of an episode). Observations are (M, E, T,
d), actions (M, E, T) or (M, E, T, d) in the policy's units, and rewards, weights, values,
advantages and log probabilities (M, E, T); without M for one task.

All losses are weighted means over the steps, so an expected return over T steps is T times minus
the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

from skmeta.exceptions import EpisodeError

ESTIMATORS = ("lvc", "dice")

_RIDGE = 1e-5


@dataclass(frozen=True)
class Episodes:
    """Episodes as the environment gives them; observation, reward and weight are 0 afterwards."""

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
    """Play an episode of at most `max_steps` in each of M times E environments, by tasks.

    `act` maps observations (M, E, d) to actions in the policy's units, `to_environment` these to
    the environment's. An EpisodeError is raised for observations or rewards that are not finite.
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
    """Join episodes of the same tasks, keep `n_episodes` of each, and pad to the longest."""
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
        f"in all), but each {what} must be a finite number. Fix the environment, or wrap it in "
        f"one that ends the episode before this."
    )


class EpisodeTensors(NamedTuple):
    """Episodes of one task on the device, with standardised observations x and log pi_0."""

    x: Tensor
    action: Tensor
    weight: Tensor
    advantage: Tensor
    log_prob: Tensor


def surrogate_loss(estimator: str, log_prob: Tensor, sample: EpisodeTensors) -> Tensor:
    """Return the negative advantage of the current policy, as a mean over steps.

    The gradient at pi = pi_0 is the same; how it depends on the policy differs: ``"lvc"`` is A pi /
    pi_0 (Rothfuss et al., 2019, ProMP: proximal meta-policy search, equation 8), ``"dice"`` right
    in each order of derivative, with more variance (Farquhar, Whiteson and Foerster, 2019, Loaded
    DiCE: trading off bias and variance in any-order score function gradient estimators, equation
    11).
    """
    step = torch.where(sample.weight > 0, log_prob - sample.log_prob, 0.0)
    if estimator == "dice":
        so_far = step.cumsum(-1)
        terms = so_far.exp() - (so_far - step).exp()
    else:
        terms = step.exp()
    return -(sample.weight * (terms * sample.advantage)).sum() / sample.weight.sum()


def discounted_sums(values: np.ndarray, factor: float) -> np.ndarray:
    """Return discounted sums over future steps of values (..., T)."""
    sums = lfilter([1.0], [1.0, -factor], values[..., ::-1])
    return np.ascontiguousarray(sums[..., ::-1])


def linear_baseline(
    observation: np.ndarray, reward: np.ndarray, weight: np.ndarray, discount: float
) -> np.ndarray:
    """Predict future returns (M, E, T) by a linear function of observation and time, for each task.

    Duan et al. (2016), Benchmarking deep reinforcement learning for continuous control, supplement
    5.
    """
    clipped = np.clip(observation, -10, 10)
    steps = np.broadcast_to(np.arange(reward.shape[2]) / 100, reward.shape)
    time = np.stack([steps, steps**2, steps**3, np.ones_like(steps)], axis=-1)
    features = np.concatenate([clipped, clipped**2, time], axis=-1)
    x = features.reshape(len(features), -1, features.shape[-1])
    w = weight.reshape(len(x), -1, 1)
    y = discounted_sums(reward, discount).reshape(len(x), -1, 1)
    left = (w * x).transpose(0, 2, 1) @ x
    left += _RIDGE * np.maximum(1.0, w.sum(1, keepdims=True)) * np.eye(x.shape[2])
    coefficients = np.linalg.solve(left, (w * x).transpose(0, 2, 1) @ y)
    return np.asarray((x @ coefficients * w).reshape(reward.shape))


def generalised_advantages(
    reward: np.ndarray, value: np.ndarray, discount: float, trace: float
) -> np.ndarray:
    """Estimate advantages by temporal differences (Schulman et al., 2016, equation 16)."""
    after = np.zeros_like(value)
    after[..., :-1] = value[..., 1:]
    return discounted_sums(reward + discount * after - value, discount * trace)


def standardise(advantage: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Scale the advantages of each task to mean 0 and standard deviation 1 over weighted steps."""
    total = weight.sum((1, 2), keepdims=True)
    mean = (advantage * weight).sum((1, 2), keepdims=True) / total
    centred = (advantage - mean) * weight
    scale = np.sqrt((centred**2).sum((1, 2), keepdims=True) / total)
    return np.asarray(centred / np.maximum(scale, 1e-8))
