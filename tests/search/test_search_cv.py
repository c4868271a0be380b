"""MetaLearnedSearchCV as a search of scikit-learn: results, metrics and their names, failures."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import loguniform, randint
from searching import GRID, SPACE, Counted, assert_same, scores_of
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    fbeta_score,
    get_scorer,
    get_scorer_names,
    make_scorer,
    mean_squared_error,
)
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta._sklearn_compat import resolve_scorers
from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search._metrics import Metrics, metric_name


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scoring": ["accuracy", "f1_macro"], "refit": "f1_macro", "return_train_score": True},
        {"cv": 3, "n_jobs": 2},
        {"refit": False, "scoring": "balanced_accuracy"},
        {"scoring": {"a": make_scorer(accuracy_score), "b": "accuracy"}, "refit": "b"},
        {"scoring": ["accuracy", "f1_macro"], "refit": lambda results: 2},
    ],
)
def test_the_whole_grid_equals_grid_search(iris, settings):
    ours = MetaLearnedSearchCV(SVC(), param_grid=GRID, **settings).fit(*iris)
    theirs = GridSearchCV(SVC(), GRID, **settings).fit(*iris)
    assert_same(scores_of(ours), scores_of(theirs))
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert ours.stopped_by_ == "exhausted"
    if settings.get("refit", True):
        np.testing.assert_array_equal(ours.predict(iris[0]), theirs.predict(iris[0]))
    if callable(settings.get("refit")):  # the first metric orders the leaderboard
        assert ours.best_index_ == 2 != ours.leaderboard().index[0]
        assert ours.leaderboard().index[0] == ours.cv_results_["mean_test_accuracy"].argmax()


@pytest.mark.parametrize("more", [{"racing": True}, {"start": [{"C": 10}]}, {"patience": 99}])
def test_a_grid_is_searched_whole_in_any_order(iris, more):
    """Only a search with nothing else to do walks the grid in its order."""
    found = MetaLearnedSearchCV(SVC(), param_grid=GRID, random_state=0, **more).fit(*iris)
    tried = {tuple(sorted(one.items())) for one in found.cv_results_["params"]}
    assert len(tried) == len(found.cv_results_["params"]) == 6
    assert found.stopped_by_ == "exhausted"
    fewer = MetaLearnedSearchCV(SVC(), param_grid=GRID, n_iter=3, random_state=0).fit(*iris)
    assert (len(fewer.cv_results_["params"]), fewer.stopped_by_) == (3, "n_iter")
    ten = MetaLearnedSearchCV(SVC(), SPACE, random_state=0, cv=2).fit(*iris)
    assert (len(ten.cv_results_["params"]), ten.stopped_by_) == (10, "n_iter")


def test_columns_say_why_each_candidate_was_tried(iris):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=9, prior=None, random_state=0).fit(*iris)
    results = search.cv_results_
    assert set(results["source"]) == {"initial design", "model"}
    modelled = results["source"] == "model"
    assert np.isfinite(results["predicted_mean_score"][modelled]).all()
    assert (results["predicted_std_score"][modelled] > 0).all()
    assert len({tuple(p.items()) for p in results["params"]}) == 9
    assert search.stopped_by_ == "n_iter"
    assert search.best_score_ == results["mean_test_score"].max()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_one_seed_gives_one_result_for_any_parallelism(iris, batch_size):
    searches = []
    for n_jobs, backend in [(None, "loky"), (2, "loky"), (2, "threading")]:
        with joblib.parallel_config(backend):
            search = MetaLearnedSearchCV(
                SVC(), SPACE, n_iter=8, batch_size=batch_size, n_jobs=n_jobs, random_state=3
            )
            searches.append(scores_of(search.fit(*iris)))
    assert_same(searches[0], searches[1])
    assert_same(searches[0], searches[2])


def test_every_candidate_is_scored_on_the_same_folds(iris):
    search = MetaLearnedSearchCV(
        DummyClassifier(strategy="most_frequent"),
        {"random_state": randint(0, 10**6)},
        n_iter=6,
        cv=ShuffleSplit(3, test_size=0.3),  # unseeded: drawn anew each time it is asked
        random_state=0,
    ).fit(*iris)
    for fold in range(3):
        assert len(set(search.cv_results_[f"split{fold}_test_score"])) == 1


def test_a_later_fit_keeps_nothing_of_an_earlier_one(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    search = MetaLearnedSearchCV(SVC(), param_grid=GRID, cv=3)
    search.fit(frame, y)
    refitted = {"best_estimator_", "refit_time_", "feature_names_in_"}
    assert refitted <= fitted(search)
    two = {"scoring": ["accuracy", "f1_macro"], "refit": False}
    changed = clone(search).set_params(**two).fit(frame, y)
    assert fitted(search.set_params(**two).fit(frame, y)) == fitted(changed)
    assert not {"best_index_", "best_params_", "best_score_"} & fitted(search)


def fitted(search):
    return {name for name in vars(search) if name.endswith("_")}


def test_sparse_and_pairwise_input_and_groups(iris, path):
    X, y = iris
    settings = {"n_iter": 4, "random_state": 0, "history": path}  # which describes the data
    MetaLearnedSearchCV(SVC(), SPACE, **settings).fit(sp.csr_matrix(X), y)
    kernel = MetaLearnedSearchCV(SVC(kernel="precomputed"), {"C": SPACE["C"]}, **settings)
    assert kernel.fit(X @ X.T, y).best_score_ > 0.9
    groups = np.arange(150) % 5
    grouped = MetaLearnedSearchCV(SVC(), SPACE, cv=GroupKFold(5), **settings)
    assert grouped.fit(X, y, groups=groups).n_splits_ == 5
    weighted = MetaLearnedSearchCV(SVC(), SPACE, **settings)
    weighted.fit(X, y, sample_weight=np.ones(150))


def test_the_metric_to_maximise_is_the_one_refit_names(path):
    X, y = load_breast_cancer(return_X_y=True)
    pipe, space = make_pipeline(StandardScaler(), SVC()), {"svc__C": loguniform(1e-4, 1e4)}
    settings = {"scoring": {"precise": "precision", "plain": "accuracy"}, "refit": "plain"}
    settings |= {"n_iter": 6, "cv": 3, "history": path, "random_state": 0}
    search = MetaLearnedSearchCV(pipe, space, **settings).fit(X, y)
    [past] = SearchHistory(path).searches()
    assert past.metric == "accuracy"
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_plain"])
    [precise] = SearchHistory(path).searches(metric="precision")
    np.testing.assert_allclose(precise.scores, search.cv_results_["mean_test_precise"])


class Picky(Counted):
    """Fails for large values."""

    def fit(self, X, y):
        if self.quality > 0.5:
            raise ValueError("too large")
        return super().fit(X, y)


@pytest.mark.parametrize("error_score", [np.nan, -5.0])
def test_failed_candidates_are_recorded_and_avoided(iris, counted, path, error_score):
    settings = {"n_iter": 15, "error_score": error_score, "history": path, "random_state": 0}
    search = MetaLearnedSearchCV(Picky(), {"quality": np.linspace(0, 1, 400)}, **settings)
    with warnings.catch_warnings(record=True, action="always") as caught:
        search.fit(*iris)
    failed = np.array([p["quality"] > 0.5 for p in search.cv_results_["params"]])
    assert 0 < failed.sum() < 8
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"][failed], np.full(failed.sum(), error_score)
    )
    # Told once, as by a search that evaluates all at once.
    assert sum(w.category is FitFailedWarning for w in caught) == 1
    [recorded] = SearchHistory(path)
    evaluations = recorded.candidates
    assert [e.error is not None for e in evaluations] == failed.tolist()
    assert all("too large" in e.error for e, bad in zip(evaluations, failed, strict=True) if bad)
    with warnings.catch_warnings(action="ignore"):
        again = clone(search).fit(*iris)
    assert_same(scores_of(search), scores_of(again))


def my_score(estimator, X, y):
    return 0.5


@pytest.mark.parametrize("name", get_scorer_names())
def test_scikit_learns_scorers_keep_their_name(name):
    # A few are two names of one metric; then the shorter is used for both.
    found = metric_name(get_scorer(name), SVC())
    one, other = get_scorer(found), get_scorer(name)
    assert (one._score_func, one._sign, one._kwargs) == (
        other._score_func,
        other._sign,
        other._kwargs,
    )


def test_scorers_of_the_users_own():
    assert metric_name(make_scorer(f1_score), SVC()) == "f1"
    assert metric_name(make_scorer(fbeta_score, beta=2), SVC()) == "fbeta_score(beta=2)"
    squared = make_scorer(mean_squared_error, greater_is_better=False)
    assert metric_name(squared, Ridge()) == "neg_mean_squared_error"
    assert metric_name(make_scorer(my_score, greater_is_better=False), SVC()) == "neg_my_score"
    assert metric_name(my_score, SVC()) == "my_score"


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://me:hunter2@host/db",
        "https://me:hunter2@a.example/" + "long/" * 9,
        "hunter2 " * 6,
        ["short", "hunter2 " * 6],
        {"url": "https://me:hunter2@a.example"},
        np.array(["https://me:hunter2@a.example"]),
    ],
)
def test_names_hold_no_secrets(secret):
    name = metric_name(make_scorer(my_score, where=secret), SVC())
    assert name.startswith("my_score(where=")
    assert "hunter2" not in name
    assert name == metric_name(make_scorer(my_score, where=secret), SVC())


def test_no_two_names_are_equal():
    scoring = {"a": "accuracy", "b": "accuracy", "c": "f1"}
    several, _ = resolve_scorers(MetaLearnedSearchCV(SVC(), scoring=scoring, refit=False))
    names = Metrics(several, SVC(), False, np.nan).names
    assert names == {"a": "accuracy", "b": "b", "c": "f1"}
