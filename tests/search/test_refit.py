"""Rules that choose the candidate to refit."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.exceptions import SkmetaWarning
from skmeta.search import MetaLearnedSearchCV, best_within

X, y = load_iris(return_X_y=True)


def neg_size(model, X, y):
    return -len(pickle.dumps(model))


TIMED = {
    "params": [{}] * 5,
    "mean_test_a": np.array([0.9, 0.8, 0.7, 0.7, np.nan]),
    "mean_test_b": np.array([0.1, 0.5, 0.5, 0.9, 0.9]),
    "mean_score_time": np.array([3.0, 2.0, 1.0, 1.5, 0.1]),
    "mean_fit_time": np.ones(5),
}


@pytest.mark.parametrize(
    ("limits", "row"),
    [
        ({}, 0),
        ({"score_time": 3.0}, 0),
        ({"score_time": 2.9}, 1),
        ({"score_time": 1.9}, 2),  # of equal ones the first
        ({"b": 0.2}, 1),
        ({"b": 0.6}, 3),
        ({"b": 0.5, "score_time": 1.2}, 2),
        ({"fit_time": 1.0}, 0),
    ],
)
def test_the_best_within_limits(limits, row):
    assert best_within(limits, metric="a")(TIMED) == row


def test_no_candidate_within_the_limits():
    # Over by 50% and 10%: the failed candidate, which is the fastest, is not chosen.
    rule = best_within({"score_time": 0.9, "b": 0.6}, metric="a")
    with pytest.warns(SkmetaWarning, match=r"No candidate keeps the limits .*least is taken"):
        assert rule(TIMED) == 2


@pytest.mark.parametrize("kind", [MetaLearnedSearchCV, GridSearchCV])
def test_the_smallest_model_that_is_good_enough(kind):
    tree = DecisionTreeClassifier(random_state=0)
    scoring = {"accuracy": "accuracy", "size": neg_size}
    grid = {"param_grid": {"max_depth": [1, 2, 3, 4, 5]}}
    found = kind(tree, **grid, scoring=scoring, refit=False).fit(X, y)
    sizes = found.cv_results_["mean_test_size"]
    assert (np.diff(sizes) <= 0).all()
    rule = best_within({"size": float(sizes[1])}, metric="accuracy")
    limited = kind(tree, **grid, scoring=scoring, refit=rule).fit(X, y)
    assert limited.best_params_ == {"max_depth": 2}
    assert limited.best_estimator_.get_depth() == 2
    if kind is MetaLearnedSearchCV:
        frame = limited.leaderboard()
        assert list(frame.columns[5:]) == ["size", "within", "max_depth"]
        assert frame.loc[[0, 1], "within"].all()
        assert not frame.loc[[2, 3, 4], "within"].any()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (best_within({"tiem": 1.0}), r"limits 'tiem', which is none of \['fit_time', 'score_time'"),
        (best_within({"score_tim": 1.0}), r"Did you mean 'score_time'\?"),
        (best_within({"fit_time": "1 s"}), r"limits 'fit_time' by '1 s', which is no finite"),
        (
            best_within({}, metric="f1"),
            r"The metrics of the search .* got metric='f1'",
        ),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused_at_the_start(rule, message):
    with pytest.raises(ValueError, match=message):
        MetaLearnedSearchCV(SVC(), param_grid={"C": [1, 2]}, refit=rule).fit(X, y)
