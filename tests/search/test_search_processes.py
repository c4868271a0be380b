"""Searches over several processes, and a worker process that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from searching import Counted, assert_same, scores_of
from sklearn.exceptions import FitFailedWarning
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


class Mortal(Counted):
    """Kills its process at one value, as the kernel does where memory ends."""

    def __init__(self, quality=0.0, parent=0):
        super().__init__(quality)
        self.parent = parent

    def fit(self, X, y):
        if self.quality == 2.0 and os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)

    def score(self, X, y):
        return 1 - (self.quality - 2.4) ** 2 / 10


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.filterwarnings("ignore:A worker stopped", "ignore:.*are non-finite")
def test_a_dead_worker_costs_its_candidate(iris, path):
    model, space = Mortal(parent=os.getpid()), {"quality": [0.0, 1.0, 2.0, 3.0]}
    settings = {"n_iter": 4, "random_state": 0, "prior": None, "refit": False}
    search = MetaLearnedSearchCV(model, space, cv=2, n_jobs=2, history=path, **settings)
    with pytest.warns(FitFailedWarning, match="A worker process died while it evaluated"):
        search.fit(*iris)
    results = search.cv_results_
    scores = {
        one["quality"]: score
        for one, score in zip(results["params"], results["mean_test_score"], strict=True)
    }
    assert np.isnan(scores.pop(2.0))
    assert scores == {p: pytest.approx(1 - (p - 2.4) ** 2 / 10) for p in (0.0, 1.0, 3.0)}
    assert search.best_params_ == {"quality": 3.0}
    [recorded] = SearchHistory(path)
    assert [one.error is None for one in recorded.candidates].count(False) == 1
