"""A search that ends early, candidates that are tried first, and the estimator as it is given."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import loguniform, randint, uniform
from searching import QUALITY, SPACE, Counted, raising
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import skmeta.search._budget
from skmeta.exceptions import SearchWarning, SkmetaWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior
from skmeta.search.record import PastSearch


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


IRIS = load_iris(return_X_y=True)
C = loguniform(1e-2, 1e3)


def search_iris(estimator, space=None, n_iter=6, **settings):
    settings = {"cv": 3, "random_state": 0, "prior": None, "verbose": 0} | settings
    return MetaLearnedSearchCV(estimator, space, n_iter=n_iter, **settings).fit(*IRIS)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("value", "prior", "place"), [(7.5, None, 1), (0.011, "shipped", 4)])
def test_it_is_the_second_candidate_or_with_a_prior_that_expects_little_the_fifth(
    batch_size, value, prior, place
):
    found = search_iris(SVC(C=value), {"C": C}, batch_size=batch_size, prior=prior).cv_results_
    assert [k for k, source in enumerate(found["source"]) if source == "as given"] == [place]
    assert found["params"][place] == {"C": value}
    assert np.isnan(found["predicted_mean_score"][place])


def test_it_is_the_second_candidate_on_more_rows_than_the_past_has():
    searches = [
        PastSearch(
            dataset=f"past {t}",
            configurations=tuple({"SVC.C": float(c)} for c in np.geomspace(1e-2, 1e3, 9)),
            scores=-((np.arange(9) - 6 + 0.1 * t) ** 2),
            estimator="SVC",
            metric="accuracy",
        )
        for t in range(3)
    ]
    for n_rows, place in ((100, 1), (200, 4)):
        features = {"log_rows": float(np.log(n_rows))}
        past = [replace(one, dataset_features=features) for one in searches]
        prior = SearchPrior.from_searches(past)
        sources = search_iris(SVC(C=0.011), {"C": C}, prior=prior).cv_results_["source"]
        assert list(sources).index("as given") == place


def test_a_space_that_excludes_it_is_kept_to():
    for space in ({"C": loguniform(10, 100)}, {"C": [0.1, 0.2, 0.3] * 3, "gamma": C}):
        found = search_iris(SVC(C=1.0, gamma="auto"), space)
        assert "as given" not in found.cv_results_["source"]


def test_a_zero_outside_a_logarithmic_distribution_can_be_tried():
    space = {"ccp_alpha": loguniform(1e-3, 1), "max_depth": [None, 3]}
    tree = DecisionTreeClassifier(random_state=0)
    tried = search_iris(tree, space, n_iter=2, start=[{"ccp_alpha": 0.0}])
    assert tried.cv_results_["params"][0] == {"ccp_alpha": 0.0, "max_depth": None}


@pytest.mark.parametrize("racing", [False, True])
def test_a_search_that_ends_behind_it_says_so(racing):
    space = {"C": loguniform(1e-5, 1e-4)}
    match = r"as given has a score of 0\.96.*best of 10 candidates 0\..*does not contain C=1\.0"
    with pytest.warns(SkmetaWarning, match=match):
        found = search_iris(SVC(), space, n_iter=10, racing=racing)
    assert len(found.cv_results_["params"]) == 10
    assert found.best_params_["C"] < 1e-3


@pytest.mark.parametrize(("low", "n_iter"), [(10, 10), (1e-5, 9)])
def test_nothing_is_said_of_one_that_is_behind_or_of_few_candidates(low, n_iter):
    search_iris(SVC(C=1e-3), {"C": loguniform(low, 10 * low)}, n_iter=n_iter)


def test_a_default_space_does_not_exclude_it(tmp_path):
    path = tmp_path / "history.db"
    first = search_iris(make_pipeline(StandardScaler(), SVC()), history=path, name="ours")
    given = first.cv_results_["params"][1]
    assert given["svc__gamma"] == "scale"
    # It can be read from a history again, although the space does not contain it.
    again = search_iris(make_pipeline(StandardScaler(), SVC()), history=path, name="ours")
    assert again.n_resumed_ == 6
    assert again.cv_results_["params"][1] == given
    assert again.cv_results_["source"][1] == "as given"


def test_it_is_kept_unless_another_candidate_is_better():
    # Depths beyond that of the whole tree make no difference.
    constant = {"max_depth": randint(1, 40)}
    found = search_iris(DecisionTreeClassifier(max_depth=33, random_state=0), constant, n_iter=5)
    best = found.cv_results_["mean_test_score"].max()
    given = list(found.cv_results_["source"]).index("as given")
    assert found.cv_results_["mean_test_score"][given] == best
    assert found.best_index_ == given
    assert found.best_params_ == {"max_depth": 33}

    better = search_iris(SVC(C=1e-2), {"C": C})
    assert better.best_score_ > better.cv_results_["mean_test_score"][1]
    assert better.best_index_ != 1
