"""Regressions against lme4, statsmodels and Gaussian processes."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sleepstudy import load_sleepstudy

from skmeta import MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear
from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._gaussian import (
    effect_scales,
    mixture_log_density,
    mixture_moments,
    mixture_quantiles,
    noise_levels,
    predictive,
    regression_posterior,
)
from skmeta.learners.hierarchical._gaussian_evidence import GaussianEvidence, task_statistics
from skmeta.learners.hierarchical._regression import (
    estimate_structures,
    fit_regression,
)


def estimate(X, y, groups, *, rank=1, varies=None, shrinkage=0.0, **varied):
    """Estimates in the units of a design of standardised columns, and that design."""
    codes = np.unique(groups, return_inverse=True)[1]
    z = np.column_stack([np.ones(len(X)), X])
    varies = torch.ones(z.shape[1], dtype=bool) if varies is None else torch.tensor(varies)
    shape = CovarianceShape(varies, 1, rank, shrinkage)
    varied = {"varied_noise": False, "heavy_tails": False} | varied
    return fit_regression(task_statistics(z, y, codes), shape, **varied).prior


def in_raw_units(prior, X, y):
    """Mean, covariance and noise of coefficients of columns that are not standardised."""
    mean, scale = X.mean(0), X.std(0)
    back = np.diag(np.r_[1.0, 1 / scale])
    back[0, 1:] = -mean / scale
    back = back * y.std()
    centre = np.r_[y.mean(), np.zeros(len(mean))]
    return (
        back @ prior.mean.numpy() + centre,
        back @ prior.covariance.numpy() @ back.T,
        back @ prior.mean_covariance.numpy() @ back.T,
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


def test_the_fit_of_many_tasks_starts_from_some_and_ends_where_that_of_all_does():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(900), 5)
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=len(codes))])
    effects = rng.normal(size=(900, 2)) @ [[0.6, 0.2], [0.0, 0.3]]
    noise = np.exp(0.3 * rng.normal(size=900))[codes]
    y = (z * effects[codes]).sum(1) + 0.5 * noise * rng.normal(size=len(codes))
    shape = CovarianceShape(torch.tensor([True, True]), 1, 1, 0.0)
    varied = {"varied_noise": True, "heavy_tails": False}
    found = estimate_structures(z, y, codes, [shape], **varied)
    expected = fit_regression(task_statistics(z, y, codes), shape, **varied).prior
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=0.01)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-3)
    np.testing.assert_allclose(found.log_noise, expected.log_noise, atol=5e-3)
    np.testing.assert_allclose(found.log_spread, expected.log_spread, atol=0.02)
    # Estimates from a part alone are further off.
    part = codes < 400
    of_part = estimate_structures(z[part], y[part], codes[part], [shape], **varied)
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
    shape = CovarianceShape(torch.tensor([True, True, False, True]), 1, 2, shrinkage)
    evidence = GaussianEvidence(task_statistics(z, y, groups), shape)
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
    shape = CovarianceShape(torch.ones(4, dtype=bool), 1, 1, 1.0)
    evidence = GaussianEvidence(task_statistics(z, y, groups), shape)
    rng, values = np.random.default_rng(0), []
    for _ in range(2):
        at = 0.4 * rng.normal(size=shape.n_parameters + 2)
        covariance = shape.covariance(torch.from_numpy(at)).numpy()[0]
        prior = np.diag(np.r_[1e5, np.full(3, np.exp(2 * at[-1]))])
        whole = z @ covariance @ z.T * (groups[:, None] == groups) + z @ prior @ z.T
        whole += np.exp(2 * at[-2]) * np.eye(len(y))
        density = stats.multivariate_normal(np.zeros(len(y)), whole).logpdf(y)
        values.append(-density + float(shape.penalty(torch.from_numpy(at))))
        values.append(evidence.evaluate(at).value)
    # They differ by a constant.
    np.testing.assert_allclose(values[2] - values[0], values[3] - values[1], rtol=1e-5)


def test_random_intercept_agrees_with_statsmodels():
    X, y, groups = made_tasks(0)
    found = estimate(X, y, groups, rank=0, varies=[True, False, False, False])
    fitted = sm.MixedLM(y, sm.add_constant(X), groups).fit(reml=True)
    np.testing.assert_allclose(found.mean, fitted.fe_params, atol=1e-3)
    np.testing.assert_allclose(found.covariance[0, 0], fitted.cov_re[0, 0], rtol=2e-3)
    np.testing.assert_allclose(np.exp(2 * found.log_noise), fitted.scale, rtol=1e-3)


def test_unneeded_slopes_vanish_and_needed_ones_stay():
    X, y, groups = made_tasks(1, n_tasks=200)
    found = estimate(X, y, groups, shrinkage=1.0, rank=2)
    deviations = np.sqrt(np.diag(found.covariance))
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


def test_a_task_that_is_far_from_the_others_is_not_taken_for_a_noisy_one():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(60), 12)
    scale, noise = np.exp(0.7 * rng.normal(size=(2, 60)))
    y = 3 * (scale * rng.normal(size=60))[groups] + (noise * 0.5)[groups] * rng.normal(size=720)
    X = rng.normal(size=(720, 1))
    far = {}
    for heavy in (False, True):
        prior = HierarchicalLinear(heavy_tails=heavy).fit(X, y, groups).prior_
        assert ("head.log_scale_spread" in prior.tensors) == heavy
        few = np.array([29.0, 30.0, 31.0])
        far[heavy] = MetaFewShotRegressor(prior).fit(X[:3], few).predict([[0.0]])[0]
    assert abs(far[True] - 30.0) < 0.5 * abs(far[False] - 30.0)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(6, generator=generator, dtype=torch.float64)
    mean = torch.randn(3, generator=generator, dtype=torch.float64)
    factor = torch.randn(3, 3, generator=generator, dtype=torch.float64).tril()
    at = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return z, y, mean, factor, at


def test_predictions_are_those_of_a_gaussian_process(problem):
    z, y, mean, factor, at = problem
    noise = torch.tensor([0.4], dtype=torch.float64)
    found = regression_posterior(z, y, torch.ones(6).double(), mean, factor, noise, noise * 0)
    centre, variance = predictive(found, at)
    # A linear kernel on rows times the factor has the covariance of the prior.
    process = GaussianProcessRegressor(
        DotProduct(sigma_0=1e-12, sigma_0_bounds="fixed"), alpha=0.16, optimizer=None
    ).fit((z @ factor).numpy(), (y - z @ mean).numpy())
    expected, std = process.predict((at @ factor).numpy(), return_std=True)
    np.testing.assert_allclose(centre[0], expected + (at @ mean).numpy(), rtol=1e-8)
    np.testing.assert_allclose(variance[0], std**2 + 0.16, rtol=1e-8)


def test_weights_are_numbers_of_repetitions(problem):
    z, y, mean, factor, _ = problem
    noise, log_weight = noise_levels(torch.tensor(-0.5).double(), torch.tensor(-0.3).double())
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0, 1.0]).double()
    often = torch.repeat_interleave(torch.arange(6), weight.long())
    found = regression_posterior(z, y, weight, mean, factor, noise, log_weight)
    ones = torch.ones(len(often)).double()
    expected = regression_posterior(z[often], y[often], ones, mean, factor, noise, log_weight)
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.log_weight, expected.log_weight)


def test_probabilities_of_noise_levels_follow_bayes(problem):
    z, y, mean, factor, _ = problem
    noise, log_weight = noise_levels(torch.tensor(-0.5).double(), torch.tensor(-0.3).double())
    found = regression_posterior(z, y, torch.ones(6).double(), mean, factor, noise, log_weight)
    zl = (z @ factor).numpy()
    evidence = [
        stats.multivariate_normal((z @ mean).numpy(), zl @ zl.T + s**2 * np.eye(6)).logpdf(y)
        for s in noise.numpy()
    ]
    expected = np.exp(log_weight.numpy() + evidence)
    np.testing.assert_allclose(found.log_weight.exp(), expected / expected.sum(), rtol=1e-8)


def test_scales_of_effects_are_integrated_out(problem):
    z, y, mean, factor, at = problem
    noise, log_weight = noise_levels(torch.tensor(-0.5).double(), torch.tensor(-0.3).double())
    scale, log_share = effect_scales(torch.tensor(-0.4).double(), like=z)
    found = regression_posterior(
        z, y, torch.ones(6).double(), mean, factor, noise, log_weight, scale, log_share
    )
    centre, variance = predictive(found, at)
    zl, al = (z @ factor).numpy(), (at @ factor).numpy()
    residual, rows = (y - z @ mean).numpy(), np.eye(6)
    evidences = []
    for k, sigma in enumerate(noise.numpy()):
        parts = []
        for s in scale.numpy():
            whole = s**2 * zl @ zl.T + sigma**2 * rows
            gain = s**2 * al @ zl.T @ np.linalg.inv(whole)
            own = s**2 * (al**2).sum(1) - s**2 * np.einsum("mn,mn->m", gain, al @ zl.T)
            evidence = stats.multivariate_normal(np.zeros(6), whole).logpdf(residual)
            parts.append((evidence, gain @ residual, own + sigma**2))
        evidence, means, variances = (np.array(of) for of in zip(*parts, strict=True))
        joint = np.exp(log_share.numpy() + evidence)
        p = joint / joint.sum()
        np.testing.assert_allclose(centre[k], p @ means + (at @ mean).numpy(), rtol=1e-8)
        expected = p @ (variances + (means - p @ means) ** 2)
        np.testing.assert_allclose(variance[k], expected, rtol=1e-8)
        evidences.append(joint.sum())
    expected = np.exp(log_weight.numpy()) * np.array(evidences)
    np.testing.assert_allclose(found.log_weight.exp(), expected / expected.sum(), rtol=1e-8)


def test_mixture_moments_quantiles_and_density_agree_with_draws():
    mean = torch.tensor([[0.0], [2.0]]).double()
    variance = torch.tensor([[1.0], [0.25]]).double()
    log_weight = torch.log(torch.tensor([0.7, 0.3]).double())
    rng = np.random.default_rng(0)
    first = rng.random(400_000) < 0.7
    draws = np.where(first, rng.normal(size=len(first)), 2 + 0.5 * rng.normal(size=len(first)))
    centre, spread = mixture_moments(mean, variance, log_weight)
    np.testing.assert_allclose([centre[0], spread[0]], [draws.mean(), draws.var()], rtol=0.02)
    levels = torch.tensor([0.05, 0.5, 0.95]).double()
    found = mixture_quantiles(mean, variance, log_weight, levels)[0]
    np.testing.assert_allclose(found, np.quantile(draws, levels), atol=0.02)
    near = (np.abs(draws - 1) < 0.05).mean() / 0.1
    density = mixture_log_density(mean, variance, log_weight, torch.ones(1).double()).exp()
    np.testing.assert_allclose(density[0], near, rtol=0.03)


def test_intervals_hold_the_share_they_promise():
    X, y, groups = made_tasks(3, n_tasks=120)
    prior = HierarchicalLinear().fit(X[groups < 60], y[groups < 60], groups[groups < 60]).prior_
    inside = []
    for task in range(60, 120):
        rows = np.flatnonzero(groups == task)
        reg = MetaFewShotRegressor(prior).fit(X[rows[:5]], y[rows[:5]])
        low, high = reg.predict_quantiles(X[rows[5:]], (0.05, 0.95)).T
        inside.append((low <= y[rows[5:]]) & (y[rows[5:]] <= high))
    assert 0.85 < np.mean(inside) < 0.95


def test_predictions_are_blups_of_statsmodels():
    X, y, subjects = load_sleepstudy()
    known = subjects != 372
    design = sm.add_constant(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = sm.MixedLM(y[known], design[known], subjects[known], exog_re=design[known]).fit()
    learner = HierarchicalLinear(
        effects="correlated", shrinkage=0.0, varied_noise=False, heavy_tails=False, rank=1
    )
    prior = learner.fit(X[known], y[known], groups=subjects[known]).prior_
    few = np.flatnonzero(subjects == 372)[:4]
    found = MetaFewShotRegressor(prior).fit(X[few], y[few]).predict(X[few])
    # By hand from the estimates of statsmodels; ours also knows how uncertain the mean is.
    cov = np.asarray(fitted.cov_re) + np.asarray(fitted.cov_params())[:2, :2]
    z = design[few]
    gain = cov @ z.T @ np.linalg.inv(z @ cov @ z.T + fitted.scale * np.eye(4))
    beta = np.asarray(fitted.fe_params) + gain @ (y[few] - z @ np.asarray(fitted.fe_params))
    np.testing.assert_allclose(found, z @ beta, rtol=1e-3)
