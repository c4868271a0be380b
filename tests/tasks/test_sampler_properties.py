"""What holds for every task that a sampler draws, whatever the table."""

import warnings

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.tasks import ClassEpisodes, EpisodeSplit, GroupEpisodes, split_tasks

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 4)
labels = st.lists(st.sampled_from("abcde"), min_size=1, max_size=60).map(np.array)


@st.composite
def grouped_rows(draw):
    n = draw(st.integers(1, 60))
    groups = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    classes = draw(st.lists(st.sampled_from("xyz"), min_size=n, max_size=n))
    return np.array(groups), np.array(classes)


def build(sampler, *args, **settings):
    """Build a sampler, or give the example up if no task can be drawn from the table."""
    with warnings.catch_warnings(action="ignore", category=UnusedDataWarning):
        try:
            return sampler(*args, **settings)
        except EpisodeError:
            assume(False)


def real(task):
    return task.support[task.w_support > 0], task.query[task.w_query > 0]


@given(labels, st.integers(2, 5), counts, counts, seeds)
def test_class_episodes_are_refused_or_exact(y, n_way, n_shot, n_query, seed):
    names, sizes = np.unique(y, return_counts=True)
    possible = len(names) >= n_way and sizes.min() >= n_shot + n_query
    try:
        sampler = ClassEpisodes(y, n_way, n_shot, n_query)
    except EpisodeError:
        assert not possible
        return
    assert possible
    task = sampler.sample(np.random.default_rng(seed))
    rows = np.concatenate([task.support, task.query])
    assert len(np.unique(rows)) == len(rows) == n_way * (n_shot + n_query)
    assert len(set(task.classes)) == n_way
    for positions, targets, size in (
        (task.support, task.y_support, n_shot),
        (task.query, task.y_query, n_query),
    ):
        assert (task.classes[targets] == y[positions]).all()
        assert np.bincount(targets, minlength=n_way).tolist() == [size] * n_way


@given(grouped_rows(), counts, counts, seeds)
def test_group_episodes_of_classes(table, n_shot, n_query, seed):
    groups, y = table
    sampler = build(GroupEpisodes, y, groups, n_shot, n_query, classes=list("xyz"))
    rng = np.random.default_rng(seed)
    for position, name in enumerate(sampler.names):
        task = sampler.episode(position, rng)
        assert task.name == name
        # All tasks have one shape; rows that fill it up weigh nothing.
        assert (len(task.support), len(task.query)) == (3 * n_shot, 3 * n_query)
        support, query = real(task)
        rows = np.concatenate([support, query])
        assert len(np.unique(rows)) == len(rows)
        assert (groups[rows] == name).all()
        for positions, targets in ((task.support, task.y_support), (task.query, task.y_query)):
            assert (task.classes[targets] == y[positions]).all()
        inside = y[groups == name]
        for label in np.unique(inside):
            size = (inside == label).sum()
            # A class keeps a row for the query set, unless it has no other.
            shots = n_shot if size > n_shot else max(size - 1, 1)
            assert (y[support] == label).sum() == shots
            assert (y[query] == label).sum() == min(size - shots, n_query)


@given(grouped_rows(), counts, counts, seeds)
def test_group_episodes_of_numbers(table, n_shot, n_query, seed):
    groups, _ = table
    y = np.arange(len(groups)) / 7
    sampler = build(GroupEpisodes, y, groups, n_shot, n_query)
    names, sizes = np.unique(groups, return_counts=True)
    assert sampler.names.tolist() == names[sizes > n_shot].tolist()
    task = sampler.sample(np.random.default_rng(seed))
    support, query = real(task)
    assert len(support) == n_shot
    assert len(query) == min(n_query, (groups == task.name).sum() - n_shot)
    assert not set(support) & set(query)
    assert (groups[np.concatenate([task.support, task.query])] == task.name).all()
    assert (task.y_support == y[task.support]).all()
    assert (task.y_query == y[task.query]).all()


@given(labels, st.lists(st.integers(1, 3), min_size=1, max_size=3), seeds)
def test_parts_of_a_split_have_no_label_in_common(y, sizes, seed):
    names = np.unique(y)
    try:
        parts = split_tasks(y, sizes, random_state=seed)
    except EpisodeError:
        assert sum(sizes) > len(names)
        return
    assert [len(np.unique(y[part])) for part in parts] == sizes
    seen = np.concatenate([np.unique(y[part]) for part in parts])
    assert len(np.unique(seen)) == len(seen)
    for part in parts:
        # All rows of a label, in order.
        assert part.tolist() == np.flatnonzero(np.isin(y, y[part])).tolist()


@given(grouped_rows(), counts, counts, seeds)
def test_splits_are_episodes(table, n_shot, n_query, seed):
    groups, y = table
    settings = {"n_shot": n_shot, "n_query": n_query, "n_episodes": 3, "random_state": seed}

    def episodes():
        return [*EpisodeSplit(**settings).split(y, y, groups)]

    found, again = build(episodes), build(episodes)
    assert len(found) == 3
    for support, query in found:
        rows = np.concatenate([support, query])
        assert len(np.unique(rows)) == len(rows)
        assert len(np.unique(groups[rows])) == 1
        assert set(y[query]) <= set(y[support])
    assert [s.tolist() for s, _ in found] == [s.tolist() for s, _ in again]
