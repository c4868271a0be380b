"""Estimates of regressions against lme4 and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from sleepstudy import load_sleepstudy

from skmeta.mixed import _regression
from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._gaussian_evidence import GaussianEvidence
from skmeta.mixed._regression import Regressions
from skmeta.mixed._statistics import group_statistics


def statistics(z, y, codes):
    return group_statistics(z, y, codes, int(codes.max()) + 1)


def estimate(X, y, groups, *, rank=1, varies=None, shrinkage=0.0, **varied):
    """Estimates in the units of a design of standardised columns, and that design."""
    codes = np.unique(groups, return_inverse=True)[1]
    z = np.column_stack([np.ones(len(X)), X])
    varies = np.ones(z.shape[1], bool) if varies is None else np.array(varies)
    shape = CovarianceShape(varies, 1, rank, shrinkage)
    varied = {"varied_noise": False, "heavy_tails": False} | varied
    return Regressions(statistics(z, y, codes), **varied).fit(shape).prior


def in_raw_units(prior, X, y):
    """Mean, covariance and noise of coefficients of columns that are not standardised."""
    mean, scale = X.mean(0), X.std(0)
    back = np.diag(np.r_[1.0, 1 / scale])
    back[0, 1:] = -mean / scale
    back = back * y.std()
    centre = np.r_[y.mean(), np.zeros(len(mean))]
    return (
        back @ prior.mean[:, 0] + centre,
        back @ prior.covariance[0] @ back.T,
        back @ prior.mean_covariance[0] @ back.T,
        np.exp(prior.log_noise) * y.std(),
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


def test_the_fit_of_many_tasks_starts_from_some_and_ends_where_that_of_all_does(monkeypatch):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(900), 5)
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=len(codes))])
    effects = rng.normal(size=(900, 2)) @ [[0.6, 0.2], [0.0, 0.3]]
    noise = np.exp(0.3 * rng.normal(size=900))[codes]
    y = (z * effects[codes]).sum(1) + 0.5 * noise * rng.normal(size=len(codes))
    shape = CovarianceShape(np.array([True, True]), 1, 1, 0.0)
    family = Regressions(statistics(z, y, codes), varied_noise=True, heavy_tails=False)
    found, of_part = family.fit(shape).prior, family.take(np.arange(400)).fit(shape).prior
    monkeypatch.setattr(_regression, "_ENOUGH_TASKS", 1000)
    expected = family.fit(shape).prior
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=0.01)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-3)
    np.testing.assert_allclose(found.log_noise, expected.log_noise, atol=5e-3)
    np.testing.assert_allclose(found.log_spread, expected.log_spread, atol=0.02)
    # Estimates from a part alone are further off.
    assert abs(of_part.covariance / expected.covariance - 1).max() > 0.02


def test_sleepstudy_agrees_with_statsmodels():
    X, y, subjects = load_sleepstudy()
    design = sm.add_constant(X)
    fitted = sm.MixedLM(y, design, subjects, exog_re=design).fit(reml=True)
    mean, covariance, _, noise = sleepstudy_prior()
    np.testing.assert_allclose(mean, fitted.fe_params, rtol=1e-3)
    np.testing.assert_allclose(covariance, fitted.cov_re, rtol=2e-3, atol=0.05)
    np.testing.assert_allclose(noise**2, fitted.scale, rtol=1e-3)


def made_tasks(seed, n_tasks=40, n_rows=12, n_features=3):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), n_features))
    effects = rng.normal(size=(n_tasks, n_features + 1)) * np.r_[1.0, 0.5, np.zeros(n_features - 1)]
    slopes = np.r_[0.3, 1.0, -0.5, np.zeros(n_features - 2)]
    coefficients = slopes + effects
    y = (np.column_stack([np.ones(len(X)), X]) * coefficients[groups]).sum(1)
    return X, y + 0.7 * rng.normal(size=len(y)), groups


@pytest.mark.parametrize("shrinkage", [0.0, 1.0])
def test_gradient_of_the_evidence_equals_finite_differences(shrinkage):
    X, y, groups = made_tasks(4, n_tasks=10)
    z = np.column_stack([np.ones(len(X)), X])
    shape = CovarianceShape(np.array([True, True, False, True]), 1, 2, shrinkage)
    evidence = GaussianEvidence(statistics(z, y, groups), shape)
    at = 0.4 * np.random.default_rng(0).normal(size=shape.n_parameters + 2)
    found = evidence.evaluate(at)
    steps = 1e-5 * np.eye(len(at))
    slopes = [evidence.evaluate(at + e).value - evidence.evaluate(at - e).value for e in steps]
    np.testing.assert_allclose(found.gradient, np.array(slopes) / 2e-5, rtol=1e-5, atol=1e-5)
    hessian = found.curvature()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)


def test_evidence_is_the_density_of_all_targets():
    X, y, groups = made_tasks(5, n_tasks=3, n_rows=4)
    z = np.column_stack([np.ones(len(X)), X])
    shape = CovarianceShape(np.ones(4, bool), 1, 1, 1.0)
    evidence = GaussianEvidence(statistics(z, y, groups), shape)
    rng, values = np.random.default_rng(0), []
    for _ in range(2):
        at = 0.4 * rng.normal(size=shape.n_parameters + 2)
        covariance = shape.covariance(at)[0]
        prior = np.diag(np.r_[1e5, np.full(3, np.exp(2 * at[-1]))])
        whole = z @ covariance @ z.T * (groups[:, None] == groups) + z @ prior @ z.T
        whole += np.exp(2 * at[-2]) * np.eye(len(y))
        density = stats.multivariate_normal(np.zeros(len(y)), whole).logpdf(y)
        values.append(-density + float(shape.penalty(at)))
        values.append(evidence.evaluate(at).value)
    # They differ by a constant.
    np.testing.assert_allclose(values[2] - values[0], values[3] - values[1], rtol=1e-5)


def test_random_intercept_agrees_with_statsmodels():
    X, y, groups = made_tasks(0)
    found = estimate(X, y, groups, rank=0, varies=[True, False, False, False])
    fitted = sm.MixedLM(y, sm.add_constant(X), groups).fit(reml=True)
    np.testing.assert_allclose(found.mean[:, 0], fitted.fe_params, atol=1e-3)
    np.testing.assert_allclose(found.covariance[0, 0, 0], fitted.cov_re[0, 0], rtol=2e-3)
    np.testing.assert_allclose(np.exp(2 * found.log_noise), fitted.scale, rtol=1e-3)


def test_unneeded_slopes_vanish_and_needed_ones_stay():
    X, y, groups = made_tasks(1, n_tasks=200)
    found = estimate(X, y, groups, shrinkage=1.0, rank=2)
    deviations = np.sqrt(np.diag(found.covariance[0]))
    np.testing.assert_allclose(deviations[:2], [1.0, 0.5], rtol=0.25)
    assert (deviations[2:] < 0.15).all()


def test_spread_of_the_noise_is_found():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(100), 40)
    noise = np.exp(-0.5 + 0.6 * rng.normal(size=100))
    X = rng.normal(size=(4000, 1))
    y = X[:, 0] + rng.normal(size=100)[groups] + noise[groups] * rng.normal(size=4000)
    found = estimate(X, y, groups, varied_noise=True)
    np.testing.assert_allclose(found.log_noise, np.log(noise).mean(), atol=0.05)
    np.testing.assert_allclose(np.exp(found.log_spread), np.log(noise).std(), rtol=0.1)


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_spread_of_the_scale_of_effects_is_found(spread):
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(300), 20)
    scale = np.exp(spread * rng.normal(size=300))
    effects = scale[:, None] * rng.normal(size=(300, 3))
    X = rng.normal(size=(6000, 2))
    y = (np.column_stack([np.ones(6000), X]) * effects[groups]).sum(1)
    y = y + 0.5 * rng.normal(size=6000)
    found = estimate(X, y, groups, rank=0, varied_noise=True, heavy_tails=True)
    np.testing.assert_allclose(np.exp(found.log_scale_spread), spread, atol=0.12)
    # S, m and the noise are estimated as before.
    assert estimate(X, y, groups, rank=0, varied_noise=True).log_noise == found.log_noise
