import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process.kernels import Matern

from skmeta.search.surrogate._gp import (
    correlation,
    fit_kernel,
    group_distances,
    matern,
    negative_log_posterior,
    prior_moments,
    scale_columns,
)
from skmeta.tabular import cholesky

GROUPS = np.array([0, 1, 1])
JITTER = 1e-8


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.random((12, 3))
    return X, np.sin(6 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(12)


def dense(theta, X, y):
    """Covariance of the observations, by scikit-learn."""
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


def test_tasks_share_a_kernel(data):
    X, y = data
    D = group_distances(X, GROUPS, 2)
    alone = fit_kernel([D], [y])
    # The prior counts once, however many tasks there are.
    twice = fit_kernel([D, D], [y, y])
    assert np.abs(twice - alone).max() > 1e-3
    reversed_ = fit_kernel([D, D[:, :6, :6]], [y, y[:6]])
    np.testing.assert_allclose(fit_kernel([D[:, :6, :6], D], [y[:6], y]), reversed_, atol=1e-6)


def test_no_jitter_makes_scores_that_are_not_finite_a_covariance():
    with pytest.raises(np.linalg.LinAlgError, match="Check that the values are finite"):
        cholesky(np.array([[1.0, np.nan], [np.nan, 1.0]]))
