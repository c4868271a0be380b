"""What goes into a history comes out of it; scores and searches are added by hand."""

import math
import os
import pickle

import numpy as np
import pytest
from builders import make_evaluation, make_record, record_all
from halving import HalvingGridSearchCV
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import FileFormatError, HistoryError, SearchWarning
from skmeta.search import SearchHistory
from skmeta.search.record import CandidateRecord, dataset_features

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
    configuration={"SVC.C": 0.1 + 0.2, "SVC.gamma": "scale", "SVC.shrinking": True}
    | {"SVC.max_iter": -(10**30), "SVC.class_weight": None, "SVC.tol": INF, "SVC.coef0": NAN}
    | {"SVC.odd": '{"float":"nan"}\0'},
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
    scores = {"good": (0.5, 1.0), "fails": (0.5, NAN), "other metric": {"recall": (1.0, 1.0)}}
    scores |= {"ragged": (0.25,), "endless": (INF, -INF)}
    record_all(history, make_record("a"), *(make_evaluation(*item) for item in scores.items()))
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
    both = ["SVC", "SVC|Ridge", "LinearSVC"]
    assert actual("SVC|LinearSVC") == actual(["SVC", "LinearSVC"]) == both
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


def make_history(address=":memory:"):
    """A history with every kind of value, and a search without candidates."""
    history = SearchHistory(address)
    metrics = {"accuracy": 1, "loss": -1}
    record = make_record("a", dataset="cafés", metrics=metrics, refit_metric="loss")
    scores = {"accuracy": (0.5, 1 / 3), "loss": (NAN, -INF)}
    values = {"one": 0.1 + 0.2, "two": INF, "three": NAN, "four": None, "five": "x"}
    search_id = record_all(history, record)
    for key, value in values.items():
        own = {"configuration": {"SVC.C": value, "SVC.shrinking": True}, "fit_times": (0.1, 0.2)}
        error = "ValueError: no" if value is None else None
        history._record(search_id, make_evaluation(key, scores, error=error, **own))
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


def test_added_configurations_are_a_past_search():
    params = [{"C": 1.0}, {"C": 10.0, "kernel": "linear"}]
    history = SearchHistory().add(SVC(tol=0.5), params, [0.8, 0.9], dataset="iris")
    [past] = history.searches()
    assert past.estimator == "SVC"
    assert past.dataset == "iris"
    assert past.scores.tolist() == [0.8, 0.9]
    assert [c["SVC.C"] for c in past.configurations] == [1.0, 10.0]
    assert [c["SVC.kernel"] for c in past.configurations] == ["rbf", "linear"]
    assert {c["SVC.tol"] for c in past.configurations} == {0.5}


def test_folds_and_metrics_are_kept():
    scores = {"accuracy": [[0.5, 0.7], [NAN, NAN]], "my_loss": [[1, 2], [3, 4]]}
    settings = {"scoring": "my_loss", "greater_is_better": {"my_loss": False}}
    history = SearchHistory().add(SVC(), [{"C": 1.0}, {"C": 2.0}], scores, dataset="d", **settings)
    first, second = next(iter(history)).candidates
    assert first.scores == {"accuracy": (0.5, 0.7), "my_loss": (1.0, 2.0)}
    assert math.isnan(second.scores["accuracy"][0])
    assert history.searches()[0].scores.tolist() == [-1.5, -3.5]
    np.testing.assert_allclose(history.searches(metric="accuracy")[0].scores, [0.6, NAN])


def test_the_data_are_described_but_not_needed(iris):
    X, y = iris
    history = SearchHistory()
    history.add(SVC(), [{"C": 1.0}], [0.5], X=X, y=y)
    history.add(SVC(), [{"C": 1.0}], [0.5], dataset="named", X=X, y=y)
    history.add(SVC(), [{"C": 1.0}], [0.5], dataset="unseen")
    first, second, third = (search.record for search in history)
    assert first.dataset is None
    assert second.dataset == second.dataset_label == "named"
    assert first.dataset_label == first.data_digest[:12] == second.data_digest[:12] != ""
    assert first.data_sketch == second.data_sketch != ()
    assert first.dataset_features == dataset_features(X, y, is_classification=True) != {}
    assert (third.data_digest, third.data_sketch, third.dataset_features) == ("", (), {})


def test_one_by_one_is_as_all_at_once():
    params = [{"C": float(c)} for c in range(1, 6)]
    together = SearchHistory().add(SVC(), params, range(5), dataset="d")
    apart = SearchHistory()
    for score, one in enumerate(params):
        apart.add(SVC(), [one], [score], dataset="d")
        apart.add(SVC(), [one], [score], dataset="d")  # running a script twice changes nothing
    assert len(apart) == 1
    [a], [b] = together, apart
    assert a.record == b.record
    assert a.candidates == b.candidates


ADD = {"estimator": SVC(), "params": [{"C": 1.0}], "scores": [0.5], "dataset": "d"}


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "other"},
        {"scoring": "accuracy"},
        {"estimator": make_pipeline(StandardScaler(), SVC()), "params": [{"svc__C": 1.0}]},
        {"X": [[1.0], [2.0]], "y": [0, 1]},
    ],
    ids=["dataset", "metric", "estimator", "data"],
)
def test_what_differs_is_another_search(changes):
    assert len(SearchHistory().add(**ADD).add(**{**ADD, **changes})) == 2


def test_other_scores_of_the_same_configuration_are_not_taken_silently():
    history = SearchHistory().add(SVC(), [{"C": 1.0}], [0.5], dataset="d")
    with pytest.warns(SearchWarning, match="1 configurations were measured before on 'd'"):
        history.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [0.6, 0.7], dataset="d")
    assert history.searches()[0].scores.tolist() == [0.5, 0.7]
    history.remove("d")
    history.add(SVC(), [{"C": 1.0}], [NAN], dataset="d")
    history.add(SVC(), [{"C": 1.0}], [NAN], dataset="d")  # NaN is as NaN


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.5, 0.6]}, "2 were given for the 1 dicts in params"),
        ({"scores": ["good"]}, "must be numbers, or lists of numbers"),
        ({"scores": {}}, r"one of \[\]; got None"),
        (
            {"scores": {"accuracy": [1], "recall": [1]}},
            r"one of \['accuracy', 'recall'\]; got None",
        ),
        ({"scores": {"accuracy": [1]}, "scoring": "recall"}, "got 'recall'"),
        ({"params": {"C": [1.0]}}, r"a list of dicts, .* got {'C': \[1.0\]}"),
        ({"params": ["C"]}, r"a list of dicts, .* got \['C'\]"),
        ({"estimator": 3}, r"estimator must be an estimator, such as SVC\(\), got 3"),
        ({"estimator": SVC}, "estimator must be an estimator"),
        ({"dataset": None}, "dataset must be the name of the data set, .* not None. Give it"),
        ({"dataset": ""}, "not ''"),
        ({"scores": None}, "params were given without scores"),
        ({"params": None}, "params must be a list of dicts"),
        *(
            ({"estimator": search, "params": None, "scores": None}, "needs a fitted search, such")
            for search in (3, GridSearchCV(SVC(), {}), {"params": []})
        ),
        ({"scoring": "rmse"}, "It is not known whether a greater 'rmse' is better"),
        (
            {"params": [{"C": 1.0}, {"gama": 1.0}], "scores": [0.5, 0.6]},
            r"'gama' for estimator SVC.*Did you mean 'gamma'",
        ),
    ],
)
def test_what_cannot_be_added(changes, message):
    history = SearchHistory()
    error = ValueError if "gama" in message else FileFormatError
    with pytest.raises(error, match=message):
        history.add(**{**ADD, **changes})
    assert len(history) == 0


def test_a_grid_search_is_added_whole(iris):
    pipe = make_pipeline(StandardScaler(), SVC())
    search = GridSearchCV(pipe, {"svc__C": [0.1, 1.0], "svc__gamma": [0.1, "scale"]}, cv=3)
    search.fit(*iris)
    history = SearchHistory().add(search, dataset="iris", X=iris[0], y=iris[1])
    [recorded] = history
    [past] = history.searches(estimator="SVC")
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"])
    assert [c["SVC.gamma"] for c in past.configurations] == [0.1, "scale", 0.1, "scale"]
    for k, evaluation in enumerate(recorded.candidates):
        folds = [search.cv_results_[f"split{i}_test_score"][k] for i in range(3)]
        assert evaluation.scores["score"] == tuple(folds)
    assert recorded.record.refit_metric == "score"


def test_of_a_halving_search_the_last_round_counts(iris):
    search = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=2, random_state=0)
    search.fit(*iris)
    [past] = SearchHistory().add(search, dataset="iris").searches()
    last = search.cv_results_["n_resources"] == max(search.cv_results_["n_resources"])
    assert 0 < last.sum() < len(last)
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"][last])
