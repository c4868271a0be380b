"""What tests of shared searches run in other processes."""

import os
import pickle
import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris

from skmeta.search import MetaLearnedSearchCV

N_ITER, N_FOLDS = 12, 2
GRID = {"quality": np.linspace(0, 1, 500).tolist()}


class Logged(ClassifierMixin, BaseEstimator):
    """Writes down each fit, and hangs at one of them."""

    log = None
    hangs_at = 0
    n_fits = 0

    def __init__(self, quality=0.5):
        self.quality = quality

    def fit(self, X, y):
        with open(Logged.log, "a") as file:
            file.write(f"{os.getpid()} {self.quality!r}\n")
        Logged.n_fits += 1
        while Logged.n_fits == Logged.hangs_at:
            time.sleep(0.01)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return 1 - (self.quality - 0.3) ** 2


def make(address, **settings):
    settings = {"n_iter": N_ITER, "random_state": 0, **settings}
    return MetaLearnedSearchCV(
        Logged(),
        GRID,
        cv=N_FOLDS,
        history=address,
        shared=True,
        refit=False,
        progress=False,
        **settings,
    )


def run(address, log, result, hangs_at=0, **settings):
    """Run one worker of a shared search, and write its results into a file."""
    Logged.log, Logged.hangs_at = log, hangs_at
    search = make(address, **settings).fit(*load_iris(return_X_y=True))
    with open(result, "wb") as file:
        pickle.dump((search.cv_results_, search.n_resumed_, search.stopped_by_), file)
