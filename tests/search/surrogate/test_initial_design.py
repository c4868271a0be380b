from itertools import combinations

import numpy as np

from skmeta.search.surrogate._initial_design import design_from_surfaces, design_that_fills_space


def regret_of(F, weights, chosen):
    R = (F.max(1, keepdims=True) - F) / np.ptp(F, axis=1, keepdims=True)
    return weights @ R[:, list(chosen)].min(1)


def portfolio(F, weights, n):
    chosen = []
    for _ in range(n):
        is_open = np.ones(F.shape[1], dtype=bool)
        is_open[chosen] = False
        chosen.append(design_from_surfaces(F, weights, chosen, is_open))
    return chosen


def test_every_choice_leaves_the_least_mean_regret():
    rng = np.random.default_rng(0)
    F, weights = rng.standard_normal((6, 9)), rng.dirichlet(np.ones(6))
    chosen = portfolio(F, weights, 3)
    for n in range(3):
        options = [regret_of(F, weights, [*chosen[:n], i]) for i in range(9)]
        assert np.isclose(options[chosen[n]], min(options))


def test_portfolio_is_greedy_but_near_the_best():
    F = np.random.default_rng(1).standard_normal((8, 10))
    weights = np.full(8, 1 / 8)
    best = min(regret_of(F, weights, pair) for pair in combinations(range(10), 2))
    assert best <= regret_of(F, weights, portfolio(F, weights, 2)) <= 2 * best


def test_scale_and_offset_of_a_task_do_not_matter():
    rng = np.random.default_rng(2)
    F, weights = rng.standard_normal((5, 12)), np.full(5, 0.2)
    changed = F * rng.uniform(0.1, 10, (5, 1)) + rng.standard_normal((5, 1))
    assert portfolio(F, weights, 4) == portfolio(changed, weights, 4)


def test_a_heavy_task_decides():
    F = np.eye(3)
    assert portfolio(F, np.array([0.1, 0.1, 0.8]), 2)[0] == 2


def test_goes_on_with_what_is_good_on_average_once_every_task_is_at_its_best():
    F = np.array([[1.0, 0.2, 0.8, 0.0], [1.0, 0.3, 0.9, 0.0]])
    assert portfolio(F, np.full(2, 0.5), 3) == [0, 2, 1]


def test_flat_surfaces_are_no_obstacle():
    assert portfolio(np.zeros((2, 4)), np.full(2, 0.5), 2) == [0, 1]


def test_space_filling_takes_the_farthest_open_candidate():
    rng = np.random.default_rng(0)
    X = rng.random((30, 2))
    is_open = np.ones(30, dtype=bool)
    is_open[::2] = False
    first = design_that_fills_space(X, [], is_open, np.random.default_rng(3))
    assert is_open[first]
    assert first == design_that_fills_space(X, [], is_open, np.random.default_rng(3))
    second = design_that_fills_space(X, [first, 0], is_open, rng)
    distance = np.minimum(*(np.linalg.norm(X - X[i], axis=1) for i in (first, 0)))
    assert distance[second] == distance[is_open].max()
