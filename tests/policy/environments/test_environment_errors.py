"""What a family refuses."""

import pytest
from scipy.stats import uniform

from skmeta.exceptions import EpisodeError
from skmeta.policy import EnvironmentFamily, PointNavigation


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
    [
        ({"max_episode_steps": 0}, "max_episode_steps must be an integer of at least 1"),
        ({"half_width": 0}, "half_width must be above 0"),
    ],
)
def test_a_square_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        PointNavigation(**settings)
