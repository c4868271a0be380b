"""Rules that choose the candidate to refit."""

import pickle

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.exceptions import SearchSpaceError, SkmetaWarning
from skmeta.search import (
    MetaLearnedSearchCV,
    best_within,
    neg_model_size,
    one_standard_error,
)

X, y = load_iris(return_X_y=True)


def results(folds, params, metric="score"):
    """``cv_results_`` with the scores of each candidate on each fold."""
    folds = np.asarray(folds, dtype=float)
    found = {f"split{i}_test_{metric}": column for i, column in enumerate(folds.T)}
    return {"params": params, f"mean_test_{metric}": folds.mean(1), **found}


# The best mean is 0.8, and its standard error sqrt(0.02 / 3 / 4) = 0.0408.
BEST = [0.7, 0.8, 0.8, 0.9]
FOLDS = [[0.75] * 4, [0.77] * 4, BEST, [0.76] * 4]


@pytest.mark.parametrize(
    ("values", "smaller_is_simpler", "row"),
    [
        ([1, 2, 3, 4], True, 1),  # the simplest of all is 0.05 below
        ([1, 2, 3, 4], False, 3),
        ([1, 2, 3, 2], True, 1),  # of equally simple ones the better one
        ([1, 3.5, 3, 2.5], True, 3),
        ([1, None, 3, None], True, 2),  # None is infinite
        ([1, None, 3, 4], False, 1),
    ],
)
def test_the_simplest_within_one_standard_error(values, smaller_is_simpler, row):
    rule = one_standard_error("p", smaller_is_simpler=smaller_is_simpler)
    assert rule(results(FOLDS, [{"p": value} for value in values])) == row


def test_the_margin_is_that_of_the_best_candidate():
    standard_error = np.std(BEST, ddof=1) / 2
    params = [{"p": 1}, {"p": 2}]
    for distance, row in ((0.99, 0), (1.01, 1)):
        other = [0.8 - distance * standard_error] * 4
        assert one_standard_error("p")(results([other, BEST], params)) == row


def test_candidates_without_the_parameter_are_not_chosen():
    rule = one_standard_error("p")
    assert rule(results(FOLDS, [{"p": 1}, {"q": 1}, {"p": 9}, {"p": 10}])) == 2
    # No candidate near the best has it.
    assert rule(results(FOLDS, [{"p": 1}, {"q": 1}, {"q": 2}, {"q": 3}])) == 2


def test_failed_candidates_are_not_chosen():
    folds = [[np.nan] * 4, *FOLDS[1:]]
    assert one_standard_error("p")(results(folds, [{"p": n} for n in (0, 2, 3, 4)])) == 1


def test_it_refits_the_same_candidate_in_both_searches():
    grid = {"max_depth": [1, 2, 3, 4, 5, 6]}
    rule = one_standard_error("max_depth")
    tree = DecisionTreeClassifier(random_state=0)
    ours = MetaLearnedSearchCV(tree, grid, n_iter="all", refit=rule).fit(X, y)
    theirs = GridSearchCV(tree, grid, refit=rule).fit(X, y)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_estimator_.max_depth == ours.best_params_["max_depth"]
    assert ours.best_params_["max_depth"] < 4


def test_the_metric_is_maximised_by_the_search(tmp_path):
    space = {"C": loguniform(1e-2, 1e3)}
    rule = one_standard_error("C", metric="f1_macro")
    search = MetaLearnedSearchCV(
        SVC(),
        space,
        n_iter=3,
        scoring=["accuracy", "f1_macro"],
        refit=rule,
        prior=None,
        random_state=0,
    ).fit(X, y)
    row = rule(search.cv_results_)
    assert search.best_params_ == search.cv_results_["params"][row]

    named = clone(search).set_params(refit="f1_macro").fit(X, y)
    assert named.cv_results_["params"] == search.cv_results_["params"]


def test_it_is_pickled_and_cloned():
    rule = one_standard_error("C", smaller_is_simpler=False, metric="accuracy")
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert clone(GridSearchCV(SVC(), {"C": [1]}, refit=rule)).refit == rule


def test_a_parameter_that_is_not_searched_is_an_error_before_any_fit():
    search = MetaLearnedSearchCV(SVC(), {"C": [1, 2]}, n_iter="all", error_score="raise")
    with pytest.raises(SearchSpaceError, match=r"'c'.* names a parameter .* 'C'"):
        search.set_params(refit=one_standard_error("c")).fit(None, None)
    with pytest.raises(SearchSpaceError, match="Did you mean 'svc__C'"):
        one_standard_error("C")(results(FOLDS, [{"svc__C": 1}] * 4))


def test_what_cannot_be_compared_is_an_error():
    rule = one_standard_error("p")
    with pytest.raises(SearchSpaceError, match="the value 'rbf'"):
        rule(results(FOLDS, [{"p": "rbf"}] * 4))
    with pytest.raises(ValueError, match="at least 2 folds, got 1"):
        rule(results([[1.0], [2.0]], [{"p": 1}] * 2))
    several = {**results(FOLDS, [{"p": 1}] * 4, "a"), **results(FOLDS, [{"p": 1}] * 4, "b")}
    with pytest.raises(ValueError, match=r"\['a', 'b'\]; none was named"):
        rule(several)
    with pytest.raises(ValueError, match="got metric='c'"):
        one_standard_error("p", metric="c")(several)
    assert one_standard_error("p", metric="b")(several) == 2


# Limits.

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


def test_a_leaderboard_shows_the_front():
    rule = best_within({"score_time": 2.5, "b": 0.3}, metric="a")
    columns = rule.columns(TIMED, "a")
    assert columns["within"].tolist() == [False, True, True, True, True]
    # The third is worse than the fourth in b, and faster; the last one failed.
    assert columns["front"].tolist() == [True, True, True, True, False]
    slower = {**TIMED, "mean_score_time": np.array([3.0, 2.0, 2.0, 1.5, 0.1])}
    assert rule.columns(slower, "a")["front"].tolist() == [True, True, False, True, False]


@pytest.mark.parametrize("kind", [MetaLearnedSearchCV, GridSearchCV])
def test_the_smallest_model_that_is_good_enough(kind):
    tree = DecisionTreeClassifier(random_state=0)
    scoring = {"accuracy": "accuracy", "size": neg_model_size}
    grid = {"max_depth": [1, 2, 3, 4, 5]}
    settings = {"n_iter": "all"} if kind is MetaLearnedSearchCV else {}
    found = kind(tree, grid, scoring=scoring, refit=False, **settings).fit(X, y)
    sizes = found.cv_results_["mean_test_size"]
    assert (np.diff(sizes) <= 0).all()
    rule = best_within({"size": float(sizes[1])}, metric="accuracy")
    limited = kind(tree, grid, scoring=scoring, refit=rule, **settings).fit(X, y)
    assert limited.best_params_ == {"max_depth": 2}
    assert limited.best_estimator_.get_depth() == 2
    if kind is MetaLearnedSearchCV:
        frame = limited.leaderboard()
        assert list(frame.columns[5:]) == ["size", "within", "front", "max_depth"]
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
        MetaLearnedSearchCV(SVC(), {"C": [1, 2]}, n_iter="all", refit=rule).fit(X, y)


def test_a_limit_can_be_pickled_and_cloned():
    search = MetaLearnedSearchCV(SVC(), {"C": [1, 2]}, refit=best_within({"fit_time": 1.0}))
    rule = clone(search).refit
    assert pickle.loads(pickle.dumps(rule)) == rule == best_within({"fit_time": 1.0})
