"""Distributions over actions, as pure functions of a network's outputs, and checks of spaces.

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

from skmeta._backend import State
from skmeta.exceptions import EpisodeError, PriorError
from skmeta.policy.environments import gymnasium
from skmeta.priors import MetaPrior

# Probability ratios of a policy with almost no exploration are too large for a gradient.
_MIN_LOG_STD = math.log(0.01)


class Gaussian:
    """Independent normal distributions around the outputs; the environment clips its actions.

    A unit is half the range of an action (d,), so that the first policy has the same spread in any
    environment. The standard deviation is a parameter, ``log_std`` (d,), and one unit at first.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        self.n_outputs = len(self.low)
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        with np.errstate(invalid="ignore"):
            self._centre = np.where(bounded, (self.low + self.high) / 2, 0.0)
            self._scale = np.where(bounded, (self.high - self.low) / 2, 1.0)

    def initial_state(self) -> State:
        """Return the parameters that do not depend on the observation."""
        return {"log_std": torch.zeros(self.n_outputs)}

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


class Categorical:
    """One of ``n`` actions (the first is `start`), with the outputs as logits; see `Gaussian`."""

    def __init__(self, n: int, start: int = 0) -> None:
        self.n_outputs, self.start = int(n), int(start)

    def initial_state(self) -> State:
        return {}

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.gumbel(size=(*shape, self.n_outputs))

    def sample(self, state: Mapping[str, Tensor], outputs: Tensor, noise: Tensor) -> Tensor:
        # The largest of logits with Gumbel noise has the probabilities of the softmax.
        return (outputs + noise).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(-1)

    def log_prob(self, state: Mapping[str, Tensor], outputs: Tensor, action: Tensor) -> Tensor:
        log_p = F.log_softmax(outputs, -1)
        return log_p.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def to_environment(self, action: np.ndarray) -> np.ndarray:
        return np.asarray(np.asarray(action, np.int64) + self.start)


ActionDistribution = Gaussian | Categorical
"""Distribution over actions, given the outputs of a policy network."""


def _log_std(state: Mapping[str, Tensor]) -> Tensor:
    return state["log_std"].clamp_min(_MIN_LOG_STD)


def describe_actions(space: Any) -> dict[str, Any]:
    """Return the description of an action space that a prior keeps, or raise an EpisodeError."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return {"kind": "categorical", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        low, high = (np.asarray(end, np.float64).tolist() for end in (space.low, space.high))
        return {"kind": "gaussian", "low": tuple(low), "high": tuple(high)}
    raise EpisodeError(
        f"The action space must be Discrete, or a Box of one axis, got {space}. Wrap the "
        "environment, for example in gymnasium.wrappers.RescaleAction or a wrapper of your own."
    )


def make_distribution(described: Mapping[str, Any]) -> ActionDistribution:
    """Return the distribution over a space: Gaussian for a box of one axis, else categorical."""
    if described["kind"] == "categorical":
        return Categorical(described["n"], described["start"])
    return Gaussian(np.array(described["low"]), np.array(described["high"]))


def check_family(family: Any) -> None:
    """Raise an EpisodeError if a family lacks a method, or has no limit of steps."""
    missing = [n for n in ("sample", "make") if not callable(getattr(family, n, None))]
    if missing:
        raise EpisodeError(
            f"A family of environments has methods sample(n, rng) and make(task), but "
            f"{type(family).__name__} has no {missing[0]}. Give PointNavigation(), an "
            "EnvironmentFamily, or a class of your own with both."
        )
    steps = getattr(family, "max_episode_steps", None)
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise EpisodeError(
            f"{type(family).__name__}.max_episode_steps must be an integer of at least 1, so that "
            f"every episode ends, got {steps!r}."
        )


def check_observation_space(space: Any, standardize: bool) -> int:
    """Return the number of features of an observation, or raise an EpisodeError."""
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise EpisodeError(
            f"Observations must be vectors (a Box of one axis), got {space}. Wrap the environment "
            "in gymnasium.wrappers.FlattenObservation."
        )
    unbounded = ~(np.isfinite(space.low) & np.isfinite(space.high))
    if unbounded.any() and not standardize:
        raise EpisodeError(
            f"The observation space is unbounded in dimensions {np.flatnonzero(unbounded).tolist()}"
            ", and standardize=False leaves it so. Set standardize=True, which measures the scale "
            "of observations, or wrap the environment in one with bounds."
        )
    return int(space.shape[0])


def check_environment(observation_space: Any, action_space: Any, prior: MetaPrior) -> None:
    """Raise a PriorError if the spaces of an environment differ from those of the prior."""
    if prior.kind != "policy":
        raise PriorError(
            f"The prior was learned by {prior.learner} for {prior.kind}, but a policy needs one of "
            "a policy learner, such as PolicyMAML. Meta-train one."
        )
    n_features = check_observation_space(observation_space, standardize=True)
    if n_features != prior.n_features_in:
        raise PriorError(
            f"The environment's observations have {n_features} values, but the prior was "
            f"meta-trained on {prior.n_features_in}. Give an environment of the same family, or "
            "meta-train a prior on this one."
        )
    actions, expected = describe_actions(action_space), dict(prior.learner_params["action_space"])
    if actions != expected:
        raise PriorError(
            f"The environment's actions are {actions}, but the prior was meta-trained on "
            f"{expected}. Give an environment of the same family, or wrap it, for example in "
            "gymnasium.wrappers.RescaleAction."
        )
