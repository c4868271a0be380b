"""Step sizes of inner loops that are chosen on held-out tasks."""

import numpy as np
import pytest
from sklearn.base import clone

from skmeta import MetaFewShotRegressor
from skmeta.learners import (
    MAML,
    MetaSGD,
    Reptile,
    Validation,
)
from skmeta.learners._core import _gradient

SMALL = {
    "inner_lr": "auto",
    "backbone_params": {"hidden": (8,)},
    "n_shot": 5,
    "n_query": 5,
    "n_iterations": 20,
    "meta_batch_size": 2,
    "validation": Validation(n_tasks=8),
    "device": "cpu",
    "random_state": 0,
}


def make_lines(n_groups=30, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 12)
    X = rng.normal(size=(len(groups), 2))
    return X, X[:, 0] + rng.normal(size=n_groups)[groups], groups


@pytest.mark.parametrize("learner", [MAML, MetaSGD, Reptile])
def test_the_chosen_step_size_is_in_the_prior(learner):
    X, y, groups = make_lines()
    fitted = learner(**SMALL).fit(X, y, groups=groups)
    chosen = fitted.prior_.learner_params["inner_lr"]
    assert chosen in _gradient._STEP_SIZES
    assert fitted.inner_lr == "auto"
    again = clone(fitted).fit(X, y, groups=groups)
    told = clone(fitted).set_params(inner_lr=chosen).fit(X, y, groups=groups)
    for name, value in fitted.prior_.tensors.items():
        np.testing.assert_array_equal(value, again.prior_.tensors[name])
        np.testing.assert_array_equal(value, told.prior_.tensors[name])
    new = make_lines(6, seed=1)
    assert np.isfinite(fitted.score(new[0], new[1], groups=new[2] + 100))
    reg = MetaFewShotRegressor(fitted.prior_).fit(X[:5], y[:5])
    assert np.isfinite(reg.predict(X[5:12])).all()


def test_the_step_size_with_the_least_validation_loss_is_chosen(monkeypatch):
    X, y, groups = make_lines()
    found = {}
    for size in (1e-4, 0.1):
        trial = MAML(**{**SMALL, "inner_lr": size})
        trial.set_params(n_iterations=2, validation=Validation(0.2, n_tasks=8, every=2))
        found[size] = min(trial.fit(X, y, groups=groups).history_["validation_loss"])
    assert found[0.1] < found[1e-4]
    # A step that diverges is no candidate.
    monkeypatch.setattr(_gradient, "_STEP_SIZES", (1e-4, 0.1, 1e30))
    assert _gradient.choose_step_size(MAML(**SMALL), X, y, groups) == 0.1


def test_without_held_out_tasks_it_is_the_default():
    X, y, groups = make_lines(n_groups=2)
    assert _gradient.choose_step_size(MAML(**SMALL), X, y, groups) == 0.1
