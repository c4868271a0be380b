"""Several columns of groups, nested and crossed."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from skmeta import GroupedClassifier, GroupedRegressor

QUICK = {"population": LinearRegression(), "n_folds": 2}


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    user, item = rng.integers(25, size=500), rng.integers(15, size=500)
    of_user, of_item = rng.normal(size=25), 0.5 * rng.normal(size=15)
    X = pd.DataFrame({"user": user, "item": item, "x": rng.normal(size=500)})
    y = 2 * X["x"] + of_user[user] + of_item[item] + 0.2 * rng.normal(size=500)
    return X, y.to_numpy(), of_user, of_item


@pytest.fixture(scope="module")
def model(ratings):
    X, y, *_ = ratings
    return GroupedRegressor(["user", "item"], **QUICK).fit(X, y)


def row(user, item, x=0.0):
    return pd.DataFrame({"user": [user], "item": [item], "x": [x]})


def test_effects_of_crossed_factors(model, ratings):
    *_, of_user, of_item = ratings
    effects = model.effects_["intercept"]
    for name, truth in (("user", of_user), ("item", of_item)):
        found = effects[name].loc[list(range(len(truth)))]
        assert np.corrcoef(found, truth)[0, 1] > 0.98
    between = model.effects_["intercept std"].loc[[("user", "shared"), ("item", "shared")]]
    np.testing.assert_allclose(between, [1.0, 0.5], rtol=0.4)
    assert "between the 25 groups of user" in model.summary_


def test_a_new_level_keeps_the_effect_of_the_other_factor(model):
    best, worst = (
        model.effects_["intercept"]["item"].drop("shared").agg(f) for f in ("idxmax", "idxmin")
    )
    at = pd.concat([row(99, best), row(99, worst)])
    mean, std = model.predict(at, return_std=True)
    assert mean[0] > mean[1] + 0.5
    assert std[0] > model.predict(row(3, best), return_std=True)[1][0]


def test_few_rows_of_a_new_level(model):
    found = copy.deepcopy(model).partial_fit(pd.concat([row(99, 3)] * 5), [4.0] * 5)
    assert found.predict(row(99, 3))[0] > model.predict(row(99, 3))[0] + 1
    assert 99 in found.groups_[0]


def test_order_and_names_change_nothing(model, ratings):
    X, y, *_ = ratings
    rows = np.random.default_rng(1).permutation(len(y))
    renamed = X.assign(user=X["user"].map(lambda k: f"u{(7 * k) % 25}"))
    other = GroupedRegressor(["user", "item"], **QUICK).fit(renamed.iloc[rows], y[rows])
    assert abs(other.predict(renamed) - model.predict(X)).max() < 1e-6 * y.std()


def test_classes_with_several_factors(ratings):
    X, y, *_ = ratings
    clf = GroupedClassifier(["user", "item"], n_folds=2).fit(X, y > 0)
    assert clf.score(X, y > 0) > 0.85
    np.testing.assert_allclose(clf.predict_proba(X).sum(1), 1.0)


def test_fractional_weights_are_refused(ratings):
    X, y, *_ = ratings
    with pytest.raises(ValueError, match="sample_weight must be small whole numbers"):
        GroupedRegressor(["user", "item"], **QUICK).fit(X, y, np.full(len(y), 0.5))
