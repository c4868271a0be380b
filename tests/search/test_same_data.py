"""A search does not learn from searches on rows of its own, and does learn from other tables."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from skmeta.search import MetaLearnedSearchCV, SearchHistory

GRID = {"n_neighbors": [1, 3, 5, 9, 15, 25], "p": [1, 2]}


def make(history, estimator=None, **settings):
    settings = {"n_iter": 4, "cv": 3, "prior": "history", "random_state": 0} | settings
    return MetaLearnedSearchCV(
        estimator or KNeighborsClassifier(), GRID, history=history, **settings
    )


def n_past(search):
    return len(search.prior_ or ())


def categories(n=400):
    """A table whose rows are of few forms."""
    rng = np.random.default_rng(0)
    X = rng.integers(3, size=(n, 3))
    return X, (X.sum(axis=1) + rng.integers(3, size=n) > 4).astype(int)


TABLES = {
    "wine": load_wine(return_X_y=True),
    "iris": load_iris(return_X_y=True),
    "categories": categories(),
}


@pytest.mark.parametrize("n_folds", [2, 3, 5])
@pytest.mark.parametrize("name", TABLES)
def test_outer_folds_know_nothing_of_each_other(name, n_folds):
    X, y = TABLES[name]
    outer = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    for knows in (False, True):
        search = make(SearchHistory(), learn_from_same_data=knows)
        found = cross_validate(search, X, y, cv=outer, return_estimator=True)
        assert (sum(n_past(one) for one in found["estimator"]) > 0) is knows


def test_outer_folds_of_a_regression_in_a_frame():
    rng = np.random.default_rng(1)
    words = np.array(["a", "b", "c"])[rng.integers(3, size=200)]
    X = pd.DataFrame({"x": rng.lognormal(size=200), "z": rng.normal(size=200)})
    y = np.log(X["x"]) + (words == "a") + 0.1 * rng.normal(size=200)
    for seed in range(5):
        outer = KFold(2, shuffle=True, random_state=seed)
        search = make(SearchHistory(), KNeighborsRegressor())
        found = cross_validate(search, X, y, cv=outer, return_estimator=True)
        assert [n_past(one) for one in found["estimator"]] == [0, 0]


def test_the_same_rows_in_other_forms():
    X, y = TABLES["wine"]
    history = SearchHistory()
    make(history).fit(X, y)
    names = np.array(["x", "y", "z"])[y]
    for other in (
        (X, y),
        (X, names),
        (X.astype(np.float32), y),
        (pd.DataFrame(X), y),
        (X[::-1, ::-1], y[::-1]),
        (X[::2], y[::2]),
    ):
        assert n_past(make(SearchHistory().merge(history)).fit(*other)) == 0
    assert n_past(make(history).fit(X[:, :6], y)) == 1


def make_shop(seed, n=120):
    """Rows of a shop: the columns mean the same in each, and their distributions differ."""
    rng = np.random.default_rng(seed)
    X = rng.normal(rng.normal(size=4), size=(n, 4))
    return X, (X @ rng.normal(size=4) + 0.5 * rng.normal(size=n) > 0).astype(int)


@pytest.mark.parametrize("is_standardised", [False, True])
def test_shops_with_the_same_columns_and_as_many_rows_are_learned_from(is_standardised):
    history, n_known = SearchHistory(), []
    for seed in range(10):
        X, y = make_shop(seed)
        if is_standardised:
            X = (X - X.mean(axis=0)) / X.std(axis=0)
        n_known.append(n_past(make(history).fit(X, y)))
    known = len(history.searches())  # those whose scores are all equal say nothing
    assert n_known[-1] >= 6
    assert sum(n_known) > 0.7 * sum(range(known))


def test_what_a_prior_that_ships_knows_of_the_rows():
    X, y = TABLES["wine"]
    first, second = next(StratifiedKFold(2, shuffle=True, random_state=0).split(X, y))
    for part in (slice(None), first, second):
        search = make(None, prior="auto", n_iter=2).fit(X[part].astype(np.float32), y[part])
        assert "wine_recognition" not in search.prior_.datasets
        assert n_past(search) > 20
