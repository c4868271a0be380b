import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta.search.surrogate import krige

X = np.random.default_rng(0).random((30, 2))
K = Matern(0.5, nu=2.5)(X)
ROWS = np.array([3, 11, 20, 5])
Y = np.array([0.3, -1.1, 1.2, -0.4])
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


def test_prediction_mixes_prior_means_by_total_variance():
    C = np.array([np.sin(5 * X[:, 0]), np.cos(5 * X[:, 1])])
    together = krige(NOISY, C[:, ROWS], Y, np.array([0.5, 0.5]))
    assert together.shares.min() > 0.05, "both matter, or nothing is mixed"
    mean, variance = together.predict(K[ROWS], np.ones(30), C)
    parts = [
        krige(NOISY, C[[i]][:, ROWS], Y, np.ones(1)).predict(K[ROWS], np.ones(30), C[[i]])
        for i in (0, 1)
    ]
    means, variances = map(np.array, zip(*parts, strict=True))
    expected = together.shares @ means
    np.testing.assert_allclose(mean, expected)
    spread = together.shares @ (variances + (means - expected) ** 2)
    np.testing.assert_allclose(variance, spread, rtol=1e-10)


def test_scale_and_offset_of_scores_are_learned():
    surface = np.sin(5 * X[:, 0]) + X[:, 1]
    rows = np.arange(12)
    y = 4 + 0.2 * surface[rows]
    covariance = 0.01 * K[:12, :12] + 1e-4 * np.eye(12)
    kriging = krige(covariance, surface[None, :12], y, np.ones(1))
    mean, _ = kriging.predict(0.01 * K[:12], np.full(30, 0.01), surface[None])
    np.testing.assert_allclose(mean, 4 + 0.2 * surface, atol=0.01)
    np.testing.assert_allclose(kriging.c[0], 5, rtol=0.1)
