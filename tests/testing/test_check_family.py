"""The conformance check of families passes good ones and names what is broken."""

import numpy as np
import pytest
from scipy.stats import uniform

from skmeta.policy import CartPole, EnvironmentFamily, Pendulum, PointNavigation
from skmeta.testing import check_family


@pytest.mark.parametrize(
    "family",
    [
        PointNavigation(),
        CartPole(),
        Pendulum(),
        EnvironmentFamily("MountainCarContinuous-v0", {"power": uniform(0.001, 0.002)}),
    ],
    ids=lambda family: getattr(family, "env_id", "point"),
)
def test_families_of_skmeta(family):
    check_family(family)


class OwnRandomness(PointNavigation):
    def sample(self, n, rng):
        return super().sample(n, np.random.default_rng())


class TooFew(PointNavigation):
    def sample(self, n, rng):
        return super().sample(n - 1, rng)


class TooManyEnvironments(PointNavigation):
    def make_vector(self, tasks, n_episodes):
        return super().make_vector(tasks, n_episodes + 1)


class NeverOver(PointNavigation):
    def make_vector(self, tasks, n_episodes):
        env = super().make_vector(tasks, n_episodes)
        env.max_episode_steps = 10**6
        return env


class OtherSpaces(PointNavigation):
    def make(self, task):
        return Pendulum().make({"g": 9.0})


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (OwnRandomness(), "must take all its random numbers from rng"),
        (TooFew(), r"sample\(3, rng\) must return 3 tasks, got 2"),
        (TooManyEnvironments(), "must make 3 times 2 environments, got 9"),
        (NeverOver(), "must be over after max_episode_steps=100"),
        (OtherSpaces(), "make_vector and OtherSpaces.make must have the same spaces"),
        (3, "int must have methods sample"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_broken_is_named(family, message):
    with pytest.raises(AssertionError, match=message):
        check_family(family)
