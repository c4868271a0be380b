"""Which candidate is next: initial designs and upper confidence bounds."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from skmeta.search.surrogate import (
    design_from_surfaces,
    design_of_least_variance,
    most_promising,
)


def utility_of(F, weights, chosen):
    U = np.tanh((F - F[:, :1]) / 0.7)
    U[:, 0] = 0.01
    return weights @ U[:, list(chosen)].max(1)


def portfolio(F, weights, n, given=0):
    chosen = []
    for _ in range(n):
        is_open = np.ones(F.shape[1], dtype=bool)
        is_open[chosen] = False
        chosen.append(design_from_surfaces(F, weights, given, chosen, is_open))
    return chosen


def test_every_choice_adds_most_to_the_mean_utility():
    rng = np.random.default_rng(0)
    F, weights = rng.standard_normal((6, 9)), rng.dirichlet(np.ones(6))
    chosen = portfolio(F, weights, 3)
    for n in range(3):
        options = [utility_of(F, weights, [*chosen[:n], i]) for i in range(9)]
        assert np.isclose(options[chosen[n]], max(options))


@pytest.mark.parametrize("given", [0, 1])
def test_the_estimator_as_given_comes_first_if_nothing_is_clearly_better(given):
    assert design_from_surfaces(np.array([[0.0, 0.001]]), np.ones(1), given) == given


def mean_variance(X, chosen):
    kernel = Matern(2.0, nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None)
    process.fit(X[chosen], np.zeros(len(chosen)))
    return (process.predict(X, return_std=True)[1] ** 2).mean()


def test_without_past_tasks_the_mean_variance_left_is_the_least():
    X = np.random.default_rng(0).random((30, 2))
    is_open = np.ones(30, dtype=bool)
    is_open[::3] = False
    chosen = []
    for _ in range(4):
        actual = design_of_least_variance(X, chosen, is_open)
        left = {k: mean_variance(X, [*chosen, k]) for k in np.flatnonzero(is_open)}
        assert actual == min(left, key=left.get)
        chosen.append(actual)
        is_open[actual] = False


def test_without_past_tasks_every_sub_space_is_tried():
    """Four groups of candidates, far from each other and of different size."""
    sizes = (40, 20, 12, 8)
    group = np.repeat(np.arange(4), sizes)
    X = np.column_stack([10 * np.eye(4)[group], np.random.default_rng(0).random((80, 2))])
    chosen = []
    for _ in range(4):
        chosen.append(design_of_least_variance(X, chosen, np.ones(80, dtype=bool)))
    assert sorted(group[chosen]) == [0, 1, 2, 3]
    assert group[chosen[0]] == 0, "the largest comes first"


# -- upper confidence bounds ---------------------------------------------------------------------


PREDICTIONS = [
    (np.array([1.0, 0.0, 0.2]), np.array([0.1, 0.5, 0.1])),
    (np.array([0.0, 3.0, 0.2]), np.array([0.1, 0.1, 0.1])),
]


@pytest.mark.parametrize(
    ("weights", "log_seconds", "closed", "expected"),
    [
        ((0.9, 0.1), (0, 0, 0), (), 0),  # 1.05, .99 and .35
        ((0.5, 0.5), (0, 0, 0), (), 1),  # .65, 1.95 and .35
        ((0.5, 0.5), (0, 0, 0), (1,), 0),
        ((0.9, 0.1), (2, 0, 0), (), 1),  # .65, .99 and .35
    ],
)
def test_largest_mean_of_the_bounds_seconds_deducted(weights, log_seconds, closed, expected):
    is_available = ~np.isin(np.arange(3), closed)
    arguments = np.array(weights), np.array(log_seconds, dtype=float), is_available
    assert most_promising(PREDICTIONS, *arguments) == expected
