"""A search that is killed and started again finds what it finds without the interruption.

``SKMETA_KILLS`` is the number of kills, 5 by default; ``SKMETA_KILLS_SEED`` says at which moments.
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
from sklearn.svm import SVC

from skmeta.search import SearchHistory

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked"),
]

N_KILLS = int(os.environ.get("SKMETA_KILLS", "5"))
N_ITER, N_FOLDS = 14, 3

# Imports once, and forks a process for each run: a line of arguments starts one, an empty line
# waits for its end.


class LoggedSVC(SVC):
    """Has the name and the parameters of the estimator of the script."""

    def __init__(self, log=None, C=1.0, gamma="scale"):
        super().__init__(C=C, gamma=gamma)
        self.log = log


SCRIPT = textwrap.dedent(
    """
    import json, os, sys, traceback
    from joblib import parallel_config
    from scipy.stats import loguniform
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC
    from skmeta.search import MetaLearnedSearchCV, SearchHistory

    class LoggedSVC(SVC):
        def __init__(self, log=None, C=1.0, gamma="scale"):
            super().__init__(C=C, gamma=gamma)
            self.log = log

        def fit(self, X, y):
            if len(y) < 150:  # not the refit
                with open(self.log, "a") as file:
                    file.write(f"{self.C!r}, {self.gamma!r}\\n")
            return super().fit(X, y)

    def run(history, log, result, n_jobs, batch_size, n_iter, cv):
        space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 1e1)}
        search = MetaLearnedSearchCV(
            LoggedSVC(log), space, n_iter=n_iter, cv=cv, prior="history",
            history=history, name="iris",
            n_jobs=n_jobs, batch_size=batch_size, random_state=0, verbose=0,
            scoring=["balanced_accuracy", "accuracy"], refit="balanced_accuracy",
        )
        with parallel_config("loky", idle_worker_timeout=5):  # also if this process is killed
            search.fit(*load_iris(return_X_y=True))
        columns = {name: [repr(value) for value in column]
                   for name, column in search.cv_results_.items() if "time" not in name}
        found = {"results": columns, "n_resumed": search.n_resumed_,
                 "past": list(search.prior_report_["datasets"])}
        with open(result, "w") as file:
            json.dump(found, file)

    if __name__ == "__main__":
        for line in sys.stdin:
            if line.strip():
                pid = os.fork()
                if pid == 0:
                    os.dup2(2, 1)  # workers must not hold the pipe open
                    try:
                        run(*json.loads(line))
                    except BaseException:
                        traceback.print_exc()
                        os._exit(1)
                    os._exit(0)
                print(pid, flush=True)
            else:
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    """
)


class Interpreter:
    """A Python of its own, with hashes of its own, that runs searches."""

    def __init__(self, folder, hash_seed):
        script = folder / "script.py"
        script.write_text(SCRIPT)
        settings = {"env": os.environ | {"PYTHONHASHSEED": str(hash_seed)}, "text": True}
        settings |= {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, str(script)], **settings)

    def start(self, *arguments):
        return int(self._ask(json.dumps(arguments)))

    def wait(self):
        return int(self._ask(""))

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


class Search:
    def __init__(self, folder, interpreter, batch_size):
        folder.mkdir()
        self.path, self._log, self._result = (folder / name for name in ("db", "fits", "result"))
        self._interpreter, self._batch_size = interpreter, batch_size
        for number in range(3):
            self.add_past_search(f"past {number}", shift=0.5 * number)

    def finish(self, n_jobs=1):
        self._start(n_jobs)
        assert self._interpreter.wait() == 0
        return json.loads(self._result.read_text())

    def kill(self, n_jobs, after_fits, delay):
        """Kill a run after a number of fits and some seconds; tell whether it was running."""
        pid = self._start(n_jobs)
        deadline = time.monotonic() + 60  # a run that failed makes no fits
        while self.n_fits() < after_fits and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)  # it is not waited for yet, so that the id is its own
        code = self._interpreter.wait()
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def n_fits(self):
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0

    def n_recorded(self):
        with SearchHistory(self.path) as history:
            return sum(len(item.candidates) for item in history if item.record.data_digest)

    def has_begun(self):
        with SearchHistory(self.path) as history:
            return any(item.record.data_digest for item in history)

    def add_past_search(self, name, shift):
        grid = [(c, g) for c in np.logspace(-3, 3, 5).tolist() for g in (0.001, 0.1, 5.0)]
        scores = [-((np.log10(c) - shift) ** 2) - (np.log10(g) + 1) ** 2 for c, g in grid]
        configurations = [{"C": c, "gamma": g} for c, g in grid]
        with SearchHistory(self.path) as history:
            history.add(
                LoggedSVC(), configurations, scores, dataset=name, scoring="balanced_accuracy"
            )

    def _start(self, n_jobs):
        files = map(str, (self.path, self._log, self._result))
        return self._interpreter.start(*files, n_jobs, self._batch_size, N_ITER, N_FOLDS)


@pytest.fixture
def interpreters(tmp_path):
    started = [Interpreter(tmp_path, hash_seed) for hash_seed in (1, 2)]
    yield started
    for one in started:
        one.close()


@pytest.mark.slow
def test_a_search_killed_at_random_moments_is_the_same_search(tmp_path, interpreters):
    seed = int(os.environ.get("SKMETA_KILLS_SEED", random.randrange(1, 10**6)))
    print(f"SKMETA_KILLS_SEED={seed}")
    chance = random.Random(seed)
    expected = {}
    for batch_size in (1, 3):
        whole = Search(tmp_path / f"whole{batch_size}", interpreters[0], batch_size)
        expected[batch_size] = whole.finish()
        # The space excludes the estimator as given, which is scored once at the end.
        assert whole.n_fits() == (N_ITER + 1) * N_FOLDS
        assert expected[batch_size]["past"] == ["past 0", "past 1", "past 2"]
    n_kills = n_searches = n_resumed = 0
    while n_kills < N_KILLS:
        batch_size = (1, 3)[n_searches % 2]
        search = Search(tmp_path / f"killed{n_searches}", interpreters[1], batch_size)
        n_searches += 1
        for number in range(chance.randint(2, 5)):
            n_left = (N_ITER - search.n_recorded()) * N_FOLDS
            after = search.n_fits() + chance.randint(0, max(n_left - 1, 0))
            n_jobs = chance.choice([1, 1, 1, 1, 2])
            if n_kills < N_KILLS and search.kill(n_jobs, after, chance.uniform(0, 0.03)):
                n_kills += 1
            if search.has_begun():  # what others find from now on must not change its prior
                search.add_past_search(f"meanwhile {number}", shift=-3.0)
        n_recorded = search.n_recorded()
        found = search.finish(chance.choice([1, 1, 2]))
        assert found == {**expected[batch_size], "n_resumed": n_recorded}
        n_resumed += n_recorded
    print(f"{n_kills} kills in {n_searches} searches, {n_resumed} candidates were on record")
    assert n_resumed > 0
