"""A search whose scores may depend on what is not seen is evaluated again, and not resumed."""

import json
import os
import threading
import time
import warnings

import numpy as np
import pytest
from searching import QUALITY, Counted, fit_and_listen, make_search, raising
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmeta.exceptions import HistoryError
from skmeta.search import SearchHistory

LOOKS_THE_SAME = "looks the same as this one"
GRID = {"gaussiannb__var_smoothing": [1e-9, 1e-3, 1e-1, 1.0]}


class FromFile(FunctionTransformer):
    path = "columns.json"

    def transform(self, X):
        with open(self.path) as file:
            return X[:, json.load(file)]


def change_environment(column, path, monkeypatch):
    monkeypatch.setenv("SKMETA_TEST_COLUMN", str(column))
    return FunctionTransformer(lambda X: X[:, [int(os.environ["SKMETA_TEST_COLUMN"])]])


def change_file(column, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    path.with_name("columns.json").write_text(f"[{column}]")
    return FromFile()


HIDDEN = {"column": 0}


def change_hidden(column, path, monkeypatch):
    monkeypatch.setitem(HIDDEN, "column", column)
    return FunctionTransformer(lambda X: X[:, [globals()["HID" + "DEN"]["column"]]])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_environment, "uses os.environ"),
        (change_file, "FromFile.transform calls open()"),
        (change_hidden, "calls globals()"),
    ],
)
def test_what_is_not_seen_is_evaluated_again(change, reason, path, monkeypatch):
    X, y = load_wine(return_X_y=True)

    def search(column, history):
        model = make_pipeline(change(column, path, monkeypatch), GaussianNB())
        return fit_and_listen(make_search(model, GRID, history), X, y)

    first, told = search(6, path)
    assert told == []  # there is nothing to resume
    found, [message] = search(7, path)
    assert found.n_resumed_ == 0
    assert LOOKS_THE_SAME in message
    assert reason in message
    truth, _ = search(7, False)
    both = found.cv_results_, truth.cv_results_
    np.testing.assert_array_equal(*(one["mean_test_score"] for one in both))
    # Who knows that it does not change can say so.
    trusting, told = search(7, SearchHistory(path, resume_unseen=True))
    assert (trusting.n_resumed_, told) == (4, [])
    assert trusting.best_score_ == first.best_score_
    with pytest.raises(HistoryError, match=r"Workers of a shared .* resume_unseen"):
        search(7, SearchHistory(path, shared=True))


def test_data_that_are_paths(path):
    names = []
    for k in range(30):
        names.append(str(path.with_name(f"{k}.txt")))
        path.with_name(f"{k}.txt").write_text("a b" if k % 2 else "a c")
    model = make_pipeline(CountVectorizer(input="filename", token_pattern=r"\w"), MultinomialNB())
    grid = {"multinomialnb__alpha": [0.1, 1.0]}
    for k in range(2):
        search = make_search(model, grid, path, n_iter=2)
        found, told = fit_and_listen(search, np.array(names, dtype=object), np.arange(30) % 2)
        assert found.n_resumed_ == 0
        assert len(told) == k
    assert "the data are paths of files" in told[0]


# -- what may differ, and is no other search -------------------------------------------------------


class Locked(Counted):
    lock = threading.Lock()

    def fit(self, X, y):
        with self.lock:
            return super().fit(X, y)


def test_locks_have_no_effect(iris, path):
    for k in range(2):
        found, told = fit_and_listen(make_search(Locked(), QUALITY, path), *iris)
        assert (found.n_resumed_, told) == (4 * k, [])


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(5),
        make_pipeline(RandomForestClassifier(5, max_depth=2)),
        RandomForestClassifier(5, random_state=0),
    ],
    ids=["drawn", "pipeline", "seeded"],
)
def test_scores_of_random_numbers_are_resumed(estimator, path):
    X, y = load_wine(return_X_y=True)
    name = "min_samples_leaf" if "min_samples_leaf" in estimator.get_params() else None
    grid = {name or "randomforestclassifier__min_samples_leaf": [1, 5, 20, 50]}
    for k in range(3):
        found, told = fit_and_listen(make_search(estimator, grid, path), X, y)
        assert (found.n_resumed_, told) == (4 * (k > 0), [])


def test_a_clock_that_is_set_back_costs_no_resume(iris, counted, path, monkeypatch):
    now = iter(range(10_000, 0, -10))
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: float(next(now)))
        found, told = fit_and_listen(make_search(counted(), QUALITY, path), *iris)
    assert (found.cv_results_["mean_fit_time"] >= 0).all()
    found, told = fit_and_listen(make_search(counted(), QUALITY, path), *iris)
    assert (found.n_resumed_, told) == (4, [])


def test_fits_that_all_failed_are_tried_again(iris, counted, path):
    counted.at = {k: raising(MemoryError("no memory")) for k in range(1, 7)}
    search = make_search(counted(), {"quality": [0.1, 0.4]}, path, n_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="All the 6 fits failed"):
            search.fit(*iris)
    counted.at = {}
    for k in range(2):
        found, told = fit_and_listen(search, *iris)
        assert (found.n_resumed_, told) == (2 * k, [])


def test_a_grid_of_methods_of_arrays_is_as_for_grid_search(iris):
    X, y = iris
    first, second = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    pipeline = make_pipeline(FunctionTransformer(), GaussianNB())
    grid = {"functiontransformer__func": [first.__mul__, second.__mul__]}
    found = make_search(pipeline, grid, False, n_iter="all").fit(X[:, :2], y)
    by_method = [
        make_search(pipeline.set_params(**dict.fromkeys(grid, one)), {}, False, n_iter="all")
        .fit(X[:, :2], y)
        .best_score_
        for one in next(iter(grid.values()))
    ]
    assert found.cv_results_["mean_test_score"].tolist() == by_method
    assert by_method[0] != by_method[1]
