"""A shared search, with workers that come one after the other in one process."""

import numpy as np
import pytest
from scipy.stats import loguniform
from searching import QUALITY, add_past_search, assert_same, raising, scores_of
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.history import _leases

N_ITER, N_FOLDS = 8, 2


@pytest.fixture(autouse=True)
def _(monkeypatch):
    # A worker that waits for a lease that was not given back does not end within the test.
    monkeypatch.setattr(_leases, "TIMEOUT", 1000.0)


def make(estimator, path, space=QUALITY, shared=True, **settings):
    history = path
    if shared:
        history = SearchHistory(path, mode="share")
        settings["name"] = "ours"
    settings = {"n_iter": N_ITER, "random_state": 3, "cv": N_FOLDS, **settings}
    return MetaLearnedSearchCV(estimator, space, history=history, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 3},
        {"racing": True},
        {
            "patience": 3,
            "return_train_score": True,
            "scoring": ["accuracy", "f1_macro"],
            "refit": "f1_macro",
        },
    ],
    ids=lambda settings: next(iter(settings), "plain"),
)
def test_one_worker_finds_what_a_search_of_its_own_finds(iris, path, settings):
    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 1e1)}
    alone = make(SVC(), None, space, **settings, shared=False).fit(*iris)
    shared = make(SVC(), path, space, **settings).fit(*iris)
    assert_same(scores_of(shared), scores_of(alone))
    assert shared.stopped_by_ == alone.stopped_by_
    assert shared.best_params_ == alone.best_params_
    assert shared.n_resumed_ == 0


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_a_worker_that_is_interrupted_gives_its_candidate_back(iris, counted, path, after):
    counted.at = {after + 1: raising(KeyboardInterrupt())}
    first = make(counted(), path)
    if after < N_FOLDS:
        with pytest.raises(KeyboardInterrupt):
            first.fit(*iris)
    else:
        with pytest.warns(SearchWarning, match=f"after {after // N_FOLDS} of 8"):
            first.fit(*iris)
        assert len(first.cv_results_["params"]) == after // N_FOLDS
        assert first.stopped_by_ == "interrupt"
    counted.fits, counted.at = [], {}
    second = make(counted(), path).fit(*iris)
    assert second.n_resumed_ == after // N_FOLDS
    assert len(counted.fits) == (N_ITER - after // N_FOLDS) * N_FOLDS + 1
    third = make(counted(), path).fit(*iris)
    assert third.n_resumed_ == N_ITER
    for name, values in second.cv_results_.items():
        np.testing.assert_array_equal(third.cv_results_[name], values, err_msg=name)


def test_a_worker_whose_time_is_over_leaves_the_rest_to_others(iris, counted, path):
    first = make(counted(), path, time_budget=1e-9).fit(*iris)
    assert first.stopped_by_ == "time_budget"
    assert len(first.cv_results_["params"]) == 1
    second = make(counted(), path).fit(*iris)
    assert second.n_resumed_ == 1
    assert len(second.cv_results_["params"]) == N_ITER
    # Nothing is left to do: no time is needed.
    third = make(counted(), path, time_budget=60).fit(*iris)
    assert (third.stopped_by_, third.n_resumed_) == ("n_iter", N_ITER)


def test_workers_keep_the_seed_and_the_past_of_the_first(iris, counted, path):
    add_past_search(path, 0.5)
    # Of a finite space, nothing is drawn while the search runs.
    space = {"quality": np.linspace(0.01, 1, 300).tolist()}
    make(counted(), path, space, n_iter=2, random_state=1).fit(*iris)
    add_past_search(path, 0.9)
    second = make(counted(), path, space, random_state=2).fit(*iris)
    assert second.prior_.datasets == ("past 0.5",)
    settings = {"prior": second.prior_, "random_state": 1, "shared": False}
    alone = make(counted(), None, space, **settings).fit(*iris)
    assert_same(scores_of(second), scores_of(alone))


def test_a_history_in_memory_is_refused():
    with pytest.raises(HistoryError, match=r"this one is in memory\. Give the path of a file"):
        SearchHistory(mode="share")
    with pytest.raises(HistoryError, match="mode must be one of 'write', 'read', 'share', got 'r'"):
        SearchHistory(mode="r")


def test_folds_must_be_the_same_in_all_processes(iris, path):
    search = make(SVC(), path, None, param_grid={"C": [1.0, 2.0]}, n_iter=None)
    search.set_params(cv=KFold(3, shuffle=True))
    with pytest.raises(ValueError, match=r"draws others each time\. Give it an integer"):
        search.fit(*iris)
    search.set_params(cv=KFold(3, shuffle=True, random_state=0)).fit(*iris)


class AnyValue:
    def rvs(self, random_state=None):
        return BaseEstimator()


def test_candidates_must_be_written(iris, path):
    with pytest.raises(ValueError, match="candidates that can be written"):
        make(SVC(), path, {"C": AnyValue()}, n_iter=3, prior=None).fit(*iris)


def test_workers_must_want_the_same_scores(iris, counted, path):
    make(counted(), path).fit(*iris)
    with pytest.raises(HistoryError, match="Use the same return_train_score in all workers"):
        make(counted(), path, return_train_score=True).fit(*iris)
