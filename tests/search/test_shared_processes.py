"""Several processes on one search; one of them is killed."""

import multiprocessing
import os
import pickle
import signal
import time
from collections import Counter

import numpy as np
import pytest
import sqlalchemy as sa
from sharing import N_FOLDS, N_ITER, run

from skmeta.search import SearchHistory

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a server of forked processes"),
]
N_WORKERS = 3


@pytest.fixture(scope="module")
def context():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sharing", "skmeta.search"])
    return context


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.postgres)])
def address(request, tmp_path):
    if request.param == "file":
        return str(tmp_path / "searches.db")
    return request.getfixturevalue("postgres_url")


def start(context, address, folder, name, **settings):
    arguments = (address, str(folder / "fits"), str(folder / f"{name}.pickle"))
    process = context.Process(target=run, args=arguments, kwargs=settings)
    process.start()
    return process


def fits(folder):
    log = folder / "fits"
    return [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []


def results(folder, names):
    found = [pickle.loads((folder / f"{name}.pickle").read_bytes()) for name in names]
    for other, *_ in found[1:]:
        assert list(other) == list(found[0][0])
        for column, values in other.items():  # times included
            np.testing.assert_array_equal(values, found[0][0][column], err_msg=column)
    return found


def test_no_candidate_is_evaluated_twice(context, address, tmp_path):
    workers = [start(context, address, tmp_path, k) for k in range(N_WORKERS)]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * N_WORKERS
    found = results(tmp_path, range(N_WORKERS))
    counts = Counter(candidate for _, candidate in fits(tmp_path))
    assert list(counts.values()) == [N_FOLDS] * N_ITER
    candidates = [repr(params["quality"]) for params in found[0][0]["params"]]
    assert sorted(candidates) == sorted(counts)
    evaluated = [N_ITER - n_resumed for _, n_resumed, _ in found]
    assert sum(evaluated) == N_ITER
    assert {stopped_by for *_, stopped_by in found} == {"n_iter"}
    # The estimator as given is proposed once, as the second candidate.
    sources = list(found[0][0]["source"])
    assert sources.count("as given") <= 1
    assert set(sources) <= {"initial design", "as given", "model"}


def test_a_killed_worker_loses_no_candidate(context, address, tmp_path):
    # It holds its second candidate when it is killed. No lease expires before, however slow the
    # machine is.
    victim = start(context, address, tmp_path, "victim", hangs_at=N_FOLDS + 1, lease_timeout=1e4)
    while len(fits(tmp_path)) <= N_FOLDS:
        assert victim.is_alive()
        time.sleep(0.01)
    workers = [start(context, address, tmp_path, k, lease_timeout=1e4) for k in range(2)]
    # The others have to wait for the last candidate.
    with SearchHistory(address) as history:
        while len(history.to_frame()) < N_ITER - 1:
            assert all(worker.is_alive() for worker in workers)
            time.sleep(0.05)
        assert all(worker.is_alive() for worker in workers)
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        # All leases end, as if their time were over.
        ended = sa.text("UPDATE skmeta_lease SET expires = 0")
        history._store.run(lambda connection: connection.execute(ended), write=True)
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in [victim, *workers]] == [-signal.SIGKILL, 0, 0]
    [(columns, *_), _] = results(tmp_path, range(2))
    assert len(columns["params"]) == N_ITER
    assert np.isfinite(columns["mean_test_score"]).all()
    counts = Counter(candidate for _, candidate in fits(tmp_path))
    held = fits(tmp_path)[N_FOLDS][1]
    assert counts.pop(held) == 1 + N_FOLDS
    assert list(counts.values()) == [N_FOLDS] * (N_ITER - 1)


def test_a_candidate_that_kills_its_workers_fails(context, address, tmp_path):
    for k in range(3):
        worker = start(context, address, tmp_path, k, is_mortal=True, lease_timeout=0.5)
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
    last = start(context, address, tmp_path, 3, is_mortal=True, lease_timeout=0.5)
    last.join()
    assert last.exitcode == 0
    [(columns, *_)] = results(tmp_path, [3])
    scores = columns["mean_test_score"]
    assert len(scores) == N_ITER
    assert np.isnan(scores[0])
    assert np.isfinite(scores[1:]).all()
    deadly = fits(tmp_path)[0][1]
    assert repr(columns["params"][0]["quality"]) == deadly
    assert Counter(candidate for _, candidate in fits(tmp_path))[deadly] == 3
    told = (tmp_path / "3.pickle.warnings").read_text()
    assert "FitFailedWarning" in told
    assert "3 workers of the shared search died while they evaluated the candidate" in told
    assert f"{{'quality': {deadly}}}" in told
    with SearchHistory(address) as history:
        assert history.to_frame()["error"].str.contains("3 workers").sum() == 1
