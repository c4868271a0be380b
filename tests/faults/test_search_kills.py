"""A search that is killed and started again finds what it finds without the interruption.

``SKMETA_KILLS`` is the number of kills, 5 by default.
"""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from skmeta.search import SearchHistory

pytestmark = pytest.mark.distributed

N_KILLS = int(os.environ.get("SKMETA_KILLS", "5"))
N_ITER, N_FOLDS = 14, 3

SCRIPT = textwrap.dedent(
    """
    import json, sys
    from scipy.stats import loguniform
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC
    from skmeta.search import MetaLearnedSearchCV

    history, log, result, n_jobs, batch_size, n_iter, cv = sys.argv[1:]

    class LoggedSVC(SVC):
        def fit(self, X, y):
            if len(y) < 150:  # not the refit
                with open(log, "a") as file:
                    file.write(f"{self.C!r}, {self.gamma!r}\\n")
            return super().fit(X, y)

    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 1e1)}
    search = MetaLearnedSearchCV(
        LoggedSVC(), space, n_iter=int(n_iter), cv=int(cv), history=history, prior="history",
        n_jobs=int(n_jobs), batch_size=int(batch_size), random_state=0, progress=False,
        scoring=["neg_log_loss", "accuracy"], refit="neg_log_loss",
    )
    search.set_params(estimator__probability=True, estimator__random_state=0)
    search.fit(*load_iris(return_X_y=True))
    results = {name: [repr(v) for v in column] for name, column in search.cv_results_.items()
               if "time" not in name}
    with open(result, "w") as file:
        json.dump({"results": results, "resumed": search.n_resumed_,
                   "tasks": len(search.prior_report_["datasets"])}, file)
    """
)


class Runs:
    """Runs of one search, each in a process of its own."""

    def __init__(self, folder, batch_size):
        folder.mkdir()
        self.history, self.log = folder / "searches.db", folder / "fits"
        self.result, self.script = folder / "result.json", folder / "script.py"
        self.script.write_text(SCRIPT)
        self.batch_size = batch_size
        for number in range(3):
            add_past_search(self.history, f"past {number}", shift=0.5 * number)

    def start(self, n_jobs):
        arguments = [self.history, self.log, self.result, n_jobs, self.batch_size, N_ITER, N_FOLDS]
        command = [sys.executable, "-W", "ignore", self.script, *arguments]
        return subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE)

    def finish(self, n_jobs=1):
        process = self.start(n_jobs)
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        return json.loads(self.result.read_text())

    def kill(self, n_jobs, after_fits, delay):
        """Kill a run after a number of fits and some seconds; tell whether it was running."""
        process = self.start(n_jobs)
        while process.poll() is None and len(self.fits()) < after_fits:
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def fits(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


def add_past_search(path, name, shift):
    configurations = [
        {"C": float(c), "gamma": float(g)} for c in np.logspace(-3, 3, 5) for g in (0.001, 0.1, 5)
    ]
    scores = [
        -((np.log10(one["C"]) - shift) ** 2) - (np.log10(one["gamma"]) + 1) ** 2
        for one in configurations
    ]
    with SearchHistory(path) as history:
        history.add("LoggedSVC", configurations, scores, dataset=name, scoring="neg_log_loss")


def test_a_search_killed_at_random_moments_is_the_same_search(tmp_path):
    seed = int(os.environ.get("SKMETA_KILLS_SEED", "0")) or random.randrange(10**6)
    chance = random.Random(seed)
    expected = {}
    for batch_size in (1, 3):
        whole = Runs(tmp_path / f"whole{batch_size}", batch_size)
        expected[batch_size] = whole.finish()
        assert len(whole.fits()) == N_ITER * N_FOLDS
        assert expected[batch_size]["tasks"] == 3
    n_killed = n_searches = n_resumed = 0
    while n_killed < N_KILLS:
        batch_size = (1, 3)[n_searches % 2]
        runs = Runs(tmp_path / f"killed{n_searches}", batch_size)
        n_searches += 1
        for number in range(chance.randint(2, 6)):
            after = chance.randint(len(runs.fits()), N_ITER * N_FOLDS)
            n_jobs = chance.choice([1, 1, 2])
            if n_killed < N_KILLS and runs.kill(n_jobs, after, chance.uniform(0, 0.05)):
                n_killed += 1
            # What others find meanwhile must not change this search's prior.
            add_past_search(runs.history, f"meanwhile {number}", shift=-3.0)
        n_before = len(SearchHistory(runs.history).to_frame().query("dataset.str.len() == 12"))
        found = runs.finish(chance.choice([1, 2]))
        assert found["results"] == expected[batch_size]["results"], f"SKMETA_KILLS_SEED={seed}"
        assert found["tasks"] == 3
        assert found["resumed"] == n_before
        n_resumed += n_before
    assert n_resumed > 0, f"SKMETA_KILLS_SEED={seed}"
