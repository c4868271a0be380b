"""A history on a PostgreSQL server; SKMETA_TEST_POSTGRES is the SQLAlchemy URL of a database."""

import math
import multiprocessing
import os
import pickle
import signal
import time

import pytest
import sqlalchemy as sa
from builders import make_evaluation, make_record
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, HistoryFormatError
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


def test_everything_comes_back(url):
    record = make_record(dataset="cafés — 日本", dataset_features={"a": math.nan, "b": -math.inf})
    evaluation = make_evaluation(
        configuration={"SVC.C": math.inf, "SVC.tol": 0.1 + 0.2, "SVC.kernel": "a\0b", "n": 10**30},
        scores={"accuracy": (math.nan, 1 / 3)},
        fit_times=(0.1, 5e-324),
        error="ValueError: a%sb :name %(x)s",
    )
    with SearchHistory(url) as history:
        search_id = history.begin(record)
        history.record(search_id, evaluation)
        history.record(search_id, evaluation)
        [search] = history
        assert repr(search.record) == repr(record)
        assert repr(search.candidates) == repr((evaluation,))


def test_users_do_all_that_they_do_with_a_file(url, tmp_path):
    with SearchHistory(url) as history:
        token = history.position()
        history.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [0.5, math.nan], dataset="a")
        history.add(SVC(), [{"C": 1.0}], [0.5], dataset="b")
        assert history.position() != token
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


def test_a_copy_opens_the_same_database(url):
    with SearchHistory(url) as history, pickle.loads(pickle.dumps(history)) as other:
        search_id = other.begin(make_record())
        history.record(search_id, make_evaluation())
        assert other.candidates(search_id) == [make_evaluation()]


def test_read_only_writes_nothing(url):
    with pytest.raises(HistoryFormatError, match="a read-only one is not created"):
        SearchHistory(url, read_only=True)
    with SearchHistory(url) as history:
        history.begin(make_record())
        with SearchHistory(url, read_only=True) as reading:
            reading.record(reading.begin(make_record("new")), make_evaluation())
            assert len(reading) == len(history) == 1


def test_other_tables_may_be_there_but_a_newer_format_may_not(url):
    with SearchHistory(url) as history:
        for statement in [
            "CREATE TABLE customers (id integer)",
            "UPDATE skmeta_about SET value = '99' WHERE name = 'version'",
        ]:
            history._store.run(lambda c, s=statement: c.execute(sa.text(s)), write=True)
    with pytest.raises(HistoryFormatError, match=r"of format 99, .* Upgrade skmeta"):
        SearchHistory(url)


def test_a_lost_connection_is_made_anew(url):
    with SearchHistory(url) as history, SearchHistory(url) as other:
        search_id = history.begin(make_record())
        statement = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = current_user "
            "AND pid <> pg_backend_pid() AND query LIKE '%skmeta_search%'"
        )
        other._store.run(lambda connection: connection.execute(statement).all())
        history.record(search_id, make_evaluation())
        assert len(history.candidates(search_id)) == 1


def test_an_error_names_no_password(url):
    wrong = sa.make_url(url).set(database="nowhere", password="secret-word")
    with pytest.raises(HistoryError, match="nowhere") as caught:
        SearchHistory(wrong.render_as_string(hide_password=False))
    assert "secret-word" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_leaves_the_parents_connection_alone(url):
    with SearchHistory(url) as history:
        search_id = history.begin(make_record())
        child = os.fork()
        if child == 0:
            history.record(search_id, make_evaluation("child"))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        history.record(search_id, make_evaluation("parent"))
        assert [e.key for e in history.candidates(search_id)] == ["child", "parent"]


# Several processes.

N_SEARCHES, N_CANDIDATES = 10, 10


def run_searches(url, process, log):
    """Record the searches of this process, and half of one that all share."""
    with SearchHistory(url) as history, open(log, "a", buffering=1) as file:
        shared = history.begin(make_record("shared"))
        for number in range(N_SEARCHES):
            search_id = history.begin(make_record(f"{process}-{number}"))
            for k in range(N_CANDIDATES):
                history.record(search_id, make_evaluation(f"{k}"))
                history.record(shared, make_evaluation(f"{number} {k}"))
                file.write(f"{process}-{number} {k}\n")


@pytest.mark.distributed
@pytest.mark.parametrize("kill", [False, True])
def test_processes_write_at_once(url, kill, tmp_path):
    context = multiprocessing.get_context("spawn")
    logs = [tmp_path / f"{process}.log" for process in range(3)]
    workers = [
        context.Process(target=run_searches, args=(url, k, str(log))) for k, log in enumerate(logs)
    ]
    for worker in workers:  # none has created the tables
        worker.start()
    if kill:
        while workers[0].is_alive() and not (logs[0].exists() and logs[0].read_text()):
            time.sleep(0.001)
        os.kill(workers[0].pid, signal.SIGKILL)
    for worker in workers:
        worker.join()
    codes = [worker.exitcode for worker in workers]
    assert codes == [-signal.SIGKILL if kill else 0, 0, 0]

    with SearchHistory(url) as history:
        recorded = {s.record.fingerprint: [e.key for e in s.candidates] for s in history}
    for log in logs:
        for line in log.read_text().splitlines():
            name, _, key = line.partition(" ")
            assert recorded[name].count(key) == 1
    for number in range(N_SEARCHES):
        assert recorded[f"1-{number}"] == [str(k) for k in range(N_CANDIDATES)]
    assert len(recorded["shared"]) == len(set(recorded["shared"])) == N_SEARCHES * N_CANDIDATES
