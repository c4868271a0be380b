"""scikit-learn's own tests of GridSearchCV and RandomizedSearchCV, run on MetaLearnedSearchCV.

The module of tests is loaded once more with both names bound to subclasses of ours. What is
asserted there is asserted here, but for the tests in ``DIFFERENT``, each with its reason.
"""

import importlib.util
import sys
from unittest import mock

import numpy as np
import pytest
import sklearn.model_selection
from sklearn.base import BaseEstimator

from skmeta.search import MetaLearnedSearchCV


class GridSearchCV(MetaLearnedSearchCV):
    """The whole grid, in its order, with GridSearchCV's parameters."""

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_grid=param_grid,
            n_iter="all",
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )


class RandomizedSearchCV(MetaLearnedSearchCV):
    """A number of candidates, with RandomizedSearchCV's parameters."""

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )


# Test (or test[case]) -> why it cannot hold here.
DIFFERENT: dict[str, str] = {}


def _load():
    """Load scikit-learn's module of tests with the two classes exchanged."""
    origin = importlib.util.find_spec("sklearn.model_selection.tests.test_search").origin
    spec = importlib.util.spec_from_file_location("sklearn_test_search", origin)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # estimators defined there are pickled by this name
    with (
        mock.patch.object(sklearn.model_selection, "GridSearchCV", GridSearchCV),
        mock.patch.object(sklearn.model_selection, "RandomizedSearchCV", RandomizedSearchCV),
    ):
        spec.loader.exec_module(module)
    return module


def _listed(test):
    """Return a test whose cases are lists: newer versions of pytest ask for it."""
    marks = getattr(test, "pytestmark", [])
    test.pytestmark = [
        pytest.mark.parametrize(mark.args[0], list(mark.args[1]), **mark.kwargs).mark
        if mark.name == "parametrize"
        else mark
        for mark in marks
    ]
    return test


_module = _load()
_tests = {name: _listed(test) for name, test in vars(_module).items() if name.startswith("test_")}
globals().update(_tests)

pytestmark = pytest.mark.filterwarnings("default")


def test_the_names_are_exchanged():
    assert issubclass(_module.GridSearchCV, MetaLearnedSearchCV)
    assert issubclass(_module.RandomizedSearchCV, BaseEstimator)
    assert len(_tests) > 60
