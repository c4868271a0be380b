"""Gaussian processes, surfaces of past tasks and models of scores, against scikit-learn's."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import approx_fprime
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta._tabular import cholesky
from skmeta.search.space import Encoding
from skmeta.search.surrogate import (
    LearnedModels,
    PlainModel,
    _models,
    design_of_least_variance,
    krige,
    learn_surfaces,
    standardise,
)
from skmeta.search.surrogate._gp import (
    correlation,
    fit_kernel,
    group_distances,
    matern,
    negative_log_posterior,
    prior_moments,
    scale_columns,
)

X = np.random.default_rng(0).random((30, 2))
K = Matern(0.5, nu=2.5)(X)
ROWS = np.array([3, 11, 20, 5])
Y = np.array([0.3, -1.1, 1.2, -0.4])


@pytest.fixture(autouse=True)
def double_precision(monkeypatch):
    """Compute as exactly as the tests compare."""
    monkeypatch.setattr(_models, "_PRECISION", np.float64)


def test_plain_model_is_scikit_learns_at_its_own_hyperparameters():
    model = PlainModel(X, np.array([0, 1]))
    model.observe(ROWS, Y, len(Y))
    found_mean, found_std = model.predict()
    scales, (amplitude, noise) = np.exp(model._theta[:2]), np.exp(model._theta[2:])
    kernel = ConstantKernel(amplitude, "fixed") * Matern(scales, "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=noise + 1e-6, optimizer=None)
    mean, std = process.fit(X[ROWS], Y).predict(X, return_std=True)
    np.testing.assert_allclose(found_mean, mean, atol=1e-7)
    np.testing.assert_allclose(found_std, std, atol=1e-6)


def test_deviations_are_honest():
    """Tasks drawn from the model: about as many scores within a deviation as a normal has."""
    rng = np.random.default_rng(1)
    past = rng.multivariate_normal(np.sin(4 * X[:, 0]), 0.5 * K, size=60)
    weights = np.full(60, 1 / 60)
    model = LearnedModels(past, X / 0.5, weights, weights, (0.1,), 0.03)
    inside = []
    for truth in rng.multivariate_normal(np.sin(4 * X[:, 0]), 0.5 * K, size=40):
        # The model's tasks are floored and standardised as past ones are.
        truth = np.maximum(truth, 0)
        truth = (truth - truth.mean()) / truth.std()
        mean, std = model.observe(np.arange(6), truth[:6])[0].predict()
        inside.append(np.abs(truth[6:] - mean[6:]) < std[6:])
    assert abs(np.mean(inside) - (norm.cdf(1) - norm.cdf(-1))) < 0.15


NOISY = K[np.ix_(ROWS, ROWS)] + 0.03 * np.eye(4)


def log_density(y, K, mean):
    """Log density of y, its offset of flat prior and its scale log-normal, by quadrature."""
    offsets, log_scales = np.linspace(-25, 25, 2001)[:, None], np.linspace(-3, 3, 241)
    densities = []
    for log_c in log_scales:
        # c (y - offset) is a draw of the Gaussian, and c^n its Jacobian.
        c = np.exp(log_c)
        joint = multivariate_normal(mean, K).pdf(c * (y - offsets / c)) * c ** len(y)
        densities.append(trapezoid(joint, offsets[:, 0] / c) * np.exp(-0.5 * log_c**2))
    return np.log(trapezoid(densities, log_scales) / 6)


@pytest.mark.parametrize("mean", [np.zeros(4), np.array([1.0, -2.0, 0.5, 0.0])])
def test_evidence_is_the_integral_over_offset_and_scale(mean):
    evidence = krige(NOISY, mean[None], Y, np.ones(1)).evidence
    np.testing.assert_allclose(evidence, log_density(Y, NOISY, mean), atol=0.03)


def test_prior_means_are_weighed_by_bayes():
    C = np.array([np.zeros(4), 2 * Y, -Y])
    p = np.array([0.5, 0.2, 0.3])
    kriging = krige(NOISY, C, Y, p)
    alone = np.array([krige(NOISY, c[None], Y, np.ones(1)).evidence for c in C])
    np.testing.assert_allclose(kriging.evidence, logsumexp(np.log(p) + alone))
    np.testing.assert_allclose(kriging.shares, np.exp(np.log(p) + alone - kriging.evidence))
    assert kriging.shares[1] > 0.5 > kriging.shares[2]


def test_prediction_is_scikit_learns_with_an_unknown_mean():
    kriging = krige(NOISY, np.zeros((1, 4)), Y, np.ones(1))
    mean, variance = kriging.predict(K[ROWS], np.ones(30), None)
    kernel = ConstantKernel(1e6, "fixed") + Matern(0.5, "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=0.03, optimizer=None)
    c = kriging.c[0]
    expected, deviation = process.fit(X[ROWS], c * Y).predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected / c, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(variance), deviation / c, atol=1e-4)


def test_without_past_tasks_the_mean_variance_left_is_the_least():
    X = np.random.default_rng(0).random((30, 2))
    is_open = np.ones(30, dtype=bool)
    is_open[::3] = False
    chosen = []
    process = GaussianProcessRegressor(Matern(2.0, nu=2.5), alpha=0.01, optimizer=None)
    for _ in range(4):
        actual, left = design_of_least_variance(X, chosen, is_open), {}
        for k in np.flatnonzero(is_open):
            process.fit(X[[*chosen, k]], np.zeros(len(chosen) + 1))
            left[k] = (process.predict(X, return_std=True)[1] ** 2).mean()
        assert actual == min(left, key=left.get)
        chosen.append(actual)
        is_open[actual] = False


GROUPS = np.array([0, 1, 1])
JITTER = 1e-8


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.random((12, 3))
    return X, np.sin(6 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(12)


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
    kernel = np.exp(theta[2]) * Matern(np.exp(theta[:2])[GROUPS], nu=2.5)
    K = kernel(X) + (np.exp(theta[3]) + JITTER) * np.eye(12)
    evidence = multivariate_normal(np.zeros(12), K).logpdf(y)
    pull = norm.logpdf(theta, mean, deviation) - norm.logpdf(mean, mean, deviation)
    assert value == pytest.approx(-evidence - pull.sum(), rel=1e-10)


@pytest.mark.parametrize("theta", [[-0.4, 0.2, 0.3, -4.0], [1.0, -1.5, -0.5, 0.0]])
def test_gradient_is_that_of_finite_differences(data, theta):
    X, y = data
    D, theta = group_distances(X, GROUPS, 2), np.array(theta)
    _, gradient = negative_log_posterior(theta, D, y)
    by_differences = approx_fprime(theta, lambda t: negative_log_posterior(t, D, y)[0], 1e-7)
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


def test_surfaces_are_scikit_learns_posteriors_standardised():
    configurations, y = zip(make_task(0), make_task(1), make_task(2, n=25, noise=0.6), strict=True)
    encoding = Encoding.from_searches(configurations)
    X = [encoding.transform(c) for c in configurations]
    learned, ends = learn_surfaces(encoding, X, y), np.cumsum([0, *map(len, X)])
    D = [group_distances(x, encoding.groups, 2) for x in X]
    theta = fit_kernel(D, y)
    np.testing.assert_allclose(learned["length_scales"], np.exp(theta[:2]), rtol=1e-6)
    Z = learned["X"]
    np.testing.assert_allclose(Z, np.concatenate(X) / learned["length_scales"], rtol=1e-3)
    for t in range(3):
        rows = slice(ends[t], ends[t + 1])
        candidates = np.exp(theta[3] - theta[2]) * np.array([0.1, 1.0, 10.0])
        noise = candidates[np.argmax([best_density(Z[rows], y[t], e) for e in candidates])]
        # A posterior with a mean of which nothing is known.
        kernel = ConstantKernel(1e6, "fixed") + Matern(1.0, "fixed", nu=2.5)
        process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
        expected = process.fit(Z[rows], y[t]).predict(Z)
        actual = matern(Z, Z[rows]) @ learned["weights"][rows]
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
