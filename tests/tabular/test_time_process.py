"""Processes in time within groups agree with dense normal distributions and finite differences."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from skmeta.tabular._time_process import (
    TimeProcess,
    TimeRows,
    _covariance,
    batches,
    fit_time_process,
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
    """Covariance (n, n) of all targets."""
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


def without(n):
    """Phases of no season."""
    return np.empty((n, 0), int)


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


def test_slopes_of_groups_are_found():
    rng = np.random.default_rng(0)
    codes, times = np.repeat(np.arange(60), 8), np.tile(np.linspace(-1, 1, 8), 60)
    slopes = 1 + 0.5 * rng.normal(size=60)
    y = slopes[codes] * times + 0.1 * rng.normal(size=480)
    phi = np.column_stack([np.ones(480), times])
    rows = TimeRows(phi, phi, y, times, codes, np.ones(480), without(480))
    process = fit_time_process(rows, np.array([-1, -1]))
    early = TimeRows(*(part[times < 0] for part in rows[:-1]))
    phi = np.array([[1.0, 3.0]] * 60)
    ahead = TimeRows(
        phi, phi, np.zeros(60), np.full(60, 3.0), np.arange(60), np.ones(60), without(60)
    )
    mean, std = predict_time_process(process, early, ahead)
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

    def make(y, times, codes):
        ones = np.ones((len(y), 1))
        return TimeRows(ones, ones, y, times, codes, ones[:, 0], without(len(y)))

    process = fit_time_process(make(y.ravel(), times, codes), np.array([-1]))
    step = times[1] - times[0]
    known = make(np.array([0.0, 0.0, 2.0]), times[:3], np.zeros(3, int))
    ahead = times[2] + step * np.array([1, 2, 4, 8])
    at = make(np.zeros(4), ahead, np.zeros(4, int))
    mean, std = predict_time_process(process, known, at)
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


def test_many_long_series_have_all_phases():
    """The last 60 of hourly rows would lack most hours of the week."""
    n_groups, n_times = 40, 500
    codes = np.repeat(np.arange(n_groups), n_times)
    times, nothing = np.tile(np.arange(float(n_times)), n_groups), np.zeros(len(codes))
    phases = (times.astype(int) % 168)[:, None]
    phi = np.ones((len(codes), 1))
    rows = TimeRows(phi, phi, nothing, times, codes, phi[:, 0], phases, (np.eye(168),))
    assert rows.most_of_group(60) == 2 * 168
    assert rows._replace(phases=phases[:, :0], R=()).most_of_group(60) == 60
    sizes = [batch.there.sum(1) for batch in fitted_batches(rows)]
    assert set(np.concatenate(sizes)) == {2 * 168}
    assert max(len(size) for size in sizes) < n_groups
    # Of more groups, some are taken, so that memory is bounded.
    many = rows._replace(codes=np.arange(len(codes)) // 250)
    assert sum(len(batch.there) for batch in fitted_batches(many)) == 62 < len(set(many.codes))
