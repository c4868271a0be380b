"""Environments that are simulated at once, Gymnasium's own, and what a family refuses."""

import numpy as np
import pytest
from scipy.stats import uniform

from skmeta.exceptions import EpisodeError
from skmeta.policy import EnvironmentFamily, PointNavigation
from skmeta.policy.environments import make_vector


def test_an_episode_that_is_over_stays_as_it_is():
    env = PointNavigation().make_vector([{"goal_x": 0.0, "goal_y": 0.1}, {"goal_x": 0.5}], 1)
    env.reset(seed=0)
    up = np.array([[0.0, 0.1], [0.0, 0.1]])
    seen, rewards, terminated, _, _ = env.step(up)
    assert terminated.tolist() == [True, False]
    np.testing.assert_allclose(rewards, [0.0, -np.hypot(0.5, 0.1)], atol=1e-7)
    seen, rewards, terminated, _, _ = env.step(up)
    assert terminated.tolist() == [True, False]
    assert rewards[0] == 0
    np.testing.assert_allclose(seen, [[0.0, 0.1], [0.0, 0.2]], atol=1e-6)


def test_steps_are_clipped_to_a_tenth():
    env = PointNavigation().make({"goal_x": 0.5, "goal_y": 0.5})
    env.reset(seed=0)
    seen, *_ = env.step(np.array([7.0, -0.05]))
    np.testing.assert_allclose(seen, [0.1, -0.05], atol=1e-7)


def test_attributes_and_constructor_arguments_are_set():
    family = EnvironmentFamily("Pendulum-v1", {"g": uniform(3, 1), "m": uniform(2, 1)})
    (task,) = family.sample(1, np.random.default_rng(0))
    env = family.make(task).unwrapped
    assert (env.g, env.m) == (task["g"], task["m"])
    assert 3 <= task["g"] <= 4


def test_other_environments_are_stepped_one_by_one():
    family = EnvironmentFamily("MountainCarContinuous-v0", {"power": uniform(0.001, 0.002)})
    tasks = family.sample(2, np.random.default_rng(0))
    env = make_vector(family, tasks, 2)
    assert env.num_envs == 4
    assert [e.unwrapped.power for e in env.envs] == [t["power"] for t in tasks for _ in "ab"]


@pytest.mark.parametrize(
    ("env_id", "parameters", "message"),
    [
        ("Pendulm-v1", {}, "'Pendulm-v1' is not an environment of Gymn"),
        ("CartPole-v1", {"lenght": uniform(0, 1)}, r"nor an attribute 'lenght'.*'length'"),
        ("Pendulum-v1", {"g": (0, 1)}, r"parameters\['g'\] must be a distribution"),
    ],
)
def test_families_that_cannot_be(env_id, parameters, message):
    with pytest.raises(EpisodeError, match=message):
        EnvironmentFamily(env_id, parameters)


def test_episodes_without_a_limit():
    with pytest.raises(EpisodeError, match=r"CliffWalking-v. has no limit of steps"):
        EnvironmentFamily(_without_limit(), {})


def _without_limit():
    import gymnasium

    name = next(n for n in gymnasium.registry if n.startswith("CliffWalking-"))
    assert gymnasium.spec(name).max_episode_steps is None
    return name


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"max_episode_steps": 0}, "max_episode_steps must be an integer of at least 1")],
)
def test_a_square_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        PointNavigation(**settings)
