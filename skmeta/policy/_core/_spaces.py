"""Check that a policy can act in an environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmeta.exceptions import InvalidEnvironmentError, PriorError
from skmeta.policy._core._distributions import make_distribution
from skmeta.policy.environments import gymnasium
from skmeta.priors import MetaPrior


def check_family(family: Any) -> None:
    """Raise an error if something is not a family of environments.

    Parameters
    ----------
    family : TaskFamily
        What was given.

    Raises
    ------
    InvalidEnvironmentError
        If a method is missing, or there is no limit of steps.
    """
    missing = [n for n in ("sample", "make") if not callable(getattr(family, n, None))]
    if missing:
        raise InvalidEnvironmentError(
            f"A family of environments has methods sample(n, rng) and make(task), but "
            f"{type(family).__name__} has no {missing[0]}. Give PointNavigation(), an "
            "EnvironmentFamily, or a class of your own with both."
        )
    steps = getattr(family, "max_episode_steps", None)
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise InvalidEnvironmentError(
            f"{type(family).__name__}.max_episode_steps must be an integer of at least 1, so that "
            f"every episode ends, got {steps!r}."
        )


def check_observation_space(space: Any, standardize: bool) -> int:
    """Return the number of features of an observation.

    Parameters
    ----------
    space : gymnasium.Space
        The observation space.
    standardize : bool
        Whether observations are brought to scale by what random actions lead to.

    Returns
    -------
    int
        The number.

    Raises
    ------
    InvalidEnvironmentError
        If observations are not vectors of numbers, or have no scale.
    """
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise InvalidEnvironmentError(
            f"Observations must be vectors (a Box of one axis), got {space}. Wrap the environment "
            "in gymnasium.wrappers.FlattenObservation."
        )
    unbounded = ~(np.isfinite(space.low) & np.isfinite(space.high))
    if unbounded.any() and not standardize:
        raise InvalidEnvironmentError(
            f"The observation space is unbounded in dimensions {np.flatnonzero(unbounded).tolist()}"
            ", and standardize=False leaves it so. Set standardize=True, which measures the scale "
            "of observations, or wrap the environment in one with bounds."
        )
    return int(space.shape[0])


def check_environment(observation_space: Any, action_space: Any, prior: MetaPrior) -> None:
    """Raise an error if an environment has other spaces than the prior's.

    Parameters
    ----------
    observation_space, action_space : gymnasium.Space
        Of one environment.
    prior : MetaPrior
        Of a policy.

    Raises
    ------
    PriorError
        If they differ.
    InvalidEnvironmentError
        If no policy can act in the environment.
    """
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
    distribution = make_distribution(action_space, 1.0)
    expected = prior.learner_params["action_space"]
    described = distribution.describe()
    same = described["kind"] == expected["kind"] and all(
        np.array_equal(described[n], expected[n]) for n in expected if n != "kind"
    )
    if not same:
        raise PriorError(
            f"The environment's actions are {_describe(described)}, but the prior was meta-trained "
            f"on {_describe(expected)}. Give an environment of the same family, or wrap it, for "
            "example in gymnasium.wrappers.RescaleAction."
        )


def _describe(space: Any) -> str:
    if space["kind"] == "categorical":
        return f"{space['n']} discrete ones from {space['start']}"
    low, high = list(space["low"]), list(space["high"])
    return f"vectors between {low} and {high}"
