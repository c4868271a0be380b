"""What a family refuses."""

import pytest
from scipy.stats import uniform

from skmeta.exceptions import EpisodeError
from skmeta.policy import EnvironmentFamily, PointNavigation


def test_an_unknown_environment():
    with pytest.raises(EpisodeError, match="'Pendulm-v1' is not an environment of Gymn"):
        EnvironmentFamily("Pendulm-v1", {})


def test_an_unknown_parameter_names_its_neighbours():
    with pytest.raises(EpisodeError, match=r"nor an attribute 'lenght'.*'length'"):
        EnvironmentFamily("CartPole-v1", {"lenght": uniform(0, 1)})


def test_a_parameter_that_is_no_distribution():
    with pytest.raises(EpisodeError, match=r"parameters\['g'\] must be a distribution"):
        EnvironmentFamily("Pendulum-v1", {"g": (0, 1)})


def test_episodes_without_a_limit():
    with pytest.raises(EpisodeError, match=r"CliffWalking-v. has no limit of steps"):
        EnvironmentFamily(_without_limit(), {})


def _without_limit():
    import gymnasium

    name = next(n for n in gymnasium.registry if n.startswith("CliffWalking-"))
    assert gymnasium.spec(name).max_episode_steps is None
    return name


def test_a_limit_that_is_no_count():
    with pytest.raises(ValueError, match="max_episode_steps must be an integer of at least 1"):
        PointNavigation(max_episode_steps=0)


def test_a_square_without_area():
    with pytest.raises(ValueError, match="half_width must be above 0"):
        PointNavigation(half_width=0)
