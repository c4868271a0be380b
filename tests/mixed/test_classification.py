"""Estimates and predictions of classifications against numerical integration."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logsumexp, softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from skmeta.mixed import (
    ClassRows,
    ConditionedGroups,
    CovarianceShape,
    Evidence,
    OneFactor,
    find_mode,
)
from skmeta.mixed._model import _batches


def draw(n_classes, seed=0, n=30, q=3):
    rng = np.random.default_rng(seed)
    z = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
    y = (z @ rng.normal(size=(q, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(1)
    y[:n_classes] = np.arange(n_classes)
    return z, y


def integrate(z, y, scale, at, n_classes):
    """Mean probabilities at rows, by a grid over two coefficients, or drawn ones."""
    if n_classes == 2:
        grid = np.linspace(-8, 8, 401)
        a, b = (part.ravel() for part in np.meshgrid(grid, grid))
        coefficients = scale * np.stack([a, b])
        eta = z @ coefficients
        log_likelihood = np.where(y[:, None] == 1, -np.logaddexp(0, -eta), -np.logaddexp(0, eta))
        joint = norm.logpdf(a) + norm.logpdf(b) + log_likelihood.sum(0)
        p = expit(at @ coefficients) @ np.exp(joint - logsumexp(joint))
        return np.stack([1 - p, p], 1)
    rng = np.random.default_rng(0)
    coefficients = scale * rng.normal(size=(200_000, z.shape[1], n_classes))
    log_p = log_softmax(np.einsum("nq,mqc->mnc", z, coefficients), 2)
    joint = log_p[:, np.arange(len(y)), y].sum(1)
    weight = np.exp(joint - logsumexp(joint))
    return np.einsum("m,mnc->nc", weight, softmax(np.einsum("nq,mqc->mnc", at, coefficients), 2))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_close_to_numerical_integration(n_classes):
    z, y = draw(n_classes, seed=1, n=8, q=2)
    at, scale = np.array([[1.0, -1.5], [1.0, 0.0], [1.0, 2.0]]), 1.5
    expected = integrate(z, y, scale, at, n_classes)
    j = 1 if n_classes == 2 else n_classes
    prior = n_classes, np.zeros(2 * j), scale * np.eye(2 * j), 1.0
    given = ConditionedGroups(*prior, z, y, np.ones(len(y)), np.zeros(len(y), int))
    error = np.abs(given.predict(at, np.zeros(3, int)).mean - expected)
    assert error.max() < (0.003 if n_classes == 2 else 0.01)
    # A group without rows is predicted by the prior.
    alone = given.predict(at, np.ones(3, int)).mean
    np.testing.assert_allclose(alone, 1 / n_classes, atol=0.03)


def test_groups_are_predicted_one_as_all():
    rng = np.random.default_rng(0)
    z, y = draw(3, n=60)
    codes = np.repeat(np.arange(6), [1, 3, 5, 11, 20, 20])
    prior = 3, np.zeros(9), 0.8 * np.eye(9), 1.0
    weight = rng.choice([1.0, 2.0], 60)
    given = ConditionedGroups(*prior, z, y, weight, codes)
    at, codes_at = rng.normal(size=(40, 3)), rng.integers(8, size=40)
    found = given.predict(at, codes_at).mean
    for k in range(8):
        own, rows = codes == k, codes_at == k
        own_codes = np.zeros(own.sum(), int)
        alone = ConditionedGroups(*prior, z[own], y[own], weight[own], own_codes)
        expected = alone.predict(at[rows], np.zeros(rows.sum(), int)).mean
        np.testing.assert_allclose(found[rows], expected, atol=1e-6)
    # Weights are numbers of repetitions.
    often = np.repeat(np.arange(60), weight.astype(int))
    repeated = ConditionedGroups(*prior, z[often], y[often], np.ones(len(often)), codes[often])
    np.testing.assert_allclose(repeated.predict(at, codes_at).mean, found, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_of_the_evidence_equals_finite_differences(n_classes):
    z, y = draw(n_classes, n=60)
    batches = _batches(z, y, np.repeat(np.arange(6), [4, 6, 8, 10, 14, 18]), n_classes)
    assert len(batches) > 1
    j = 1 if n_classes == 2 else n_classes
    shape = CovarianceShape(np.array([True, True, False]), j, 1, 1.0)
    evidence = Evidence(OneFactor(batches), [shape])
    evidence.rows.tolerance = 1e-8
    rng = np.random.default_rng(0)
    at = 0.3 * rng.normal(size=len(evidence.start()))
    found = evidence.evaluate(at)
    hessian = found.curvature()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    for _ in range(5):
        direction = rng.normal(size=len(at))
        up, down = (evidence.evaluate(at + e * direction) for e in (1e-4, -1e-4))
        slope = (up.value - down.value) / 2e-4
        np.testing.assert_allclose(found.gradient @ direction, slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_mode_is_a_ridge_penalised_logistic_regression(n_classes):
    z, y = draw(n_classes)
    j, scale = 1 if n_classes == 2 else n_classes, 0.8
    rows = ClassRows(z, np.eye(n_classes)[y], np.ones(len(y)))
    size = j * z.shape[1]
    mode = find_mode(rows, np.zeros(size), scale * np.eye(size), np.zeros(size))
    model = LogisticRegression(C=scale**2, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = model.fit(z, y).coef_
    np.testing.assert_allclose(scale * mode.u.reshape(j, -1), expected, atol=1e-5)


@pytest.mark.parametrize(("mean", "scale"), [(-9.7, 20.0), (-30.0, 5.0), (0.0, 20.0), (3.0, 30.0)])
@pytest.mark.parametrize("labels", [[0], [1] * 8, [0] * 20, [1, 1, 0], [1, 1, 1, 0, 0, 1, 0, 1]])
def test_probabilities_with_a_wide_prior_are_close_to_numerical_integration(mean, scale, labels):
    # Where the likelihood is almost flat, steps that are too long would swing to and fro.
    y, at = np.array(labels), np.linspace(-14, 14, 20_001)
    eta = mean + scale * at
    joint = norm.logpdf(at) - np.logaddexp(0, -eta[:, None] * (2 * y - 1)).sum(1)
    expected = np.exp(joint - logsumexp(joint)) @ expit(eta)
    prior = 2, np.array([mean]), np.array([[scale]]), 1.0
    given = ConditionedGroups(*prior, np.ones((len(y), 1)), y, np.ones(len(y)), 0 * y)
    found = given.predict(np.ones((1, 1)), np.zeros(1, int)).mean[0, 1]
    assert found == pytest.approx(expected, abs=0.03)
