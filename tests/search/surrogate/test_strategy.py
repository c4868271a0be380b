"""What a strategy asks for, with and without a past, and what seconds change."""

import numpy as np
import pytest

from skmeta.search import SearchPrior
from skmeta.search.record import PastSearch
from skmeta.search.surrogate import SearchStrategy

RNG = np.random.default_rng(0)
POOL = tuple({"a": float(a), "b": float(b)} for a, b in RNG.random((80, 2)))
X = np.array([[*c.values()] for c in POOL])


def scores_of(task, X=X):
    """A bowl whose place and tilt depend on the task."""
    rng = np.random.default_rng(task)
    peak = np.array([0.7, 0.3]) + 0.1 * rng.standard_normal(2)
    return 0.9 - ((X - peak) ** 2).sum(1) + 0.05 * np.sin(9 * X[:, 0] + task)


def past_search(task, sign=1.0):
    return PastSearch(
        dataset=f"set {task}", configurations=POOL[::2], scores=sign * scores_of(task)[::2]
    )


@pytest.fixture(scope="module")
def searches():
    return [past_search(task) for task in range(8)]


@pytest.fixture(scope="module")
def prior(searches):
    return SearchPrior.from_searches(searches)


def make_strategy(prior=None, seed=0, pool=POOL, **params):
    return SearchStrategy(pool, prior, rng=np.random.default_rng(seed), **params)


def run(strategy, scores, n, batch=1):
    actual = []
    while len(actual) < n:
        indices = [s.index for s in strategy.ask(batch)]
        strategy.tell(indices, scores[indices])
        actual += indices
    return actual


def regret(scores, actual, n):
    return (scores.max() - scores[actual[:n]].max()) / np.ptp(scores)


@pytest.mark.parametrize("learned", [False, True])
def test_a_batch_is_of_different_candidates(prior, learned):
    strategy = make_strategy(prior if learned else None)
    run(strategy, scores_of(9), 6)
    batch = [s.index for s in strategy.ask(8)]
    assert len(set(batch)) == 8
    apart = np.abs(X[batch][:, None] - X[batch][None]).max(2) + np.eye(8)
    low, high = X.min(0), X.max(0)
    assert apart.min() > 0.05 * (high - low).min()
    # What is pending is not asked for again.
    assert not set(batch) & {s.index for s in strategy.ask(8)}


@pytest.mark.parametrize("learned", [True, False])
def test_what_others_evaluate_is_as_if_it_were_of_the_same_batch(prior, learned):
    """Workers that share a search propose what one of them would propose as a batch."""
    workers = [make_strategy(prior if learned else None) for _ in range(3)]
    scores = scores_of(9)
    for _ in range(3):
        batch = workers[0].ask(3)
        pending = []
        for worker in workers[1:]:
            worker.set_pending([s.index for s in pending])
            [one] = worker.ask(1)
            pending.append(one)
        assert [s.index for s in pending] == [s.index for s in batch[:2]]
        np.testing.assert_allclose(
            [s.mean for s in pending], [s.mean for s in batch[:2]], rtol=1e-6
        )
        told = [s.index for s in batch]
        for worker in workers:
            worker.tell(told, scores[told])
            worker.set_pending([])


def test_the_first_candidate_is_good_on_average(prior):
    first = make_strategy(prior).ask()[0].index
    assert first == make_strategy(prior, seed=1).ask()[0].index
    ranks = [(scores_of(t) > scores_of(t)[first]).mean() for t in range(8)]
    assert np.mean(ranks) < 0.1


def test_the_past_helps():
    tasks = range(20, 30)
    prior = SearchPrior.from_searches([past_search(t) for t in range(8)])
    learned, plain = (
        np.mean([regret(scores_of(t), run(make_strategy(p, t), scores_of(t), 5), 5) for t in tasks])
        for p in (prior, None)
    )
    assert learned < 0.5 * plain


def test_an_inverted_past_costs_little():
    tasks = range(20, 28)
    prior = SearchPrior.from_searches([past_search(t, sign=-1.0) for t in range(8)])
    regrets = []
    for t in tasks:
        strategy = make_strategy(prior, t)
        first = strategy.ask()[0].index
        assert scores_of(t)[first] < np.median(scores_of(t)), "the past does mislead"
        strategy = make_strategy(prior, t)
        regrets.append(regret(scores_of(t), run(strategy, scores_of(t), 12), 12))
    assert np.mean(regrets) < 0.02


@pytest.mark.parametrize("learned", [False, True])
def test_where_candidates_fail_the_search_does_not_stay(prior, learned):
    scores = scores_of(9)
    scores[X[:, 1] > 0.5] = np.nan
    strategy = make_strategy(prior if learned else None)
    actual = run(strategy, scores, 30)
    assert len(set(actual)) == 30
    assert np.nanmax(scores) in scores[actual[:20]]
    # Over half of the candidates fail.
    assert np.isnan(scores[actual[5:15]]).mean() <= 0.3


FAST = [{"Fast.a": float(a)} for a in np.linspace(0, 1, 20)]
SLOW = [{"Slow.b": float(b)} for b in np.linspace(0, 1, 20)]


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
