"""Estimates of regressions against lme4 and statsmodels."""

import numpy as np
import pytest
from mixed_tables import draw_tasks, load_sleepstudy

from skmeta._mixed import CovarianceShape, Evidence, Normal, _model, fit_groups
from skmeta._mixed._conditioned import sorted_rows


def estimate(X, y, groups, **settings):
    """Estimates in the units of a design of standardised columns."""
    codes = np.unique(groups, return_inverse=True)[1]
    z = np.column_stack([np.ones(len(X)), X])
    return fit_groups(
        z, y, codes, **{"effects": "correlated", "rank": 1, "shrinkage": 0.0} | settings
    )


def in_raw_units(prior, X, y):
    """Mean, covariance and noise of coefficients of columns that are not standardised."""
    mean, scale = X.mean(0), X.std(0)
    back = np.diag(np.r_[1.0, 1 / scale])
    back[0, 1:] = -mean / scale
    back = back * y.std()
    centre = np.r_[y.mean(), np.zeros(len(mean))]
    return (
        back @ prior.mean[0] + centre,
        back @ prior.covariance[0] @ back.T,
        back @ prior.mean_covariance @ back.T,
        prior.noise * y.std(),
    )


def sleepstudy_prior():
    X, y, subjects = load_sleepstudy()
    found = estimate((X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std(), subjects)
    return in_raw_units(found, X, y)


def test_sleepstudy_agrees_with_lme4():
    # Published output of lmer(Reaction ~ Days + (Days | Subject), sleepstudy), by REML: Bates et
    # al. (2015), Fitting linear mixed-effects models using lme4.
    mean, covariance, mean_covariance, noise = sleepstudy_prior()
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(mean, [251.405, 10.467], rtol=1e-3)
    np.testing.assert_allclose(deviations, [24.741, 5.922], rtol=1e-3)
    np.testing.assert_allclose(covariance[0, 1] / deviations.prod(), 0.066, atol=1e-3)
    np.testing.assert_allclose(noise, 25.592, rtol=1e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(mean_covariance)), [6.825, 1.546], rtol=1e-3)


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
