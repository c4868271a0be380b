import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    f1_score,
    fbeta_score,
    get_scorer,
    get_scorer_names,
    make_scorer,
    mean_squared_error,
)
from sklearn.svm import SVC

from skmeta._sklearn_compat import resolve_scorers
from skmeta.search import MetaLearnedSearchCV
from skmeta.search._metrics import Metrics, metric_name


def my_score(estimator, X, y):
    return 0.5


@pytest.mark.parametrize("name", get_scorer_names())
def test_scikit_learns_scorers_keep_their_name(name):
    # A few are two names of one metric; then the shorter is used for both.
    found = metric_name(get_scorer(name), SVC())
    one, other = get_scorer(found), get_scorer(name)
    assert (one._score_func, one._sign, one._kwargs) == (
        other._score_func,
        other._sign,
        other._kwargs,
    )


def test_scorers_of_the_users_own():
    assert metric_name(make_scorer(f1_score), SVC()) == "f1"
    assert metric_name(make_scorer(fbeta_score, beta=2), SVC()) == "fbeta_score(beta=2)"
    squared = make_scorer(mean_squared_error, greater_is_better=False)
    assert metric_name(squared, Ridge()) == "neg_mean_squared_error"
    assert metric_name(make_scorer(my_score, greater_is_better=False), SVC()) == "neg_my_score"
    assert metric_name(my_score, SVC()) == "my_score"


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://me:hunter2@host/db",
        "https://me:hunter2@a.example/" + "long/" * 9,
        "hunter2 " * 6,
        ["short", "hunter2 " * 6],
        {"url": "https://me:hunter2@a.example"},
        np.array(["https://me:hunter2@a.example"]),
    ],
)
def test_names_hold_no_secrets(secret):
    name = metric_name(make_scorer(my_score, where=secret), SVC())
    assert name.startswith("my_score(where=")
    assert "hunter2" not in name
    assert name == metric_name(make_scorer(my_score, where=secret), SVC())


def test_no_two_names_are_equal():
    scoring = {"a": "accuracy", "b": "accuracy", "c": "f1"}
    several, _ = resolve_scorers(MetaLearnedSearchCV(SVC(), scoring=scoring, refit=False))
    names = Metrics(several, SVC(), False, np.nan).names
    assert names == {"a": "accuracy", "b": "b", "c": "f1"}
