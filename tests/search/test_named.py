"""A search with a name is resumed if it is the same one; another under its name is an error."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from searching import QUALITY, SPACE, assert_same, fit_and_listen, make_search, raising
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError
from skmeta.search import MetaLearnedSearchCV, SearchHistory


def test_a_finished_search_is_not_evaluated_again(iris, counted, path):
    settings = {"n_iter": 6, "cv": 3, "history": path, "name": "churn, December"}
    first = MetaLearnedSearchCV(counted(), QUALITY, random_state=0, **settings).fit(*iris)
    counted.fits = []
    again = MetaLearnedSearchCV(counted(), QUALITY, random_state=5, **settings).fit(*iris)
    assert len(counted.fits) == 1  # the refit
    assert_same(again.cv_results_, first.cv_results_)  # times and predictions as well
    counted.fits = []
    longer = MetaLearnedSearchCV(counted(), QUALITY, random_state=5, **settings)
    longer.set_params(n_iter=8).fit(*iris)
    assert len(counted.fits) == 2 * 3 + 1
    assert longer.n_resumed_ == 6
    [recorded] = SearchHistory(path)
    assert recorded.record.dataset == "churn, December"


def test_a_search_without_a_name_is_recorded_and_not_resumed(iris, counted, path):
    for k in range(2):
        search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=2, history=path, random_state=0)
        assert search.fit(*iris).n_resumed_ == 0
        assert len(SearchHistory(path)) == k + 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"cv": 4}, r"the folds\. "),
        ({"cv": KFold(3, shuffle=True)}, r"the folds\. "),
        ({"scoring": "f1_macro"}, r"the metrics\. "),
        ({"scoring": {"accuracy": "accuracy", "f": "f1_macro"}}, r"the metrics\. "),
        ({"param_distributions": {**SPACE, "C": loguniform(1e-3, 1e2)}}, r"the search space\. "),
        ({"estimator": SVC(kernel="poly")}, r"kernel of the estimator\. "),
        ({"racing": True}, r"racing\. "),
    ],
)
def test_another_search_of_the_same_name_is_an_error(iris, path, change, what):
    make_search(SVC(), SPACE, path, n_iter=2).fit(*iris)
    other = make_search(SVC(), SPACE, path, n_iter=2).set_params(**change)
    with pytest.raises(HistoryError, match=rf"under the name 'ours'\. It differs in {what}Give"):
        other.fit(*iris)
    [recorded] = SearchHistory(path)
    assert len(recorded.candidates) == 2
    assert other.set_params(name="another").fit(*iris).n_resumed_ == 0


FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60) % 7})


@pytest.mark.parametrize(
    ("X", "y", "fit", "what"),
    [
        (FRAME.assign(a=FRAME.a + 1e-12), None, {}, "X and y"),
        (FRAME, np.arange(60) % 3, {}, "X and y"),
        (FRAME.rename(columns={"a": "b", "b": "a"}), None, {}, "the columns of X"),
        (FRAME.astype({"b": "category"}), None, {}, "the columns of X"),
        (FRAME, None, {"sample_weight": np.arange(60)}, "sample_weight"),
        (FRAME, None, {}, "sample_weight"),
    ],
)
def test_other_data_of_the_same_name_are_an_error(path, X, y, fit, what):
    columns = make_column_transformer(("passthrough", ["a", "b"]))
    search = make_search(make_pipeline(columns, GaussianNB()), {}, path, param_grid=None)
    search.set_params(param_distributions={"gaussiannb__var_smoothing": [1e-9, 1e-1]}, n_iter=2)
    label = np.arange(60) % 2

    def run(X, y, fit):
        weights = {f"gaussiannb__{name}": values for name, values in fit.items()}
        return search.fit(X, label if y is None else y, **weights).n_resumed_

    first = {"sample_weight": np.ones(60)} if what == "sample_weight" else {}
    assert run(FRAME, None, first) == 0
    assert run(FRAME.copy(), None, first) == 2
    with pytest.raises(HistoryError, match=what):
        run(X, y, fit)


def test_data_that_cannot_be_compared_are_never_the_same(path):
    class Opaque:
        def __reduce__(self):
            raise TypeError("not to be pickled")

    X = np.array([[Opaque(), k] for k in range(30)], dtype=object)
    model = make_pipeline(FunctionTransformer(lambda X: X[:, 1:].astype(float)), GaussianNB())
    search = make_search(model, {"gaussiannb__var_smoothing": [1e-9, 1e-1]}, path, n_iter=2)
    search.fit(X, np.arange(30) % 2)
    with pytest.raises(HistoryError, match="It differs in X and y"):
        search.fit(X, np.arange(30) % 2)


# joblib's cache warns on a slow disk.
@pytest.mark.filterwarnings("ignore:Persisting input arguments took:UserWarning")
def test_what_has_no_effect_on_scores_may_change(iris, path, tmp_path):
    def search(n_jobs, memory):
        forest = RandomForestClassifier(3, n_jobs=n_jobs, random_state=0)
        pipe = make_pipeline(StandardScaler(), forest, memory=memory)
        return make_search(pipe, {"randomforestclassifier__min_samples_leaf": [1, 2, 3]}, path)

    with pytest.warns(UserWarning, match="smaller than n_iter"):
        search(None, None).fit(*iris)
    with pytest.warns(UserWarning, match="smaller than n_iter"):
        assert search(1, str(tmp_path / "cache")).fit(*iris).n_resumed_ == 3


def test_functions_are_known_by_their_names(iris, path):
    """Code is the user's affair: an edited function of the same name is the same function."""
    scorers = [make_scorer(accuracy_score), make_scorer(accuracy_score)]
    models = [make_pipeline(FunctionTransformer(lambda X: X), GaussianNB()) for _ in range(2)]
    grid = {"gaussiannb__var_smoothing": [1e-9, 1e-3, 1e-1, 1.0]}
    for k, (model, scorer) in enumerate(zip(models, scorers, strict=True)):
        found = make_search(model, grid, path, scoring=scorer).fit(*iris)
        assert found.n_resumed_ == 4 * k


def test_removing_a_search_removes_its_name(iris, path):
    make_search(SVC(), SPACE, path, n_iter=2).fit(*iris)
    assert SearchHistory(path).remove("ours") == 1
    assert make_search(SVC(C=3), SPACE, path, n_iter=2).fit(*iris).n_resumed_ == 0


@pytest.mark.parametrize("seed", [None, 0], ids=["drawn", "seeded"])
def test_scores_of_random_numbers_are_resumed(seed, path):
    X, y = load_wine(return_X_y=True)
    for k in range(2):
        forest = RandomForestClassifier(5, random_state=seed)
        found = make_search(forest, {"min_samples_leaf": [1, 5, 20, 50]}, path).fit(X, y)
        assert found.n_resumed_ == 4 * k


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
    all_failed = pytest.raises(ValueError, match="All the 6 fits failed")
    with warnings.catch_warnings(action="ignore"), all_failed:
        search.fit(*iris)
    counted.at = {}
    for k in range(2):
        found, told = fit_and_listen(search, *iris)
        assert (found.n_resumed_, told) == (2 * k, [])


rng = np.random.default_rng(0)
X = rng.normal(size=(90, 2))
y = (X[:, 0] + 0.3 * rng.normal(size=90) > 0).astype(int)
FITTED = [FrozenEstimator(PCA(1).fit(X * scale)) for scale in ([10, 1], [1, 10])]
METHODS = [np.array([0.0, 1.0]).__mul__, np.array([1.0, 0.0]).__mul__]


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize(
    ("step", "name", "values"),
    [
        (FITTED[0], "frozenestimator", FITTED),
        (FITTED[1], "frozenestimator", FITTED),
        (FITTED[0], "frozenestimator", FITTED[::-1]),
        (FunctionTransformer(), "functiontransformer__func", METHODS),
        (
            FunctionTransformer(),
            "functiontransformer__func",
            [lambda X: X[:, :1], lambda X: X[:, 1:]],
        ),
    ],
)
def test_objects_that_print_alike_are_several_values(step, name, values, is_resumed, path):
    pipe, grid = make_pipeline(step, GaussianNB()), {name: values}
    theirs = GridSearchCV(pipe, grid, cv=3).fit(X, y).cv_results_["mean_test_score"]
    assert theirs[0] != theirs[1]
    if is_resumed:
        make_search(pipe, None, path, param_grid=grid, n_iter=None).fit(X, y)
    ours = make_search(pipe, None, path, param_grid=grid, n_iter=None).fit(X, y)
    np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs)
    assert ours.n_resumed_ == 2 * is_resumed
    tried = [one[name] for one in ours.cv_results_["params"]]
    assert all(one is value for one, value in zip(tried, values, strict=True))
    wider = {**grid, "gaussiannb__var_smoothing": [1e-9, 1e-3, 1e-1, 1.0]}
    drawn = make_search(pipe, wider, None, n_iter=8, param_grid=None).fit(X, y)
    by_value = [[one[name] is value for one in drawn.cv_results_["params"]] for value in values]
    assert np.sum(by_value, axis=1).tolist() == [4, 4]
