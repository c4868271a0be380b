"""Weights of mixtures by held-out losses, against what follows from the formulas."""

import numpy as np
import pytest

from skmeta.tabular import average_weights, mix, stack, weight_grid


@pytest.mark.parametrize("squared", [False, True])
def test_many_rows_find_the_best_weights_and_few_stay_near_the_middle(squared):
    grid = weight_grid(2, 10)
    loss = 0.1 + (grid[:, 0] - 0.8) ** 2
    losses = np.tile(loss[:, None], 4)
    many = average_weights(losses, grid, n_independent=1e5, squared=squared)
    few = average_weights(losses, grid, n_independent=1e-3, squared=squared)
    np.testing.assert_allclose(many, [0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(few, [0.5, 0.5], atol=1e-2)


def test_squared_errors_are_likelihoods_of_normal_distributions():
    rng = np.random.default_rng(0)
    grid, n = weight_grid(2, 4), 30
    y, outputs = rng.normal(size=n), rng.normal(size=(2, n))
    losses = np.stack([(y - mix(outputs, w)) ** 2 for w in grid])
    # The likelihood at the best variance.
    log_p = [-0.5 * n * (np.log(2 * np.pi * v) + 1) for v in losses.mean(1)]
    chance = np.exp(log_p - np.max(log_p))
    expected = chance @ grid / chance.sum()
    found = average_weights(losses, grid, n_independent=n, squared=True)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("is_regression", [True, False])
def test_stacked_weights_are_the_mode_of_likelihood_and_prior(is_regression):
    rng = np.random.default_rng(1)
    n, first, shares = 60, np.array([0.2, 0.3, 0.5]), rng.dirichlet(np.full(60, 5.0))
    y = rng.normal(size=n)
    outputs = y + rng.normal(size=(3, n)) * [[0.5], [1.0], [2.0]]
    if not is_regression:
        outputs = 1 / (1 + np.exp(-outputs))
    grid = weight_grid(3, 100)
    grid = grid[grid.min(1) > 0]
    mixture = grid @ outputs
    log_likelihood = -0.5 * np.log(((mixture - y) ** 2) @ shares)
    if not is_regression:
        log_likelihood = np.log(mixture) @ shares
    best = grid[np.argmax(n * log_likelihood + 10 * np.log(grid) @ first)]
    found = stack(outputs, y if is_regression else None, shares, first, n)
    np.testing.assert_allclose(found, best, atol=0.01)
    nothing = stack(outputs, y if is_regression else None, shares, first, 0.0)
    np.testing.assert_allclose(nothing, first, atol=1e-6)
