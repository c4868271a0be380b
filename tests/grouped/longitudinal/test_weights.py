"""Weights of members by known rows and time ahead, and the guard beyond what was seen."""

import numpy as np
import pytest
from scipy.special import ndtri

from skmeta.grouped.longitudinal._weights import Held, find_regime, mix_members

PROBABILITIES = np.linspace(0.0025, 0.9975, 200)


@pytest.fixture(scope="module")
def found():
    """Near, the first member is right; far ahead, the second one is; the third never is."""
    rng = np.random.default_rng(0)
    n = 4000
    gap, group = rng.choice([1.0, 2.0, 8.0, 16.0], n), rng.integers(0, 40, n)
    truth = rng.normal(size=n)
    errors = 0.1 + 2.0 * np.array([gap > 4, gap < 4, gap > 0])
    means = truth + errors * rng.normal(size=(3, n))
    n_known = rng.choice([1, 5], n)
    held = Held(truth, np.ones(n), n_known, gap, n_known, group)
    is_safe = np.array([True, False, True])
    return find_regime(means, 0 * means + 1.0, held, is_safe, "new", PROBABILITIES), is_safe


def test_weights_depend_on_the_time_ahead(found):
    regime, is_safe = found
    weights = regime.weights_of(np.array([5, 5]), np.array([1.0, 16.0]), is_safe)
    np.testing.assert_allclose(weights.sum(0), 1)
    assert weights[0, 0] > 0.6
    assert weights[1, 1] > 0.6
    assert weights[2].max() < 0.15


def test_members_that_are_not_safe_fade_beyond_the_times_seen(found):
    regime, is_safe = found
    weights = regime.weights_of(np.full(3, 5), np.array([16.0, 160.0, 1e9]), is_safe)
    assert (np.diff(weights[1]) < 0).all()
    assert weights[1, 2] < 1e-6
    np.testing.assert_allclose(weights.sum(0), 1)


def test_losses_are_those_of_the_cells(found):
    regime, _ = found
    assert list(regime.losses) == [1.0, 5.0]
    for losses in regime.losses.values():
        assert losses[-1] < losses[:-1].min()


def test_cuts_in_time_that_disagree_share_the_weight():
    rng = np.random.default_rng(0)
    n = 2000
    truth, cut = rng.normal(size=n), np.arange(n) % 4
    # The first member is right at three cuts of four, and far from right at the other.
    right = np.array([cut > 0, cut == 0])
    means = truth + np.where(right, 0.1, 1.0) * rng.normal(size=(2, n))
    held = Held(truth, np.ones(n), np.ones(n), np.ones(n), cut, np.arange(n) % 50)
    safe = np.ones(2, bool)
    of_kinds = {
        kind: find_regime(means, 0 * means + 1.0, held, safe, kind, PROBABILITIES).weights[0, 0, 0]
        for kind in ("between", "later")
    }
    assert of_kinds["between"] > 0.7
    assert 0.5 < of_kinds["later"] < of_kinds["between"] - 0.02


def test_quantiles_cover_and_have_a_least_width():
    rng = np.random.default_rng(1)
    n, groups = 3000, np.arange(3000) % 60
    truth = rng.normal(size=n)
    held = Held(truth, np.ones(n), np.ones(n), np.ones(n), np.zeros(n), groups)
    exact = find_regime(
        truth[None], np.ones((1, n)), held, np.array([True]), "between", PROBABILITIES
    )
    np.testing.assert_allclose(exact.quantiles[0, 0], 0.55 * ndtri(PROBABILITIES))
    means = (truth + 3 * rng.standard_t(4, n))[None]
    wide = find_regime(means, np.ones((1, n)), held, np.array([True]), "between", PROBABILITIES)
    low, high = (np.interp(p, PROBABILITIES, wide.quantiles[0, 0]) for p in (0.05, 0.95))
    covered = np.mean((truth >= means[0] + low) & (truth <= means[0] + high))
    assert 0.9 < covered < 0.95


def test_a_mixture_is_as_wide_as_its_members_disagree():
    means, stds = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])
    mean, std = mix_members(means, stds, np.array([[0.5], [0.5]]))
    assert (mean[0], std[0]) == (1.0, np.sqrt(2.0))
