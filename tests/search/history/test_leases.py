"""Leases on the candidates of a shared search."""

import threading
import time

import pytest
import sqlalchemy as sa
from builders import make_evaluation, make_record

from skmeta.exceptions import HistoryError
from skmeta.search.history._leases import Leases

LONG = 1000.0


@pytest.fixture
def search_id(history):
    return history._begin(make_record())


def lease(key):
    return make_evaluation(key, {}, params="{}", source="model", predicted_mean_score=0.5)


def leases_of(history, search_id, timeout):
    leases = Leases(history._store, search_id)
    leases.timeout = timeout
    return leases


def keys(state):
    return [one.key for one in state.leased]


def test_a_proposal_that_knows_less_is_refused(history, search_id):
    one, other = leases_of(history, search_id, LONG), leases_of(history, search_id, LONG)
    seen = other.read()
    assert one.claim([lease("a")], seen)
    assert not other.claim([lease("a")], seen)
    assert not other.claim([lease("b")], seen)
    seen = other.read()
    history._record(search_id, make_evaluation("a"))
    assert not other.claim([lease("b")], seen, if_none_finished=True)
    assert other.claim([lease("b")], seen)
    assert keys(one.read()) == ["a", "b"]


def test_a_database_that_fails_is_tried_again_while_leases_are_held(history, search_id):
    one = leases_of(history, search_id, LONG)
    away = history.path.with_name("away.db")
    history.path.rename(away)
    threading.Timer(0.3, lambda: away.rename(history.path)).start()
    with one:
        assert one.read().leased == ()
        history.path.rename(away)
    with pytest.raises(HistoryError, match="moved or deleted"):
        one.read()


def test_leases_are_renewed_until_they_are_given_back(history, search_id):
    one = leases_of(history, search_id, 0.2)

    def expires():
        query = sa.text("SELECT expires FROM skmeta_lease")
        return history._store.run(lambda connection: connection.execute(query).scalar_one())

    with one:
        assert one.claim([lease("a")], one.read())
        first, last_look = expires(), time.monotonic() + 600
        while expires() <= first and time.monotonic() < last_look:
            time.sleep(0.01)
        assert expires() > first
    assert one.read().expired == {"a"}
