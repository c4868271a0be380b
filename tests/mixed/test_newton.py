"""Newton's method within bounds."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

from skmeta.mixed._evidence import Evaluation, minimise


def rosenbrock(at):
    return Evaluation(rosen(at), rosen_der(at), lambda: rosen_hess(at))


def unbounded(size):
    return np.tile([-np.inf, np.inf], (size, 1))


@pytest.mark.parametrize("start", [[-1.2, 1.0], [3.0, -2.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
def test_the_minimum_of_a_curved_valley_is_found(start):
    found = minimise(rosenbrock, np.array(start), unbounded(len(start)), tolerance=1e-12)
    np.testing.assert_allclose(found, 1.0, atol=1e-5)


def test_bounds_and_fixed_parameters_hold():
    bounds = np.array([[-2.0, 0.5], [-np.inf, np.inf], [0.3, 0.3]])
    found = minimise(rosenbrock, np.array([-1.0, 2.0, 0.3]), bounds, tolerance=1e-12)
    assert found[0] <= 0.5
    assert found[2] == 0.3
    gradient = rosen_der(found)
    np.testing.assert_allclose(gradient[1], 0.0, atol=1e-4)
    assert found[0] < 0.5 or gradient[0] <= 0


def test_a_saddle_is_left_and_a_step_to_infinity_is_shortened():
    def evaluate(at):
        x, y = at
        value = x**2 - y**2 + y**4 if abs(y) < 1.5 else np.nan
        gradient = np.array([2 * x, -2 * y + 4 * y**3])
        return Evaluation(value, gradient, lambda: np.diag([2.0, -2 + 12 * y**2]))

    found = minimise(evaluate, np.array([1.0, 0.01]), unbounded(2), tolerance=1e-12)
    np.testing.assert_allclose(found, [0.0, np.sqrt(0.5)], atol=1e-5)


def test_a_point_where_the_function_fails_is_avoided():
    def evaluate(at):
        if at[0] > 1.0:
            raise np.linalg.LinAlgError("no Cholesky factor")
        return Evaluation((at[0] - 1) ** 4, 4 * (at - 1) ** 3, lambda: np.array([[0.1]]))

    found = minimise(evaluate, np.array([0.0]), unbounded(1), tolerance=1e-10)
    assert 0.9 < found[0] <= 1.0
