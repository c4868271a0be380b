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
from skmeta.learners.hierarchical._gaussian import (
    effect_scales,
    mixture_log_density,
    mixture_moments,
    mixture_quantiles,
    noise_levels,
    predictive,
    regression_posterior,
)


def made_tasks(seed, n_tasks=40, n_rows=12, n_features=3):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), n_features))
    effects = rng.normal(size=(n_tasks, n_features + 1)) * np.r_[1.0, 0.5, np.zeros(n_features - 1)]
    slopes = np.r_[0.3, 1.0, -0.5, np.zeros(n_features - 2)]
    coefficients = slopes + effects
    y = (np.column_stack([np.ones(len(X)), X]) * coefficients[groups]).sum(1)
    return X, y + 0.7 * rng.normal(size=len(y)), groups


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
