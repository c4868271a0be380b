"""Files that are missing, damaged, foreign, full, locked or not permitted; leases in a file."""

import copy
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from builders import make_evaluation, make_record, record_all
from sklearn.base import clone

from skmeta.exceptions import FileFormatError, HistoryError
from skmeta.search import SearchHistory
from skmeta.search.history import _store as store_module
from skmeta.search.history._leases import Leases


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(HistoryError, match=r"The folder '.*nowhere' does not exist\. Create it"):
        SearchHistory(tmp_path / "nowhere" / "searches.db")


@pytest.mark.parametrize("address", [None, 3, "", b"searches.db"])
def test_what_is_no_path(address):
    with pytest.raises(HistoryError, match="given by a path or an SQLAlchemy URL"):
        SearchHistory(address)


@pytest.mark.parametrize("content", [b"PAR1....", b"name,score\n"])
def test_a_file_that_is_no_database(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="not a history, nor a SQLite database"):
        SearchHistory(path)
    assert path.read_bytes() == content


def make_database(path, *statements):
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_foreign_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    make_database(path, "CREATE TABLE customers (id)", "CREATE TABLE orders (id)")
    before = path.read_bytes()
    for open_it in (SearchHistory, partial(SearchHistory, mode="read")):
        with pytest.raises(FileFormatError, match="holds the tables customers, orders"):
            open_it(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("version", "message"),
    [("4", "of format 4, .* Upgrade skmeta"), ("10", "Upgrade"), ("x", "It was altered")],
)
def test_another_format_is_refused(history, version, message):
    make_database(
        history.path, f"UPDATE skmeta_about SET value = '{version}' WHERE name = 'version'"
    )
    for open_it in (SearchHistory, partial(SearchHistory, mode="read")):
        with pytest.raises(FileFormatError, match=message):
            open_it(history.path)


def test_a_damaged_file_is_an_error(history):
    record_all(history, make_record(), *(make_evaluation(str(k)) for k in range(200)))
    content = bytearray(history.path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    history.path.write_bytes(content)
    with pytest.raises(FileFormatError, match="is damaged"):
        list(SearchHistory(history.path))


def test_a_full_disk_is_known_before_the_first_fit(history):
    sa.event.listen(
        history._store.engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA max_page_count = 1"),
    )
    with pytest.raises(HistoryError, match="Free some space"):
        history._begin(make_record(space={"x": "y" * 10_000}))


def test_a_vanished_file_does_not_come_back_empty(history):
    search_id = record_all(history, make_record(), make_evaluation("a"))
    away = history.path.with_name("away.db")
    history.path.rename(away)
    with pytest.raises(HistoryError, match="moved or deleted"):
        history._record(search_id, make_evaluation("b"))
    assert not history.path.exists()
    away.rename(history.path)
    history._record(search_id, make_evaluation("b"))
    assert [e.key for e in history._candidates(search_id)] == ["a", "b"]


def test_a_file_that_stays_locked_is_an_error_and_waited_for_less_the_next_time(
    history, monkeypatch
):
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(store_module, "_SHORT_BUSY_SECONDS", 0.0)
    search_id = history._begin(make_record())
    blocker = sqlite3.connect(history.path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for k in range(2):
        with pytest.raises(HistoryError, match="Another program holds it"):
            history._record(search_id, make_evaluation(str(k)))
        assert history._store._timed_out
    blocker.execute("ROLLBACK")
    blocker.close()
    history._record(search_id, make_evaluation("2"))
    assert not history._store._timed_out
    assert [e.key for e in history._candidates(search_id)] == ["2"]


UNPRIVILEGED = """
import os, sys
from skmeta.exceptions import HistoryError
from skmeta.search import SearchHistory
folder = sys.argv[1]
SearchHistory()  # imports what it needs while this process may
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path, word in [("kept/searches.db", "written"), ("kept/new.db", "cannot be written"),
                   ("open/readonly.db", "The file"),
                   ("open/secret.db", "The file")]:
    try:
        SearchHistory(os.path.join(folder, path))
    except HistoryError as error:
        assert word in str(error), (path, str(error))
    else:
        raise AssertionError(path)
assert sorted(os.listdir(os.path.join(folder, "kept"))) == ["searches.db"]
assert len(SearchHistory(os.path.join(folder, "kept/searches.db"), mode="read")) == 1
assert len(SearchHistory(os.path.join(folder, "open/readonly.db"), mode="read")) == 1
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs permissions of POSIX")
def test_missing_permission_is_known_when_opening():
    # Root may write anywhere, so a process without privileges has to try, where it may look.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for name in ("kept", "open"):
            (folder / name).mkdir()
        for name in ("kept/searches.db", "open/readonly.db", "open/secret.db"):
            SearchHistory(folder / name)._begin(make_record())
            (folder / name).chmod(0o444)
        (folder / "open/secret.db").chmod(0o000)
        (folder / "open").chmod(0o777)
        (folder / "kept").chmod(0o555)
        command = [sys.executable, "-c", UNPRIVILEGED, str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
        (folder / "kept").chmod(0o755)
    assert done.returncode == 0, done.stderr


def test_clones_and_copies_share_the_database(history):
    for other in [copy.deepcopy(history), copy.copy(history), clone(history)]:
        assert other is history
    record_all(pickle.loads(pickle.dumps(history)), make_record(), make_evaluation())
    assert len(history) == 1


def test_a_pickle_loads_where_its_file_is_not(history):
    contents = [pickle.dumps(history), pickle.dumps(SearchHistory(history.path, mode="read"))]
    shutil.move(history.path.parent, history.path.parent.with_name("away"))
    for content in contents:
        other = pickle.loads(content)
        assert repr(str(history.path)) in repr(other)
        assert other.path == history.path
        other = pickle.loads(pickle.dumps(other))
        other.close()
        with pytest.raises(HistoryError, match="does not exist"):
            len(other)


@pytest.mark.parametrize("address", [":memory:", "file"])
def test_threads_share_a_history(address, tmp_path):
    history = SearchHistory(tmp_path / "a.db" if address == "file" else address)

    def work(number):
        search_id = history._begin(make_record(f"{number % 3}"))
        for k in range(10):
            history._record(search_id, make_evaluation(f"{number} {k}"))
        return len(history.searches())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert sorted(len(search.candidates) for search in history) == [20, 20, 20]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_writes_to_the_same_file(history):
    script = f"""
import os, threading
from skmeta.search import SearchHistory
from skmeta.search.record import CandidateRecord, SearchRecord
def evaluation(key):
    return CandidateRecord(configuration={{}}, key=key, scores={{"accuracy": (0.5,)}})
history = SearchHistory({str(history.path)!r})
search_id = history._begin(SearchRecord(
    fingerprint="f", estimator="SVC", metrics={{"accuracy": 1}}, refit_metric="accuracy"
))
# Another thread is inside a transaction while this one forks.
inside, leave = threading.Event(), threading.Event()
def work(connection):
    inside.set()
    leave.wait()
thread = threading.Thread(target=lambda: history._store.run(work))
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    history._candidates(search_id)
    os._exit(0)
leave.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
child = os.fork()
if child == 0:
    history._record(search_id, evaluation("child"))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
history._record(search_id, evaluation("parent"))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=600)
    assert [e.key for e in history._candidates("f")] == ["child", "parent"]


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
