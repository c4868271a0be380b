"""What goes into a history comes out of it: queries, merged and read-only histories, tables."""

import math
import os
import pickle

import numpy as np
import pytest
from builders import make_evaluation, make_record, record_all
from sklearn.base import clone
from sklearn.svm import SVC

from skmeta.exceptions import FileFormatError, HistoryError
from skmeta.search import SearchHistory
from skmeta.search.record import CandidateRecord

NAN, INF = math.nan, math.inf


FULL_RECORD = make_record(
    dataset="cafés — 日本",
    data_digest="abc",
    data_sketch=(2**31 - 1, 0, 5),
    signature="Pipeline(StandardScaler, SVC)",
    space={"SVC.C": "loguniform(0.1, 10)"},
    cv="StratifiedKFold(n_splits=5)",
    metrics={"accuracy": 1, "loss": -1},
    dataset_features={"skew": NAN, "rows": 2.5, "ratio": -INF},
)
FULL_EVALUATION = make_evaluation(
    configuration={
        "SVC.C": 0.1 + 0.2,
        "SVC.gamma": "scale",
        "SVC.shrinking": True,
        "SVC.max_iter": -(10**30),
        "SVC.class_weight": None,
        "SVC.tol": INF,
        "SVC.coef0": NAN,
        "SVC.odd": '{"float":"nan"}\0',
    },
    scores={"accuracy": (0.25, NAN, 1 / 3), "loss": (INF, -INF, 5e-324)},
    train_scores={"accuracy": (1.0, 1.0, NAN)},
    fit_times=(0.1, 0.2, 0.3),
    score_times=(0.01, 0.02, 0.03),
    n_test_samples=(50, 50, 49),
    error="ValueError: naïve “quotes”\tand tabs, a%sb :name %(x)s",
    source="model",
    predicted_mean_score=1 / 3,
    predicted_std_score=5e-324,
    params='[0, {"C": ["drawn", 0.1]}]',
)


SERVER = pytest.param("server", marks=pytest.mark.postgres)


@pytest.mark.parametrize("address", [":memory:", "searches.db", "sqlite:///searches.db", SERVER])
def test_everything_comes_back(address, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    address = request.getfixturevalue("postgres_url") if address == "server" else address
    history = SearchHistory(address)
    record_all(history, FULL_RECORD, FULL_EVALUATION)
    [search] = history
    # NaN differs from itself, but repr shows every digit.
    assert repr(search.record) == repr(FULL_RECORD)
    assert repr(search.candidates) == repr((FULL_EVALUATION,))
    assert search.started > 1e9


def test_no_data_row_is_stored(history):
    X = np.array([[123456.789, 987654.321], [314159.265, 271828.182]] * 5)
    y = np.array(["secret-label", "other-label"] * 5)
    history.add(SVC(), [{"C": 1.0}], [0.5], dataset="d", X=X, y=y)
    content = history.path.read_bytes()
    assert b"SVC.C" in content
    for text in [b"123456.789", b"987654.3", b"314159.2", b"secret-label"]:
        assert text not in content
    for value in X.ravel():
        assert value.tobytes() not in content


def test_candidates_come_back_in_order_and_once(history):
    search_id = record_all(history, make_record(), *map(make_evaluation, "cab"))
    history._record(search_id, make_evaluation("a", scores=(0.0, 0.0)))
    assert history._candidates(search_id) == [make_evaluation(key) for key in "cab"]
    assert history._candidates("f") == history._candidates(search_id)
    assert history._candidates("unknown") == history._candidates(99) == []


def test_failed_candidates_are_nan_and_failed_searches_left_out(history):
    record_all(
        history,
        make_record("a"),
        make_evaluation("good", (0.5, 1.0)),
        make_evaluation("fails", (0.5, NAN)),
        make_evaluation("other metric", {"recall": (1.0, 1.0)}),
        make_evaluation("ragged", (0.25,)),
        make_evaluation("endless", (INF, -INF)),
    )
    record_all(history, make_record("b"), make_evaluation("fails", (NAN, NAN)))
    history._begin(make_record("c"))
    [past] = history.searches()
    # On its one fold, "ragged" is 0.25 worse than "good", whose mean is 0.75.
    np.testing.assert_array_equal(past.scores, [0.75, NAN, NAN, 0.5, NAN])
    assert len(past.configurations) == 5


def test_searches_are_found_by_the_classes_that_they_tried(history):
    for name in ["SVC", "SVC|Ridge", "Ridge", "LinearSVC"]:
        record_all(history, make_record(name, estimator=name), make_evaluation())

    def actual(estimator):
        return [past.estimator for past in history.searches(estimator=estimator)]

    assert actual("SVC") == ["SVC", "SVC|Ridge"]
    assert (
        actual("SVC|LinearSVC") == actual(["SVC", "LinearSVC"]) == ["SVC", "SVC|Ridge", "LinearSVC"]
    )
    assert actual("Lasso") == actual([]) == []
    assert actual(None) == ["SVC", "SVC|Ridge", "Ridge", "LinearSVC"]


def test_data_sets_can_be_left_out_by_name_and_digest(history):
    for name in "abc":
        record = make_record(name, dataset=f"set {name}", data_digest=f"digest {name}")
        record_all(history, record, make_evaluation())
    record_all(history, make_record("d", dataset="set d"), make_evaluation())

    def actual(exclude):
        return "".join(past.dataset[-1] for past in history.searches(exclude=exclude))

    assert actual("set a") == actual(["digest a"]) == "bcd"
    assert actual(["set a", "digest c"]) == "bd"
    assert actual("") == "abcd"  # an unknown digest is not a digest


def test_read_only_reads_and_writes_nothing(history):
    record_all(history, make_record("a"), make_evaluation())
    reading = SearchHistory(history.path, mode="read")
    assert len(reading.searches()) == 1
    record_all(history, make_record("later"), make_evaluation())
    assert len(reading) == 2
    before = history.path.read_bytes()
    search_id = reading._begin(make_record("a"))
    assert reading._candidates(search_id) == [make_evaluation()]
    reading._record(search_id, make_evaluation("b"))
    new = reading._begin(make_record("new"))
    assert reading._candidates(new) == []
    reading._record(new, make_evaluation())
    assert len(pickle.loads(pickle.dumps(reading))) == 2
    assert clone(reading) is reading
    for change in (lambda: reading.remove("iris"), lambda: reading.merge(history)):
        with pytest.raises(HistoryError, match="opened with mode='read' and cannot be changed"):
            change()
    reading.close()
    assert history.path.read_bytes() == before


def test_read_only_creates_no_file(tmp_path):
    with pytest.raises(HistoryError, match="a read-only history is not created"):
        SearchHistory(tmp_path / "searches.db", mode="read")
    (tmp_path / "empty.db").touch()
    with pytest.raises(FileFormatError, match="holds no history"):
        SearchHistory(tmp_path / "empty.db", mode="read")
    assert (tmp_path / "empty.db").read_bytes() == b""
    assert os.listdir(tmp_path) == ["empty.db"]


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
