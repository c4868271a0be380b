"""Regressions against lme4, statsmodels and Gaussian processes."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from mixed_tables import draw_tasks, load_sleepstudy

from skmeta import MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear
from skmeta.learners.hierarchical import condition_mixed_model, target_moments


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


def test_derivatives_equal_finite_differences(problem):
    model, _, z, y, at = problem

    def values(bias, factor, log_noise, z):
        changed = model | {"bias": bias, "factor": factor, "log_noise": log_noise}
        return target_moments(condition_mixed_model(changed, z, y, torch.ones(6), None), at)

    leaves = [model["bias"], model["factor"], model["log_noise"], z]
    assert torch.autograd.gradcheck(values, [leaf.clone().requires_grad_() for leaf in leaves])


def test_intervals_hold_the_share_they_promise():
    X, y, groups = draw_tasks(3, n_tasks=120)
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
