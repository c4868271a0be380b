"""A search that ends early, and candidates that are tried first."""

import numpy as np
import pytest
from scipy.stats import loguniform, uniform
from searching import QUALITY, SPACE, Counted, raising
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

import skmeta.search._budget
from skmeta.exceptions import SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory


@pytest.mark.parametrize("batch_size", [1, 2])
def test_ctrl_c_keeps_the_best_so_far(iris, counted, batch_size):
    counted.at = {12: raising(KeyboardInterrupt())}  # the third fold of the fourth candidate
    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=10, cv=3, batch_size=batch_size)
    with pytest.warns(SearchWarning, match="interrupted after 3 of 10 candidates"):
        search.fit(*iris)
    assert search.stopped_by_ == "interrupt"
    assert len(search.cv_results_["params"]) == 3
    assert search.best_estimator_.quality == search.best_params_["quality"]


class Ticking:
    """A clock that moves when fits say so."""

    now = 0.0

    def monotonic(self):
        return Ticking.now

    time = monotonic


@pytest.fixture
def ticking(monkeypatch):
    Ticking.now = 0.0
    monkeypatch.setattr(skmeta.search._budget, "time", Ticking())
    monkeypatch.setattr("sklearn.model_selection._validation.time", Ticking())


class Slow(Counted):
    """Takes as many seconds per row as its quality, which is its score, on a clock of its own."""

    def fit(self, X, y):
        Ticking.now += self.quality * len(X)
        return super().fit(X, y)

    def score(self, X, y):
        return self.quality


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("given", ["param_grid", "param_distributions"])
def test_a_time_budget_has_room_for_the_next_fit_and_the_refit(iris, ticking, refit, given):
    # A candidate of quality q takes 100 q seconds on each of three folds and 150 q at the refit.
    # The best ones are the slowest, as with early stopping.
    settings = {given: {"quality": np.linspace(0.1, 1, 40)}, "cv": 3, "refit": refit, "prior": None}
    search = MetaLearnedSearchCV(Slow(), **settings, n_iter=None if given == "param_grid" else 40)
    search.set_params(random_state=0, verbose=0, time_budget=2_000, patience=40)
    search.fit(*iris)
    assert search.stopped_by_ == "time_budget"
    assert search.best_score_ > 0.9
    assert 1_500 < Ticking.now <= 2_000


X, y = np.arange(30.0).reshape(-1, 1), np.arange(30) % 2


class Flat(Counted):
    """Scores alike at first."""

    def score(self, X, y):
        return round(super().score(X, y), 2)


def search_flat(n_iter=40, **settings):
    settings = {"cv": 3, "random_state": 0, "prior": None, "verbose": 0} | settings
    return MetaLearnedSearchCV(Flat(), {"quality": uniform(0, 1)}, n_iter=n_iter, **settings)


@pytest.mark.parametrize("patience", [1, 4])
def test_it_stops_after_this_number_of_candidates(patience):
    stopped = search_flat(patience=patience).fit(X, y)
    scores = stopped.cv_results_["mean_test_score"]
    assert stopped.stopped_by_ == "patience"
    assert len(scores) < 40
    assert scores.argmax() == len(scores) - 1 - patience
    # No earlier candidate had to end it, and the candidates are those of a longer search.
    best_so_far = np.maximum.accumulate(scores)
    for n in range(patience + 1, len(scores)):
        assert best_so_far[n - 1] > best_so_far[n - 1 - patience]
    longer = search_flat(n_iter=len(scores) + 2).fit(X, y)
    assert longer.stopped_by_ == "n_iter"
    assert longer.cv_results_["params"][: len(scores)] == stopped.cv_results_["params"]


def make(estimator, space=SPACE, **settings):
    settings = {"n_iter": 5, "cv": 2, "random_state": 0, "prior": None, **settings}
    return MetaLearnedSearchCV(estimator, space, **settings)


def test_they_come_first(iris):
    outside = {"C": 1e5, "gamma": "scale"}  # of the space, and tried
    start = [{"C": 10.0, "gamma": 0.1}, {"C": 3.0}, outside]
    results = make(SVC(gamma=0.7), start=start).fit(*iris).cv_results_
    # What a dict leaves out is as in the estimator.
    assert results["params"][:3] == [start[0], {"C": 3.0, "gamma": 0.7}, outside]
    assert list(results["source"][:4]) == ["start", "start", "start", "as given"]
    assert np.isnan(results["predicted_mean_score"][:4]).all()
    assert np.isfinite(results["mean_test_score"]).all()
    assert len(results["params"]) == 5


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_search_ends_with_the_target(iris, counted, path, is_shared):
    history = SearchHistory(path, mode="share") if is_shared else None
    settings = {"n_iter": 30, "history": history, "target_score": 0.99}
    settings |= {"name": "ours"} if is_shared else {}
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
    found = make(steps, None, param_grid=grid, n_iter=None).fit(*iris)
    assert type(found.best_params_["nb__var_smoothing"]) is float
