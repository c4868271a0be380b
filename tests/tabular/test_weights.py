"""A weight says how much a row counts, and not how sure we are."""

import numpy as np
import pytest

from skmeta import GroupedClassifier, GroupedRegressor, MetaFewShotClassifier, MetaFewShotRegressor

N = 60
RNG = np.random.default_rng(0)
GROUP = np.arange(N) % 12
X = np.column_stack([GROUP, RNG.normal(size=(N, 2))])
Y = X[:, 1] + RNG.normal(size=12)[GROUP] + 0.5 * RNG.normal(size=N)
WEIGHT = RNG.integers(1, 6, N) * 1.0
MODELS = [
    MetaFewShotRegressor(device="cpu"),
    MetaFewShotClassifier(device="cpu"),
    GroupedRegressor(0),
    GroupedClassifier(0),
]


def outputs(model, rows=slice(None), weight=None):
    if hasattr(model, "predict_proba"):
        return model.fit(X[rows], (Y > 0)[rows], sample_weight=weight).predict_proba(X)
    model.fit(X[rows], Y[rows], sample_weight=weight)
    return np.column_stack([model.predict(X), model.predict_quantiles(X)])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_copies_and_constant_factors_of_weights_change_nothing(model):
    expected = outputs(model)
    np.testing.assert_array_equal(outputs(model, weight=np.full(N, 3e6)), expected)
    np.testing.assert_allclose(outputs(model, np.repeat(np.arange(N), 2)), expected, atol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_weights_have_no_cliff_and_equal_repetitions(model):
    expected = outputs(model, weight=WEIGHT)
    assert abs(expected - outputs(model)).max() > 1e-3
    np.testing.assert_allclose(outputs(model, weight=WEIGHT * (1 + 1e-9)), expected, atol=0.01)
    repeated = np.repeat(np.arange(N), WEIGHT.astype(int))
    np.testing.assert_allclose(outputs(model, repeated), expected, atol=1e-9)


@pytest.mark.parametrize("model", MODELS[::2], ids=lambda model: type(model).__name__)
def test_rows_that_are_known_are_warned_of(model):
    model.fit(X[:50], Y[:50], sample_weight=np.full(50, 2.0))
    match = "2 rows of partial_fit, row 1 first, are equal to rows that are known already"
    with pytest.warns(UserWarning, match=match):
        model.partial_fit(X[[55, 3, 56, 4]], Y[[55, 3, 56, 4]])
    model.partial_fit(X[50:55], Y[50:55])
