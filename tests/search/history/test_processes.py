"""Many processes write to one history, and one of them is killed."""

import multiprocessing
import os
import signal
import sqlite3
import time

import builders
import pytest
from builders import make_record

from skmeta.search import SearchHistory

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

N_PROCESSES = 8
N_SEARCHES = 25
N_CANDIDATES = 4


def make_evaluation(number):
    configuration, scores = {"SVC.C": number / 7}, (0.5, number / 100)
    return builders.make_evaluation(f"key {number}", scores, configuration=configuration)


def run_searches(path, process, log):
    """Record searches; append a line to the log after each candidate that was recorded."""
    history = SearchHistory(path)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(N_SEARCHES):
        name = f"{process}-{number}"
        search_id = history.begin(make_record(name, dataset=name))
        done = {evaluation.key for evaluation in history.candidates(search_id)}
        for candidate in range(N_CANDIDATES):
            evaluation = make_evaluation(candidate)
            if evaluation.key not in done:
                history.record(search_id, evaluation)
                os.write(file, f"{name} {candidate}\n".encode())
    os.close(file)


def start(path, process, log):
    # A fresh interpreter: nothing is shared with the test's own process.
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=run_searches, args=(str(path), process, str(log)))
    worker.start()
    return worker


def read_lines(log):
    return log.read_text().splitlines() if log.exists() else []


def kill_in_the_middle(worker, log):
    """Kill a worker once it has recorded some candidates, and say whether it was at work."""
    while worker.is_alive() and len(read_lines(log)) < N_SEARCHES * N_CANDIDATES // 3:
        time.sleep(0.001)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    return worker.exitcode == -signal.SIGKILL


def check_file(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()


def check_every_line_is_recorded(path, logs):
    history = SearchHistory(path)
    for log in logs:
        for line in read_lines(log):
            name, candidate = line.split()
            recorded = history.candidates(name)
            assert recorded.count(make_evaluation(int(candidate))) == 1, line


def test_killing_one_of_eight_processes_loses_no_finished_candidate(tmp_path):
    path = tmp_path / "searches.db"
    logs = [tmp_path / f"{process}.log" for process in range(N_PROCESSES)]
    workers = [start(path, process, log) for process, log in enumerate(logs)]
    assert kill_in_the_middle(workers[0], logs[0])
    for worker in workers[1:]:
        worker.join()
        assert worker.exitcode == 0

    assert check_file(path) == [("ok",)]
    check_every_line_is_recorded(path, logs)
    for log in logs[1:]:
        assert len(read_lines(log)) == N_SEARCHES * N_CANDIDATES
    assert len(read_lines(logs[0])) < N_SEARCHES * N_CANDIDATES

    # Started again, the killed one does what was left, and nothing twice.
    before = read_lines(logs[0])
    again = start(path, 0, logs[0])
    again.join()
    assert again.exitcode == 0
    after = read_lines(logs[0])
    assert len(set(after)) == len(after)
    # A candidate may have been recorded just before the kill, and its line not written.
    assert N_SEARCHES * N_CANDIDATES - 1 <= len(after) <= N_SEARCHES * N_CANDIDATES
    assert after[: len(before)] == before
    searches = list(SearchHistory(path))
    assert len(searches) == N_PROCESSES * N_SEARCHES
    assert all(len(search.candidates) == N_CANDIDATES for search in searches)
    assert check_file(path) == [("ok",)]


def test_a_process_killed_inside_a_transaction_leaves_no_trace_of_it(tmp_path):
    path = tmp_path / "searches.db"
    history = SearchHistory(path)
    search_id = history.begin(make_record("a"))
    history.record(search_id, make_evaluation(0))
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=die_while_writing, args=(str(path), search_id))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    history.record(search_id, make_evaluation(1))
    assert history.candidates(search_id) == [make_evaluation(0), make_evaluation(1)]
    assert check_file(path) == [("ok",)]


def die_while_writing(path, search_id):
    from skmeta.search.history import _queries

    def work(connection):
        many = [make_evaluation(k) for k in range(100, 20_000)]
        _queries.insert_candidates(connection, search_id, many)
        os.kill(os.getpid(), signal.SIGKILL)

    SearchHistory(path)._store.run(work, write=True)
