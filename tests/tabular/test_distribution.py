"""Distributions are given other means and another spread."""

import numpy as np
import pytest
from scipy.stats import norm

from skmeta._tabular import LEVELS, reshape_distributions


@pytest.mark.parametrize("spread", [1.0, 0.7, 0.2])
def test_a_normal_distribution_moves_and_becomes_narrower(spread):
    scale = np.array([[1.0], [50.0]])
    levels = np.array([0.05, 0.3, 0.5, 0.95])
    mean = np.array([1.5, -30.0])
    std, found = reshape_distributions(scale * norm.ppf(LEVELS), mean, spread, levels)
    np.testing.assert_allclose(std, spread * scale[:, 0], rtol=0.03)
    expected = mean[:, None] + spread * scale * norm.ppf(levels)
    np.testing.assert_allclose(found / scale, expected / scale, atol=0.02)


def test_a_value_of_many_targets_stays():
    has_rest = LEVELS > 0.6
    quantiles = np.where(has_rest, 10 * (LEVELS - 0.6) / 0.4, 0.01 * LEVELS)[None]
    for mean in (1.0, 2.0, 3.0):
        _, found = reshape_distributions(quantiles, np.array([mean]), 0.9, np.array([0.05, 0.4]))
        assert (abs(found) < 0.02).all()
