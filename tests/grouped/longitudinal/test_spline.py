"""Natural splines: curves between the outer knots, and straight lines beyond."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from skmeta.grouped.longitudinal._spline import Spline

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
