"""What a search reads from a history and writes to it: other data, the same rows, other units."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from searching import QUALITY, SPACE, past_search
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from skmeta.exceptions import HistoryError, SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior, default_search_space


def test_other_data_do_not_resume_and_learn_a_prior(iris, path):
    pipeline = Pipeline([("a", StandardScaler()), ("b", SVC())])
    space = {"b__C": SPACE["C"], "b__gamma": SPACE["gamma"]}
    settings = {"history": path, "random_state": 0}
    search = MetaLearnedSearchCV(pipeline, space, n_iter=12, **settings)
    search.fit(*load_wine(return_X_y=True))
    # Another name of the step, another range, another parameter more.
    pipeline = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(1e-2, 1e4), "svc__gamma": SPACE["gamma"]}
    space["svc__kernel"] = ["rbf", "poly"]
    search = MetaLearnedSearchCV(pipeline, space, n_iter=6, prior="history", **settings)
    search.fit(*iris)
    assert search.n_resumed_ == 0
    assert len(search.prior_) == 1
    assert {"SVC.C", "SVC.gamma"} <= set(search.prior_.parameters)
    assert len(search.prior_report_["datasets"]) == 1
    other = MetaLearnedSearchCV(
        Ridge(), {"alpha": SPACE["C"]}, n_iter=3, history=path, prior="history"
    )
    assert other.fit(*iris).prior_ is None  # nothing is known of this estimator


def test_a_prior_of_the_users_own(iris, tmp_path):
    kind = {"metric": "accuracy", "estimator": "SVC"}
    past = [past_search(f"set {peak}", peak, **kind) for peak in (1.0, 1.2, 0.9)]
    prior = SearchPrior.from_searches(past)
    search = MetaLearnedSearchCV(SVC(), {"C": SPACE["C"]}, n_iter=1, prior=prior, random_state=0)
    search.fit(*iris)
    assert search.prior_ is prior
    assert 0.5 < np.log10(search.best_params_["C"]) < 1.5
    prior.save(tmp_path / "prior")
    [saved] = tmp_path.iterdir()
    loaded = clone(search).set_params(prior=SearchPrior.load(saved)).fit(*iris)
    assert loaded.best_params_ == search.best_params_
    plain = clone(search).set_params(prior=None).fit(*iris)
    assert plain.prior_ is None


def test_a_failing_history_never_costs_the_search(iris, counted, path):
    class Failing(SearchHistory):
        def _record(self, fingerprint, *candidates):
            raise OSError("No space left on device")

    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=4)
    with warnings.catch_warnings(record=True, action="always") as caught:
        search.set_params(history=Failing(path)).fit(*iris)
    assert len(search.cv_results_["params"]) == 4
    told = [str(w.message) for w in caught if w.category is SearchWarning]
    assert len(told) == 1
    assert "No space left on device" in told[0]


def test_candidates_that_could_not_be_written_are_written_with_the_next(iris, counted, path):
    class Full(SearchHistory):
        n_calls = 0

        def _record(self, fingerprint, *candidates):
            Full.n_calls += 1
            if Full.n_calls in (2, 3, 5):
                raise HistoryError("No space left on device")
            super()._record(fingerprint, *candidates)

    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=5, prior=None, random_state=0)
    with pytest.warns(SearchWarning, match="tries again after the next candidate"):
        search.set_params(history=Full(path)).fit(*iris)
    [recorded] = SearchHistory(path)
    tried = [candidate.configuration["Counted.quality"] for candidate in recorded.candidates]
    assert tried == [params["quality"] for params in search.cv_results_["params"]]


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


@pytest.mark.parametrize("is_standardised", [False, True])
def test_shops_with_the_same_columns_and_as_many_rows_are_learned_from(is_standardised):
    history, n_known = SearchHistory(), []
    for seed in range(10):
        # The columns mean the same in each shop, and their distributions differ.
        rng = np.random.default_rng(seed)
        X = rng.normal(rng.normal(size=4), size=(120, 4))
        y = (X @ rng.normal(size=4) + 0.5 * rng.normal(size=120) > 0).astype(int)
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


UNIT = 1000.0
# Powers of the target's unit by which parameters are multiplied.
POWERS = {"SVR": {"C": 1, "epsilon": 1}, "Lasso": {"alpha": 1}}


@pytest.fixture(scope="module")
def rows():
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X[:80]), y[:80] / y[:80].std()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("prior", [None, "shipped"])
@pytest.mark.parametrize("name", POWERS)
def test_a_search_does_not_depend_on_the_unit(name, prior, rows):
    X, y = rows
    found = []
    for unit in (1.0, UNIT):
        # The estimator as given is a candidate too, so that it has to be in the unit.
        model = {
            "SVR": SVR(C=unit, epsilon=0.1 * unit, tol=1e-6 * unit),
            "Lasso": Lasso(alpha=unit, tol=1e-8),
        }[name]
        # Given, so that the parameters that are set are searched too.
        space = default_search_space(type(model)(), target_scale=unit)
        search = MetaLearnedSearchCV(model, space, n_iter=4, cv=3, random_state=0, prior=prior)
        found.append(search.fit(X, y * unit).cv_results_)
    np.testing.assert_array_equal(found[0]["source"], found[1]["source"])
    for one, other in zip(found[0]["params"], found[1]["params"], strict=True):
        for param, value in one.items():
            unit = UNIT ** POWERS[name].get(param, 0)
            is_number = isinstance(value, float)
            assert other[param] == (pytest.approx(value * unit) if is_number else value)
    scores = [results["mean_test_score"] for results in found]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-3)


def test_a_history_keeps_values_and_priors_learn_relative_ones(rows, path):
    X, y = rows
    space = {"C": [1.0, 10.0, 100.0], "gamma": [0.01]}
    settings = {"cv": 3, "history": path}
    with SearchHistory(path) as history:
        for factor in (1, UNIT):
            own = {**space, "C": [factor * c for c in space["C"]]}
            MetaLearnedSearchCV(SVR(), param_grid=own, name=f"times {factor}", **settings).fit(
                X, factor * y
            )
        history.add(SVR(), [{"C": 5.0}], [0.5], dataset="added", X=X, y=5 * y)
        recorded = {one.record.dataset: one for one in history}
        past = {one.dataset: one for one in history.searches(estimator="SVR")}
    large = recorded[f"times {UNIT}"]
    assert large.record.target_scale == pytest.approx(UNIT)
    assert [e.configuration["SVR.C"] for e in large.candidates] == [1e3, 1e4, 1e5]
    for dataset in ("times 1", f"times {UNIT}"):
        found = [c["SVR.C"] for c in past[dataset].configurations]
        assert found == pytest.approx(space["C"])
    assert past["added"].configurations[0]["SVR.C"] == pytest.approx(1.0)
