"""Groups of one factor: all at once and one at a time, fits that start from others, derivatives."""

import numpy as np
import pytest
from mixed_tables import draw_tasks
from sklearn.linear_model import Ridge

from skmeta._mixed import (
    Classes,
    ConditionedGroups,
    CovarianceShape,
    Evidence,
    Normal,
    _model,
    fit_groups,
)
from skmeta._mixed._conditioned import sorted_rows

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


def estimate(X, y, groups, **settings):
    """Estimates in the units of a design of standardised columns."""
    codes = np.unique(groups, return_inverse=True)[1]
    z = np.column_stack([np.ones(len(X)), X])
    return fit_groups(
        z, y, codes, **{"effects": "correlated", "rank": 1, "shrinkage": 0.0} | settings
    )


def test_the_fit_of_many_groups_starts_from_some_and_ends_where_that_of_all_does(monkeypatch):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(900), 5)
    X = rng.normal(size=(len(codes), 1))
    effects = rng.normal(size=(900, 2)) @ [[0.6, 0.2], [0.0, 0.3]]
    y = effects[codes, 0] + X[:, 0] * effects[codes, 1] + 0.5 * rng.normal(size=len(codes))
    found = estimate(X, y, codes)
    monkeypatch.setattr(_model, "_ENOUGH_GROUPS", 1000)
    expected = estimate(X, y, codes)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=0.01)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-3)
    np.testing.assert_allclose(found.noise, expected.noise, rtol=5e-3)
    # Estimates from a part alone are further off.
    part = codes < 400
    of_part = estimate(X[part], y[part], codes[part])
    assert abs(of_part.covariance / expected.covariance - 1).max() > 0.02


@pytest.mark.parametrize("shrinkage", [0.0, 1.0])
def test_gradient_of_the_evidence_equals_finite_differences(shrinkage):
    X, y, groups = draw_tasks(4, n_tasks=10)
    z = np.column_stack([np.ones(len(X)), X])
    w, columns = np.ones(len(y)), (np.array([0, 1, 3]),)
    rows = sorted_rows(z, y, w, groups[:, None], columns, Normal())[1]
    evidence = Evidence(rows, [CovarianceShape(3, 1, 2, shrinkage)], 4)
    at = 0.4 * np.random.default_rng(0).normal(size=len(evidence.start()))
    found = evidence.evaluate(at)
    steps = 1e-5 * np.eye(len(at))
    slopes = [evidence.evaluate(at + e).value - evidence.evaluate(at - e).value for e in steps]
    np.testing.assert_allclose(found.gradient, np.array(slopes) / 2e-5, rtol=1e-5, atol=1e-5)
    hessian = found.curvature()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)


def test_hessian_of_the_likelihood_equals_finite_differences():
    # With m integrated out, a term of the order of the number of coefficients is left out.
    X, y, groups = draw_tasks(4, n_tasks=10)
    z = np.column_stack([np.ones(len(X)), X])
    columns, weights = (np.array([0, 1, 3]),), np.random.default_rng(1).integers(1, 3, len(y))
    rows = sorted_rows(z, y, weights.astype(float), groups[:, None], columns, Normal())[1]
    evidence = Evidence(rows, [CovarianceShape(3, 1, 2, 1.0)], 4, is_restricted=False)
    at = 0.4 * np.random.default_rng(0).normal(size=len(evidence.start()))
    hessian = evidence.evaluate(at).curvature()
    steps = 1e-5 * np.eye(len(at))
    moved = [evidence.evaluate(at + e).gradient - evidence.evaluate(at - e).gradient for e in steps]
    np.testing.assert_allclose(hessian, np.array(moved) / 2e-5, rtol=1e-4, atol=1e-4)
