"""Weights of mixtures by held-out losses, and distributions that get another mean and spread."""

import numpy as np
import pytest
from grouped_tables import timed_rows
from scipy.stats import norm

from skmeta._tabular import (
    LEVELS,
    TimeRule,
    average_weights,
    find_level,
    mix,
    reshape_distributions,
    weight_grid,
)


@pytest.mark.parametrize("squared", [False, True])
def test_many_rows_find_the_best_weights_and_few_stay_near_the_middle(squared):
    grid = weight_grid(2)
    losses = 0.1 + (grid[:, 0] - 0.8) ** 2
    many = average_weights(losses, grid, 1e5, squared=squared)
    few = average_weights(losses, grid, 1e-3, squared=squared)
    np.testing.assert_allclose(many, [0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(few, [0.5, 0.5], atol=1e-2)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 7])
def test_grid_has_all_weights_of_a_step(m):
    grid = weight_grid(m)
    np.testing.assert_allclose(grid.sum(1), 1)
    assert len(np.unique(grid.round(9), axis=0)) == len(grid)
    np.testing.assert_allclose(average_weights(np.zeros(len(grid)), grid, 10), np.full(m, 1 / m))


def test_squared_errors_are_likelihoods_of_normal_distributions():
    rng = np.random.default_rng(0)
    grid, n = weight_grid(2), 30
    y, outputs = rng.normal(size=n), rng.normal(size=(2, n))
    losses = np.array([np.mean((y - mix(outputs, w)) ** 2) for w in grid])
    # The likelihood at the best variance.
    log_p = -0.5 * n * (np.log(2 * np.pi * losses) + 1)
    chance = np.exp(log_p - np.max(log_p))
    expected = chance @ grid / chance.sum()
    np.testing.assert_allclose(average_weights(losses, grid, n, squared=True), expected)


@pytest.mark.parametrize("n_of_prior", [10.0, 50.0])
def test_prior_is_a_dirichlet_distribution_around_its_weights(n_of_prior):
    prior = np.array([0.2, 0.3, 0.5])
    grid = weight_grid(3)
    # Its density has the exponents n_of_prior * prior, and so these means.
    expected = (n_of_prior * prior + 1) / (n_of_prior + 3)
    nothing = average_weights(np.zeros(len(grid)), grid, 0, prior=prior, n_of_prior=n_of_prior)
    np.testing.assert_allclose(nothing, expected, atol=0.02)
    # 40 rows that speak for the first weights.
    losses = -np.log(grid @ np.array([0.6, 0.3, 0.1]))
    found = average_weights(losses, grid, 40, prior=prior, n_of_prior=n_of_prior)
    inner = grid[grid.min(1) > 0]
    posterior = np.exp(40 * np.log(inner @ [0.6, 0.3, 0.1]) + n_of_prior * np.log(inner) @ prior)
    np.testing.assert_allclose(found, posterior @ inner / posterior.sum(), atol=0.02)


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


def later_weights(errors, scales, power):
    """Return the weights of two members (2,), given errors (2, n) of two groups of equal size."""
    n = errors.shape[1]
    at = timed_rows(np.arange(n), np.zeros(n), np.arange(n) % 2)._replace(place=np.arange(n))
    rule, ones = TimeRule(scales, power), np.ones(2)
    given = at, 5.0, ones.astype(bool), ones, rule, True
    return find_level(errors, np.ones((2, n)), *given).weights


def test_weights_of_later_rows_fall_with_a_power_of_the_loss_in_units_of_groups():
    errors = np.sqrt([[1.0], [2.0]]) * np.ones(10)
    first, eighth = (later_weights(errors, np.ones(10), power) for power in (1.0, 8.0))
    assert 0.6 < first[0] < 0.75
    assert eighth[0] > 0.95
    # The second member is better in the group of small numbers.
    errors, is_small = np.array([[10.0, 1.0] * 5, [11.0, 0.1] * 5]), np.arange(10) % 2 == 1
    assert later_weights(errors, np.ones(10), 8.0)[0] > 0.7
    assert later_weights(errors, np.where(is_small, 1.0, 100.0), 8.0)[1] > 0.95
