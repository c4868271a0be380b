"""What the tests of the search share: spaces, an estimator that counts its fits, comparisons."""

import warnings

import numpy as np
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin

from skmeta.exceptions import SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.record import PastSearch

SPACE = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 1e1)}
GRID = {"C": [0.1, 1, 10], "kernel": ["rbf", "linear"]}
QUALITY = {"quality": loguniform(0.01, 1)}


class Counted(ClassifierMixin, BaseEstimator):
    """Counts its fits, and does something at one of them."""

    fits: list[float] = []  # noqa: RUF012
    at: dict = {}  # noqa: RUF012

    def __init__(self, quality=0.5):
        self.quality = quality

    def fit(self, X, y):
        kind = type(self)
        kind.fits.append(self.quality)
        action = kind.at.get(len(kind.fits))
        if action is not None:
            action()
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return 1 - (self.quality - 0.3) ** 2


def add_past_search(path, best):
    """Add a search of Counted to a history, whose best quality was this one."""
    values = np.linspace(0.01, 1, 12)
    configurations = [{"quality": float(value)} for value in values]
    scores = -((values - best) ** 2)
    name = f"past {best}"
    SearchHistory(path).add(Counted(), configurations, scores, dataset=name, scoring="accuracy")


def past_search(dataset, peak=0.0, name="SVC.C", **fields):
    """Build a past search of one parameter, whose best value was this power of ten."""
    values = np.geomspace(1e-3, 1e3, 25)
    return PastSearch(
        dataset=dataset,
        configurations=tuple({name: float(value)} for value in values),
        scores=-((np.log10(values) - peak) ** 2),
        **fields,
    )


def make_search(estimator, space, history, **settings):
    """Return a search of four candidates, which has a name if it has a history."""
    settings = {"n_iter": 4, "cv": 3, "prior": None, "random_state": 0, "refit": False} | settings
    name = None if history is None else "ours"
    return MetaLearnedSearchCV(estimator, space, history=history, name=name, **settings)


def fit_and_listen(search, *data):
    """Fit a search, and return it with the warnings about its history."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        search.fit(*data)
    return search, [str(w.message) for w in caught if w.category is SearchWarning]


def raising(error):
    def action():
        raise error

    return action


def scores_of(search):
    return {k: v for k, v in search.cv_results_.items() if "time" not in k}


def assert_same(one, other):
    assert list(one) == list(other)
    for name in one:
        if name.startswith("predicted"):  # computed twice, so equal up to rounding
            np.testing.assert_allclose(one[name], other[name], rtol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
