"""Omniglot, which ships, and sinusoids, which are drawn."""

import numpy as np
import pytest

from skmeta.datasets import load_omniglot, make_sinusoid_tasks


@pytest.fixture(scope="module")
def whole():
    return load_omniglot(subset="all", dtype=np.uint8)


def test_whole_set_has_every_drawing(whole):
    assert whole.data.shape == (32460, 784)
    np.testing.assert_array_equal(whole.target, np.repeat(np.arange(1623), 20))
    np.testing.assert_array_equal(whole.drawer.reshape(1623, 20), np.tile(np.arange(20), (1623, 1)))
    assert len(set(whole.target_names)) == 1623
    assert len(set(whole.alphabet)) == 50
    assert set(np.unique(whole.data)) == {0, 1}
    assert whole.data.any(axis=1).all()  # none is blank
    assert 0.07 < whole.data.mean() < 0.09  # 1 is ink: the originals have 8 %
    np.testing.assert_array_equal(whole.images.reshape(-1, 784), whole.data)


@pytest.mark.parametrize(
    ("subset", "n_classes"),
    [
        ("background", 964),
        ("evaluation", 659),
        ("train", 1028),
        ("validation", 172),
        ("trainval", 1200),
        ("test", 423),
    ],
)
def test_subsets_are_rows_of_the_whole(whole, subset, n_classes):
    part = load_omniglot(subset=subset, dtype=np.uint8)
    assert len(part.target_names) == n_classes
    rows = np.isin(whole.target, part.target)
    np.testing.assert_array_equal(part.target, whole.target[rows])
    np.testing.assert_array_equal(part.data, whole.data[rows])
    np.testing.assert_array_equal(part.alphabet, whole.alphabet[rows])
    np.testing.assert_array_equal(part.target_names, whole.target_names[np.unique(part.target)])


def test_rotations_are_further_classes():
    plain = load_omniglot(subset="validation")
    turned = load_omniglot(subset="validation", rotations=True)
    n = len(plain.target)
    assert turned.data.shape == (4 * n, 784)
    assert len(turned.target_names) == len(np.unique(turned.target)) == 4 * 172
    np.testing.assert_array_equal(turned.data[:n], plain.data)
    for k in range(4):
        rows = slice(k * n, (k + 1) * n)
        np.testing.assert_array_equal(turned.target[rows], plain.target + 1623 * k)
        np.testing.assert_array_equal(turned.drawer[rows], plain.drawer)
        np.testing.assert_array_equal(turned.alphabet[rows], plain.alphabet)
    image = plain.images[33]
    np.testing.assert_array_equal(turned.images[33 + n], image.T[::-1])  # counter-clockwise
    np.testing.assert_array_equal(turned.images[33 + 2 * n], image[::-1, ::-1])
    assert turned.target_names[172] == turned.target_names[0] + "/rot090"


def test_unknown_subset_is_answered_with_the_known():
    with pytest.raises(ValueError, match=r"subset must be one of 'background', .*, got 'valid'\."):
        load_omniglot(subset="valid")


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
