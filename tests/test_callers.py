"""What a caller sees: threads as they were, warnings at its line, workers without the searches."""

import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from skmeta import GroupedRegressor, MetaFewShotClassifier, MetaLearnedSearchCV
from skmeta._threads import one_thread
from skmeta.exceptions import PriorWarning, SearchWarning, UnusedDataWarning
from skmeta.learners import MAML, ProtoNet, Validation


def test_fits_that_overlap_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    inside, first_has_ended = threading.Event(), threading.Event()

    def second():
        with one_thread(None):
            inside.set()
            first_has_ended.wait(10)

    thread = threading.Thread(target=second)
    try:
        with one_thread(None):
            thread.start()
            assert inside.wait(10)
        first_has_ended.set()
        thread.join()
        assert torch.get_num_threads() == 2
        with one_thread(None):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_threads_that_predict_at_once_agree_with_one():
    rng = np.random.default_rng(0)
    ward = np.repeat(np.arange(12), 8)
    X = pd.DataFrame({"ward": ward, "age": rng.normal(size=96)})
    y, known = rng.normal(size=12)[ward] + X["age"], ward < 11
    grouped = GroupedRegressor("ward").fit(X[known], y[known]).partial_fit(X[~known], y[~known])
    wines, cultivar = load_wine(return_X_y=True)
    few_shot = MetaFewShotClassifier().fit(wines[::9], cultivar[::9])
    for predict, rows in ((grouped.predict, X), (few_shot.predict_proba, wines)):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(predict, [rows] * 8))
        np.testing.assert_allclose(found, [predict(rows)] * 8, rtol=1e-9, atol=1e-12)


def caught(call, category):
    with warnings.catch_warnings(record=True, action="always") as found:
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


SEARCH = """
import sys
import warnings
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
from skmeta.search import MetaLearnedSearchCV

def is_imported(estimator, X, y):
    return float("skmeta.search" in sys.modules or "sqlalchemy" in sys.modules)

if __name__ == "__main__":
    warnings.simplefilter("error")
    for n_jobs in (1, 2):
        search = MetaLearnedSearchCV(
            KNeighborsClassifier(), param_grid={"n_neighbors": [1, 2]}, cv=2, history=None,
            scoring=is_imported, n_jobs=n_jobs,
        ).fit(*load_iris(return_X_y=True))
        print(int(search.best_score_))
"""


@pytest.mark.slow  # It starts processes that start others.
def test_a_worker_does_not_import_the_searches():
    ended = subprocess.run([sys.executable, "-c", SEARCH], stdout=subprocess.PIPE, check=True)
    assert ended.stdout.split() == [b"1", b"0"]  # one process, then workers
