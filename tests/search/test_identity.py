"""A search on other data, or of another estimator, is not taken for a recorded one.

What code names (attributes, arrays, decorators) is in ``space/test_own_code.py``.
"""

import importlib
import inspect
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import stats
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmeta import MetaLearnedSearchCV
from skmeta.search import SearchHistory

N = 90
rng = np.random.default_rng(0)
signal, noise = rng.normal(size=N), rng.normal(size=N)
X = np.column_stack([signal, noise])
y = (signal + 0.3 * rng.normal(size=N) > 0).astype(int)
GRID = {"gaussiannb__var_smoothing": [1e-9, 1e-1]}


class Case:
    """An estimator and data of two searches, told by a variant of 0 or 1."""

    def __init__(self, estimator, space=GRID, X=X, y=y, fit=None, output=None, **settings):
        self.estimator, self.space, self.X, self.y = estimator, space, X, y
        self.fit, self.output, self.settings = fit or {}, output, settings

    def run(self, history):
        settings = {"n_iter": 2, "cv": KFold(2), "prior": None, "random_state": 0} | self.settings
        search = MetaLearnedSearchCV(
            self.estimator, self.space, history=history, refit=False, **settings
        )
        with config_context(transform_output=self.output or "default"):
            return search.fit(self.X, self.y, **self.fit)


def transformed(function):
    return make_pipeline(FunctionTransformer(function), GaussianNB())


def names_of_columns(variant, _):
    frame = pd.DataFrame(X, columns=["a", "b"])
    if variant:
        frame = frame.rename(columns={"a": "b", "b": "a"})
    return Case(
        make_pipeline(make_column_transformer(("passthrough", ["a"])), GaussianNB()), X=frame
    )


def a_column_becomes_categorical(variant, _):
    zips = np.random.default_rng(1).integers(0, 9, N)
    frame = pd.DataFrame({"zip": zips.astype("int64"), "noise": noise})
    if variant:
        frame = frame.astype({"zip": "category"})
    trees = HistGradientBoostingClassifier(
        max_iter=1, max_leaf_nodes=2, min_samples_leaf=2, categorical_features="from_dtype"
    )
    return Case(
        trees, {"learning_rate": [0.5, 1.0]}, X=frame, y=np.isin(zips, [1, 4, 6]).astype(int)
    )


def the_border_between_features_and_targets(variant, _):
    table = np.column_stack([X, signal + noise + y, 2 * noise + y])
    cut = 2 + variant
    return Case(
        LinearRegression(), {"fit_intercept": [True, False]}, X=table[:, :cut], y=table[:, cut:]
    )


def what_a_frozen_estimator_was_fitted_on(variant, _):
    pca = FrozenEstimator(PCA(1).fit(X * [[10, 1], [1, 10]][variant]))
    return Case(make_pipeline(pca, GaussianNB()))


SETTINGS = {"column": 0}


def a_dict_of_the_module(variant, monkeypatch):
    monkeypatch.setitem(SETTINGS, "column", variant)
    return Case(transformed(lambda X: X[:, [SETTINGS["column"]]]))


def a_scorer_that_reads_a_dict(variant, monkeypatch):
    def scorer(estimator, X, y):
        return estimator.score(X, y) * (-1) ** SETTINGS["column"]

    monkeypatch.setitem(SETTINGS, "column", variant)
    return Case(make_pipeline(GaussianNB()), scoring=scorer)


def a_module_that_was_edited(variant, monkeypatch):
    helper = importlib.import_module("helper_of_a_test")
    helper.COLUMN = variant

    def pick(X):
        return helper.pick(X)

    return Case(transformed(pick))


class PerGroup(ClassifierMixin, BaseEstimator):
    def __init__(self, smoothing=1e-9):
        self.smoothing = smoothing

    def fit(self, X, y, groups=None):
        keep = np.asarray(groups) == 0
        self.model_ = GaussianNB(var_smoothing=self.smoothing).fit(X[keep], y[keep])
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)


def groups_that_the_estimator_uses(variant, _):
    groups = (np.arange(N) + variant) % 2
    flipped = np.where(np.arange(N) % 2, 1 - y, y)
    model = PerGroup().set_fit_request(groups=True)
    return Case(model, {"smoothing": [1e-9, 0.1]}, y=flipped, fit={"groups": groups})


def groups_that_early_stopping_uses(variant, _):
    groups = [np.repeat(np.arange(9), 10), np.tile(np.arange(9), 10)][variant]
    trees = HistGradientBoostingClassifier(max_iter=40, min_samples_leaf=2, learning_rate=0.4)
    space = {"max_leaf_nodes": [3, 15]}
    return Case(trees, space, fit={"groups": groups}, early_stopping=0.3)


def a_version_of_a_package(variant, monkeypatch):
    monkeypatch.setattr(sklearn, "__version__", f"1.9.{variant}")
    return Case(make_pipeline(GaussianNB()))


def by_output():
    return FunctionTransformer(lambda X: np.asarray(X)[:, [int(hasattr(X, "columns"))]])


def set_output_of_a_transformer(variant, _):
    scaler = StandardScaler()
    if variant:
        scaler.set_output(transform="pandas")
    return Case(make_pipeline(scaler, by_output(), GaussianNB()))


def the_global_output_of_transformers(variant, _):
    pipeline = make_pipeline(StandardScaler(), by_output(), GaussianNB())
    return Case(pipeline, output=["default", "pandas"][variant])


def values_of_a_discrete_distribution(variant, _):
    values = [(1e-9, 1e-8), (1.0, 1e2)][variant]
    return Case(GaussianNB(), {"var_smoothing": stats.rv_discrete(values=(values, [0.5, 0.5]))()})


def the_index_of_a_frame(variant, _):
    frame = pd.DataFrame(X, index=[signal, noise][variant])
    return Case(transformed(lambda X: np.asarray(X.index, dtype=float)[:, None]), X=frame)


def the_order_of_categories(variant, _):
    words = np.array(["low", "mid", "high"])[np.digitize(signal, [-0.5, 0.5])]
    order = [["low", "mid", "high"], ["mid", "low", "high"]][variant]
    frame = pd.DataFrame({"word": pd.Categorical(words, order)})
    codes = transformed(lambda X: np.asarray(X["word"].cat.codes, dtype=float)[:, None] > 0)
    return Case(codes, X=frame)


def the_type_of_numbers(variant, _):
    by_type = transformed(lambda X: X[:, [int(X.dtype == np.float64)]])
    return Case(by_type, X=X.astype(np.float32).astype([np.float64, np.float32][variant]))


class Hiding:
    """An object whose pickle has its function by name."""

    def __init__(self, function):
        self.function = function

    def __call__(self, X):
        return self.function(X)

    def __reduce__(self):
        return Hiding, (self.function,)


def an_object_with_a_pickle_of_its_own(variant, _):
    by = np.eye(2)[variant]

    def weigh(X):
        return X * by

    return Case(transformed(Hiding(weigh)))


def what_a_partial_function_was_given(variant, _):
    return Case(transformed(partial(np.multiply, np.eye(2)[variant])))


def numbers_that_are_texts(variant, _):
    rows = [[str(k) if variant else k, *row] for k, row in enumerate(X)]
    by_texts = transformed(lambda X: X[:, [1 + isinstance(X[0, 0], str)]].astype(float))
    return Case(by_texts, X=np.array(rows, dtype=object))


def identifiers_that_floats_cannot_tell(variant, _):
    numbers = 2**53 + np.arange(N)
    numbers = numbers.astype(float).astype("int64") if variant else numbers
    return Case(transformed(lambda X: X % 4), X=numbers[:, None], y=np.arange(N) % 2)


def the_shape_of_rows(variant, _):
    cube = np.random.default_rng(2).normal(size=(N, 2, 3))
    cube[:, 1, 2] = signal
    last = transformed(lambda X: X[:, 0] if X.ndim == 3 else X[:, [5]])
    return Case(last, X=cube.reshape(N, 6) if variant else cube)


CASES = [
    case
    for case in list(globals().values())
    if inspect.isfunction(case) and "variant" in inspect.signature(case).parameters
]


@pytest.fixture
def helper(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = "COLUMN = 0\ndef pick(X):\n    return X[:, [COLUMN]]\n"
    (tmp_path / "helper_of_a_test.py").write_text(text)
    yield
    sys.modules.pop("helper_of_a_test", None)


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored", "ignore:When `set_output`")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_search_that_differs_in(case, helper, path, monkeypatch):
    history = SearchHistory(path)
    with config_context(enable_metadata_routing=case is groups_that_the_estimator_uses):
        case(0, monkeypatch).run(history)
        again = case(0, monkeypatch).run(history)
        assert again.n_resumed_ == len(again.cv_results_["params"]) == 2
        found = case(1, monkeypatch).run(history)
        truth = case(1, monkeypatch).run(False)
    assert found.n_resumed_ == 0
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[name], truth.cv_results_[name])
    # Each case is a problem of its own, as otherwise the test would say nothing.
    if case not in (a_version_of_a_package, groups_that_early_stopping_uses):
        assert (again.cv_results_["mean_test_score"] != truth.cv_results_["mean_test_score"]).any()


@pytest.mark.parametrize("settings", [{"n_iter": "all"}, {"n_iter": 2, "random_state": 0}])
@pytest.mark.parametrize("first", [0, 1])
def test_a_grid_of_fitted_values_is_that_of_grid_search(settings, first):
    fitted = [FrozenEstimator(PCA(1).fit(X * by)) for by in ([10, 1], [1, 10])]
    grid = {"pca": [fitted[first], fitted[1 - first]]}
    pipeline = Pipeline([("pca", fitted[first]), ("model", GaussianNB())])
    expected = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    found = MetaLearnedSearchCV(pipeline, grid, cv=3, **settings).fit(X, y)
    scores = dict(zip(map(id, grid["pca"]), expected.cv_results_["mean_test_score"], strict=True))
    ours = [scores[id(params["pca"])] for params in found.cv_results_["params"]]
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], ours)
    assert len(set(ours)) == 2
    assert found.best_score_ == expected.best_score_


def test_data_that_cannot_be_compared_are_never_the_same(path):
    class Rows(list):
        def __reduce__(self):
            raise TypeError("it cannot be pickled")

    def run():
        rows = Rows([{"a": k} for k in range(N)])
        case = Case(transformed(lambda rows: np.array([[one["a"]] for one in rows])), X=rows)
        return case.run(SearchHistory(path))

    run()
    assert run().n_resumed_ == 0


def test_a_value_without_a_text_of_its_own_is_never_another(path):
    class Holding(GaussianNB):
        def __init__(self, held=None, var_smoothing=1e-9):
            super().__init__(var_smoothing=var_smoothing)
            self.held = held

        def __sklearn_clone__(self):
            return Holding(self.held, self.var_smoothing)

    def run():
        return Case(Holding(k for k in range(3)), {"var_smoothing": [1e-9, 0.1]}).run(
            SearchHistory(path)
        )

    run()
    assert run().n_resumed_ == 0
