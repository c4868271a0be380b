"""A worker process of joblib that is killed costs its candidate, and not the search."""

import os
import signal

import numpy as np
import pytest
from searching import Counted
from sklearn.exceptions import FitFailedWarning

from skmeta.search import MetaLearnedSearchCV, SearchHistory

pytestmark = [
    pytest.mark.slow,  # It starts pools of processes.
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems"),
    pytest.mark.filterwarnings("ignore:A worker stopped", "ignore:.*are non-finite"),
]


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
