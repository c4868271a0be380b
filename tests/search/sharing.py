"""What tests of shared searches run in other processes."""

import os
import pickle
import signal
import time
import warnings

import numpy as np
from searching import Counted
from sklearn.datasets import load_iris

from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.history import _leases

N_ITER, N_FOLDS = 12, 2
GRID = {"quality": np.linspace(0, 1, 500).tolist()}


class Logged(Counted):
    """Writes down each fit, hangs at one of them, and dies of the first candidate if it is to."""

    log = None
    hangs_at = 0
    is_mortal = False

    def fit(self, X, y):
        with open(Logged.log, "a") as file:
            file.write(f"{os.getpid()} {self.quality!r}\n")
        if Logged.is_mortal:
            with open(Logged.log) as file:
                if file.readline().split()[1] == repr(self.quality):
                    os.kill(os.getpid(), signal.SIGKILL)
        super().fit(X, y)
        while len(Logged.fits) == Logged.hangs_at:
            time.sleep(0.01)
        return self


def make(address, lease_timeout=60.0, **settings):
    _leases.TIMEOUT = lease_timeout  # in this process, which is a worker's
    settings = {"n_iter": N_ITER, "cv": N_FOLDS, "random_state": 0, **settings}
    settings |= {"history": SearchHistory(address, mode="share"), "name": "ours"}
    return MetaLearnedSearchCV(Logged(), GRID, refit=False, verbose=0, **settings)


def run(address, log, result, hangs_at=0, is_mortal=False, **settings):
    """Run one worker of a shared search, and write its results and warnings into files."""
    Logged.log, Logged.hangs_at, Logged.is_mortal = log, hangs_at, is_mortal
    with warnings.catch_warnings(record=True, action="always") as caught:
        search = make(address, **settings).fit(*load_iris(return_X_y=True))
    with open(f"{result}.warnings", "w") as file:
        file.writelines(f"{type(w.message).__name__}: {w.message}" for w in caught)
    with open(result, "wb") as file:
        pickle.dump((search.cv_results_, search.n_resumed_, search.stopped_by_), file)
