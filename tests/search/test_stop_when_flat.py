"""A search that stops when its best score no longer improves."""

import numpy as np
import pytest
from scipy.stats import loguniform, uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV
from skmeta.search._batches import n_since_best

X, y = np.arange(30.0).reshape(-1, 1), np.arange(30) % 2


class Flat(ClassifierMixin, BaseEstimator):
    """Scores alike at first; fails at one fit if it is told to."""

    n_fits = 0
    fails_at = None

    def __init__(self, quality=0.5):
        self.quality = quality

    def fit(self, X, y):
        Flat.n_fits += 1
        if Flat.n_fits == Flat.fails_at:
            raise KeyboardInterrupt
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return round(1 - (self.quality - 0.3) ** 2, 2)


@pytest.fixture
def flat():
    Flat.n_fits, Flat.fails_at = 0, None
    return Flat


def search(n_iter=40, **settings):
    settings = {"cv": 3, "random_state": 0, "prior": None, "progress": False} | settings
    return MetaLearnedSearchCV(Flat(), {"quality": uniform(0, 1)}, n_iter=n_iter, **settings)


def test_the_number_of_candidates_since_the_best():
    assert n_since_best(np.array([1.0])) == 0
    assert n_since_best(np.array([1.0, 0.5, 1.0])) == 2  # a tie is no improvement
    assert n_since_best(np.array([np.nan, 1.0, np.nan, 2.0, np.nan])) == 1
    assert n_since_best(np.full(3, np.nan)) == 3


@pytest.mark.parametrize("patience", [1, 4])
def test_it_stops_after_this_number_of_candidates(flat, patience):
    stopped = search(stop_when_flat=patience).fit(X, y)
    scores = stopped.cv_results_["mean_test_score"]
    assert stopped.stopped_by_ == "flat"
    assert len(scores) < 40
    assert scores.argmax() == len(scores) - 1 - patience
    # No earlier candidate had to end it, and the candidates are those of a longer search.
    best_so_far = np.maximum.accumulate(scores)
    for n in range(patience + 1, len(scores)):
        assert best_so_far[n - 1] > best_so_far[n - 1 - patience]
    longer = search(n_iter=len(scores) + 2).fit(X, y)
    assert longer.stopped_by_ == "n_iter"
    assert longer.cv_results_["params"][: len(scores)] == stopped.cv_results_["params"]


def test_a_resumed_search_stops_where_an_uninterrupted_one_does(flat, tmp_path):
    whole = search(stop_when_flat=5).fit(X, y)
    n_candidates = len(whole.cv_results_["params"])
    flat.n_fits, flat.fails_at = 0, 3 * 4 + 2
    with pytest.warns(UserWarning, match="interrupted after 4"):
        search(stop_when_flat=5, history=tmp_path / "h.db").fit(X, y)
    flat.fails_at = None
    resumed = search(stop_when_flat=5, history=tmp_path / "h.db").fit(X, y)
    assert resumed.n_resumed_ == 4
    assert resumed.stopped_by_ == "flat"
    assert resumed.cv_results_["params"] == whole.cv_results_["params"]
    # Once more, all of it is on record; with more patience it goes on.
    again = search(stop_when_flat=5, history=tmp_path / "h.db").fit(X, y)
    assert again.n_resumed_ == n_candidates
    assert again.stopped_by_ == "flat"
    patient = search(stop_when_flat=7, history=tmp_path / "h.db").fit(X, y)
    assert len(patient.cv_results_["params"]) > n_candidates
    assert patient.n_resumed_ == n_candidates


def test_batches_are_finished(flat):
    stopped = search(stop_when_flat=3, batch_size=4).fit(X, y)
    assert stopped.stopped_by_ == "flat"
    assert len(stopped.cv_results_["params"]) % 4 == 0


def test_a_finite_space_is_not_walked_in_grid_order(flat):
    grid = {"quality": np.linspace(0, 1, 30).tolist()}
    stopped = MetaLearnedSearchCV(
        Flat(), grid, n_iter=30, stop_when_flat=3, prior=None, random_state=0
    ).fit(X, y)
    assert stopped.stopped_by_ == "flat"
    assert len(stopped.cv_results_["params"]) < 30


def test_wrong_values():
    with pytest.raises(ValueError, match=r"stop_when_flat=3 .* n_iter='all'"):
        MetaLearnedSearchCV(SVC(), {"C": [1, 2]}, n_iter="all", stop_when_flat=3).fit(X, y)
    with pytest.raises(ValueError, match="'stop_when_flat' parameter"):
        MetaLearnedSearchCV(SVC(), {"C": loguniform(1, 2)}, stop_when_flat=0).fit(X, y)
