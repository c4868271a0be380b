"""Trees as arrays predict what the estimators predict that fitted them."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.tree import ExtraTreeRegressor

from skmeta._tabular import _ensemble
from skmeta._tabular._ensemble import boosting_to_arrays, decision_trees_to_arrays, mean_of


def make_rows(n=300):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    X[:, 2] = 3 * rng.integers(0, 40, n)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, np.nan_to_num(X[:, 0]) + np.sin(np.nan_to_num(X[:, 2])) + 0.1 * rng.normal(size=n)


@pytest.fixture(params=[0, 10**9], ids=["many rows", "few rows"])
def _way(request, monkeypatch):
    monkeypatch.setattr(_ensemble, "_FEW", request.param)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("categories", [None, [2]])
def test_a_boosted_regression(categories):
    X, y = make_rows()
    model = HistGradientBoostingRegressor(categorical_features=categories, max_iter=20).fit(X, y)
    trees = boosting_to_arrays(model)
    unknown = X.copy()
    unknown[::3, 2] = 1.0
    for rows in (X, X[:1], unknown):
        assert (trees.predict(rows) == model.predict(rows)).all()
    assert trees.find_fault() is None


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("n_classes", [2, 4])
def test_boosted_classes(n_classes):
    X, y = make_rows()
    y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes)) * 2
    model = HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    trees = boosting_to_arrays(model)
    np.testing.assert_allclose(trees.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    assert (trees.classes_ == model.classes_).all()


@pytest.mark.usefixtures("_way")
def test_decision_trees_read_single_precision():
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(400, 3)), 10)
    # Values that are equal in single precision, and neighbours of it.
    X[:200, 0] = 1 + np.arange(200) * 2.0**-26
    X[200:300, 1] = np.nan
    y = rng.normal(size=400)
    models = [ExtraTreeRegressor(random_state=k).fit(X, y) for k in range(5)]
    expected = np.mean([model.predict(X) for model in models], axis=0)
    trees = decision_trees_to_arrays(models)
    np.testing.assert_allclose(trees.predict(X), expected, rtol=1e-12, atol=1e-14)
    boosted = HistGradientBoostingRegressor(max_iter=5).fit(X, y)
    both = mean_of([trees, boosting_to_arrays(boosted)])
    mean = (expected + boosted.predict(X)) / 2
    np.testing.assert_allclose(both.predict(X), mean, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("field", "value"), [("left", 0), ("right", 10**6), ("feature_idx", 4), ("feature_idx", -1)]
)
def test_a_fault_is_found(field, value):
    X, y = make_rows()
    trees = boosting_to_arrays(HistGradientBoostingRegressor(max_iter=3).fit(X, y))
    trees.nodes[field][trees.first[1]] = value
    assert "leads nowhere" in trees.find_fault()
    assert "leads nowhere" in trees._replace(first=trees.first + 1).find_fault()
