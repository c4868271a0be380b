"""A Gaussian process with fitted scales and noise."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from skmeta._tabular import WeightedRows
from skmeta._tabular._process import Kernel, Posterior, fit_process
from skmeta.few_shot import MetaFewShotRegressor


def make_smooth(n, seed=0):
    """A smooth function of two of five columns, without noise."""
    X = np.random.default_rng(seed).uniform(-2, 2, size=(n, 5))
    return X, np.sin(2 * X[:, 0]) * np.exp(X[:, 1] / 2) + X[:, 0]


def support(X, y, weight=None):
    return WeightedRows(X, y, np.ones(len(y)) if weight is None else weight)


def test_gradient():
    rng = np.random.default_rng(0)
    t, w = rng.normal(size=12), rng.integers(1, 4, size=12).astype(float)
    posterior = Posterior(rng.normal(size=(12, 4)), t, w, np.array([0, 1, 1, 2]))
    for _ in range(3):
        log = rng.normal(size=5)
        expected = approx_fprime(log, lambda at: posterior(at)[0], 1e-7)
        np.testing.assert_allclose(posterior(log)[1], expected, rtol=1e-4, atol=1e-4)


def test_prediction_is_that_of_scikit_learn():
    X, y = make_smooth(30)
    order = X[:, 0].argsort()  # that of the process
    X, y = X[order], y[order]
    process = fit_process(support(X, y), ())
    relevance, linear, noise = process.kernel
    kernel = Matern(1.0, nu=2.5) + ConstantKernel(linear) * DotProduct(linear**-0.5)
    rows = process.rows * np.sqrt(relevance)
    oracle = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
    oracle.fit(rows, (y - y.mean()) / y.std())
    new = make_smooth(20, seed=1)[0]
    expected = y.mean() + y.std() * oracle.predict(process.inputs.encode(new) * np.sqrt(relevance))
    np.testing.assert_allclose(process.predict(new), expected, rtol=1e-5)


def test_a_linear_trend_goes_on_beyond_the_known_rows_but_not_to_an_outlier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    process = fit_process(support(X, X @ [1.0, 2.0, 3.0]), ())
    new = 8 * X[:5] / abs(X[:5]).max()
    np.testing.assert_allclose(process.predict(new), new @ [1.0, 2.0, 3.0], rtol=0.01)
    # Twice the largest value that a hundred standardised ones can have is twenty.
    far = np.array([[1e3, 0, 0], [25.0, 0, 0]])
    at_twenty = X[:, 0].mean() + 20 * X[:, 0].std()
    np.testing.assert_allclose(process.predict(far), at_twenty, rtol=1e-5)


def test_likelihood_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    rows, t = rng.normal(size=(20, 3)), rng.normal(size=20)
    posterior = Posterior(rows, t, np.ones(20), np.arange(3))
    log = rng.normal(size=5) / 2
    relevance, linear, noise = posterior.kernel(log)
    kernel = Matern(1.0, nu=2.5) + ConstantKernel(linear) * DotProduct(linear**-0.5)
    values = kernel(rows * np.sqrt(relevance)) + noise * np.eye(20)
    variance = float(t @ np.linalg.solve(values, t) / 20)
    of_data = 0.5 * np.linalg.slogdet(variance * values)[1]
    mean, spread = posterior.beforehand()
    expected = of_data + 0.5 * (((log - mean) / spread) ** 2).sum()
    assert posterior(log)[0] == pytest.approx(expected)


def test_a_smooth_function_without_noise_is_found():
    X, y = make_smooth(60)
    new, expected = make_smooth(200, seed=1)
    process = fit_process(support(X, y), ())
    assert process.kernel.noise < 1e-3
    relevance = process.kernel.relevance
    assert relevance[:2].min() > 3 * relevance[2:].max()
    reg = MetaFewShotRegressor(device="cpu").fit(X, y)
    assert reg.shares_["process"] > 0.5
    assert reg.score(new, expected) > 0.97
    mean, std = reg.predict(new, return_std=True)
    assert std.mean() < 0.3 * y.std()
    np.testing.assert_allclose(mean, reg.predict(new), atol=1e-9)


@pytest.mark.slow
def test_intervals_of_smooth_functions_hold_what_they_say():
    shares = []
    for seed in range(5):
        reg = MetaFewShotRegressor(device="cpu").fit(*make_smooth(60, seed))
        new, expected = make_smooth(200, seed + 100)
        low, high = reg.predict_quantiles(new, [0.05, 0.95]).T
        shares.append(np.mean((low <= expected) & (expected <= high)))
    assert 0.85 < np.mean(shares) < 0.95


def test_of_many_rows_a_part_is_used():
    X, y = make_smooth(2500)
    process = fit_process(support(X, y), ())
    assert 500 <= len(process.rows) <= 1000
    new, expected = make_smooth(100, seed=1)
    assert np.mean((process.predict(new) - expected) ** 2) < 1e-4 * y.var()


def test_extreme_rows_and_a_kernel_that_is_almost_singular():
    X, y = make_smooth(30)
    X[0] = 1e150
    y[1] = 1e150
    assert np.isfinite(fit_process(support(X, y), ()).predict(X)).all()
    X = np.repeat(np.arange(8.0), 5)[:, None]
    kernel = Posterior(X, np.sin(X[:, 0]), np.ones(40), np.zeros(1, int)).best_kernel()
    assert isinstance(kernel, Kernel)
    assert np.isfinite(fit_process(support(X, np.sin(X[:, 0])), ()).predict(X)).all()
