"""Candidates that a user wants to be tried first, and a score that is good enough."""

import numpy as np
import pytest
from scipy.stats import loguniform
from searching import QUALITY, SPACE
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory


def make(estimator, space=SPACE, **settings):
    settings = {"n_iter": 5, "cv": 2, "random_state": 0, "prior": None, **settings}
    return MetaLearnedSearchCV(estimator, space, **settings)


def test_they_come_first(iris):
    start = [{"C": 10.0, "gamma": 0.1}, {"C": 3.0}]
    found = make(SVC(gamma=0.7), start=start).fit(*iris)
    # What a dict leaves out is as in the estimator.
    assert found.cv_results_["params"][:2] == [start[0], {"C": 3.0, "gamma": 0.7}]
    assert list(found.cv_results_["source"][:3]) == ["start", "start", "as given"]
    assert np.isnan(found.cv_results_["predicted_mean_score"][:3]).all()
    assert len(found.cv_results_["params"]) == 5


def test_a_value_outside_of_the_space_is_tried(iris):
    found = make(SVC(), start=[{"C": 1e5, "gamma": "scale"}], n_iter=3).fit(*iris)
    assert found.cv_results_["params"][0] == {"C": 1e5, "gamma": "scale"}
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_equal_ones_are_tried_once(iris, counted, batch_size):
    start = [{"quality": 0.5}, {"quality": 0.5}, {"quality": 0.2}]
    found = make(counted(), QUALITY, start=start, batch_size=batch_size).fit(*iris)
    qualities = [params["quality"] for params in found.cv_results_["params"]]
    # 0.5 is the estimator as given too.
    assert qualities[:2] == [0.5, 0.2]
    assert len(set(qualities)) == 5


def test_the_sub_space_that_has_the_parameters(iris):
    space = [
        {"kernel": ["rbf"], "C": loguniform(0.1, 10), "gamma": loguniform(0.01, 1)},
        {"kernel": ["poly"], "C": loguniform(0.1, 10), "degree": [2, 3]},
    ]
    start = [{"degree": 2}, {"C": 2.0, "kernel": "poly"}, {"gamma": 0.5}]
    found = make(SVC(kernel="rbf"), space, start=start).fit(*iris)
    assert found.cv_results_["params"][:3] == [
        {"kernel": "poly", "C": 1.0, "degree": 2},
        {"kernel": "poly", "C": 2.0, "degree": 3},
        {"kernel": "rbf", "C": 1.0, "gamma": 0.5},
    ]


def test_of_several_estimators(iris):
    start = [{"model": RandomForestClassifier(n_estimators=5), "model__min_samples_leaf": 4}]
    several = [SVC(), RandomForestClassifier(n_estimators=5)]
    found = make(several, None, start=start, n_iter=2).fit(*iris)
    first = found.cv_results_["params"][0]
    assert isinstance(first["model"], RandomForestClassifier)
    assert first["model__min_samples_leaf"] == 4


def test_a_resumed_search_does_not_repeat_them(iris, counted, path):
    settings = {"start": [{"quality": 0.4}, {"quality": 0.6}], "history": path, "refit": False}
    make(counted(), QUALITY, n_iter=3, **settings).fit(*iris)
    counted.fits = []
    resumed = make(counted(), QUALITY, n_iter=6, **settings).fit(*iris)
    assert resumed.n_resumed_ == 3
    assert len(counted.fits) == 2 + 3 * 2  # two folds to verify the record, and three candidates
    whole = make(counted(), QUALITY, n_iter=6, **settings | {"history": None}).fit(*iris)
    assert resumed.cv_results_["params"] == whole.cv_results_["params"]


def test_workers_of_a_shared_search_try_them_once(iris, counted, path):
    settings = {"start": [{"quality": 0.4}, {"quality": 0.6}], "refit": False}
    for n_iter in (1, 5):
        history = SearchHistory(path, shared=True)
        found = make(counted(), QUALITY, n_iter=n_iter, history=history, **settings).fit(*iris)
    assert found.n_resumed_ == 1
    assert [p["quality"] for p in found.cv_results_["params"][:2]] == [0.4, 0.6]
    assert len({p["quality"] for p in found.cv_results_["params"]}) == 5


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_search_ends_with_the_target(iris, counted, path, is_shared):
    history = SearchHistory(path, shared=True) if is_shared else None
    settings = {"n_iter": 30, "history": history, "stop": {"target_score": 0.99}}
    found = make(counted(quality=0.9), QUALITY, **settings).fit(*iris)
    assert found.stopped_by_ == "target_score"
    scores = found.cv_results_["mean_test_score"]
    assert scores[-1] >= 0.99 > scores[:-1].max()


def test_best_params_are_python_numbers(iris):
    space = {"C": loguniform(0.1, 10), "degree": np.array([2, 3])}
    found = make(SVC(), space, n_iter=4).fit(*iris)
    assert {type(value) for value in found.best_params_.values()} == {float, int}
    steps = Pipeline([("nb", GaussianNB())])
    grid = {"nb__var_smoothing": np.logspace(-9, -7, 3)}
    found = make(steps, grid, n_iter="all").fit(*iris)
    assert type(found.best_params_["nb__var_smoothing"]) is float
