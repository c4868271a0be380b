"""A search that ends early."""

import time

import numpy as np
import pytest
from searching import QUALITY, SPACE, raising
from sklearn.model_selection import KFold
from sklearn.svm import SVC

import skmeta.search._trials
from skmeta.exceptions import (
    SearchStoppedWarning,
)
from skmeta.search import (
    MetaLearnedSearchCV,
)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_ctrl_c_keeps_the_best_so_far(iris, counted, batch_size):
    counted.at = {12: raising(KeyboardInterrupt())}  # the third fold of the fourth candidate
    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=10, cv=3, batch_size=batch_size)
    with pytest.warns(SearchStoppedWarning, match="interrupted after 3 of 10 candidates"):
        search.fit(*iris)
    assert search.stopped_by_ == "interrupt"
    assert len(search.cv_results_["params"]) == 3
    assert search.best_estimator_.quality == search.best_params_["quality"]


def test_ctrl_c_before_the_first_candidate_is_a_ctrl_c(iris, counted):
    counted.at = {2: raising(KeyboardInterrupt())}
    search = MetaLearnedSearchCV(counted(), QUALITY, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*iris)


@pytest.mark.parametrize("n_iter", ["all", 40])
def test_time_budget(iris, counted, monkeypatch, n_iter):
    clock = iter(range(10**6))  # each look at the clock is a second
    monkeypatch.setattr(skmeta.search._trials, "time", _Clock(clock))
    search = MetaLearnedSearchCV(
        counted(), {"quality": np.linspace(0.01, 1, 50)}, n_iter=n_iter, cv=3
    )
    search.set_params(time_budget=25).fit(*iris)
    assert search.stopped_by_ == "time_budget"
    assert 5 < len(search.cv_results_["params"]) < 15
    assert hasattr(search, "best_estimator_")


class _Clock:
    def __init__(self, ticks):
        self._start = time.monotonic() * 2
        self._ticks = ticks

    def monotonic(self):
        return self._start + next(self._ticks)


class SlowFolds(KFold):
    """Folds that take a while to be drawn."""

    def split(self, X, y=None, groups=None):
        time.sleep(0.4)
        return super().split(X, y, groups)


def test_a_time_budget_counts_from_the_first_fit(iris, counted):
    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=8, cv=SlowFolds(3), time_budget=0.3)
    assert len(search.fit(*iris).cv_results_["params"]) > 1
    assert search.search_time_ > 0.4


def test_the_smallest_budget_still_gives_a_model(iris):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=50, time_budget=1e-9, random_state=0)
    assert len(search.fit(*iris).cv_results_["params"]) == 1
    assert search.predict(iris[0]).shape == (150,)
