"""Finished searches of scikit-learn are added."""

import warnings

import numpy as np
import pytest
from halving import HalvingGridSearchCV
from scipy.stats import loguniform
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import HistoryFormatError
from skmeta.search import SearchHistory


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


def test_several_metrics(iris):
    search = RandomizedSearchCV(
        SVC(),
        {"C": loguniform(0.1, 10)},
        n_iter=4,
        cv=3,
        scoring=["accuracy", "f1_macro"],
        refit="f1_macro",
        random_state=0,
    )
    history = SearchHistory().add(search.fit(*iris), dataset="iris")
    for metric in ["accuracy", "f1_macro"]:
        [past] = history.searches(metric=metric)
        np.testing.assert_allclose(past.scores, search.cv_results_[f"mean_test_{metric}"])
    assert history.searches()[0].metric == "f1_macro"
    with pytest.raises(HistoryFormatError, match="scoring must name the metric to maximise"):
        SearchHistory().add(search.set_params(refit=False), dataset="iris")


def test_of_a_halving_search_the_last_round_counts(iris):
    search = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=2, random_state=0)
    search.fit(*iris)
    [past] = SearchHistory().add(search, dataset="iris").searches()
    last = search.cv_results_["n_resources"] == max(search.cv_results_["n_resources"])
    assert 0 < last.sum() < len(last)
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"][last])


def test_failed_candidates_of_a_search_are_nan(iris):
    search = GridSearchCV(SVC(), {"C": [-1.0, 1.0]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says that fits failed
        search.fit(*iris)
    [past] = SearchHistory().add(search, dataset="iris").searches()
    assert np.isnan(past.scores).tolist() == [True, False]


@pytest.mark.parametrize("search", [3, GridSearchCV(SVC(), {}), {"params": []}])
def test_what_is_no_fitted_search(search):
    with pytest.raises(HistoryFormatError, match="needs a fitted search, such as GridSearchCV"):
        SearchHistory().add(search)


def test_params_without_scores():
    with pytest.raises(HistoryFormatError, match="params were given without scores"):
        SearchHistory().add(SVC(), [{"C": 1.0}], dataset="iris")
    with pytest.raises(HistoryFormatError, match="params must be a list of dicts"):
        SearchHistory().add(SVC(), scores=[0.5], dataset="iris")
