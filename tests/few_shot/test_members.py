"""Models beside a prior for any table, and their shares."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor


def make_table(n, seed=0):
    """A product of signs, which is no sum of effects of columns, and noise columns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    return X, np.sign(X[:, 0] * X[:, 1] * X[:, 2])


def make_targets(n, seed=0):
    """With noise, because the last digit decides between splits that are equally good."""
    X, y = make_table(n, seed)
    return X, 5 + 2 * y + np.random.default_rng(seed).normal(size=n) / 10


def make_classes(n, seed=0):
    X, y = make_table(n, seed)
    return X, np.where(y > 0, "up", "down")


def members_of(estimator, X, *names):
    """Predictions of members, which know the columns in an order of their own."""
    ordered = X[:, estimator._open()[0]._columns]
    return [estimator._mixture.members[name].predict(ordered) for name in names]


def alone(estimator):
    prior = copy.copy(estimator)
    prior._mixture = None
    return prior


@pytest.fixture(scope="module")
def classifier():
    return MetaFewShotClassifier(device="cpu").fit(*make_classes(400))


@pytest.fixture(scope="module")
def regressor():
    return MetaFewShotRegressor(device="cpu").fit(*make_targets(400))


def test_trees_find_what_the_prior_does_not(classifier, regressor):
    X, labels = make_classes(500, seed=1)
    assert classifier.score(X, labels) > alone(classifier).score(X, labels) + 0.1
    X, y = make_targets(500, seed=1)
    assert regressor.score(X, y) > alone(regressor).score(X, y) + 0.1


def test_probabilities_are_a_geometric_mixture(classifier):
    new = make_table(50, seed=1)[0]
    ridge, trees, forest = members_of(classifier, new, "ridge", "boosting", "forest")
    own, shares = alone(classifier).predict_proba(new), classifier.shares_
    expected = own ** shares["prior"] * ridge ** shares["ridge"] * trees ** shares["boosting"]
    expected *= np.maximum(forest, 1e-7) ** shares["forest"]
    proba = classifier.predict_proba(new)
    np.testing.assert_allclose(proba, expected / expected.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(classifier.predict(new), classifier.classes_[proba.argmax(1)])
    margin = np.log(proba[:, 1] / proba[:, 0])
    np.testing.assert_allclose(classifier.decision_function(new), margin, rtol=1e-6)


def test_distribution_of_a_regression_has_the_mean_of_the_mixture(regressor):
    new = make_table(50, seed=1)[0]
    prior, shares = alone(regressor), regressor.shares_
    process, trees = members_of(regressor, new, "process", "boosting")
    own, own_std = prior.predict(new, return_std=True)
    mean, std = regressor.predict(new, return_std=True)
    expected = shares["prior"] * own + shares["process"] * process + shares["boosting"] * trees
    assert sum(shares.values()) == pytest.approx(1)
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    np.testing.assert_allclose(mean, regressor.predict(new), atol=1e-9)
    assert std.mean() < own_std.mean()
    quantiles = regressor.predict_quantiles(new, np.linspace(0.0025, 0.9975, 200))
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_allclose(quantiles.mean(1), mean, atol=0.02 * own_std.max())


def test_few_rows_have_no_trees():
    clf = MetaFewShotClassifier(device="cpu").fit(*make_classes(199))
    assert clf.shares_ == {"prior": 1}
    weight = np.r_[np.ones(199), np.zeros(50)]
    same = MetaFewShotClassifier(device="cpu")
    X, y = make_classes(249)
    assert same.fit(X, y, sample_weight=weight).shares_ == {"prior": 1}


def test_further_rows_copies_and_pickles(classifier):
    X, y = make_classes(400)
    new = make_table(50, seed=1)[0]
    expected = classifier.predict_proba(new)
    grown = MetaFewShotClassifier(device="cpu").fit(X[:150], y[:150])
    assert grown.shares_ == {"prior": 1}
    grown.partial_fit(X[150:], y[150:])
    np.testing.assert_allclose(grown.predict_proba(new), expected, rtol=1e-6, atol=1e-6)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(new), expected)
    assert not hasattr(clone(classifier), "shares_")


def test_a_class_of_one_row_and_missing_values():
    X, y = make_classes(300)
    y = y.astype(object)
    y[0] = "once"
    X[::7, 3] = np.nan
    clf = MetaFewShotClassifier(device="cpu").fit(X, y)
    proba = clf.predict_proba(X[:20])
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (proba > 0).all()
