import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta.search.surrogate._kriging import Factor, GrowingColumns, WhitenedCandidates
from skmeta.search.surrogate._kriging import krige as krige_all

X = np.random.default_rng(0).random((30, 2))
K = Matern(0.5, nu=2.5)(X)
ROWS = np.array([3, 11, 20, 5])
Y = np.array([0.3, -1.1, 1.2, -0.4])
NOISY = K[np.ix_(ROWS, ROWS)] + 0.03 * np.eye(4)


def krige(K, y, C, p):
    [kriging] = krige_all(Factor.of(K, C), y, p)
    return kriging


def predict(kriging, K, cross, variance, C):
    candidates, factor = WhitenedCandidates(), Factor.of(K, C[:, : len(K)])
    candidates.update(factor.L[0], factor.ones[0], cross.shape[1], lambda i, j: cross[i, j])
    return kriging.predict(candidates, variance, C)


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
    found = krige(NOISY, Y, mean[None], np.ones(1)).evidence
    np.testing.assert_allclose(found, log_density(Y, NOISY, mean), atol=0.03)


def test_prior_means_are_weighed_by_bayes():
    C = np.array([np.zeros(4), 2 * Y, -Y])
    p = np.array([0.5, 0.2, 0.3])
    kriging = krige(NOISY, Y, C, p)
    alone = np.array([krige(NOISY, Y, c[None], np.ones(1)).evidence for c in C])
    np.testing.assert_allclose(kriging.evidence, logsumexp(np.log(p) + alone))
    np.testing.assert_allclose(kriging.shares, np.exp(np.log(p) + alone - kriging.evidence))
    assert kriging.shares[1] > 0.5 > kriging.shares[2]


def test_a_prior_mean_of_probability_0_has_no_share():
    shares = krige(NOISY, Y, np.array([np.zeros(4), Y]), np.array([1.0, 0.0])).shares
    np.testing.assert_array_equal(shares, [1, 0])


def test_prediction_is_scikit_learns_with_an_unknown_mean():
    kriging = krige(NOISY, Y, np.zeros((1, 4)), np.ones(1))
    mean, variance = predict(kriging, NOISY, K[ROWS], np.ones(30), np.zeros((1, 30)))
    kernel = ConstantKernel(1e6, "fixed") + Matern(0.5, "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=0.03, optimizer=None)
    c = kriging.c[0]
    expected, deviation = process.fit(X[ROWS], c * Y).predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected / c, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(variance), deviation / c, atol=1e-4)


def test_prediction_mixes_prior_means_by_total_variance():
    C = np.array([np.sin(5 * X[:, 0]), np.cos(5 * X[:, 1])])
    together = krige(NOISY, Y, C[:, ROWS], np.array([0.5, 0.5]))
    assert together.shares.min() > 0.05, "both matter, or nothing is mixed"
    mean, variance = predict(together, NOISY, K[ROWS], np.ones(30), C)
    parts = [
        predict(krige(NOISY, Y, C[[i]][:, ROWS], np.ones(1)), NOISY, K[ROWS], np.ones(30), C[[i]])
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
    kriging = krige(covariance, y, surface[None, :12], np.ones(1))
    mean, _ = predict(kriging, covariance, 0.01 * K[:12], np.full(30, 0.01), surface[None])
    np.testing.assert_allclose(mean, 4 + 0.2 * surface, atol=0.01)
    np.testing.assert_allclose(kriging.c[0], 5, rtol=0.1)


# -- growing -------------------------------------------------------------------------------------


def grown(rows, C, order, noises):
    """A factor and whitened candidates that grew: `order` holds "row" and numbers of candidates.

    There is a covariance for each variance of the noise.
    """
    factor, m, n = Factor(len(C), len(noises)), 0, 0
    candidates = [WhitenedCandidates() for _ in noises]
    for step in order:
        if step == "row":
            row = rows[m]
            covariance = np.tile(K[rows[:m], row], (len(noises), 1))
            factor.append(covariance, K[row, row] + np.array(noises), C[:, row])
            m += 1
        else:
            n = step
        for one, L, ones in zip(candidates, factor.L, factor.ones, strict=True):
            one.update(L, ones, n, lambda i, j: K[np.asarray(rows)[i]][:, j])
    return factor, candidates


@pytest.mark.parametrize(
    "order",
    [
        [30, "row", "row", "row", "row"],
        ["row", "row", 20, "row", 25, 30, "row"],
        ["row", 5, "row", 10, "row", 20, "row", 30],
    ],
)
@pytest.mark.parametrize("has_means", [True, False])
def test_growing_by_rows_and_candidates_is_solving_at_once(order, has_means):
    C = np.array([np.sin(5 * X[:, 0]), np.cos(5 * X[:, 1])]) if has_means else np.zeros((1, 30))
    p = np.full(len(C), 1 / len(C))
    noises = (0.03, 0.3)
    factor, candidates = grown(ROWS, C, order, noises)
    for found, own, noise in zip(krige_all(factor, Y, p), candidates, noises, strict=True):
        noisy = K[np.ix_(ROWS, ROWS)] + noise * np.eye(4)
        expected = krige(noisy, Y, C[:, ROWS], p)
        np.testing.assert_allclose(found.evidence, expected.evidence)
        np.testing.assert_allclose(found.shares, expected.shares)
        for a, b in zip(
            found.predict(own, np.ones(30), C if has_means else None),
            predict(expected, noisy, K[ROWS], np.ones(30), C),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_the_same_observation_twice_keeps_the_factor_finite():
    factor = Factor(1)
    for m in range(3):
        factor.append(np.ones((1, m)), np.ones(1), np.zeros(1))
    assert np.isfinite(factor.L).all()
    [kriging] = krige_all(factor, np.array([0.0, 1.0, 0.5]), np.ones(1))
    assert np.isfinite(kriging.evidence)


def test_columns_that_grow():
    values = np.arange(12.0).reshape(2, 6)
    growing = GrowingColumns(values[:, :1])
    for k in range(1, 6):
        growing.append(values[:, k : k + 1])
        np.testing.assert_array_equal(growing.values, values[:, : k + 1])
    growing.append(np.empty((2, 0)))
    np.testing.assert_array_equal(growing.values, values)
