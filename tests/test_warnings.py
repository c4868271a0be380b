"""Warnings show the line of the caller, however deep in the package they arise."""

import warnings

import numpy as np
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from skmeta import MetaFewShotClassifier, MetaLearnedSearchCV
from skmeta.exceptions import PriorWarning, SearchWarning, UnusedDataWarning
from skmeta.learners import MAML, ProtoNet, Validation


def caught(call, category):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    (one,) = [w for w in found if issubclass(w.category, category)]
    return one


def test_an_evaluation_on_known_classes():
    X, y = load_digits(return_X_y=True)
    learner = ProtoNet(n_way=3, n_shot=1, n_iterations=1, device="cpu", random_state=0).fit(X, y)
    for call in (lambda: learner.score(X, y), lambda: learner.score_tasks(X, y, n_tasks=2)):
        warning = caught(call, PriorWarning)
        assert warning.filename == __file__
        assert warning.lineno == call.__code__.co_firstlineno


def test_a_fit_that_leaves_groups_out():
    groups = np.repeat(np.arange(12), [1, *[8] * 11])
    X = np.random.default_rng(0).normal(size=(len(groups), 2))
    settings = {"n_iterations": 1, "n_shot": 3, "n_query": 3, "validation": Validation(n_tasks=2)}
    learner = MAML(**settings, device="cpu", random_state=0)
    warning = caught(lambda: learner.fit(X, X[:, 0], groups), UnusedDataWarning)
    assert warning.filename == __file__


class Interrupted(DecisionTreeClassifier):
    def fit(self, X, y):
        if self.max_depth == 3:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_an_interrupted_search():
    X, y = load_iris(return_X_y=True)
    search = MetaLearnedSearchCV(
        Interrupted(), param_grid={"max_depth": [1, 2, 3, 4]}, prior=None, random_state=0
    )
    assert caught(lambda: search.fit(X, y), SearchWarning).filename == __file__


def test_through_scikit_learn():
    X, y = load_iris(return_X_y=True)
    wide = np.tile(X, 600)
    clf = MetaFewShotClassifier(n_views=1, device="cpu")
    assert caught(lambda: clf.fit(wide[::5], y[::5]), UnusedDataWarning).filename == __file__
    cv = [(np.arange(0, 150, 5), np.arange(1, 150, 50))]
    warning = caught(lambda: cross_val_score(clf, wide, y, cv=cv), UnusedDataWarning)
    assert warning.filename == __file__
