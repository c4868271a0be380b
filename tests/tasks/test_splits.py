"""Splitters: parts without a common label, episodes, known rows of new groups, later rows."""

import warnings
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score, cross_validate
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from skmeta.exceptions import EpisodeError, PriorWarning
from skmeta.tasks import EpisodeSplit, KnownRowsGroupKFold, LaterRowsSplit, split_tasks

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
GROUPS = np.arange(150) % 10  # each group has five rows of each class


def test_split_depends_on_the_seed_only_and_takes_any_series():
    labels = np.repeat(list("abcdefghij"), 4)
    expected = split_tasks(labels, random_state=5)
    for same in (list(labels), pd.Series(labels), pl.Series(labels)):
        for one, two in zip(expected, split_tasks(same, random_state=5), strict=True):
            np.testing.assert_array_equal(one, two)
    others = [split_tasks(labels, random_state=seed)[0] for seed in range(6)]
    assert any(not np.array_equal(expected[0], other) for other in others)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0.8, 0.3), r"sum to 1\.1, but there are 3 distinct labels, so they can sum to 1 at most"),
        ((2, 2), r"sum to 4, .* can sum to 3 at most"),
        ((0.9, 0.1), r"leave part 1 without any of the 3 distinct labels"),
        ((3, 0), r"leave part 1 without any"),
        ((4, -1), r"leave part 1 without any"),
        ("half", r"sizes must be fractions or numbers of labels"),
        ((), r"sizes must be fractions or numbers of labels"),
    ],
)
def test_split_refuses_impossible_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        split_tasks(Y, sizes)


@pytest.mark.parametrize(
    ("X", "y"),
    [(X, Y), (pd.DataFrame(X), pd.Series(NAMES, index=range(150, 0, -1))), (X, pl.Series(NAMES))],
)
@pytest.mark.parametrize("n_way", [2, None])
def test_class_splits_are_n_way_episodes(X, y, n_way):
    y_array = np.asarray(y)
    splits = list(EpisodeSplit(n_way, 2, 6, 12, random_state=0).split(X, y))
    assert len(splits) == 12
    for support, query in splits:
        assert not set(support) & set(query)
        for rows, size in ((support, 2), (query, 6)):
            assert list(np.unique(y_array[rows], return_counts=True)[1]) == [size] * (n_way or 3)


def test_an_int_seed_repeats_and_a_generator_moves_on():
    def rows(cv):
        return np.array([np.concatenate(split) for split in cv.split(X, Y)])

    fixed = EpisodeSplit(n_episodes=3, random_state=0)
    np.testing.assert_array_equal(rows(fixed), rows(fixed))
    np.testing.assert_array_equal(rows(fixed), rows(clone(fixed, safe=False)))
    for state in (np.random.default_rng(0), np.random.RandomState(0), None):
        moving = EpisodeSplit(n_episodes=3, random_state=state)
        assert not np.array_equal(rows(moving), rows(moving))


def test_groups_are_visited_equally_often():
    y = X[:, 0]
    cv = EpisodeSplit(n_shot=4, n_query=50, n_episodes=25, random_state=0)
    visits = []
    for support, query in cv.split(X, y, GROUPS):
        assert len(support) == 4
        assert len(query) == 11  # the rest of the group, without padding
        (group,) = set(GROUPS[support]) | set(GROUPS[query])
        visits.append(group)
    assert sorted(visits[:10]) == sorted(visits[10:20]) == list(range(10))
    assert visits[:10] != visits[10:20]


def test_scikit_learn_takes_it_as_cv():
    cv = EpisodeSplit(n_way=3, n_shot=1, n_query=10, n_episodes=6, random_state=0)
    assert check_cv(cv) is cv
    assert cv.get_n_splits(X, Y) == 6
    model = KNeighborsClassifier(1)
    scores = cross_val_score(model, X, NAMES, cv=cv)
    by_hand = [
        model.fit(X[support], NAMES[support]).score(X[query], NAMES[query])
        for support, query in cv.split(X, NAMES)
    ]
    np.testing.assert_array_equal(scores, by_hand)

    grid = {"metric": ["euclidean", "manhattan"]}
    search = GridSearchCV(NearestCentroid(), grid, cv=EpisodeSplit(n_shot=5, n_episodes=6))
    assert search.fit(X, Y).n_splits_ == 6
    assert repr(search).startswith("GridSearchCV(cv=EpisodeSplit(n_episodes=6")


def test_groups_reach_it_with_and_without_metadata_routing():
    cv = EpisodeSplit(n_shot=5, n_query=10, n_episodes=4, random_state=0)
    arguments = {"estimator": DummyRegressor(), "X": X, "y": X[:, 0], "cv": cv}
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(**arguments, params={"groups": GROUPS})["test_score"]
    plain = cross_validate(**arguments, groups=GROUPS)["test_score"]
    np.testing.assert_array_equal(routed, plain)


@pytest.mark.parametrize(
    ("options", "y", "groups", "message"),
    [
        ({"n_query": 60}, Y, None, r"Class 0 has 50 rows, but n_shot=1 and n_query=60 need 61"),
        ({"n_way": 9}, Y, None, r"n_way=9, but the number of classes is 3"),
        ({"n_way": 2}, Y, GROUPS, r"n_way=2 is for tasks that are drawn from classes, but groups"),
        ({}, X[:, 0], None, r"y holds regression targets, .* Pass groups"),
        ({"n_episodes": 0}, Y, None, r"n_episodes must be an integer of at least 1, got 0"),
        ({"target_type": "class"}, Y, None, r"target_type must be one of .*, got 'class'"),
        ({"random_state": "x"}, Y, None, r"random_state must be None, an integer .*, got 'x'"),
        ({}, Y[:9], None, r"y has 9 values for 150 rows"),
        ({}, Y, GROUPS[:9], r"groups has 9 values for 150 rows"),
        ({}, None, None, r"y is None"),
    ],
)
def test_split_refuses_before_the_first_episode(options, y, groups, message):
    with pytest.raises(ValueError, match=message):
        EpisodeSplit(**options).split(X, y, groups)


class SeenRows:
    """A prior that knows its rows again."""

    def check_new_rows(self, X, y):
        assert len(X) == len(y)
        warnings.warn("known rows", PriorWarning, stacklevel=2)


@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("prior", [SeenRows(), SimpleNamespace(prior_=SeenRows())])
def test_a_prior_is_asked_once_whether_it_knows_the_rows(groups, prior):
    with pytest.warns(PriorWarning, match="known rows") as caught:
        list(EpisodeSplit(n_episodes=5, prior=prior).split(X, NAMES, groups))
    assert len(caught) == 1


LETTERS = np.repeat(["a", "b", "c", "d"], [6, 5, 4, 3])
ZEROS = np.zeros((len(LETTERS), 1))


def test_known_rows_are_there_to_learn_from():
    cv = KnownRowsGroupKFold(n_known=2, n_splits=2, random_state=0)
    tested = []
    for train, test in cv.split(ZEROS, groups=LETTERS):
        assert len(np.intersect1d(train, test)) == 0
        assert len(train) + len(test) == len(LETTERS)
        for group in np.unique(LETTERS[test]):
            assert (LETTERS[train] == group).sum() == 2
        tested.append(test)
    # Each row is tested once, but for the known ones.
    assert len(np.unique(np.concatenate(tested))) == len(LETTERS) - 2 * 4


def test_with_an_order_known_rows_are_the_earliest():
    days = np.random.default_rng(0).permutation(len(LETTERS))
    frame = pd.DataFrame({"day": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")})
    cv = KnownRowsGroupKFold(n_known=2, n_splits=2, order="day", random_state=0)
    for train, test in cv.split(frame, groups=LETTERS):
        for group in np.unique(LETTERS[test]):
            known = days[train][LETTERS[train] == group]
            assert known.max() < days[test][LETTERS[test] == group].min()


def test_episodes_in_order():
    days = np.random.default_rng(0).permutation(len(LETTERS)) + 0.5
    cv = EpisodeSplit(n_shot=2, n_query=9, n_episodes=8, order=0, random_state=0)
    for support, query in cv.split(days[:, None], days, groups=LETTERS):
        assert days[support].max() < days[query].min()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_splits": 5}, "n_splits=5, but there are 4 groups"),
        ({"n_known": 6, "n_splits": 4}, "has no test rows: none of its groups has more than"),
        ({"order": "day"}, "'day' is a name, but X is ndarray"),
    ],
)
def test_impossible_splits_say_so(settings, message):
    cv = KnownRowsGroupKFold(**{"n_splits": 2, **settings})
    with pytest.raises(ValueError, match=message):
        list(cv.split(ZEROS, groups=LETTERS))


SERIES = np.repeat(["a", "b", "c", "d"], [10, 5, 4, 1])
DAYS = np.random.default_rng(0).permutation(len(SERIES))
FRAME = pd.DataFrame({"day": DAYS})


def test_test_rows_are_the_last_of_each_group():
    ((train, test),) = LaterRowsSplit("day", test_size=0.4).split(FRAME, groups=SERIES)
    assert dict(zip(*np.unique(SERIES[test], return_counts=True), strict=True)) == {
        "a": 4,
        "b": 2,
        "c": 1,
    }
    sizes = {"a": 10, "b": 5, "c": 4}
    for group in sizes:
        known = DAYS[train][SERIES[train] == group]
        assert known.max() < DAYS[test][SERIES[test] == group].min()
        assert len(known) + np.sum(SERIES[test] == group) == sizes[group]


def test_splits_test_blocks_one_after_the_other():
    found = list(LaterRowsSplit(0, test_size=0.2, n_splits=3).split(FRAME, groups=SERIES))
    tested = np.concatenate([test for _, test in found])
    assert len(tested) == len(set(tested)) == 3 * (2 + 1 + 1)
    for (_, first), (train, second) in pairwise(found):
        assert set(first) <= set(train)
        for group in "abc":
            days = [DAYS[part][SERIES[part] == group] for part in (first, second)]
            assert days[0].max() < days[1].min()


def test_times_may_be_dates_and_scores_work():
    frame = pd.DataFrame({"when": pd.Timestamp("2024-01-01") + pd.to_timedelta(DAYS, unit="D")})
    cv = LaterRowsSplit("when", test_size=0.4)
    ((_, test),) = cv.split(frame, groups=SERIES)
    ((_, same),) = LaterRowsSplit("day", test_size=0.4).split(FRAME, groups=SERIES)
    np.testing.assert_array_equal(test, same)
    scores = cross_val_score(
        Ridge(), FRAME, DAYS, groups=SERIES, cv=LaterRowsSplit("day", n_splits=2)
    )
    assert scores.shape == (2,)


@pytest.mark.parametrize(
    ("settings", "groups", "error", "message"),
    [
        ({"test_size": 1.0}, SERIES, ValueError, r"test_size must be a share .* got 1\.0"),
        ({}, None, EpisodeError, "groups is None"),
        ({"n_splits": 10}, SERIES, EpisodeError, "Split 0 has no test rows.*10 rows"),
        ({"order": "week"}, SERIES, ValueError, "week"),
    ],
)
def test_what_cannot_be_is_an_error(settings, groups, error, message):
    with pytest.raises(error, match=message):
        LaterRowsSplit(**{"order": "day"} | settings).split(FRAME, groups=groups)
