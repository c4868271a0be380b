"""All groups at once against one group at a time, and fits that start from others."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skmeta._mixed import Classes, ConditionedGroups, Normal, _model, fit_groups

SIZES = [1, 0, 3, 3, 12, 40, 2, 0, 7]


def test_regressions_are_those_of_one_group_at_a_time():
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=(len(codes), 2))])
    y, w = codes + rng.normal(size=len(codes)), rng.choice([1.0, 2.0, 0.5], len(codes))
    mean, factor, noise = rng.normal(size=3), np.tril(rng.normal(size=(3, 3))), 0.7
    prior = Normal(noise), mean[None], (factor @ factor.T)[None]
    given = ConditionedGroups(*prior, z, y, w, codes)
    at = np.column_stack([np.ones(50), rng.normal(size=(50, 2))])
    codes_at = rng.integers(len(SIZES), size=50)
    predicted = given.predict(at, codes_at)
    for k in range(len(SIZES)):
        own, rows = codes == k, codes_at == k
        # A ridge regression on rows times the factor.
        expected = at[rows] @ mean
        if own.any():
            ridge = Ridge(noise**2, fit_intercept=False)
            ridge.fit(z[own] @ factor, y[own] - z[own] @ mean, w[own])
            expected = expected + ridge.predict(at[rows] @ factor)
        np.testing.assert_allclose(predicted.mean[rows], expected, rtol=1e-6)
        precision = np.eye(3) + factor.T @ (z[own].T * w[own]) @ z[own] @ factor / noise**2
        spread = at[rows] @ factor
        variance = (spread @ np.linalg.inv(precision) * spread).sum(1) + noise**2
        np.testing.assert_allclose(predicted.std[rows], np.sqrt(variance), rtol=1e-9)


@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_a_fit_that_starts_from_another_ends_near_one_from_scratch(n_classes):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(60), 12)
    z = np.column_stack([np.ones(720), rng.normal(size=(720, 2))])
    effects = rng.normal(size=(60, 3, max(n_classes, 1))) * np.array([1.0, 0.6, 0.0])[:, None]
    eta = np.einsum("nq,nqc->nc", z, effects[codes]) + z[:, :1]
    y = eta[:, 0] + 0.5 * rng.normal(size=720)
    y = (eta + rng.gumbel(size=eta.shape)).argmax(1) if n_classes > 2 else y
    y = (eta[:, 0] + rng.logistic(size=720) > 0).astype(int) if n_classes == 2 else y
    family = Classes(n_classes) if n_classes else Normal()
    whole = fit_groups(z, y, codes, family)
    part = codes < 48
    warm = fit_groups(z[part], y[part], codes[part], family, start=whole)
    cold = fit_groups(z[part], y[part], codes[part], family)
    np.testing.assert_allclose(warm.mean, cold.mean, atol=0.1)
    gap, moved = (abs(warm.covariance - m.covariance).max() for m in (cold, whole))
    assert gap < 0.3 * whole.covariance.max()
    # It is the fit of the part, not that of all groups.
    assert moved > 1e-4


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(900), rng.integers(1, 5, 900))
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=(len(codes), 2))])
    effects = rng.normal(size=(900, 3)) * [0.6, 0.3, 0.0] + [0.1, 0.8, -0.4]
    return z, (z * effects[codes]).sum(1) + rng.normal(size=len(codes)) / 2, codes


def test_the_mean_is_that_of_all_groups(rows, monkeypatch):
    z, y, codes = rows
    monkeypatch.setattr(_model, "_MAX_GROUPS", 300)
    model = _model.fit_groups(z, y, codes)
    # Generalised least squares over all groups, given the covariance.
    whole, score = np.zeros((3, 3)), np.zeros(3)
    for g in range(900):
        own = z[codes == g]
        v = own @ model.covariance[0] @ own.T + model.noise**2 * np.eye(len(own))
        whole += own.T @ np.linalg.solve(v, own)
        score += own.T @ np.linalg.solve(v, y[codes == g])
    # The prior of slopes is weak beside 900 groups.
    np.testing.assert_allclose(model.mean[0], np.linalg.solve(whole, score), atol=2e-3)
    np.testing.assert_allclose(model.mean_covariance, np.linalg.inv(whole), atol=2e-5)
    assert np.sqrt(np.diagonal(model.covariance[0])) == pytest.approx([0.6, 0.3, 0.0], abs=0.15)
    assert model.noise == pytest.approx(0.5, abs=0.05)
