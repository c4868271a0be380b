"""Curves: natural splines of time, and what goes on beyond the times seen."""

import numpy as np
import pytest
from grouped_tables import timed_rows
from scipy.interpolate import CubicSpline

from skmeta.grouped.longitudinal._curves import LastValue, Shape, Spline, fit_curve

TIMES = np.linspace(2, 7, 40)


def test_columns_span_the_natural_splines_of_their_knots():
    spline = Spline.learn(TIMES, 5)
    curve = CubicSpline(spline.knots, [0, 2, -1, 3, 1], bc_type="natural")(TIMES)
    phi = spline(TIMES)
    left = curve - phi @ np.linalg.lstsq(phi, curve, rcond=None)[0]
    assert abs(left).max() < 1e-10


def test_columns_are_orthonormal_and_straight_beyond():
    spline = Spline.learn(TIMES, 4)
    phi = spline(TIMES)
    np.testing.assert_allclose(phi.T @ phi / len(TIMES), np.eye(4), atol=1e-10)
    beyond = spline(np.array([8.0, 9.0, 10.0, 11.0]))
    np.testing.assert_allclose(np.diff(beyond, 2, axis=0), 0, atol=1e-9)


@pytest.mark.parametrize(("n_times", "expected"), [(1, 1), (2, 2), (3, 3), (9, 4)])
def test_no_more_columns_than_times(n_times, expected):
    times = np.repeat(np.arange(n_times, dtype=float), 3)
    spline = Spline.learn(times, 4)
    assert spline.n_columns == expected
    assert np.isfinite(spline(times)).all()


def make_lines(times, n_groups=30):
    """Lines of groups, with intercepts and slopes of their own."""
    rng = np.random.default_rng(0)
    codes, t = np.repeat(np.arange(n_groups), len(times)), np.tile(times, n_groups)
    own = rng.normal(size=(2, n_groups))
    y = 5 + own[0][codes] + (2 + 0.3 * own[1][codes]) * t
    return timed_rows(t, y, codes, np.zeros((len(y), 0)))


@pytest.mark.parametrize(("is_line", "share"), [(True, 0.5), (False, 1.0)])
def test_lines_rise_half_as_fast_beyond_the_times_seen(is_line, share):
    rows = make_lines(np.linspace(0, 1, 8))
    curve = fit_curve(Shape(is_line), rows, zero=-100.0)
    ahead = make_lines(np.array([1.0, 1.4]))
    mean, std = curve.predict(rows, ahead)
    risen = np.diff(mean.reshape(-1, 2)).ravel() / np.diff(ahead.y.reshape(-1, 2)).ravel()
    np.testing.assert_allclose(risen, share, atol=0.05)
    assert (np.diff(std.reshape(-1, 2)) > 0).all()


def test_curves_of_logarithms_are_positive():
    rows = make_lines(np.linspace(0, 1, 8))
    rows = rows._replace(y=np.exp(rows.y / 2))
    ahead = make_lines(np.array([1.1]))
    truth = np.exp(ahead.y / 2)
    mean, _ = fit_curve(Shape(False, is_log=True), rows, zero=0.0).predict(rows, ahead)
    assert mean.min() > 0
    assert np.mean((mean - truth) ** 2) < 0.05 * truth.var()


def test_the_last_value_is_that_of_the_group():
    rows = make_lines(np.arange(3.0), 2)
    at = make_lines(np.array([1.5, 9.0]), 3)
    mean, _ = LastValue(7.0, 1.0).predict(rows, at)
    np.testing.assert_array_equal(mean, [*rows.y[[1, 2, 4, 5]], 7.0, 7.0])
