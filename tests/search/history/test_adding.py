"""Scores and finished searches of scikit-learn are added by hand."""

import math

import numpy as np
import pytest
from halving import HalvingGridSearchCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import FileFormatError, SearchWarning
from skmeta.search import SearchHistory
from skmeta.search.record import dataset_features

NAN = math.nan


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
    history = SearchHistory().add(
        SVC(),
        [{"C": 1.0}, {"C": 2.0}],
        {"accuracy": [[0.5, 0.7], [NAN, NAN]], "my_loss": [[1, 2], [3, 4]]},
        dataset="d",
        scoring="my_loss",
        greater_is_better={"my_loss": False},
    )
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
