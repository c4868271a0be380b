"""Configurations keep what is searched, and nothing that may be a secret."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.space import canonical_configurations

SECRET = "hunter2"


def describe(estimator):
    [found] = canonical_configurations(estimator, [{}])
    return found


class Remote(ClassifierMixin, BaseEstimator):
    def __init__(self, password=None, region="north", depth=3, headers=None):
        self.password = password
        self.region = region
        self.depth = depth
        self.headers = headers

    def fit(self, X, y):
        self.model_ = LogisticRegression(max_iter=1000).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (np.float32(0.5), 0.5),
        ([1, 2.5], "[1, 2.5]"),
        ((64, 64), "(64, 64)"),
        ("drop", "drop"),
        ("north", "digest:"),  # the default of another parameter
        (SECRET, "digest:"),
        ([SECRET], "digest:"),
        ({"key": SECRET}, "digest:"),
        (b"hunter2", "digest:"),
        (np.array([1.0]), "digest:"),
    ],
    ids=repr,
)
def test_a_parameter_that_is_not_searched_is_kept_if_it_cannot_be_a_secret(value, expected):
    found = describe(Remote(password=value))["Remote.password"]
    assert found == expected if expected != "digest:" else found.startswith("digest:")
    assert SECRET not in str(found)


def test_defaults_and_declared_options_are_kept():
    assert describe(Remote())["Remote.region"] == "north"
    described = describe(SVC(kernel="poly", gamma="auto"))
    assert (described["SVC.kernel"], described["SVC.gamma"]) == ("poly", "auto")
    described = describe(MLPClassifier())
    assert described["MLPClassifier.hidden_layer_sizes"] == "(100,)"
    described = describe(Pipeline([("a", "passthrough"), ("b", SVC())]))
    assert described["Pipeline.step_0"] == "passthrough"


def test_what_is_searched_is_kept():
    [found] = canonical_configurations(Remote(password=SECRET), [{"region": "south"}])
    assert found["Remote.region"] == "south"
    assert found["Remote.password"].startswith("digest:")


def test_no_file_of_a_history_holds_a_secret(tmp_path):
    X, y = load_iris(return_X_y=True)
    estimator = Remote(password=SECRET, headers={"Authorization": SECRET})
    with SearchHistory(tmp_path / "searches.db") as history:
        MetaLearnedSearchCV(estimator, {"depth": [1, 2, 3]}, n_iter=3, history=history).fit(X, y)
        history.add(estimator, [{"depth": 4}], [0.5], dataset="iris")
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
