"""Samplers: containers, numbers of rows, superclasses, tasks drawn together, what is refused."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array

from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.learners import ProtoNet, Validation
from skmeta.tasks import ClassEpisodes, GroupEpisodes, Task, stack_tasks
from skmeta.tasks._samplers import draw_positions

LETTERS = np.array(list("abcdefg"))[np.random.default_rng(1).integers(7, size=300)]


@pytest.mark.parametrize(
    "container", [list, pd.Series, pl.Series, lambda y: pd.Series(pd.Categorical(y))]
)
def test_labels_come_in_any_container(container):
    expected, found = (
        ClassEpisodes(y, 5, 3, 8).sample(np.random.default_rng(0))
        for y in (LETTERS, container(LETTERS))
    )
    np.testing.assert_array_equal(found.support, expected.support)
    np.testing.assert_array_equal(found.classes, expected.classes)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (["a"] * 7 + ["cat"] * 3, {}, r"Class 'cat' has 3 rows, but n_shot=2 and n_query=5 need 7"),
        ([0, 1, 2, 2], {}, r"Class 0 has 1 row, but .* In all, 3 classes have too few\."),
        (["a"] * 9, {}, r"n_way=2, but the number of classes is 1\. Lower n_way"),
        ([1] * 9, {"classes": [1, 2]}, r"classes has labels that y does not have: 2\."),
    ],
)
def test_class_episodes_refuse_what_cannot_be_drawn(y, options, message):
    with pytest.raises(EpisodeError, match=message):
        ClassEpisodes(y, n_way=2, n_shot=2, n_query=5, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_way": 1}, r"n_way must be an integer of at least 2, got 1\."),
        ({"n_shot": 0}, r"n_shot must be an integer of at least 1, got 0\."),
        ({"n_query": 1.5}, r"n_query must be an integer of at least 1, got 1\.5\."),
        ({"n_query": True}, r"n_query must be an integer of at least 1, got True\."),
        ({"y": ["a", None]}, r"y has no value in row 1 \(1 such rows in all\)"),
        ({"y": [0.0, 1.0, np.nan]}, r"y has no value in row 2"),
        ({"y": pd.Series([1, None], dtype="Int64")}, r"y has no value in row 1"),
        ({"y": pl.Series(["a", None])}, r"y has no value in row 1"),
        ({"y": ["a", 1]}, r"y mixes values of type number and str"),
        ({"y": []}, r"y is empty"),
        ({"y": None}, r"y is None"),
    ],
)
def test_class_episodes_refuse_wrong_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        ClassEpisodes(**{"y": [0, 0, 1, 1], "n_way": 2, "n_shot": 1, "n_query": 1} | change)


def test_groups_too_small_are_left_out_with_one_warning():
    groups = np.repeat(["a", "b", "c", "d", "e"], [2, 6, 3, 1, 2])
    message = (
        r"4 of 5 groups cannot be tasks and are left out: 'a', 'c', 'd' and 1 more\. "
        r"Group 'a' has 2 rows, but n_shot=3 and a query row need 4\. Lower n_shot"
    )
    with warnings.catch_warnings(record=True, action="always") as caught:
        sampler = GroupEpisodes(np.ones(14), groups, n_shot=3, n_query=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert list(sampler.names) == ["b"]
    with pytest.warns(UnusedDataWarning, match=message):
        GroupEpisodes(np.ones(14), groups, n_shot=3, n_query=1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 0, 0, 1], r"Group 'p' has a single class, but a task needs 2"),
        ([0, 1, 1, 1], r"Group 'p' has one row of each class, but the query set needs one more"),
    ],
)
def test_groups_need_two_classes_and_a_query_row(y, message):
    groups = ["p", "p", "q", "q"]
    with pytest.raises(EpisodeError, match=f"None of the 2 groups can be a task. {message}"):
        GroupEpisodes(y, groups, n_shot=1, n_query=1, classes=[0, 1])


@pytest.mark.parametrize(
    ("y", "groups", "options", "message"),
    [
        ([1.0, np.inf], [0, 0], {}, r"y is inf in row 1"),
        ([1.0, 2.0, 3.0], [0, 0], {}, r"y has 3 values for 2 rows"),
        ([1.0, 2.0], [0, None], {}, r"groups has no value in row 1"),
        (["a", "b"], [0, 0], {"classes": ["a"]}, r"y has labels that classes does not have: 'b'"),
    ],
)
def test_group_episodes_refuse_wrong_values(y, groups, options, message):
    with pytest.raises(ValueError, match=message):
        GroupEpisodes(y, groups, n_shot=1, n_query=1, **options)


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


# Superclass "a" has 4 classes, "b" 3, "c" 2.
NAMES = ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "c0", "c1"]
Y = np.repeat(NAMES, 5)


def first_letter(name):
    return name[0]


@pytest.mark.parametrize("superclass", [first_letter, {name: name[0] for name in NAMES}])
def test_classes_of_a_task_are_of_one_superclass(superclass):
    sampler = ClassEpisodes(Y, 3, 1, 2, superclass=superclass)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(700):
        task = sampler.sample(rng)
        (letter,) = {name[0] for name in task.classes}
        drawn.append(letter)
        assert len(set(task.classes)) == 3
        assert (Y[task.query] == task.classes[task.y_query]).all()
    # In proportion to their classes; "c" has too few.
    assert set(drawn) == {"a", "b"}
    assert drawn.count("a") / 700 == pytest.approx(4 / 7, abs=0.06)


def test_errors_name_what_is_missing():
    with pytest.raises(EpisodeError, match="no entry for 'c0', 'c1'"):
        ClassEpisodes(Y, 2, 1, 2, superclass={name: name[0] for name in NAMES[:-2]})
    with pytest.raises(EpisodeError, match="largest superclass, 'a', has 4 classes, but n_way=5"):
        ClassEpisodes(Y, 5, 1, 2, superclass=first_letter)


def test_a_learner_sets_whole_superclasses_aside_and_scores_within_them():
    y = np.repeat([f"{letter}{k}" for letter in "abcdefghij" for k in range(3)], 6)
    X = np.random.default_rng(0).normal(size=(len(y), 4))
    learner = ProtoNet(
        n_way=3, n_shot=1, n_query=2, n_iterations=2, validation=Validation(0.2, n_tasks=3),
        superclass=first_letter, random_state=0,
    ).fit(X, y)  # fmt: skip
    trained = {name[0] for name in learner.prior_.trained_on}
    assert len(trained) == 8
    assert len(learner.prior_.trained_on) == 24
    unseen = [name[0] not in trained for name in y]
    assert 0 <= learner.set_params(n_way=3).score(X[unseen], y[unseen]) <= 1
    with pytest.raises(EpisodeError, match="groups was passed"):
        learner.fit(X, y, groups=y)


def make_groups():
    sizes = [4, 5, 7, 12]
    groups = np.repeat(["a", "b", "c", "d"], sizes)
    return np.arange(float(len(groups))), groups


def samplers():
    y = np.repeat(np.arange(6), [4, 5, 6, 7, 8, 90])
    numbers, groups = make_groups()
    labels = np.arange(len(groups)) % 3
    options = {"classes": [0, 1, 2]}
    parity = {k: k % 2 for k in range(6)}
    return {
        "classes": ClassEpisodes(y, 3, 2, 2),
        "shots": ClassEpisodes(y, 3, (1, 3), 1),
        "superclass": ClassEpisodes(y, 2, 1, 2, superclass=parity),
        "groups": GroupEpisodes(numbers, groups, 2, 3),
        "groups-shots": GroupEpisodes(numbers, groups, (1, 5), 4),
        "ordered": GroupEpisodes(numbers, groups, (1, 2), 2, order=-numbers),
        "task-shots": GroupEpisodes(labels, groups, 2, 2, **options, shots_per="task"),
        "class-shots": GroupEpisodes(labels, groups, 1, 2, **options),
    }


@pytest.mark.parametrize("name", samplers())
def test_tasks_drawn_together_have_the_distribution_of_single_ones(name):
    sampler, n_tasks = samplers()[name], 4000
    together = sampler.sample_batch(np.random.default_rng(0), n_tasks)
    rng = np.random.default_rng(1)
    single = stack_tasks([sampler.sample(rng) for _ in range(n_tasks)])
    assert together.n_classes == single.n_classes
    for field in together._fields[:-1]:
        found, expected = getattr(together, field), getattr(single, field)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    for side in ("support", "query"):
        counts = []
        for batch in (together, single):
            rows, y, w = (getattr(batch, f"{part}{side}") for part in ("", "y_", "w_"))
            # What a row is, in its place: weight, target, and whether it is a repetition.
            counts.append(Counter(zip(rows.ravel(), y.ravel(), w.ravel(), strict=True)))
            place = np.broadcast_to(np.arange(rows.shape[1]), rows.shape).ravel()
            counts[-1].update(zip(rows.ravel(), place, strict=True))
        for key in counts[0] | counts[1]:
            a, b = counts[0][key], counts[1][key]
            # Rows of a task are drawn without replacement: Poisson's variance is an upper bound.
            assert abs(a - b) < 5.5 * np.sqrt(a + b + 1), key


@pytest.mark.parametrize("name", samplers())
def test_support_and_query_rows_are_distinct_rows_of_the_task(name):
    batch = samplers()[name].sample_batch(np.random.default_rng(2), 300)
    for k in range(300):
        used = [
            getattr(batch, side)[k][getattr(batch, f"w_{side}")[k] > 0]
            for side in ("support", "query")
        ]
        rows = np.concatenate(used)
        assert len(set(rows)) == len(rows)
        assert all(len(part) for part in used)
        # Rows of weight 0 repeat rows that count.
        for side, part in zip(("support", "query"), used, strict=True):
            assert set(getattr(batch, side)[k]) == set(part)


@pytest.mark.parametrize("size", [3, 5, 200])  # Sorted keys, and Floyd's algorithm.
def test_positions_are_drawn_without_replacement_in_any_order(size):
    n, n_draws = 3, 30_000
    drawn = draw_positions(np.random.default_rng(0), np.full(n_draws, size), n)
    assert drawn.shape == (n_draws, n)
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    assert drawn.min() == 0
    assert drawn.max() == size - 1
    for column in drawn.T:
        counts = np.bincount(column, minlength=size)
        assert abs(counts - n_draws / size).max() < 5 * np.sqrt(n_draws / size)
    # Whatever comes first, each other position comes second equally often.
    gaps = np.bincount((drawn[:, 1] - drawn[:, 0]) % size, minlength=size)[1:]
    assert abs(gaps - n_draws / (size - 1)).max() < 5 * np.sqrt(n_draws / (size - 1))


TASK = Task(
    support=np.array([4, 2, 4]),
    query=np.array([0, 1]),
    y_support=np.array([1, 0, 1]),
    y_query=np.array([0, 1]),
    w_support=np.array([1.0, 1.0, 0.0]),
    w_query=np.array([0.0, 1.0]),
    classes=np.array(["a", "b"]),
)
X = np.arange(10.0).reshape(5, 2)


@pytest.mark.parametrize(
    ("table", "to_numpy"),
    [
        (X, np.asarray),
        (pd.DataFrame(X, columns=["u", "v"], index=list("edcba")), np.asarray),
        (pl.DataFrame({"u": X[:, 0], "v": X[:, 1]}), lambda frame: frame.to_numpy()),
        (csr_array(X), lambda table: table.toarray()),
    ],
    ids=["numpy", "pandas", "polars", "sparse"],
)
def test_take_leaves_padding_out_and_keeps_the_container(table, to_numpy):
    X_support, y_support, X_query, y_query = TASK.take(table)
    assert type(X_support) is type(X_query) is type(table)
    np.testing.assert_array_equal(to_numpy(X_support), X[[4, 2]])
    np.testing.assert_array_equal(to_numpy(X_query), X[[1]])
    np.testing.assert_array_equal(y_support, [1, 0])
    np.testing.assert_array_equal(y_query, [1])
