import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from skmeta.search.surrogate import log_expected_improvement, most_promising


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


@pytest.mark.parametrize("u", [40.0, 3.0, 0.0, -0.999, -1.001, -5.0, -12.0])
def test_is_exact_where_it_matters(u):
    actual = log_expected_improvement(np.array([u]), np.array([1.0]), 0.0)
    assert actual[0] == pytest.approx(by_mpmath(u), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("u", [-24.9, -25.1, -40.0, -300.0])
def test_far_below_the_best_it_neither_underflows_nor_errs_much(u):
    actual = log_expected_improvement(np.array([u]), np.array([1.0]), 0.0)
    assert actual[0] == pytest.approx(by_mpmath(u), abs=6e-3)


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
