"""Searches over several processes, and one that is killed."""

import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from searching import assert_same, scores_of
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

GRID = {"C": np.geomspace(1e-3, 1e3, 13).tolist(), "gamma": np.geomspace(1e-4, 1e1, 11).tolist()}


def test_a_cluster_gives_the_same_result(iris, tmp_path):
    distributed = pytest.importorskip("distributed")
    search = MetaLearnedSearchCV(
        SVC(), GRID, n_iter=8, batch_size=2, cv=3, random_state=0, verbose=0
    )
    expected = scores_of(search.fit(*iris))
    path = tmp_path / "searches.db"
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**settings, local_directory=str(tmp_path)) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        found = scores_of(search.set_params(history=path, name="ours", n_jobs=2).fit(*iris))
        assert search.fit(*iris).n_resumed_ == 8
    assert_same(found, expected)
    assert len(SearchHistory(path).to_frame()) == 8


def test_the_example_runs(tmp_path):
    script = Path(__file__).parents[2] / "examples" / "search" / "on_a_cluster.py"
    command = [sys.executable, str(script), "shared", "--candidates", "4", "--rows", "200"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second = ended.stdout.splitlines()[-2:]
    assert first == "4 of 4 candidates were evaluated here"
    assert second.startswith("best accuracy 0.9")
