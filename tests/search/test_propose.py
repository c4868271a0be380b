from dataclasses import replace

import pytest
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV
from skmeta.search._arguments import resolve_arguments
from skmeta.search._propose import ModelProposer
from skmeta.search.prior import load_shipped


def make_proposer(prior=None, batch_size=1):
    search = MetaLearnedSearchCV(SVC(), batch_size=batch_size, random_state=0)
    arguments = replace(resolve_arguments(search, None), as_given=None)
    return ModelProposer(search, arguments, prior, 0)


def sizes(proposer, n):
    """Return the size of the pool when each of `n` batches has been proposed."""
    found = []
    for k in range(n):
        trials = proposer.ask(1000)
        found.append(len(proposer._pool))
        # Always a new best one.
        proposer.tell([replace(trial, score=0.5 + 0.01 * k) for trial in trials])
    return found


def test_a_search_without_a_prior_adds_near_candidates_after_ten_scores():
    found = sizes(make_proposer(), 12)
    assert found[:10] == [200] * 10
    assert found[11] > found[10] > 200


def test_a_search_with_a_prior_adds_them_at_once():
    found = sizes(make_proposer(load_shipped("SVC", "accuracy")), 3)
    assert found[0] == 1000
    assert found[2] > found[1] > 1000


@pytest.mark.parametrize("batch_size", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_many_candidates_are_drawn_from_the_whole_pool(batch_size):
    proposer = make_proposer(batch_size=batch_size)
    first, second = proposer.ask(1000), proposer.ask(1000)  # the first ones have no score yet
    assert len({trial.key for trial in (*first, *second)}) == 2 * batch_size
    assert len(proposer._pool) == 1000
