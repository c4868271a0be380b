"""Seconds by estimator, and expected improvement per second."""

import numpy as np
import pytest

from skmeta.search.surrogate import SearchStrategy, expected_log_seconds, log_cost

FAST = [{"Fast.a": float(a)} for a in np.linspace(0, 1, 20)]
SLOW = [{"Slow.b": float(b)} for b in np.linspace(0, 1, 20)]
KINDS = ["fast"] * 20 + ["slow"] * 20
EQUAL = [0.0] * 40


def test_means_of_logarithms_by_estimator():
    expected = expected_log_seconds(KINDS, EQUAL, {0: 0.01, 1: 0.04, 20: 2.0, 21: float("nan")})
    fast, slow = np.log(0.02), np.log(2.0)
    overall = (fast + slow) / 2
    np.testing.assert_allclose(expected[:20], (2 * fast + 0.5 * overall) / 2.5)
    np.testing.assert_allclose(expected[20:], (slow + 0.5 * overall) / 1.5)


def test_an_estimator_that_was_not_tried_takes_as_long_as_the_others():
    np.testing.assert_allclose(expected_log_seconds(KINDS, EQUAL, {3: 0.5}), np.log(0.5))


def test_cost_of_rounds_and_leaves():
    boosting = {"LGBMClassifier.n_estimators": 200, "LGBMClassifier.num_leaves": 62}
    assert log_cost(boosting) == pytest.approx(1.25 * np.log(2))
    assert log_cost({"SVC.C": 200.0, "LGBMClassifier.num_leaves": None}) == 0.0


def test_seconds_are_those_of_the_costs():
    costs = [0.0, np.log(10)]
    np.testing.assert_allclose(expected_log_seconds("aa", costs, {}), [0, np.log(10) / 2])
    np.testing.assert_allclose(
        expected_log_seconds("aa", costs, {0: 0.5}), [np.log(0.5), np.log(5)]
    )


def test_of_equally_good_candidates_the_cheap_one_is_tried():
    pool = [{"B.n_estimators": n, "B.a": a} for n in (500, 50) for a in np.linspace(0, 1, 9)]
    strategy = SearchStrategy(pool, rng=np.random.default_rng(0))
    strategy.tell([0, 8, 9, 17], [0.1, 0.4, 0.1, 0.4])
    assert strategy.ask()[0].index >= 9


@pytest.mark.parametrize("is_timed", [False, True])
def test_a_slow_estimator_has_to_promise_more(is_timed):
    strategy = SearchStrategy(FAST + SLOW, rng=np.random.default_rng(0))
    rows = np.array([0, 10, 20, 30])
    # The slow one is a little better.
    scores = np.array([0.60, 0.81, 0.62, 0.82])
    seconds = np.array([0.01, 0.01, 10.0, 10.0]) if is_timed else None
    strategy.tell(rows, scores, seconds=seconds)
    [chosen] = strategy.ask()
    assert (chosen.index < 20) == is_timed


def test_equal_seconds_change_nothing():
    actual = []
    for seconds in (None, [3.0, 3.0, 3.0]):
        strategy = SearchStrategy(FAST + SLOW, rng=np.random.default_rng(0))
        strategy.tell([0, 10, 30], [0.1, 0.5, 0.3], seconds=seconds)
        actual.append([s.index for s in strategy.ask(4)])
    assert actual[0] == actual[1]
