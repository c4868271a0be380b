import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.tasks import ClassEpisodes, GroupEpisodes

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
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
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
def test_classification_needs_two_classes_and_a_query_row(y, message):
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
