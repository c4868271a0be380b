"""Copies, pickles, threads and forks share a history."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import make_evaluation, make_record, record_all
from sklearn.base import clone

from skmeta.exceptions import HistoryError
from skmeta.search import SearchHistory


def test_clones_and_copies_share_the_database(history):
    for other in [copy.deepcopy(history), copy.copy(history), clone(history)]:
        assert other is history
    record_all(pickle.loads(pickle.dumps(history)), make_record(), make_evaluation())
    assert len(history) == 1


def test_a_pickle_finds_its_file_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = SearchHistory("searches.db")
    history.begin(make_record())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(pickle.loads(pickle.dumps(history))) == 1
    assert len(history) == 1


def test_a_pickle_loads_where_its_file_is_not(history):
    contents = [pickle.dumps(history), pickle.dumps(SearchHistory(history.path, read_only=True))]
    shutil.move(history.path.parent, history.path.parent.with_name("away"))
    for content in contents:
        other = pickle.loads(content)
        assert repr(str(history.path)) in repr(other)
        assert other.path == history.path
        other = pickle.loads(pickle.dumps(other))
        other.close()
        with pytest.raises(HistoryError, match="does not exist"):
            len(other)


def test_a_history_in_memory_is_copied_by_value():
    history = SearchHistory()
    record_all(history, make_record(), make_evaluation())
    other = pickle.loads(pickle.dumps(history))
    assert other.candidates("f") == history.candidates("f")
    other.begin(make_record("g"))
    assert (len(history), len(other)) == (1, 2)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(other))))
    assert len(again) == 2


@pytest.mark.parametrize("address", [":memory:", "file"])
def test_threads_share_a_history(address, tmp_path):
    history = SearchHistory(tmp_path / "a.db" if address == "file" else address)

    def work(number):
        search_id = history.begin(make_record(f"{number % 3}"))
        for k in range(10):
            history.record(search_id, make_evaluation(f"{number} {k}"))
        return len(history.searches())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert sorted(len(search.candidates) for search in history) == [20, 20, 20]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_writes_to_the_same_file(history):
    script = f"""
import os, threading
from skmeta.search import SearchHistory
from builders import make_evaluation, make_record
history = SearchHistory({str(history.path)!r})
search_id = history.begin(make_record())
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
    history.candidates(search_id)
    os._exit(0)
leave.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
child = os.fork()
if child == 0:
    history.record(search_id, make_evaluation("child"))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
history.record(search_id, make_evaluation("parent"))
"""
    folder = Path(__file__).parents[2]  # of builders.py
    subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, timeout=60)
    assert [e.key for e in history.candidates("f")] == ["child", "parent"]
