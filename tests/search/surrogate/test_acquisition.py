"""Which candidate is next: initial designs and expected improvement."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from skmeta.search.surrogate import (
    design_from_surfaces,
    design_of_least_variance,
    log_expected_improvement,
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


def test_goes_on_with_what_is_good_on_average_once_every_task_is_at_its_best():
    F = np.array([[1.0, 0.2, 0.8, 0.0], [1.0, 0.3, 0.9, 0.0]])
    assert portfolio(F, np.full(2, 0.5), 3, given=3) == [0, 2, 1]


def test_a_large_gain_on_one_task_is_worth_less_than_small_ones_on_most():
    F = np.array([[0.0, 9.0, 0.6], [0.0, -0.5, 0.6], [0.0, -0.5, 0.6]])
    assert design_from_surfaces(F, np.full(3, 1 / 3), given=0) == 2


@pytest.mark.parametrize("given", [0, 1])
def test_the_estimator_as_given_comes_first_if_nothing_is_clearly_better(given):
    assert design_from_surfaces(np.array([[0.0, 0.001]]), np.ones(1), given) == given


def test_flat_surfaces_are_no_obstacle():
    assert portfolio(np.zeros((2, 4)), np.full(2, 0.5), 2, given=None) == [0, 1]


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


# -- expected improvement --------------------------------------------------------------------------


def by_mpmath(u):
    """Logarithm of phi(u) + u Phi(u), in 60 digits."""
    with mpmath.workdps(60):
        u = mpmath.mpf(u)
        cumulative = mpmath.erfc(-u / mpmath.sqrt(2)) / 2
        return float(mpmath.log(mpmath.npdf(u) + u * cumulative))


@pytest.mark.parametrize(
    ("mean", "std", "best"), [(0.2, 0.5, 0.4), (1.0, 0.1, 0.3), (0.0, 2.0, 3.0)]
)
def test_is_the_integral_over_improvements(mean, std, best):
    expected, _ = quad(
        lambda y: (y - best) * norm.pdf(y, mean, std), best, max(mean, best) + 12 * std
    )
    actual = log_expected_improvement(np.array([mean]), np.array([std]), best)
    assert actual[0] == pytest.approx(np.log(expected), rel=1e-7)


@pytest.mark.parametrize(
    ("u", "error"),
    [
        *((u, 1e-9) for u in (40.0, 3.0, 0.0, -0.999, -1.001, -5.0, -12.0)),
        *((u, 6e-3) for u in (-24.9, -25.1, -40.0, -300.0)),  # far below the best
    ],
)
def test_is_exact_where_it_matters_and_never_underflows(u, error):
    actual = log_expected_improvement(np.array([u]), np.array([1.0]), 0.0)
    assert actual[0] == pytest.approx(by_mpmath(u), rel=1e-9, abs=error)


def test_ranks_candidates_down_to_the_far_tail():
    u = np.linspace(-500, 50, 20_000)
    actual = log_expected_improvement(u, np.ones_like(u), 0.0)
    assert np.isfinite(actual).all()
    assert (np.diff(actual) > 0).all()


@pytest.mark.parametrize("shift", [-3.0, 0.0, 2.0, 60.0])
@pytest.mark.parametrize("n", [1, 5, 300])
def test_the_most_promising_is_that_of_all(n, shift):
    rng = np.random.default_rng(n)
    predictions = [(rng.normal(size=n) - shift, rng.uniform(0.05, 2, n)) for _ in range(3)]
    weights, log_cost = np.array([0.7, 0.29, 0.01]), rng.normal(size=n)
    is_available = rng.uniform(size=n) < 0.5
    is_available[0] = True
    all_of_them = np.logaddexp.reduce(
        [
            np.log(w) + log_expected_improvement(mean, std, 0.3)
            for w, (mean, std) in zip(weights, predictions, strict=True)
        ]
    )
    expected = np.where(is_available, all_of_them - log_cost, -np.inf).argmax()
    assert most_promising(predictions, weights, 0.3, log_cost, is_available) == expected
