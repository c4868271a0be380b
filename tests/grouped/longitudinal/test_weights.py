"""Weights are powers of held-out losses, by the number of known rows; quantiles cover."""

import numpy as np
import pytest
from grouped_tables import timed_rows
from scipy.special import ndtri

from skmeta.grouped.longitudinal._rows import Cases
from skmeta.grouped.longitudinal._weights import find_levels
from skmeta.tabular import PROBABILITIES, interpolate, mix_deviations


def make_cases(y, n_known, n_groups):
    group = np.arange(len(y)) % n_groups
    rows = timed_rows(np.zeros(len(y)), y, group)
    return Cases(rows, rows, np.broadcast_to(n_known, len(y)), group)


@pytest.fixture(scope="module")
def predicted():
    """With one known row the first member is right, with five the second; the third never is."""
    rng = np.random.default_rng(0)
    truth, n_known = rng.normal(size=4000), rng.choice([1, 5], 4000)
    errors = 0.1 + 0.9 * np.array([n_known == 5, n_known == 1, n_known > 0])
    means = truth + errors * rng.normal(size=(3, 4000))
    return means, 0 * means + 1.0, make_cases(truth, n_known, 40)


@pytest.mark.parametrize(("kind", "power"), [("new", 3), ("later", 1), ("between", 3)])
def test_weights_are_powers_of_losses(predicted, kind, power):
    levels = find_levels(*predicted, kind)
    for level in levels:
        expected = level.losses[:-1] ** -float(power)
        np.testing.assert_allclose(level.weights, expected / expected.sum())
    assert len(levels) == (2 if kind == "new" else 1)


def test_weights_depend_on_the_number_of_known_rows(predicted):
    levels = find_levels(*predicted, "new")
    weights, quantiles, *_ = interpolate(levels, np.array([0, 1, 2, 5, 90]))
    np.testing.assert_allclose(weights.sum(0), 1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    assert weights[0, 1] > 0.9
    assert weights[1, 3] == weights[1, 4] > 0.9
    assert weights[1, 1] < weights[1, 2] < weights[1, 3]
    assert quantiles.shape == (5, 200)
    for level in levels:
        assert level.losses[-1] < 1.1 * level.losses[:-1].min()


def test_a_member_without_error_does_not_divide_by_zero():
    truth = np.random.default_rng(0).normal(size=50)
    means = np.array([truth, truth + 1])
    (level,) = find_levels(means, 0 * means + 1, make_cases(truth, 1, 10), "later")
    np.testing.assert_allclose(level.weights, [1, 0], atol=1e-9)


def test_widths_are_between_those_of_residuals_and_those_predicted():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=3000)
    cases = make_cases(truth, 1, 60)
    means = (truth + 3 * rng.normal(size=3000))[None]
    stds = [np.full((1, 3000), std) for std in (1.0, 3.0)]
    found = [find_levels(means, std, cases, "between")[0].quantiles for std in stds]
    z, few_groups = ndtri(PROBABILITIES), 1.016
    tails = abs(PROBABILITIES - 0.5) > 0.3
    for quantiles, factor in zip(found, (0.8 * 3, 0.8), strict=True):
        expected = few_groups * np.sqrt(factor) * z
        np.testing.assert_allclose(quantiles[tails], expected[tails], rtol=0.1)
    # A common error of all rows may have the other sign next time.
    biased = find_levels(means + 9, stds[1], cases, "later")[0].quantiles
    np.testing.assert_allclose(biased, -biased[::-1])
    assert (biased[101:] > 1.3 * found[1][101:]).all()


def test_a_mixture_is_as_wide_as_its_members_disagree():
    means, stds = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])
    mean, std = mix_deviations(means, stds, np.array([[0.5], [0.5]]))
    assert (mean[0], std[0]) == (1.0, np.sqrt(2.0))
