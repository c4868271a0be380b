"""Searches over several processes, and one that is killed."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import joblib
import numpy as np
import pytest
from searching import assert_same, scores_of
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

GRID = {"C": np.geomspace(1e-3, 1e3, 13).tolist(), "gamma": np.geomspace(1e-4, 1e1, 11).tolist()}


def _start_dask(folder, monkeypatch, opened):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(folder)
    )
    opened.enter_context(cluster)
    opened.enter_context(distributed.Client(cluster))


def _start_ray(folder, monkeypatch, opened):
    ray = pytest.importorskip("ray")
    register = pytest.importorskip("ray.util.joblib").register_ray
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
    opened.callback(ray.shutdown)
    register()


@pytest.mark.parametrize(
    ("backend", "start"), [("dask", _start_dask), ("ray", _start_ray)], ids=["dask", "ray"]
)
# Ray leaves files and processes to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*ray.*:FutureWarning")
def test_a_cluster_gives_the_same_result(iris, tmp_path, monkeypatch, backend, start):
    search = MetaLearnedSearchCV(
        SVC(), GRID, n_iter=8, batch_size=2, cv=3, random_state=0, verbose=0
    )
    expected = scores_of(search.fit(*iris))
    path = tmp_path / "searches.db"
    with ExitStack() as opened:
        start(tmp_path, monkeypatch, opened)
        opened.enter_context(joblib.parallel_config(backend))
        found = scores_of(search.set_params(history=path, n_jobs=2).fit(*iris))
        resumed = search.fit(*iris)
        assert resumed.n_resumed_ == 8
    assert_same(found, expected)
    assert len(SearchHistory(path).to_frame()) == 8


@pytest.mark.parametrize("backend", ["dask", "shared"])
def test_the_example_runs(tmp_path, backend):
    if backend == "dask":
        pytest.importorskip("distributed")
    script = Path(__file__).parents[2] / "examples" / "search" / "on_a_cluster.py"
    command = [sys.executable, str(script), backend, "--candidates", "4", "--rows", "200"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second = ended.stdout.splitlines()[-2:]
    assert first == "4 of 4 candidates were evaluated here"
    assert second.startswith("best accuracy 0.9")
