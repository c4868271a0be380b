"""Classifications against scikit-learn's logistic regression and numerical integration."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logsumexp
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from skmeta.learners.hierarchical._class_evidence import ClassEvidence, batch_tasks
from skmeta.learners.hierarchical._classification import fit_classification
from skmeta.learners.hierarchical._covariance import CovarianceShape
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
    np.testing.assert_allclose(
        laplace_evidence(z, y, scale, n_classes), approximate.item(), rtol=1e-6
    )


def laplace_evidence(z, y, scale, n_classes):
    """The evidence of one task given m = 0, from that where m is integrated out."""
    j = 1 if n_classes == 2 else n_classes
    shape = CovarianceShape(torch.ones(2, dtype=bool), j, 0, 0.0)
    whole = ClassEvidence(batch_tasks(z, y, np.zeros(len(y), int), n_classes), shape)
    whole.tolerance = 1e-8
    at = np.concatenate([np.full(2 * j, np.log(scale)), np.zeros(2 * j), [0.0]])
    of_mean = torch.diag(torch.tensor([0.01, 1e-6] * j).double())
    information = of_mean.clone()
    for mode in whole._modes(torch.zeros(2 * j).double(), shape.root(torch.from_numpy(at))):
        information += whole._weights(mode, shape.root(torch.from_numpy(at)))[0].sum(0)
    return -whole.evaluate(at).value + 0.5 * float(
        torch.logdet(information) - torch.logdet(of_mean)
    )


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


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_of_the_evidence_equals_finite_differences(n_classes):
    z, y = draw(n_classes, n=60)
    batches = batch_tasks(z, y, np.repeat(np.arange(6), [4, 6, 8, 10, 14, 18]), n_classes)
    assert len(batches) > 1
    j = 1 if n_classes == 2 else n_classes
    shape = CovarianceShape(torch.tensor([True, True, False]), j, 1, 1.0)
    evidence = ClassEvidence(batches, shape)
    evidence.tolerance = 1e-8
    rng = np.random.default_rng(0)
    at = 0.3 * rng.normal(size=shape.n_parameters + evidence.n_mean + 1)
    found = evidence.evaluate(at)
    hessian = found.curvature()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    for _ in range(5):
        direction = rng.normal(size=len(at))
        up, down = (evidence.evaluate(at + e * direction) for e in (1e-4, -1e-4))
        slope = (up.value - down.value) / 2e-4
        np.testing.assert_allclose(found.gradient @ direction, slope, rtol=1e-6, atol=1e-6)


def test_variance_of_intercepts_is_found():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 30)
    X = rng.normal(size=(6000, 1))
    eta = 0.5 + X[:, 0] + 1.2 * rng.normal(size=200)[groups]
    y = (eta + rng.logistic(size=6000) > 0).astype(int)
    z = np.column_stack([np.ones(6000), X])
    shape = CovarianceShape(torch.tensor([True, True]), 1, 1, 1.0)
    found = fit_classification(batch_tasks(z, y, groups, 2), shape, 2).prior
    np.testing.assert_allclose(found.mean[:, 0], [0.5, 1.0], atol=0.2)
    np.testing.assert_allclose(found.covariance[0, 0, 0].sqrt(), 1.2, rtol=0.1)
    assert found.covariance[0, 1, 1].sqrt() < 0.15
    # The standard error of the mean intercept: 1.2 / sqrt(200), and a little for the rows.
    np.testing.assert_allclose(found.mean_covariance[0, 0, 0].sqrt(), 0.09, rtol=0.1)


def test_variance_is_found_where_tasks_have_mostly_one_class():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(150), 12)
    effects = 3.0 * rng.normal(size=(150, 4))
    y = (effects[groups] + rng.gumbel(size=(1800, 4))).argmax(1)
    z = np.column_stack([np.ones(1800), rng.normal(size=(1800, 2))])
    shape = CovarianceShape(torch.tensor([True, False, False]), 4, 0, 1.0)
    batches = batch_tasks(z, y, groups, 4)
    found = fit_classification(batches, shape, 4).prior
    # Laplace's approximation is rough here, and what all classes share is not identified.
    between = found.covariance[:, 0, 0]
    np.testing.assert_allclose((between[:, None] + between).sqrt(), 3.0 * 2**0.5, rtol=0.45)
    # From modes of small effects to those of large ones, the evidence stays what it is.
    mean = np.zeros(4 * 3 + 1)
    at = [np.concatenate([np.full(12, np.log(d)), mean]) for d in (0.5, 20.0)]
    evidence, fresh = ClassEvidence(batches, shape), ClassEvidence(batches, shape)
    evidence.evaluate(at[0])
    assert evidence.evaluate(at[1]).value == pytest.approx(fresh.evaluate(at[1]).value, rel=1e-6)


def test_labels_of_classes_do_not_matter():
    z, y = draw(3, n=90)
    groups = np.repeat(np.arange(9), 10)
    turn = np.array([2, 0, 1])
    shape = CovarianceShape(torch.ones(3, dtype=bool), 3, 1, 1.0)
    first = fit_classification(batch_tasks(z, y, groups, 3), shape, 3).prior
    second = fit_classification(batch_tasks(z, turn[y], groups, 3), shape, 3).prior
    torch.testing.assert_close(second.mean[:, turn], first.mean, atol=2e-3, rtol=0)
