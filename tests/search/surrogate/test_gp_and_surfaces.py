"""Gaussian processes, and the surfaces of past tasks that they learn."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta._tabular import cholesky
from skmeta.search.space import Encoding
from skmeta.search.surrogate import learn_surfaces, standardise
from skmeta.search.surrogate._gp import (
    correlation,
    fit_kernel,
    group_distances,
    matern,
    negative_log_posterior,
    prior_moments,
    scale_columns,
)

GROUPS = np.array([0, 1, 1])
JITTER = 1e-8


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.random((12, 3))
    return X, np.sin(6 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(12)


def dense(theta, X, y):
    kernel = np.exp(theta[2]) * Matern(np.exp(theta[:2])[GROUPS], nu=2.5)
    return kernel(X) + (np.exp(theta[3]) + JITTER) * np.eye(len(y))


def test_matern_is_scikit_learns(data):
    X, _ = data
    scales = np.array([0.5, 2.0])
    Z = scale_columns(X, GROUPS, scales)
    expected = Matern(scales[GROUPS], nu=2.5)(X, X[:4])
    np.testing.assert_allclose(matern(Z, Z[:4]), expected, atol=1e-7)
    assert matern(Z.astype(np.float32), Z[:4].astype(np.float32)).dtype == np.float32
    assert correlation(np.array([-1e-12]))[0] == 1  # rounding below zero


@pytest.mark.parametrize("theta", [[-0.4, 0.2, 0.3, -4.0], [1.0, -1.5, -0.5, 0.0]])
def test_value_is_evidence_and_prior(data, theta):
    X, y = data
    theta = np.array(theta)
    value, _ = negative_log_posterior(theta, group_distances(X, GROUPS, 2), y)
    mean, deviation = prior_moments(2)
    evidence = multivariate_normal(np.zeros(12), dense(theta, X, y)).logpdf(y)
    pull = norm.logpdf(theta, mean, deviation) - norm.logpdf(mean, mean, deviation)
    assert value == pytest.approx(-evidence - pull.sum(), rel=1e-10)


@pytest.mark.parametrize("theta", [[-0.4, 0.2, 0.3, -4.0], [1.0, -1.5, -0.5, 0.0]])
def test_gradient_is_that_of_finite_differences(data, theta):
    X, y = data
    D = group_distances(X, GROUPS, 2)
    _, gradient = negative_log_posterior(np.array(theta), D, y)
    by_differences = approx_fprime(
        np.array(theta), lambda t: negative_log_posterior(t, D, y)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, by_differences, rtol=1e-5, atol=1e-5)


def test_fitted_kernel_is_a_stationary_point_of_greatest_density(data):
    X, y = data
    D = group_distances(X, GROUPS, 2)
    theta = fit_kernel([D], [y], max_iter=200)
    value, gradient = negative_log_posterior(theta, D, y)
    assert np.abs(gradient).max() < 1e-2
    others = theta + 0.3 * np.random.default_rng(0).standard_normal((20, 4))
    assert all(value < negative_log_posterior(t, D, y)[0] for t in others)


def test_no_jitter_makes_scores_that_are_not_finite_a_covariance():
    with pytest.raises(np.linalg.LinAlgError, match="Check that the values are finite"):
        cholesky(np.array([[1.0, np.nan], [np.nan, 1.0]]))


def make_task(seed, n=40, noise=0.05):
    rng = np.random.default_rng(seed)
    configurations = [{"a": float(a), "b": float(b)} for a, b in rng.random((n, 2))]
    a, b = np.array([[*c.values()] for c in configurations]).T
    y = np.sin(4 * a + 0.3 * seed) + b**2 + noise * rng.standard_normal(n)
    return configurations, standardise(y)


def learn(tasks):
    encoding = Encoding.from_searches([c for c, _ in tasks])
    X = [encoding.transform(c) for c, _ in tasks]
    y = [scores for _, scores in tasks]
    return encoding, X, y, learn_surfaces(encoding, X, y)


def rows_of(X, t):
    end = np.cumsum([0, *map(len, X)])
    return slice(end[t], end[t + 1])


def surface_of(learned, rows):
    X = learned["X"]
    return matern(X, X[rows]) @ learned["weights"][rows]


def oracle(Z, y, noise):
    """Scikit-learn's posterior with a mean of which nothing is known."""
    kernel = ConstantKernel(1e6, "fixed") + Matern(1.0, "fixed", nu=2.5)
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(Z, y)


@pytest.fixture(scope="module")
def three():
    return learn([make_task(0), make_task(1), make_task(2, n=25, noise=0.6)])


def test_surfaces_are_scikit_learns_posteriors_standardised(three):
    encoding, X, y, learned = three
    D = [group_distances(x, encoding.groups, 2) for x in X]
    theta = fit_kernel(D, y)
    np.testing.assert_allclose(learned["length_scales"], np.exp(theta[:2]), rtol=1e-6)
    Z = learned["X"]
    np.testing.assert_allclose(Z, np.concatenate(X) / learned["length_scales"], rtol=1e-3)
    for t in range(3):
        rows = rows_of(X, t)
        candidates = np.exp(theta[3] - theta[2]) * np.array([0.1, 1.0, 10.0])
        noise = candidates[np.argmax([best_density(Z[rows], y[t], e) for e in candidates])]
        expected = oracle(Z[rows], y[t], noise).predict(Z)
        actual = surface_of(learned, rows)
        # Standardised: the same up to location and a positive scale.
        slope, intercept = np.polyfit(expected, actual, 1)
        np.testing.assert_allclose(actual, intercept + slope * expected, atol=1e-4)
        assert slope > 0


def best_density(Z, y, noise):
    """Greatest density of the scores over mean and amplitude, by search over a grid."""
    K = Matern(1.0, nu=2.5)(Z) + noise * np.eye(len(y))
    solved = np.linalg.solve(K, np.column_stack([y, np.ones(len(y))]))
    mean = np.full(len(y), solved[:, 0].sum() / solved[:, 1].sum())
    grid = np.geomspace(0.01, 100, 100)
    return max(multivariate_normal(mean, s * K).logpdf(y) for s in grid)
