"""Histories are merged, shown as data frames, and read in part."""

import math

import numpy as np
import pytest
from builders import make_evaluation, make_record, record_all
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError
from skmeta.search import SearchHistory
from skmeta.search.record import CandidateRecord

NAN, INF = math.nan, math.inf


def make_history(address=":memory:"):
    """A history with every kind of value, and a search without candidates."""
    history = SearchHistory(address)
    metrics = {"accuracy": 1, "loss": -1}
    record = make_record("a", dataset="cafés", metrics=metrics, refit_metric="loss")
    scores = {"accuracy": (0.5, 1 / 3), "loss": (NAN, -INF)}
    values = {"one": 0.1 + 0.2, "two": INF, "three": NAN, "four": None, "five": "x"}
    candidates = [
        make_evaluation(
            key,
            scores,
            configuration={"SVC.C": value, "SVC.shrinking": True},
            fit_times=(0.1, 0.2),
            error="ValueError: no" if value is None else None,
        )
        for key, value in values.items()
    ]
    record_all(history, record, *candidates)
    history._begin(make_record("b"))
    return history


def content(history):
    return [repr(search) for search in history]


@pytest.mark.parametrize("make", [lambda p: p, str, SearchHistory])
def test_another_history_is_merged(make, tmp_path):
    path = tmp_path / "other.db"
    history = make_history(path)
    assert content(SearchHistory().merge(make(path))) == content(history)
    assert content(history.merge(history)) == content(SearchHistory(path))


def test_what_is_there_stays_and_what_is_new_is_added(tmp_path):
    history = make_history(tmp_path / "other.db")
    other = SearchHistory()
    [full, _] = history
    search_id = other._begin(full.record)
    mine = CandidateRecord(configuration={}, key="one", scores={"loss": (0.0,)})
    other._record(search_id, mine)
    other.merge(history)
    merged = other._candidates("a")
    assert merged[0] == mine
    assert [e.key for e in merged] == ["one", "two", "three", "four", "five"]


def test_merging_what_is_not_there_creates_nothing(tmp_path):
    with pytest.raises(HistoryError, match="does not exist"):
        SearchHistory().merge(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_to_frame_has_one_row_per_candidate():
    frame = make_history().to_frame()
    assert len(frame) == 5
    assert set(frame["dataset"]) == {"cafés"}
    assert set(frame["metric"]) == {"loss"}
    np.testing.assert_allclose(frame["mean_test_accuracy"], (0.5 + 1 / 3) / 2)
    assert frame["score"].isna().all()
    assert frame["mean_fit_time"].tolist() == pytest.approx([0.15] * 5)
    assert frame["SVC.C"].tolist()[:2] == [0.1 + 0.2, INF]
    assert frame["error"].notna().sum() == 1
    empty = SearchHistory().to_frame()
    assert (len(empty), "dataset" in empty) == (0, True)


def test_of_many_past_searches_the_latest_are_read():
    history = SearchHistory()
    for k in range(5):
        history.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [0.5, k / 5], dataset=f"set {k}")
    found = history._past_searches(["SVC"], None, lambda row: row["dataset"] != "set 3", limit=2)
    assert [one.dataset for one in found] == ["set 2", "set 4"]
    assert history._past_searches(None, None, lambda row: True, limit=0) == []
