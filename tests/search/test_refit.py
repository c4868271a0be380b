"""A function chooses the candidate to refit."""

import pickle

import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from skmeta.search import MetaLearnedSearchCV

X, y = load_iris(return_X_y=True)


def neg_size(model, X, y):
    return -len(pickle.dumps(model))


def most_accurate_of_the_small(results):
    is_small = results["mean_test_size"] >= results["mean_test_size"][1]
    return int(np.where(is_small, results["mean_test_accuracy"], -np.inf).argmax())


def test_a_function_chooses_as_in_a_grid_search():
    settings = {
        "estimator": DecisionTreeClassifier(random_state=0),
        "param_grid": {"max_depth": [1, 2, 3, 4, 5]},
        "scoring": {"accuracy": "accuracy", "size": neg_size},
        "refit": most_accurate_of_the_small,
    }
    ours, theirs = (kind(**settings).fit(X, y) for kind in (MetaLearnedSearchCV, GridSearchCV))
    assert (np.diff(theirs.cv_results_["mean_test_size"]) <= 0).all()
    assert ours.best_params_ == theirs.best_params_ == {"max_depth": 2}
    assert ours.best_estimator_.get_depth() == 2
    assert ours.leaderboard().index[0] == np.nanargmax(ours.cv_results_["mean_test_accuracy"])
