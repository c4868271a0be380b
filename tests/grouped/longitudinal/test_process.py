"""Processes in time within groups agree with dense normal distributions and finite differences."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from skmeta.grouped.longitudinal._process import (
    Process,
    Rows,
    _covariance,
    batches,
    fit_process,
    fitted_batches,
    likelihood,
    predict_process,
)
from skmeta.grouped.longitudinal._spline import Spline

BLOCKS, LOG_V = np.array([-1, 0, 0, 1]), np.array([-1.0, -2.0])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    n = len(codes)
    Z = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    return Rows(Z, rng.normal(size=n), rng.normal(size=n), codes, rng.integers(1, 4, n) / 2)


@pytest.fixture(scope="module")
def spline(rows):
    return Spline.learn(rows.times, 4)


@pytest.fixture(scope="module")
def theta():
    return np.append(
        0.3 * np.random.default_rng(1).normal(size=10), np.log([0.3, 1, 0.3, 0.3, 0.3])
    )


def dense(rows, spline, theta):
    """Covariance (n, n) of all targets."""
    v = np.array([1e4, np.exp(-1.0), np.exp(-1.0), np.exp(-2.0)])
    phi, gap = spline(rows.times)[None], abs(rows.times[:, None] - rows.times)[None]
    within = _covariance(theta, phi, phi, gap)[0]
    same = rows.codes[:, None] == rows.codes
    noise = np.diag(np.exp(2 * theta[-1]) / rows.weight + 1e-8)
    return within * same + noise + rows.Z @ np.diag(v) @ rows.Z.T


def test_the_likelihood_is_that_of_one_normal_distribution(rows, spline, theta):
    found = likelihood(theta, LOG_V, BLOCKS, fitted_batches(spline, rows))
    normal = multivariate_normal(np.zeros(len(rows.y)), dense(rows, spline, theta))
    assert found.value == pytest.approx(-normal.logpdf(rows.y), rel=1e-9)


def test_the_gradient_is_that_of_finite_differences(rows, spline, theta):
    values = np.append(theta, LOG_V)

    def at(values):
        groups = fitted_batches(spline, rows)
        return likelihood(values[: len(theta)], values[len(theta) :], BLOCKS, groups)

    steps = 1e-5 * np.eye(len(values))
    numeric = [(at(values + step).value - at(values - step).value) / 2e-5 for step in steps]
    np.testing.assert_allclose(at(values).gradient, numeric, atol=1e-6)


def test_predictions_are_those_of_one_normal_distribution(rows, spline, theta):
    is_known = np.random.default_rng(2).random(len(rows.y)) < 0.6
    is_known[rows.codes == 3] = False  # A group without known rows.
    known, at = (Rows(*(part[kept] for part in rows)) for kept in (is_known, ~is_known))
    at = at._replace(weight=np.ones(len(at.y)))
    process = Process(spline, theta, LOG_V, BLOCKS, np.empty(0), np.empty(0)).with_mean(known)
    mean, std = predict_process(process, known, at)
    K = dense(rows._replace(weight=np.where(is_known, rows.weight, 1.0)), spline, theta)
    gain = np.linalg.solve(K[np.ix_(is_known, is_known)], K[np.ix_(is_known, ~is_known)]).T
    np.testing.assert_allclose(mean, gain @ known.y, atol=1e-7)
    left = K[np.ix_(~is_known, ~is_known)] - gain @ K[np.ix_(is_known, ~is_known)]
    np.testing.assert_allclose(std**2, np.diag(left), atol=1e-7)


def test_slopes_of_groups_are_found():
    rng = np.random.default_rng(0)
    codes, times = np.repeat(np.arange(60), 8), np.tile(np.linspace(-1, 1, 8), 60)
    slopes = 1 + 0.5 * rng.normal(size=60)
    y = slopes[codes] * times + 0.1 * rng.normal(size=480)
    rows = Rows(np.column_stack([np.ones(480), times]), y, times, codes, np.ones(480))
    process = fit_process(rows, np.array([-1, -1]), 2)
    early = Rows(*(part[times < 0] for part in rows))
    ahead = Rows(
        np.array([[1.0, 3.0]] * 60), np.zeros(60), np.full(60, 3.0), np.arange(60), np.ones(60)
    )
    mean, std = predict_process(process, early, ahead)
    assert np.corrcoef(mean, slopes)[0, 1] > 0.9
    z = (3 * slopes - mean) / std
    assert 0.6 < z.std() < 1.4


def test_what_is_left_fades_with_the_gap():
    """Groups that wander: the last residual is carried over, less and less."""
    rng = np.random.default_rng(0)
    y = np.zeros((80, 12))
    y[:, 0] = rng.normal(size=80)
    for k in range(1, 12):
        y[:, k] = 0.7 * y[:, k - 1] + np.sqrt(1 - 0.49) * rng.normal(size=80)
    codes, times = np.repeat(np.arange(80), 12), np.tile(np.linspace(-1, 1, 12), 80)
    rows = Rows(np.ones((960, 1)), y.ravel(), times, codes, np.ones(960))
    process = fit_process(rows, np.array([-1]), 1)
    step = times[1] - times[0]
    known = Rows(
        np.ones((3, 1)), np.array([0.0, 0.0, 2.0]), times[:3], np.zeros(3, int), np.ones(3)
    )
    ahead = times[2] + step * np.array([1, 2, 4, 8])
    at = Rows(np.ones((4, 1)), np.zeros(4), ahead, np.zeros(4, int), np.ones(4))
    mean, std = predict_process(process, known, at)
    np.testing.assert_allclose(mean[:3], 2 * 0.7 ** np.array([1, 2, 4]), atol=0.25)
    assert (np.diff(mean) < 0).all()
    assert (np.diff(std) > 0).all()


def test_batches_hold_each_group_once_and_its_latest_rows():
    codes = np.repeat([4, 1, 7], [9, 2, 3])
    times = np.arange(14)[::-1].astype(float)
    found = list(batches(times, codes, 5))
    rows = np.concatenate([batch[batch >= 0] for batch in found])
    assert sorted(rows[codes[rows] == 4]) == [0, 1, 2, 3, 4]
    assert len(rows) == len(set(rows)) == 10
