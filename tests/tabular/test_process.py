"""A Gaussian process with fitted scales and noise."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from skmeta.few_shot import MetaFewShotRegressor
from skmeta.tabular import WeightedRows, _process
from skmeta.tabular._process import Inputs, Kernel, Posterior, fit_process


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
    # Twice the largest of a hundred standardised values is twenty.
    far = np.array([[1e3, 0, 0], [25.0, 0, 0]])
    np.testing.assert_allclose(*process.predict(far), rtol=1e-9)
    assert 15 < process.predict(far)[0] < 25


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


def test_intervals_of_smooth_functions_hold_what_they_say():
    shares = []
    for seed in range(5):
        reg = MetaFewShotRegressor(device="cpu").fit(*make_smooth(60, seed))
        new, expected = make_smooth(200, seed + 100)
        low, high = reg.predict_quantiles(new, [0.05, 0.95]).T
        shares.append(np.mean((low <= expected) & (expected <= high)))
    assert 0.85 < np.mean(shares) < 0.95


def test_targets_without_a_pattern_leave_it_a_small_share():
    rng = np.random.default_rng(0)
    reg = MetaFewShotRegressor(device="cpu").fit(rng.normal(size=(60, 4)), rng.normal(size=60))
    assert reg.shares_["process"] < 0.5
    assert reg.shares_["prior"] + reg.shares_["process"] == pytest.approx(1)
    assert MetaFewShotRegressor(device="cpu").fit(np.eye(4), np.arange(4.0)).shares_ == {"prior": 1}


def test_a_row_of_weight_two_is_two_rows():
    X, y = make_smooth(25)
    y = y + np.random.default_rng(0).normal(size=25) / 5
    weight = 1.0 + np.arange(25) % 3
    rows = np.repeat(np.arange(25), weight.astype(int))
    new = make_smooth(10, seed=1)[0]
    found = fit_process(support(X, y, weight), ()).predict(new)
    expected = fit_process(support(X[rows], y[rows]), ()).predict(new)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_order_of_rows_and_columns_names_of_levels_and_units_have_no_effect():
    X, y = make_smooth(40)
    level = np.random.default_rng(0).integers(4, size=40)
    y = y + np.array([3.0, -1.0, 0.0, 7.0])[level]
    X = np.column_stack([X, level])
    X[3, 1] = np.nan
    new = X[:7]
    expected = fit_process(support(X[7:], y[7:]), [5]).predict(new)
    rows, columns = np.random.default_rng(1).permutation(33), np.array([5, 1, 0, 4, 2, 3])
    other = fit_process(support(X[7:][rows][:, columns], y[7:][rows]), [0])
    np.testing.assert_allclose(other.predict(new[:, columns]), expected, rtol=1e-4)
    renamed = X.copy()
    renamed[:, 5] = np.array([2.0, 0.0, 3.0, 1.0])[level]
    found = fit_process(support(renamed[7:], y[7:]), [5]).predict(renamed[:7])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    units = np.array([1e-200, 1e200, 3.0, 1.0, 1.0, 1.0])
    found = fit_process(support((units * X)[7:], 1e100 * y[7:]), [5]).predict(units * new)
    np.testing.assert_allclose(found / 1e100, expected, rtol=1e-4)


def test_levels_are_indicators_and_unknown_ones_share_one():
    X = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, np.nan], [1.0, 7.0]])
    inputs = Inputs.measure(X, np.ones(4), [0])
    np.testing.assert_array_equal(inputs.encode(X)[:, 1:], np.eye(4)[[0, 1, 2, 1]])
    unknown = inputs.encode(np.array([[9.0, 5.0], [np.nan, 5.0]]))[:, 1:]
    np.testing.assert_array_equal(unknown, [[0, 0, 0, 1], [0, 0, 0, 0]])
    assert inputs.encode(X)[2, 0] == 0
    np.testing.assert_array_equal(inputs.owners(), [0, 1, 1, 1, 1])


def test_a_rotation_of_embeddings_has_no_effect():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 90)) * np.linspace(0.1, 3, 90)
    y = X[:, -3:].sum(1)
    turn = np.linalg.qr(rng.normal(size=(90, 90)))[0]
    expected = fit_process(support(X[:40], y[:40]), ()).predict(X[40:])
    # Values beyond six units are bounded, which is no rotation; none are here.
    found = fit_process(support(X[:40] @ turn, y[:40]), ()).predict(X[40:] @ turn)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * y.std())
    assert np.corrcoef(found, y[40:])[0, 1] > 0.5


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


def test_the_search_begins_at_kernels_of_other_processes_too(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6))
    rows = support(X, np.sin(2 * X[:, 0]) + 0.01 * rng.normal(size=80))
    good = fit_process(rows, ())
    log = good.log_parameters()
    assert log[0] == max(log[:6])
    np.testing.assert_allclose(np.exp(log[:6]), good.kernel.relevance)
    monkeypatch.setattr(_process, "_MAX_STEPS", 1)
    new = rng.normal(size=(200, 6))

    def error(*others):
        return np.mean((fit_process(rows, (), others).predict(new) - np.sin(2 * new[:, 0])) ** 2)

    assert error() > 2 * error(good)
    other_columns = fit_process(rows._replace(X=X[:, :5]), ())
    assert error(other_columns) == error()
