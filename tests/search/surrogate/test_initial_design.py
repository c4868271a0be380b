import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from skmeta.search.surrogate._acquisition import design_from_surfaces, design_of_least_variance


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


def test_goes_on_with_what_is_good_on_average_once_every_task_is_at_its_best():
    F = np.array([[1.0, 0.2, 0.8, 0.0], [1.0, 0.3, 0.9, 0.0]])
    assert portfolio(F, np.full(2, 0.5), 3) == [0, 2, 1]


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
