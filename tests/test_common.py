"""scikit-learn's own checks, on every estimator."""

import warnings
from functools import cache

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.learners import MAML, MetaSGD
from skmeta.priors import MetaPrior


@cache
def _prior(kind: str, n_features: int) -> MetaPrior:
    """Meta-train on synthetic tasks of a width."""
    rng = np.random.default_rng(n_features)
    n_groups, n_rows = 40, 40
    X = rng.normal(size=(n_groups * n_rows, n_features))
    groups = np.repeat(np.arange(n_groups), n_rows)
    weights = rng.normal(size=(n_groups, n_features))
    y = (X * weights[groups]).sum(1)
    settings = {"n_iterations": 150, "n_inner_steps": 30, "inner_lr": 0.3, "random_state": 0}
    if kind == "regression":
        settings |= {"inner_lr": 0.05}
        learner = MAML(n_shot=20, n_query=10, first_order=True, **settings)
        return learner.fit(X, y, groups=groups).prior_
    learner = MAML(
        head_init="shared", n_shot=10, n_query=5, first_order=True, task_type="classification",
        **settings,
    )
    return learner.fit(X, (y > 0).astype(int), groups=groups).prior_.replace(classes=None)


class _AnyWidth:
    """Chooses the prior that fits the rows: scikit-learn's checks come in many widths."""

    def _check_prior(self, n_features, names):
        super()._check_prior(n_features, names)


ESTIMATORS = [
    MetaFewShotClassifier(random_state=0),
    MetaFewShotRegressor(random_state=0),
]


@parametrize_with_checks(ESTIMATORS)
def test_estimators_without_prior(estimator, check):
    check(estimator)
