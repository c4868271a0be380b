"""Displays of policies."""

import numpy as np
import pytest

from skmeta.policy import MetaPolicy, PointNavigation, PolicyDisplay, PolicyMAML

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def family():
    return PointNavigation(max_episode_steps=10)


@pytest.fixture(scope="module")
def prior(family):
    settings = {"hidden": (8,), "n_iterations": 1, "meta_batch_size": 3, "n_episodes": 4}
    return PolicyMAML(**settings, random_state=0).fit(family).prior_


@pytest.fixture(autouse=True)
def close_figures():
    yield
    matplotlib.pyplot.close("all")


def test_returns_are_those_of_the_policy(prior, family):
    priors = {"one": prior, "two": MetaPolicy(prior, inner_lr=1.0)}
    display = PolicyDisplay.from_priors(
        priors, family, n_tasks=3, n_updates=2, n_episodes=4, random_state=0
    )
    one, two = display.records["one"], display.records["two"]
    assert one.returns.shape == (3, 3)
    # Before any update the two are the same, in the same tasks.
    assert np.array_equal(one.returns[0], two.returns[0])
    assert not np.array_equal(one.returns[1], two.returns[1])
    lines = display.ax_.get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), one.returns.mean(1))
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["one", "two"]


def test_paths_start_at_the_origin_and_show_the_goal(prior, family):
    display = PolicyDisplay.from_priors(
        {"MAML": prior}, family, kind="paths", n_tasks=2, n_updates=1, n_episodes=4, random_state=0
    )
    assert display.ax_.shape == (1, 2)
    record = display.records["MAML"]
    assert [len(paths) for paths in record.paths] == [2, 2]
    assert all(np.array_equal(path[0], [0, 0]) for paths in record.paths for path in paths)
    goal = display.ax_[0, 1].get_lines()[-1].get_xydata()[0]
    assert goal.tolist() == [record.tasks[1]["goal_x"], record.tasks[1]["goal_y"]]
    axis = matplotlib.pyplot.figure().add_subplot()
    assert display.plot(axis, kind="returns").ax_ is axis


def test_what_a_display_refuses(prior, family):
    with pytest.raises(ValueError, match="kind must be one of"):
        PolicyDisplay.from_priors({"MAML": prior}, family, kind="graph")
    with pytest.raises(ValueError, match="priors is empty"):
        PolicyDisplay.from_priors({}, family)
