"""Distributions over actions, as pure functions of a network's outputs.

Notation: k outputs, d action dimensions; leading axes are free.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta.backend import State
from skmeta.exceptions import InvalidEnvironmentError
from skmeta.policy.environments import gymnasium

# Probability ratios of a policy with almost no exploration are too large for a gradient.
_MIN_LOG_STD = math.log(0.01)


class Gaussian:
    """Independent normal distributions around the outputs.

    One unit is half the range of an action, so that a policy can be drawn alike for any
    environment; the environment's action is clipped to its range. The standard deviation is a
    parameter of its own, ``log_std`` (d,).

    Parameters
    ----------
    low, high : ndarray of shape (d,)
        Range of the actions; infinite ends keep the unit.
    initial_std : float
        Standard deviation at first, in the policy's units.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, initial_std: float) -> None:
        self.low, self.high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        self.initial_std = initial_std
        self.n_outputs = len(self.low)
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        with np.errstate(invalid="ignore"):
            self._centre = np.where(bounded, (self.low + self.high) / 2, 0.0)
            self._scale = np.where(bounded, (self.high - self.low) / 2, 1.0)

    def initial_state(self) -> State:
        """Return the parameters that do not depend on the observation."""
        return {"log_std": torch.full((self.n_outputs,), math.log(self.initial_std))}

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw the random numbers of :meth:`sample`, for actions of leading shape ``shape``."""
        return rng.standard_normal((*shape, self.n_outputs))

    def sample(self, state: Mapping[str, Tensor], outputs: Tensor, noise: Tensor) -> Tensor:
        """Return actions computed from ``noise``, in the policy's own units."""
        return outputs + _log_std(state).exp() * noise

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely action."""
        return outputs

    def log_prob(self, state: Mapping[str, Tensor], outputs: Tensor, action: Tensor) -> Tensor:
        """Return the log density or log probability of actions, of the leading shape."""
        log_std = _log_std(state)
        z = (action - outputs) * (-log_std).exp()
        constant = log_std.sum() + 0.5 * self.n_outputs * math.log(2 * math.pi)
        return -0.5 * (z * z).sum(-1) - constant

    def to_environment(self, action: np.ndarray) -> np.ndarray:
        """Convert actions to the units of the environment."""
        scaled = self._centre + self._scale * np.asarray(action, np.float64)
        clipped: np.ndarray = np.clip(scaled, self.low, self.high)
        return clipped.astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """Return the description of the action space that a prior keeps."""
        return {"kind": "gaussian", "low": self.low.tolist(), "high": self.high.tolist()}


class Categorical:
    """One of ``n`` actions, with the outputs as logits.

    Parameters
    ----------
    n : int
        Number of actions.
    start : int
        The first action in the environment.
    """

    def __init__(self, n: int, start: int = 0) -> None:
        self.n_outputs, self.start = int(n), int(start)

    def initial_state(self) -> State:
        """Return the parameters that do not depend on the observation."""
        return {}

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draw the random numbers of :meth:`sample`, for actions of leading shape ``shape``."""
        return rng.gumbel(size=(*shape, self.n_outputs))

    def sample(self, state: Mapping[str, Tensor], outputs: Tensor, noise: Tensor) -> Tensor:
        """Return actions computed from ``noise``, in the policy's own units."""
        # The largest of logits with Gumbel noise has the probabilities of the softmax.
        return (outputs + noise).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely action."""
        return outputs.argmax(-1)

    def log_prob(self, state: Mapping[str, Tensor], outputs: Tensor, action: Tensor) -> Tensor:
        """Return the log density or log probability of actions, of the leading shape."""
        log_p = F.log_softmax(outputs, -1)
        return log_p.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def to_environment(self, action: np.ndarray) -> np.ndarray:
        """Convert actions to the units of the environment."""
        return np.asarray(np.asarray(action, np.int64) + self.start)

    def describe(self) -> dict[str, Any]:
        """Return the description of the action space that a prior keeps."""
        return {"kind": "categorical", "n": self.n_outputs, "start": self.start}


ActionDistribution = Gaussian | Categorical
"""Distribution over actions, given the outputs of a policy network."""


def _log_std(state: Mapping[str, Tensor]) -> Tensor:
    return state["log_std"].clamp_min(_MIN_LOG_STD)


def make_distribution(space: Any, initial_std: float) -> ActionDistribution:
    """Choose the distribution for an action space.

    Parameters
    ----------
    space : gymnasium.Space
        The action space.
    initial_std : float
        Standard deviation of a Gaussian policy at first.

    Returns
    -------
    ActionDistribution
        Gaussian for a box of one axis, categorical for a discrete space.

    Raises
    ------
    InvalidEnvironmentError
        If the space is of another kind.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return Categorical(int(space.n), int(space.start))
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        return Gaussian(space.low, space.high, initial_std)
    raise InvalidEnvironmentError(
        f"The action space must be Discrete, or a Box of one axis, got {space}. Wrap the "
        "environment, for example in gymnasium.wrappers.RescaleAction or a wrapper of your own."
    )


def restore_distribution(described: Mapping[str, Any], initial_std: float) -> ActionDistribution:
    """Make the distribution that a prior describes.

    Parameters
    ----------
    described : mapping
        What :meth:`ActionDistribution.describe` returned.
    initial_std : float
        Standard deviation of a Gaussian policy at first.

    Returns
    -------
    ActionDistribution
        The distribution.
    """
    if described["kind"] == "categorical":
        return Categorical(described["n"], described["start"])
    return Gaussian(np.array(described["low"]), np.array(described["high"]), initial_std)
