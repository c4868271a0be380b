"""Processes in time within groups agree with dense normal distributions and finite differences."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from skmeta._tabular._time_process import (
    TimeProcess,
    TimeRows,
    _covariance,
    fitted_batches,
    likelihood,
    predict_season,
    predict_time_process,
)

BLOCKS, LOG_V = np.array([-1, 0, 0, 1]), np.array([-1.0, -2.0])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    n = len(codes)
    Z = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    phi, y, times = rng.normal(size=(n, 2)), rng.normal(size=n), rng.normal(size=n)
    phases, R = rng.integers(0, 3, (n, 2)), (np.eye(3), np.eye(3) + 0.5)
    return TimeRows(Z, phi, y, times, codes, rng.integers(1, 4, n) / 2, phases, R)


@pytest.fixture(scope="module")
def theta():
    entries = 0.3 * np.random.default_rng(1).normal(size=3)
    return np.append(entries, np.log([0.4, 0.2, 0.3, 1, 0.3, 0.3, 0.3]))


def dense(rows, theta):
    v = np.array([1e4, np.exp(-1.0), np.exp(-1.0), np.exp(-2.0)])
    phi, gap = rows.phi[None], abs(rows.times[:, None] - rows.times)[None]
    everyone = np.arange(len(rows.y))[None]
    within = _covariance(theta, phi, phi, gap, rows.alike(everyone, rows, everyone))[0]
    same = rows.codes[:, None] == rows.codes
    noise = np.diag(np.exp(2 * theta[-1]) / rows.weight + 1e-8)
    return within * same + noise + rows.Z @ np.diag(v) @ rows.Z.T


def test_the_likelihood_is_that_of_one_normal_distribution(rows, theta):
    found = likelihood(theta, LOG_V, BLOCKS, fitted_batches(rows))
    normal = multivariate_normal(np.zeros(len(rows.y)), dense(rows, theta))
    assert found.value == pytest.approx(-normal.logpdf(rows.y), rel=1e-9)


def test_the_gradient_is_that_of_finite_differences(rows, theta):
    values = np.append(theta, LOG_V)

    def at(values):
        groups = fitted_batches(rows)
        return likelihood(values[: len(theta)], values[len(theta) :], BLOCKS, groups)

    steps = 1e-5 * np.eye(len(values))
    numeric = [(at(values + step).value - at(values - step).value) / 2e-5 for step in steps]
    np.testing.assert_allclose(at(values).gradient, numeric, atol=1e-6)


def test_predictions_are_those_of_one_normal_distribution(rows, theta):
    is_known = np.random.default_rng(2).random(len(rows.y)) < 0.6
    is_known[rows.codes == 3] = False  # A group without known rows.
    known, at = (
        TimeRows(*(part[kept] for part in rows[:-1]), rows.R) for kept in (is_known, ~is_known)
    )
    at = at._replace(weight=np.ones(len(at.y)))
    process = TimeProcess(theta, LOG_V, BLOCKS, np.empty(0), np.empty(0)).with_mean(known)
    mean, std = predict_time_process(process, known, at)
    K = dense(rows._replace(weight=np.where(is_known, rows.weight, 1.0)), theta)
    gain = np.linalg.solve(K[np.ix_(is_known, is_known)], K[np.ix_(is_known, ~is_known)]).T
    np.testing.assert_allclose(mean, gain @ known.y, atol=1e-7)
    left = K[np.ix_(~is_known, ~is_known)] - gain @ K[np.ix_(is_known, ~is_known)]
    np.testing.assert_allclose(std**2, np.diag(left), atol=1e-7)


def test_seasons_are_the_share_of_phases_in_one_normal_distribution(rows, theta):
    process = TimeProcess(theta, LOG_V, BLOCKS, np.empty(0), np.empty(0)).with_mean(rows)
    columns = np.array([3])
    season = predict_season(process, rows, rows, columns)
    none = theta.copy()
    none[3:5] = -30.0
    by_phase = dense(rows, theta) - dense(rows, none)
    left = rows.y - rows.Z @ process.b
    K = dense(rows, theta) - rows.Z @ np.diag([1e4, *np.exp([-1.0, -1.0, -2.0])]) @ rows.Z.T
    expected = rows.Z[:, 3] * process.b[3] + by_phase @ np.linalg.solve(K, left)
    np.testing.assert_allclose(season, expected, atol=1e-6)
