"""Amounts, counts, shares and ratings: the scale on which models see the targets."""

import numpy as np
import pytest

from skmeta._tabular import quantile_loss
from skmeta.few_shot import MetaFewShotRegressor
from skmeta.learners import FineTuning

LEVELS_OF_LOSS = np.linspace(0.1, 0.9, 9)


def make_rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng


def make_amounts(n, seed=0):
    X, rng = make_rows(n, seed)
    return X, 100 * np.exp(1.2 * X[:, 0] + 0.4 * rng.normal(size=n))


def make_counts(n, seed=0):
    X, rng = make_rows(n, seed)
    return X, rng.poisson(np.exp(1 + X[:, 0])).astype(float)


def make_shares(n, seed=0):
    X, rng = make_rows(n, seed)
    return X, 1 / (1 + np.exp(-1.5 * X[:, 0] - 0.5 * rng.normal(size=n)))


def fit(rows, kind="auto"):
    return MetaFewShotRegressor(device="cpu", target_type=kind).fit(*rows)


def test_nothing_below_zero_is_predicted_where_no_target_near_it_is_negative():
    X, rng = make_rows(20, 3)
    new = make_rows(50, 4)[0] * 2
    y = np.maximum(3 + 1.5 * X[:, 0] + 0.3 * rng.normal(size=20), 0.1)
    near, declared, far = fit((X, y)), fit((X, y), "real"), fit((X, y + 50))
    assert near.target_type_ == declared.target_type_ == "real"
    quantiles = near.predict_quantiles(new)
    assert quantiles.min() == near.predict(new).min() == 0
    assert declared.predict_quantiles(new).min() < 0
    np.testing.assert_array_equal(quantiles, np.maximum(declared.predict_quantiles(new), 0))
    np.testing.assert_allclose(
        far.predict_quantiles(new), declared.predict_quantiles(new) + 50, atol=1e-6
    )
    signed = fit((X, np.append(y[1:], -0.1)))
    assert signed.predict_quantiles(new).min() < 0


@pytest.fixture(scope="module")
def amounts():
    return fit(make_amounts(60))


@pytest.fixture(scope="module")
def counts():
    return fit(make_counts(60))


@pytest.mark.parametrize(
    ("make", "kind"), [(make_amounts, "positive"), (make_counts, "count"), (make_shares, "share")]
)
def test_kind_is_recognised_and_predictions_are_possible(make, kind):
    reg = fit(make(60))
    X, _ = make(300, seed=1)
    assert reg.target_type_ == kind
    quantiles, mean = reg.predict_quantiles(X, [0.001, 0.5, 0.999]), reg.predict(X)
    assert quantiles.min() >= 0
    assert mean.min() >= 0
    if kind == "count":
        np.testing.assert_array_equal(quantiles, np.round(quantiles))
    if kind == "share":
        assert max(quantiles.max(), mean.max()) <= 1


@pytest.mark.parametrize("make", [make_amounts, make_counts])
def test_distribution_is_better_than_on_the_line(make):
    X, y = make(600, seed=1)
    losses = [
        quantile_loss(y, fit(make(60), kind).predict_quantiles(X, LEVELS_OF_LOSS), LEVELS_OF_LOSS)
        for kind in ("auto", "real")
    ]
    assert losses[0].mean() < losses[1].mean()


def test_a_product_is_seen_in_logarithms(amounts):
    assert amounts.target_scale_ == "logarithm"
    X, y = make_amounts(600, seed=1)
    low, high = amounts.predict_quantiles(X, [0.05, 0.95]).T
    assert 0.85 < np.mean((low <= y) & (y <= high)) < 0.93


def test_symmetric_targets_far_from_zero_stay_as_they_are():
    X, rng = make_rows(50)
    y = 170 + 8 * X[:, 0] + 4 * rng.normal(size=50)
    auto, real = fit((X, y)), fit((X, y), "real")
    assert auto.target_type_ == "real"
    assert auto.target_scale_ is None
    np.testing.assert_array_equal(auto.predict(X), real.predict(X))
    np.testing.assert_array_equal(auto.predict_quantiles(X), real.predict_quantiles(X))


def test_ratings_stay_within_their_range():
    X, rng = make_rows(80)
    y = np.clip(np.round(3 + 1.5 * X[:, 0] + rng.normal(size=80)), 1, 5)
    reg = fit((X, y), "ordered")
    new = make_rows(300, seed=1)[0] * 3
    values = np.column_stack([reg.predict(new), reg.predict_quantiles(new, [0.01, 0.99])])
    assert values.min() >= 1
    assert values.max() <= 5


def test_partial_fit_reads_all_targets_as_given():
    X, y = make_counts(60)
    whole = fit((X, y))
    parts = MetaFewShotRegressor(device="cpu").partial_fit(X[:30], y[:30])
    parts.partial_fit(X[30:], y[30:])
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-6)


def test_a_prior_of_other_tasks_knows_no_kind():
    X, y = make_counts(20)
    reg = MetaFewShotRegressor(
        FineTuning().initial_prior(X, y, kind="regression"), target_type="count"
    )
    with pytest.raises(ValueError, match="needs a prior for any table"):
        reg.fit(X, y)
