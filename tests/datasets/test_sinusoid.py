import numpy as np
import pytest

from skmeta.datasets import make_sinusoid_tasks


def test_values_are_the_sinusoids_of_the_parameters():
    X, y, groups, parameters = make_sinusoid_tasks(300, 7, return_parameters=True, random_state=0)
    assert X.shape == (2100, 1)
    np.testing.assert_array_equal(groups, np.repeat(np.arange(300), 7))
    amplitude, phase = parameters[groups].T
    np.testing.assert_allclose(y, amplitude * np.sin(X[:, 0] - phase))
    for values, low, high in ((amplitude, 0.1, 5), (phase, 0, np.pi), (X, -5, 5)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high >= values.max() > high - 0.05 * (high - low)


def test_noise_is_added_to_the_same_tasks():
    X, y, _ = make_sinusoid_tasks(50, 40, random_state=3)
    X_noisy, y_noisy, _ = make_sinusoid_tasks(50, 40, noise=0.5, random_state=3)
    np.testing.assert_array_equal(X, X_noisy)
    assert np.std(y_noisy - y) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_tasks": 0}, r"n_tasks must be an integer of at least 1, got 0"),
        ({"n_samples": 2.0}, r"n_samples must be an integer of at least 1, got 2\.0"),
        ({"noise": -1}, r"noise must be a standard deviation of at least 0, got -1"),
    ],
)
def test_wrong_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_sinusoid_tasks(**options)
