"""A history on a PostgreSQL server; SKMETA_TEST_POSTGRES is the SQLAlchemy URL of a database."""

import math
import os
import pickle

import pytest
import sqlalchemy as sa
from builders import make_evaluation, make_record
from sklearn.svm import SVC

from skmeta.exceptions import FileFormatError, HistoryError
from skmeta.search import SearchHistory

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        not os.environ.get("SKMETA_TEST_POSTGRES"),
        reason="SKMETA_TEST_POSTGRES names no PostgreSQL database",
    ),
]


@pytest.fixture
def url(postgres_url):
    return postgres_url


def test_users_do_all_that_they_do_with_a_file(url, tmp_path):
    with SearchHistory(url) as history:
        token = history._position()
        history.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [0.5, math.nan], dataset="a")
        history.add(SVC(), [{"C": 1.0}], [0.5], dataset="b")
        assert history._position() != token
        assert [past.dataset for past in history.searches(estimator="SVC")] == ["a", "b"]
        assert len(history.to_frame()) == 3
        assert "SVC                2         2           3" in history.describe()
        copied = SearchHistory(tmp_path / "a.db").merge(url)
        assert len(copied) == 2
        other = SearchHistory().merge(history)
        assert [repr(s) for s in other] == [repr(s) for s in history]
        assert history.remove("a") == 1
        history.merge(tmp_path / "a.db")
        assert len(history) == 2
        assert history.path is None


def test_a_copy_has_no_secret_of_the_url(url):
    with SearchHistory(url) as history:
        copied = pickle.loads(pickle.dumps(history))
    with pytest.raises(HistoryError, match="were not pickled along"):
        len(copied)


def test_read_only_writes_nothing(url):
    with pytest.raises(FileFormatError, match="a read-only one is not created"):
        SearchHistory(url, mode="read")
    with SearchHistory(url) as history:
        history._begin(make_record())
        with SearchHistory(url, mode="read") as reading:
            reading._record(reading._begin(make_record("new")), make_evaluation())
            assert len(reading) == len(history) == 1


def test_other_tables_may_be_there_but_a_newer_format_may_not(url):
    with SearchHistory(url) as history:
        for statement in [
            "CREATE TABLE customers (id integer)",
            "UPDATE skmeta_about SET value = '99' WHERE name = 'version'",
        ]:
            history._store.run(lambda c, s=statement: c.execute(sa.text(s)), write=True)
    with pytest.raises(FileFormatError, match=r"of format 99, .* Upgrade skmeta"):
        SearchHistory(url)


def test_an_error_names_no_password(url):
    wrong = sa.make_url(url).set(database="nowhere", password="secret-word")
    with pytest.raises(HistoryError, match="nowhere") as caught:
        SearchHistory(wrong.render_as_string(hide_password=False))
    assert "secret-word" not in str(caught.value)
