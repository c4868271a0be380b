"""The models of scores, against scikit-learn's Gaussian processes."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta.search.surrogate import (
    LearnedModels,
    PlainModel,
    _models,
    design_of_least_variance,
    krige,
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


def surfaces(n_tasks=8):
    """Past tasks with one peak each, at different places."""
    angles = np.linspace(0, 2 * np.pi, n_tasks, endpoint=False)
    peaks = 0.5 + 0.4 * np.column_stack([np.cos(angles), np.sin(angles)])
    squared = ((X[None] - peaks[:, None]) ** 2).sum(2)
    return np.exp(-4 * squared) * 3 - 1


def make_model(F=None, remainders=(0.1, 1.0), weights=None, n=30):
    F = surfaces() if F is None else F
    weights = np.full(len(F), 1 / len(F)) if weights is None else weights
    return LearnedModels(F[:, :n], X[:n] / 0.5, weights, weights, remainders, 0.03)


class Prediction(NamedTuple):
    mean: np.ndarray
    std: np.ndarray
    evidence: float


def predict(models, rows, y):
    return [Prediction(*m.predict(), m.log_weight) for m in models.observe(rows, y)]


def test_deviations_are_honest():
    """Tasks drawn from the model: about as many scores within a deviation as a normal has."""
    rng = np.random.default_rng(1)
    past = rng.multivariate_normal(np.sin(4 * X[:, 0]), 0.5 * K, size=60)
    model = make_model(past, remainders=(0.1,))
    inside = []
    for truth in rng.multivariate_normal(np.sin(4 * X[:, 0]), 0.5 * K, size=40):
        # The model's tasks are floored and standardised as past ones are.
        truth = np.maximum(truth, 0)
        truth = (truth - truth.mean()) / truth.std()
        p = predict(model, np.arange(6), truth[:6])[0]
        inside.append(np.abs(truth[6:] - p.mean[6:]) < p.std[6:])
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


def mean_variance(X, chosen):
    kernel = Matern(2.0, nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None)
    process.fit(X[chosen], np.zeros(len(chosen)))
    return (process.predict(X, return_std=True)[1] ** 2).mean()


def test_without_past_tasks_the_mean_variance_left_is_the_least():
    X = np.random.default_rng(0).random((30, 2))
    is_open = np.ones(30, dtype=bool)
    is_open[::3] = False
    chosen = []
    for _ in range(4):
        actual = design_of_least_variance(X, chosen, is_open)
        left = {k: mean_variance(X, [*chosen, k]) for k in np.flatnonzero(is_open)}
        assert actual == min(left, key=left.get)
        chosen.append(actual)
        is_open[actual] = False
