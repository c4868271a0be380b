"""Of many past searches, those on data sets like the one at hand are read."""

from dataclasses import replace

import pytest
from sklearn.svm import SVC

from skmeta.search import SearchHistory

N = 12


@pytest.fixture
def history():
    """Searches on data sets with features 0, 1, 2, ...; the last one has none."""
    recorded = SearchHistory()
    for k in range(N):
        recorded.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [0.5, k / N], dataset=f"set {k}")
    history = SearchHistory()
    for k, one in enumerate(recorded):
        features = {"size": float(k), "shape": 0.5} if k < N - 1 else {}
        number = history.begin(replace(one.record, dataset_features=features))
        for candidate in one.candidates:
            history.record(number, candidate)
    return history


def names(searches):
    return [int(search.dataset.removeprefix("set ")) for search in searches]


def test_the_nearest_are_read_in_their_order(history):
    like = {"size": 3.2, "shape": 0.5}
    assert names(history.searches(limit=3, like=like)) == [2, 3, 4]
    assert names(history.searches(limit=1, like=like)) == [3]
    assert names(history.searches(limit=N, like=like)) == list(range(N))


def test_those_without_features_come_last(history):
    assert names(history.searches(limit=N - 1, like={"size": 0.0, "shape": 0.5})) == [*range(N - 1)]


def test_without_features_the_latest_are_read(history):
    assert names(history.searches(limit=3)) == [N - 3, N - 2, N - 1]
    assert names(history.searches(limit=3, like={"other": 1.0})) == [N - 3, N - 2, N - 1]


def test_what_is_left_out_takes_no_place(history):
    like = {"size": 3.0, "shape": 0.5}
    actual = history.searches(limit=2, like=like, exclude=["set 3", "set 2"])
    assert names(actual) == [4, 5] or names(actual) == [1, 4]
