"""Numbers of support rows: ranges, and rows in all of a classification by groups."""

import numpy as np
import pytest

from skmeta.tasks import ClassEpisodes, GroupEpisodes


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def n_support(task):
    return int((task.w_support > 0).sum())


def test_a_range_of_shots_of_classes_is_drawn_evenly(rng):
    y = np.repeat(np.arange(4), 10)
    sampler = ClassEpisodes(y, n_way=2, n_shot=(2, 4), n_query=3)
    tasks = [sampler.sample(rng) for _ in range(600)]
    assert {task.support.shape for task in tasks} == {(8,)}
    counts = np.bincount([n_support(task) for task in tasks], minlength=9)
    assert set(np.flatnonzero(counts)) == {4, 6, 8}
    assert abs(counts[[4, 6, 8]] - 200).max() < 5 * np.sqrt(200)
    for task in tasks[:50]:
        used = task.support[task.w_support > 0]
        np.testing.assert_array_equal(
            np.unique(y[used], return_counts=True)[1], n_support(task) / 2
        )
        assert not set(task.support) & set(task.query)
        # Statistics of a batch count all rows alike, so that others must not stand in.
        assert set(task.support) == set(used)


@pytest.mark.parametrize("classes", [None, [0, 1]])
def test_a_range_of_shots_of_groups_leaves_a_query_row(classes, rng):
    groups = np.repeat(["big", "mid", "tiny"], [40, 9, 4])
    y = np.arange(len(groups)) % 2
    sampler = GroupEpisodes(y, groups, n_shot=(3, 12), n_query=5, classes=classes, shots_per="task")
    found = {"big": set(), "mid": set(), "tiny": set()}
    for _ in range(500):
        task = sampler.sample(rng)
        assert task.support.shape == (12,)
        assert task.query.shape == (5,)
        used, asked = task.support[task.w_support > 0], task.query[task.w_query > 0]
        assert len(asked) > 0
        assert not set(used) & set(asked)
        np.testing.assert_array_equal(task.y_support, y[task.support])
        found[task.name].add(len(used))
    assert found == {"big": set(range(3, 13)), "mid": set(range(3, 9)), "tiny": {3}}


@pytest.mark.parametrize(
    ("n_shot", "message"),
    [
        ((3,), r"n_shot must be a number of rows or a range \(low, high\), got \(3,\)"),
        ((5, 3), r"n_shot=\(5, 3\) is empty"),
        ((0, 3), r"each end of n_shot must be an integer of at least 1, got 0"),
        ((1, 2.5), r"each end of n_shot must be an integer of at least 1, got 2\.5"),
    ],
)
def test_ranges_that_are_none_are_refused(n_shot, message):
    with pytest.raises(ValueError, match=message):
        ClassEpisodes(np.repeat([0, 1], 9), 2, n_shot, 1)
    with pytest.raises(ValueError, match=message):
        GroupEpisodes(np.arange(9.0), np.repeat([0, 1, 2], 3), n_shot, 1)
