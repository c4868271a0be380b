"""Learners pass scikit-learn's checks of parameters, cloning, pickling and repr."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils import estimator_checks

from skmeta.learners import LEARNERS, MetaSGD, Validation

OURS = {n: cls for n, cls in LEARNERS.items() if cls.__module__.startswith("skmeta.")}
# Those of scikit-learn's checks that draw no data, for a fit of a learner needs tasks.
CHECKS = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimators_unfitted,
    estimator_checks.check_mixin_order,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", OURS)
def test_scikit_learn_check(name, check):
    check(name, OURS[name]())


@pytest.mark.parametrize("name", OURS)
def test_every_parameter_has_a_constraint(name):
    parameters = set(inspect.signature(OURS[name].__init__).parameters) - {"self"}
    assert parameters == set(OURS[name]._parameter_constraints)


def make_tasks(n_groups=12):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), 8)
    X = rng.normal(size=(len(groups), 3))
    return X, (X * rng.normal(size=(n_groups, 3))[groups]).sum(1), groups


@pytest.fixture
def routed():
    with config_context(enable_metadata_routing=True):
        learner = MetaSGD(
            backbone_params={"hidden": (5,)}, n_shot=4, n_query=4, n_iterations=2, device="cpu",
            meta_batch_size=2, validation=Validation(n_tasks=2), random_state=0,
        )  # fmt: skip
        yield learner.set_fit_request(groups=True).set_score_request(groups=True)


def test_cross_validation_over_groups(routed):
    X, y, groups = make_tasks()
    scores = cross_val_score(routed, X, y, cv=GroupKFold(3), params={"groups": groups})
    train, test = next(GroupKFold(3).split(X, y, groups))
    fitted = clone(routed).fit(X[train], y[train], groups[train])
    assert scores[0] == pytest.approx(fitted.score(X[test], y[test], groups[test]))


def test_grid_search_over_groups(routed):
    X, y, groups = make_tasks()
    grid = {"inner_lr": [0.01, 0.1], "n_inner_steps": [0, 1]}
    search = GridSearchCV(routed, grid, cv=GroupKFold(3), error_score="raise")
    search.fit(X, y, groups=groups)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    prior = search.best_estimator_.prior_
    assert prior.learner_params["inner_lr"] == search.best_params_["inner_lr"]
    assert pickle.loads(pickle.dumps(search)).best_estimator_.prior_ == prior
