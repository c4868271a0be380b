"""Wrong labels are wrong, as many as asked for, and in the support set alone."""

import numpy as np
import pytest

from skmeta.tasks import ClassEpisodes, GroupEpisodes, with_wrong_labels


def class_task(n_way=4, n_shot=500):
    y = np.repeat(np.arange(n_way), n_shot + 2)
    return ClassEpisodes(y, n_way, n_shot, 2).sample(np.random.default_rng(0))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_share_of_wrong_labels(share):
    task = class_task()
    noisy = with_wrong_labels(task, share, np.random.default_rng(1))
    wrong = noisy.y_support != task.y_support
    assert wrong.mean() == pytest.approx(share, abs=0.04)
    assert np.array_equal(noisy.y_query, task.y_query)
    assert np.array_equal(noisy.support, task.support)
    assert noisy.y_support.dtype == task.y_support.dtype


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_no_probability(share):
    with pytest.raises(ValueError, match="share must be a probability"):
        with_wrong_labels(class_task(), share, np.random.default_rng(0))


def test_every_other_class_is_as_likely():
    task = class_task()
    noisy = with_wrong_labels(task, 0.9, np.random.default_rng(1))
    counts = np.zeros((4, 4))
    np.add.at(counts, (task.y_support, noisy.y_support), 1)
    expected = np.where(np.eye(4) > 0, 50, 150)
    assert (np.abs(counts - expected) < 50).all()


def test_a_regression_takes_the_target_of_another_row():
    rng = np.random.default_rng(0)
    y, groups = rng.normal(size=60), np.repeat(np.arange(3), 20)
    task = GroupEpisodes(y, groups, 10, 5).sample(rng)
    noisy = with_wrong_labels(task, 0.5, rng)
    moved = noisy.y_support != task.y_support
    assert 0 < moved.sum() < 10
    assert np.isin(noisy.y_support, task.y_support).all()


def test_a_regression_of_one_row_stays():
    y, groups = np.arange(8.0), np.repeat(np.arange(2), 4)
    task = GroupEpisodes(y, groups, 1, 2).sample(np.random.default_rng(0))
    noisy = with_wrong_labels(task, 0.99, np.random.default_rng(0))
    assert np.array_equal(noisy.y_support, task.y_support)
