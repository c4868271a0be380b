"""The histogram with exponential tails, against numerical integration and sampling."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from skmeta._tabular.table_prior import N_BINS, bin_edges, binned_moments, binned_quantiles
from skmeta.learners.in_context import binned_loss


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return 1.5 * torch.randn(3, N_BINS, generator=generator, dtype=torch.float64)


def density(logits, t):
    return float(torch.exp(-binned_loss(logits, torch.tensor(t, dtype=torch.float64))))


def integrate(logits, function, upper=np.inf):
    """Piece by piece, since the density has a step at each edge."""
    edges = bin_edges()
    ends = [-np.inf, *edges, np.inf]
    total = 0.0
    for low, high in pairwise(ends):
        if low < upper:
            total += quad(lambda t: function(t) * density(logits, t), low, min(high, upper))[0]
    return total


def test_it_is_a_density_with_the_moments_reported(logits):
    for row in logits[:2]:
        mean, variance = binned_moments(row.softmax(0))
        assert integrate(row, lambda t: 1.0) == pytest.approx(1, abs=1e-5)
        assert integrate(row, lambda t: t) == pytest.approx(float(mean), abs=1e-5)
        spread = integrate(row, lambda t, mean=float(mean): (t - mean) ** 2)
        assert spread == pytest.approx(float(variance), abs=1e-4)


def test_quantiles_are_the_inverse_of_the_integral(logits):
    levels = np.array([0.003, 0.05, 0.3, 0.5, 0.77, 0.95, 0.998])
    found = binned_quantiles(logits.softmax(1).numpy(), levels)
    assert found.shape == (3, 7)
    assert (np.diff(found) > 0).all()
    for level, value in zip(levels, found[0], strict=True):
        assert integrate(logits[0], lambda t: 1.0, value) == pytest.approx(level, abs=1e-5)
