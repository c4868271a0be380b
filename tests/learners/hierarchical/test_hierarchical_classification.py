"""Classifications against scikit-learn's logistic regression and numerical integration."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logsumexp
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from skmeta.learners.hierarchical._function_space import query_log_proba
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_codes,
    class_log_proba,
    find_mode,
    log_joint,
    newton_parts,
    times_factor,
)


def draw(n_classes, seed=0, n=30, q=3):
    rng = np.random.default_rng(seed)
    z = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
    y = (z @ rng.normal(size=(q, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(1)
    y[:n_classes] = np.arange(n_classes)
    return z, y


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_mode_is_a_ridge_penalised_logistic_regression(n_classes):
    z, y = draw(n_classes)
    q, codes = z.shape[1], class_codes(n_classes, torch.zeros(1).double())
    scale = 0.8
    j = codes.shape[1]
    mean, factor = torch.zeros(q, j).double(), scale * torch.eye(q).double().repeat(j, 1, 1)
    p = torch.from_numpy(np.eye(n_classes)[y])
    w = torch.ones(len(y)).double()
    u = find_mode(ClassTask(torch.from_numpy(z), p, w, mean, factor, codes))
    found = (times_factor(u, factor) @ codes.T).numpy()
    model = LogisticRegression(C=scale**2, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = model.fit(z, y).coef_.T
    if n_classes == 2:
        found = found[:, 1:] - found[:, :1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def integrate(z, y, scale, at, n_classes):
    """Evidence, and mean probabilities at rows, by a grid over two coefficients, or drawn ones."""
    if n_classes == 2:
        grid = np.linspace(-8, 8, 401)
        a, b = (part.ravel() for part in np.meshgrid(grid, grid))
        log_prior = norm.logpdf(a) + norm.logpdf(b) + 2 * np.log(grid[1] - grid[0])
        coefficients = scale * np.stack([a, b])
        eta = z @ coefficients
        log_likelihood = np.where(y[:, None] == 1, -np.logaddexp(0, -eta), -np.logaddexp(0, eta))
        joint = log_prior + log_likelihood.sum(0)
        evidence = logsumexp(joint)
        p = expit(at @ coefficients) @ np.exp(joint - evidence)
        return evidence, np.stack([1 - p, p], 1)
    rng = np.random.default_rng(0)
    coefficients = scale * rng.normal(size=(200_000, z.shape[1], n_classes))
    log_p = log_softmax(np.einsum("nq,mqc->mnc", z, coefficients), 2)
    joint = log_p[:, np.arange(len(y)), y].sum(1)
    weight = np.exp(joint - logsumexp(joint))
    p = np.exp(log_softmax(np.einsum("nq,mqc->mnc", at, coefficients), 2))
    return logsumexp(joint) - np.log(len(joint)), np.einsum("m,mnc->nc", weight, p)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_laplace_is_close_to_numerical_integration(n_classes):
    z, y = draw(n_classes, seed=3, n=8, q=2)
    at, scale = np.array([[1.0, -1.5], [1.0, 0.0], [1.0, 2.0]]), 1.5
    codes = class_codes(n_classes, torch.zeros(1).double())
    j = codes.shape[1]
    mean, factor = torch.zeros(2, j).double(), scale * torch.eye(2).double().repeat(j, 1, 1)
    p = torch.from_numpy(np.eye(n_classes)[y])
    task = ClassTask(torch.from_numpy(z), p, torch.ones(len(y)).double(), mean, factor, codes)
    found = class_log_proba(find_mode(task), task, torch.from_numpy(at)).exp()
    evidence, expected = integrate(z, y, scale, at, n_classes)
    np.testing.assert_allclose(found, expected, atol=0.006)
    # The marginal likelihood, with coefficients of variance scale^2 around a mean of 0.
    u = find_mode(task)
    precision = newton_parts(u, task)[1]
    approximate = log_joint(u, task) - 0.5 * torch.logdet(precision)
    np.testing.assert_allclose(approximate, evidence, atol=0.25)


@pytest.mark.parametrize(("mean", "scale"), [(-9.7, 20.0), (-9.7, 5.0), (3.0, 1.0), (-30.0, 30.0)])
@pytest.mark.parametrize("labels", [[0], [1], [1, 1, 0], [1, 1, 1, 0, 0, 1, 0, 1]])
def test_a_mode_is_found_from_a_prior_that_is_far_off(mean, scale, labels):
    # Where the prior has its mean, the likelihood is almost flat.
    y = np.array(labels)
    z = torch.ones(len(y), 1).double()
    of_prior = torch.tensor([[mean]]).double(), torch.tensor([[[scale]]]).double()
    p, w = torch.from_numpy(np.eye(2)[y]), torch.ones(len(y)).double()
    task = ClassTask(z, p, w, *of_prior, class_codes(2, z))
    eta = mean + scale * np.linspace(-12, 12, 100_001)
    log_p = norm.logpdf(eta, mean, scale) - np.logaddexp(0, -eta[:, None] * (2 * y - 1)).sum(1)
    weight = np.exp(log_p - logsumexp(log_p))
    mode = find_mode(task)
    for log_proba in (class_log_proba, query_log_proba):
        found = float(log_proba(mode, task, torch.ones(1, 1).double()).exp()[0, 1])
        np.testing.assert_allclose(found, weight @ expit(eta), atol=0.03)
