"""Boosted trees beside a prior for any table."""

import copy
import pickle

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.few_shot._boosting import LEVELS, reshape_distributions

SETTINGS = {"min_samples_leaf": 10, "early_stopping": False, "random_state": 0}


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


def without_trees(estimator):
    alone = copy.copy(estimator)
    alone._trees = None
    return alone


@pytest.fixture(scope="module")
def classifier():
    return MetaFewShotClassifier(device="cpu").fit(*make_classes(400))


@pytest.fixture(scope="module")
def regressor():
    return MetaFewShotRegressor(device="cpu").fit(*make_targets(400))


def test_trees_find_what_the_prior_does_not(classifier, regressor):
    X, labels = make_classes(500, seed=1)
    assert classifier.boosting_share_ > 0.5
    assert classifier.score(X, labels) > without_trees(classifier).score(X, labels) + 0.1
    X, y = make_targets(500, seed=1)
    assert regressor.score(X, y) > without_trees(regressor).score(X, y) + 0.1


def test_probabilities_are_a_mixture(classifier):
    X, y = make_classes(400)
    new = make_table(50, seed=1)[0]
    trees = HistGradientBoostingClassifier(**SETTINGS).fit(X, y).predict_proba(new)
    own, share = without_trees(classifier).predict_proba(new), classifier.boosting_share_
    found = classifier.predict_proba(new)
    np.testing.assert_allclose(found, (1 - share) * own + share * trees, atol=1e-9)
    np.testing.assert_array_equal(classifier.predict(new), classifier.classes_[found.argmax(1)])
    margin = np.log(found[:, 1] / found[:, 0])
    np.testing.assert_allclose(classifier.decision_function(new), margin, rtol=1e-6)


def test_distribution_of_a_regression_has_the_mean_of_the_mixture(regressor):
    X, y = make_targets(400)
    new = make_table(50, seed=1)[0]
    trees = HistGradientBoostingRegressor(**SETTINGS).fit(X, y).predict(new)
    alone, share = without_trees(regressor), regressor.boosting_share_
    own, own_std = alone.predict(new, return_std=True)
    mean, std = regressor.predict(new, return_std=True)
    np.testing.assert_allclose(mean, (1 - share) * own + share * trees, atol=1e-4)
    np.testing.assert_allclose(mean, regressor.predict(new), atol=1e-9)
    assert std.mean() < own_std.mean()
    quantiles = regressor.predict_quantiles(new, np.linspace(0.0025, 0.9975, 200))
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_allclose(quantiles.mean(1), mean, atol=0.02 * own_std.max())


@pytest.mark.parametrize("spread", [1.0, 0.7, 0.2])
def test_a_normal_distribution_moves_and_becomes_narrower(spread):
    scale = np.array([[1.0], [50.0]])
    levels = np.array([0.05, 0.3, 0.5, 0.95])
    mean = np.array([1.5, -30.0])
    std, found = reshape_distributions(scale * norm.ppf(LEVELS), mean, spread, levels)
    np.testing.assert_allclose(std, spread * scale[:, 0], rtol=0.03)
    expected = mean[:, None] + spread * scale * norm.ppf(levels)
    np.testing.assert_allclose(found / scale, expected / scale, atol=0.02)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_unit_of_a_distribution_has_no_effect(size):
    quantiles, mean = np.stack([norm.ppf(LEVELS), LEVELS]), np.array([1.0, 0.4])
    expected = reshape_distributions(quantiles, mean, 0.8, LEVELS)
    found = reshape_distributions(size * quantiles, size * mean, 0.8, LEVELS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one / size, other, rtol=1e-9, atol=1e-9)


def test_a_value_of_many_targets_stays():
    has_rest = LEVELS > 0.6
    quantiles = np.where(has_rest, 10 * (LEVELS - 0.6) / 0.4, 0.01 * LEVELS)[None]
    for mean in (1.0, 2.0, 3.0):
        _, found = reshape_distributions(quantiles, np.array([mean]), 0.9, np.array([0.05, 0.4]))
        assert (abs(found) < 0.02).all()


def test_a_mean_beyond_all_quantiles_moves_the_distribution():
    quantiles = np.stack([LEVELS, np.full(201, 3.0)])
    levels = np.linspace(0.0025, 0.9975, 200)
    _, found = reshape_distributions(quantiles, np.array([2.0, 4.0]), 1.0, levels)
    np.testing.assert_allclose(found.mean(1), [2.0, 4.0], atol=0.02)
    assert (np.diff(found) >= 0).all()


def test_share_is_the_best_one_for_rows_that_both_have_not_seen():
    # Labels are noise: the trees learn the rows by heart, and are worse than the prior.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), rng.integers(2, size=300)
    assert MetaFewShotClassifier(device="cpu").fit(X, y).boosting_share_ < 0.3
    assert MetaFewShotRegressor(device="cpu").fit(X, rng.normal(size=300)).boosting_share_ < 0.3


def test_few_rows_have_none():
    clf = MetaFewShotClassifier(device="cpu").fit(*make_classes(199))
    assert clf.boosting_share_ == 0
    weight = np.r_[np.ones(199), np.zeros(50)]
    same = MetaFewShotClassifier(device="cpu")
    X, y = make_classes(249)
    assert same.fit(X, y, sample_weight=weight).boosting_share_ == 0


def test_order_of_rows_and_of_classes_has_no_effect(classifier):
    X, y = make_classes(400)
    new = make_table(50, seed=1)[0]
    order = np.random.default_rng(0).permutation(400)
    other = MetaFewShotClassifier(device="cpu").fit(X[order], y[order])
    np.testing.assert_allclose(other.predict_proba(new), classifier.predict_proba(new), atol=1e-4)
    renamed = MetaFewShotClassifier(device="cpu").fit(X, np.where(y == "up", "a", "b"))
    np.testing.assert_allclose(
        renamed.predict_proba(new)[:, ::-1], classifier.predict_proba(new), atol=1e-4
    )


def test_weight_of_two_is_two_rows():
    X, y = make_table(500)
    weight = np.random.default_rng(0).integers(0, 3, size=500).astype(float)
    rows = np.repeat(np.arange(500), weight.astype(int))
    new = make_table(50, seed=1)[0]
    reg = MetaFewShotRegressor(device="cpu", precision="float64")
    by_weight = clone(reg).fit(X, y, sample_weight=weight)
    by_rows = clone(reg).fit(X[rows], y[rows])
    assert by_weight.boosting_share_ > 0
    assert by_rows.boosting_share_ == pytest.approx(by_weight.boosting_share_, rel=1e-6)
    np.testing.assert_allclose(by_weight.predict(new), by_rows.predict(new), rtol=1e-6)


def test_further_rows_copies_and_pickles(classifier):
    X, y = make_classes(400)
    new = make_table(50, seed=1)[0]
    expected = classifier.predict_proba(new)
    grown = MetaFewShotClassifier(device="cpu").fit(X[:150], y[:150])
    assert grown.boosting_share_ == 0
    grown.partial_fit(X[150:], y[150:])
    np.testing.assert_allclose(grown.predict_proba(new), expected, rtol=1e-6, atol=1e-6)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(new), expected)
    assert not hasattr(clone(classifier), "boosting_share_")


def test_a_class_of_one_row_and_missing_values():
    X, y = make_classes(300)
    y = y.astype(object)
    y[0] = "once"
    X[::7, 3] = np.nan
    clf = MetaFewShotClassifier(device="cpu").fit(X, y)
    proba = clf.predict_proba(X[:20])
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (proba > 0).all()


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_units_of_the_targets(regressor, unit):
    X, y = make_targets(400)
    new = make_table(50, seed=1)[0]
    found = MetaFewShotRegressor(device="cpu").fit(X, unit * y).predict(new) / unit
    np.testing.assert_allclose(found, regressor.predict(new), atol=1e-3)
