"""scikit-learn's own checks, on every estimator."""

from functools import cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skmeta import (
    GroupedClassifier,
    GroupedRegressor,
    MetaFewShotClassifier,
    MetaFewShotRegressor,
)
from skmeta.learners import MAML
from skmeta.priors import MetaPrior
from skmeta.search import MetaLearnedSearchCV


@cache
def _prior(kind: str, n_features: int, n_iterations: int = 20) -> MetaPrior:
    """Meta-train on linear tasks of a width."""
    rng = np.random.default_rng(n_features)
    groups = np.repeat(np.arange(40), 40)
    X = rng.normal(size=(len(groups), n_features))
    y = (X * rng.normal(size=(40, n_features))[groups]).sum(1)
    settings = {"n_inner_steps": 20, "first_order": True, "validation": 0, "random_state": 0}
    settings["n_iterations"] = n_iterations
    if kind == "regression":
        learner = MAML(n_shot=20, n_query=10, inner_lr=0.1, **settings)
        return learner.fit(X, y, groups=groups).prior_
    learner = MAML(n_shot=10, n_query=5, inner_lr=0.5, head_init="shared", **settings)
    # A shared row takes any classes, so the labels of these tasks need not be known again.
    return learner.fit(X, y > 0, groups=groups).prior_.replace(classes=None)


class PriorClassifier(MetaFewShotClassifier):
    """scikit-learn's checks come in many widths, and a prior has one."""

    def _read_support(self, X, y, sample_weight):
        rows = self._read_rows(X, self.prior, reset=True)
        return rows, _prior("classification", rows.shape[1])


class PriorRegressor(MetaFewShotRegressor):
    """As above."""

    def _read_support(self, X, y, sample_weight):
        rows = self._read_rows(X, self.prior, reset=True)
        return rows, _prior("regression", rows.shape[1])


@pytest.mark.filterwarnings("ignore:Grouped.* has groups=None")
@parametrize_with_checks(
    [
        MetaFewShotClassifier(),
        MetaFewShotRegressor(),
        GroupedClassifier(),
        GroupedRegressor(),
    ],
)
def test_estimators(estimator, check):
    check(estimator)


# Each process collects the tests: what is trained here tells the learner, and no more.
WITH_PRIOR = [
    PriorClassifier(_prior("classification", 2, n_iterations=1)),
    PriorRegressor(
        _prior("regression", 2, n_iterations=1),
        learner_params={"n_inner_steps": 200, "inner_lr": 0.02},
    ),
]
# Those that fit and predict as users do; how rows are read is the same for each prior.
OF_FITS = {
    "check_classifiers_classes",
    "check_classifiers_train",
    "check_estimators_pickle",
    "check_fit2d_1sample",
    "check_fit_idempotent",
    "check_methods_subset_invariance",
    "check_regressors_train",
    "check_sample_weight_equivalence_on_dense_data",
}


def name_of(check):
    return getattr(check, "func", check).__name__


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{type(estimator).__name__}-{name_of(check)}")
        for one in WITH_PRIOR
        for estimator, check in estimator_checks_generator(one)
        if name_of(check) in OF_FITS
    ],
)
def test_estimators_with_the_prior_of_a_learner(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks(
    [
        MetaLearnedSearchCV(
            Ridge(), {"alpha": [0.01, 0.1, 1.0, 10.0]}, n_iter=3, cv=2, error_score="raise"
        ),
        MetaLearnedSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression__C": [0.1, 0.3, 1.0, 3.0]},
            n_iter=3,
            batch_size=2,
            cv=2,
            error_score="raise",
        ),
        MetaLearnedSearchCV(
            LogisticRegression(), {"C": [0.1, 1.0]}, n_iter="all", cv=2, error_score="raise"
        ),
    ],
    # As of scikit-learn's own searches: the column y goes to the estimator as it is.
    expected_failed_checks=lambda search: (
        {"check_supervised_y_2d": "Ridge takes a column of targets without a warning"}
        if isinstance(search.estimator, Ridge)
        else {}
    ),
)
def test_searches(estimator, check):
    check(estimator)
