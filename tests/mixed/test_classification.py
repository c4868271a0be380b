"""Estimates and predictions of classifications against numerical integration."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logsumexp
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from skmeta._mixed import Classes, ConditionedGroups, CovarianceShape, Evidence, fit_groups
from skmeta._mixed._conditioned import sorted_rows


def draw(n_classes, seed=0, n=30, q=3):
    rng = np.random.default_rng(seed)
    z = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
    y = (z @ rng.normal(size=(q, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(1)
    y[:n_classes] = np.arange(n_classes)
    return z, y


def evidence_of(z, y, codes, n_classes, shape, columns):
    w = np.ones(len(y))
    rows = sorted_rows(z, y, w, codes[:, None], (np.array(columns),), Classes(n_classes))[1]
    rows.tolerance = 1e-8
    return Evidence(rows, [shape], z.shape[1])


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


def laplace_evidence(z, y, scale, n_classes):
    """The evidence of one task given m = 0, from that where m is integrated out."""
    j = 1 if n_classes == 2 else n_classes
    shape = CovarianceShape(2, j, 0, 0.0)
    whole = evidence_of(z, y, np.zeros(len(y), int), n_classes, shape, [0, 1])
    at = np.concatenate([np.full(2 * j, np.log(scale)), np.zeros(2 * j), [0.0]])
    of_mean = np.diag([0.01, 1e-6] * j)
    information = of_mean + whole.integrate(at).whole
    change = np.linalg.slogdet(information)[1] - np.linalg.slogdet(of_mean)[1]
    return -whole.evaluate(at).value + 0.5 * change


@pytest.mark.parametrize("seed", [0, 1, 3])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_evidence_and_probabilities_are_close_to_numerical_integration(n_classes, seed):
    z, y = draw(n_classes, seed=seed, n=8, q=2)
    at, scale = np.array([[1.0, -1.5], [1.0, 0.0], [1.0, 2.0]]), 1.5
    evidence, expected = integrate(z, y, scale, at, n_classes)
    # The mode has less than the mass of the likelihood's tails: the approximation is below it.
    assert -0.25 < laplace_evidence(z, y, scale, n_classes) - evidence < 0
    j = 1 if n_classes == 2 else n_classes
    prior = Classes(n_classes), np.zeros((j, 2)), np.tile(scale**2 * np.eye(2), (j, 1, 1))
    given = ConditionedGroups(*prior, z, y, np.ones(len(y)), np.zeros(len(y), int))
    error = np.abs(given.predict(at, np.zeros(3, int)).mean - expected)
    assert error.max() < (0.003 if n_classes == 2 else 0.01)
    assert error.mean() < (0.002 if n_classes == 2 else 0.006)
    # A group without rows is predicted by the prior.
    alone = given.predict(at, np.ones(3, int)).mean
    np.testing.assert_allclose(alone, 1 / n_classes, atol=0.03)


def test_groups_are_predicted_one_as_all():
    rng = np.random.default_rng(0)
    z, y = draw(3, n=60)
    codes = np.repeat(np.arange(6), [1, 3, 5, 11, 20, 20])
    prior = Classes(3), np.zeros((3, 3)), np.tile(0.64 * np.eye(3), (3, 1, 1))
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
    codes = np.repeat(np.arange(6), [4, 6, 8, 10, 14, 18])
    shape = CovarianceShape(2, 1 if n_classes == 2 else n_classes, 1, 1.0)
    evidence = evidence_of(z, y, codes, n_classes, shape, [0, 1])
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


def test_variance_of_intercepts_is_found():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 30)
    X = rng.normal(size=(6000, 1))
    eta = 0.5 + X[:, 0] + 1.2 * rng.normal(size=200)[groups]
    y = (eta + rng.logistic(size=6000) > 0).astype(int)
    z = np.column_stack([np.ones(6000), X])
    found = fit_groups(z, y, groups, Classes(2), effects="correlated", rank=1)
    errors = np.sqrt(np.diag(found.mean_covariance))
    assert (abs(found.mean[0] - [0.5, 1.0]) < 3 * errors).all()
    # Over twelve seeds, slopes vary by .04.
    assert errors[1] == pytest.approx(0.038, rel=0.05)
    np.testing.assert_allclose(np.sqrt(found.covariance[0, 0, 0]), 1.2, rtol=0.1)
    assert np.sqrt(found.covariance[0, 1, 1]) < 0.15
    # The standard error of the mean intercept: 1.2 / sqrt(200), and a little for the rows.
    np.testing.assert_allclose(np.sqrt(found.mean_covariance[0, 0]), 0.09, rtol=0.1)


def test_variance_is_found_where_tasks_have_mostly_one_class():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(150), 12)
    effects = 3.0 * rng.normal(size=(150, 4))
    y = (effects[groups] + rng.gumbel(size=(1800, 4))).argmax(1)
    z = np.column_stack([np.ones(1800), rng.normal(size=(1800, 2))])
    found = fit_groups(z, y, groups, Classes(4), effects="intercept")
    # Laplace's approximation is rough here, and what all classes share is not identified.
    between = found.covariance[:, 0, 0]
    ratio = np.sqrt((between[:, None] + between) / 2) / 3.0
    assert ((ratio > 0.55) & (ratio < 1)).all()
    # From modes of small effects to those of large ones, the evidence stays what it is.
    mean, shape = np.zeros(4 * 3 + 1), CovarianceShape(1, 4, 0, 1.0)
    at = [np.concatenate([np.full(4, np.log(d)), mean]) for d in (0.5, 20.0)]
    evidence, fresh = (evidence_of(z, y, groups, 4, shape, [0]) for _ in range(2))
    evidence.evaluate(at[0])
    assert evidence.evaluate(at[1]).value == pytest.approx(fresh.evaluate(at[1]).value, rel=1e-6)


def test_labels_of_classes_do_not_matter():
    z, y = draw(3, n=90)
    groups = np.repeat(np.arange(9), 10)
    turn = np.array([2, 0, 1])
    first = fit_groups(z, y, groups, Classes(3), effects="correlated", rank=1)
    second = fit_groups(z, turn[y], groups, Classes(3), effects="correlated", rank=1)
    np.testing.assert_allclose(second.mean[turn], first.mean, atol=2e-3)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_mode_is_a_ridge_penalised_logistic_regression(n_classes):
    z, y = draw(n_classes)
    j, scale = 1 if n_classes == 2 else n_classes, 0.8
    size, one = j * z.shape[1], np.zeros((len(y), 1), int)
    rows = sorted_rows(z, y, np.ones(len(y)), one, (np.arange(z.shape[1]),), Classes(n_classes))[1]
    rows.tolerance = 1e-7
    mode = rows.solve(np.zeros(size), [scale * np.eye(size)], np.zeros(0))
    model = LogisticRegression(C=scale**2, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = model.fit(z, y).coef_
    np.testing.assert_allclose(scale * mode.u[0].reshape(j, -1), expected, atol=1e-5)


@pytest.mark.parametrize(("mean", "scale"), [(-9.7, 20.0), (-30.0, 5.0), (0.0, 20.0), (3.0, 30.0)])
@pytest.mark.parametrize("labels", [[0], [1] * 8, [0] * 20, [1, 1, 0], [1, 1, 1, 0, 0, 1, 0, 1]])
def test_probabilities_with_a_wide_prior_are_close_to_numerical_integration(mean, scale, labels):
    # Where the likelihood is almost flat, steps that are too long would swing to and fro.
    y, at = np.array(labels), np.linspace(-14, 14, 20_001)
    eta = mean + scale * at
    joint = norm.logpdf(at) - np.logaddexp(0, -eta[:, None] * (2 * y - 1)).sum(1)
    expected = np.exp(joint - logsumexp(joint)) @ expit(eta)
    prior = Classes(2), np.array([[mean]]), np.array([[[scale**2]]])
    given = ConditionedGroups(*prior, np.ones((len(y), 1)), y, np.ones(len(y)), 0 * y)
    found = given.predict(np.ones((1, 1)), np.zeros(1, int)).mean[0, 1]
    assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("mean", "scale"), [(-9.7, 20.0), (-9.7, 5.0), (3.0, 1.0), (-30.0, 30.0)])
@pytest.mark.parametrize("labels", [[0], [1], [1, 1, 0], [1, 1, 1, 0, 0, 1, 0, 1]])
def test_a_mode_is_found_from_a_prior_that_is_far_off(mean, scale, labels):
    # Where the prior has its mean, the likelihood is almost flat.
    y, at = np.array(labels), np.linspace(-12, 12, 100_001)
    eta = mean + scale * at
    log_p = norm.logpdf(at) - np.logaddexp(0, -eta[:, None] * (2 * y - 1)).sum(1)
    # One of many groups, whose others have their modes near the mean of the prior.
    X, codes = np.ones((len(y) + 9, 1)), np.append(np.zeros(len(y), int), 1 + np.arange(9) // 3)
    rows = sorted_rows(X, np.append(y, [0, 1, 1] * 3), X[:, 0], codes[:, None], ([0],), Classes(2))
    solution = rows[1].solve(np.array([mean]), [np.array([[scale]])], np.zeros(0))
    np.testing.assert_allclose(solution.u[0][0], at[log_p.argmax()], atol=1e-3)


def test_shorter_steps_find_no_better_slopes(monkeypatch):
    # With shrinkage, deviations of 0 are a local optimum.
    rng = np.random.default_rng(1)
    n_groups, size = int(rng.choice([30, 100, 250])), int(rng.choice([8, 17, 40]))
    groups = np.repeat(np.arange(n_groups), size)
    z = np.column_stack([np.ones(len(groups)), rng.normal(size=(len(groups), 5))])
    effects = rng.normal(size=(n_groups, 6, 3)) * rng.choice([0, 0.2, 0.4, 0.8], 6)[:, None]
    effects[:, 0] *= 2
    eta = np.einsum("nq,nqc->nc", z, effects[groups])
    y = (eta + rng.gumbel(size=eta.shape)).argmax(1)
    found = fit_groups(z, y, groups, Classes(3))
    monkeypatch.setattr("skmeta._mixed._covariance._LONGEST_SCALE_STEP", 0.2)
    expected = fit_groups(z, y, groups, Classes(3))
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=0.01)
