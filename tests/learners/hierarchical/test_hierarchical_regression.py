"""Regressions against lme4, statsmodels and Gaussian processes."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sleepstudy import load_sleepstudy

from skmeta import MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear
from skmeta.learners.hierarchical._mixed_model import condition_mixed_model, target_moments


def made_tasks(seed, n_tasks=40, n_rows=12, n_features=3):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), n_features))
    effects = rng.normal(size=(n_tasks, n_features + 1)) * np.r_[1.0, 0.5, np.zeros(n_features - 1)]
    slopes = np.r_[0.3, 1.0, -0.5, np.zeros(n_features - 2)]
    coefficients = slopes + effects
    y = (np.column_stack([np.ones(len(X)), X]) * coefficients[groups]).sum(1)
    return X, y + 0.7 * rng.normal(size=len(y)), groups


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(6, generator=generator, dtype=torch.float64)
    head = torch.randn(1, 3, generator=generator, dtype=torch.float64)
    factor = torch.randn(1, 3, 3, generator=generator, dtype=torch.float64).tril()
    model = {"weight": head[:, 1:], "bias": head[:, 0], "factor": factor}
    model["log_noise"] = torch.tensor(0.4).double().log()
    at = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return model, head[0], z, y, at


def test_predictions_are_those_of_a_gaussian_process(problem):
    model, mean, z, y, at = problem
    given = condition_mixed_model(model, z, y, torch.ones(6), None)
    centre, variance = target_moments(given, at)
    # A linear kernel on rows times the factor has the covariance of the prior.
    process = GaussianProcessRegressor(
        DotProduct(sigma_0=1e-12, sigma_0_bounds="fixed"), alpha=0.16, optimizer=None
    ).fit((z @ model["factor"][0]).numpy(), (y - z @ mean).numpy())
    expected, std = process.predict((at @ model["factor"][0]).numpy(), return_std=True)
    np.testing.assert_allclose(centre, expected + (at @ mean).numpy(), rtol=1e-6)
    np.testing.assert_allclose(variance, std**2 + 0.16, rtol=1e-6)


def test_weights_are_numbers_of_repetitions(problem):
    model, _, z, y, at = problem
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0, 1.0]).double()
    often = torch.repeat_interleave(torch.arange(6), weight.long())
    found = condition_mixed_model(model, z, y, weight, None)
    expected = condition_mixed_model(model, z[often], y[often], torch.ones(len(often)), None)
    torch.testing.assert_close(target_moments(found, at), target_moments(expected, at))


def test_derivatives_equal_finite_differences(problem):
    model, _, z, y, at = problem

    def values(bias, factor, log_noise, z):
        changed = model | {"bias": bias, "factor": factor, "log_noise": log_noise}
        return target_moments(condition_mixed_model(changed, z, y, torch.ones(6), None), at)

    leaves = [model["bias"], model["factor"], model["log_noise"], z]
    assert torch.autograd.gradcheck(values, [leaf.clone().requires_grad_() for leaf in leaves])


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
    learner = HierarchicalLinear(effects="correlated", shrinkage=0.0, rank=1)
    prior = learner.fit(X[known], y[known], groups=subjects[known]).prior_
    few = np.flatnonzero(subjects == 372)[:4]
    found = MetaFewShotRegressor(prior).fit(X[few], y[few]).predict(X[few])
    # By hand from the estimates of statsmodels; ours also knows how uncertain the mean is.
    cov = np.asarray(fitted.cov_re) + np.asarray(fitted.cov_params())[:2, :2]
    z = design[few]
    gain = cov @ z.T @ np.linalg.inv(z @ cov @ z.T + fitted.scale * np.eye(4))
    beta = np.asarray(fitted.fe_params) + gain @ (y[few] - z @ np.asarray(fitted.fe_params))
    np.testing.assert_allclose(found, z @ beta, rtol=1e-3)
