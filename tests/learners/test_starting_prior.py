"""Meta-training that goes on from a prior."""

import builders
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal

from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import PriorError, PriorWarning
from skmeta.few_shot import MetaFewShotClassifier
from skmeta.learners import ANIL, MAML, LSTMMetaLearner, MetaSGD, ProtoNet, Reptile
from skmeta.priors import MetaPrior

SMALL = builders.SMALL | {"backbone_params": {"hidden": (16,)}, "n_query": 4, "n_iterations": 10}
SMALL |= {"validation": 0}

# A step that changes no number.
AS_IT_IS = {"n_iterations": 1, "meta_optimizer": "sgd", "meta_lr": 1e-300}


@pytest.fixture(scope="module")
def classes():
    return builders.make_classes(12, 10, 5, 1.0)


@pytest.fixture(scope="module")
def sinusoids():
    return make_sinusoid_tasks(n_tasks=40, random_state=0)


def learned(prior):
    return {n: v for n, v in prior.tensors.items() if not n.startswith("rows.")}


def body(prior):
    return {n: v for n, v in prior.tensors.items() if n.startswith(("body.", "scaler."))}


@pytest.mark.parametrize("cls", [ANIL, MAML, MetaSGD, ProtoNet, Reptile, LSTMMetaLearner])
def test_it_starts_with_what_was_learned(cls, classes):
    X, y = classes
    first = cls(**SMALL).fit(X[y < 8], y[y < 8]).prior_
    settings = SMALL | AS_IT_IS | {"prior": first, "random_state": 1}
    second = cls(**settings).fit(3 * X[y >= 8], y[y >= 8]).prior_
    assert second.tensors.keys() == first.tensors.keys()
    for name, value in learned(first).items():
        assert_array_equal(second.tensors[name], value, err_msg=name)
    assert_array_equal(np.sort(second.trained_on), np.arange(12))
    assert "prior" not in second.learner_params


def test_regression_keeps_head_and_units(sinusoids):
    X, y, groups = sinusoids
    settings = SMALL | {"n_shot": 5}
    first = MAML(**settings).fit(X, y, groups=groups).prior_
    second = MAML(**settings | AS_IT_IS | {"prior": first}).fit(X, 5 * y, groups=groups)
    for name, value in learned(first).items():
        assert_array_equal(second.prior_.tensors[name], value, err_msg=name)


def test_another_learner_takes_the_network(classes):
    X, y = classes
    first = ProtoNet(**SMALL).fit(X, y).prior_
    maml = MAML(**SMALL | AS_IT_IS | {"prior": first}).fit(X, y).prior_
    for name, value in body(first).items():
        assert_array_equal(maml.tensors[name], value, err_msg=name)
    with pytest.warns(PriorWarning, match="meta-trained on rows of this task"):
        new = MetaFewShotClassifier(maml).fit(X[:20], y[:20])
    assert new.score(X[:20], y[:20]) > 0.5


def test_initial_prior_and_a_module_of_ones_own(classes):
    X, y = classes
    module = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh())
    before = module[0].weight.detach().clone()
    settings = {n: v for n, v in SMALL.items() if n != "backbone_params"} | {"backbone": module}
    first = ProtoNet(**settings).fit(X, y).prior_
    learner = ProtoNet(**settings | AS_IT_IS | {"prior": first})
    assert_array_equal(torch.as_tensor(before), module[0].weight.detach())
    for start in (learner.initial_prior(X), learner.fit(X, y).prior_):
        for name, value in body(first).items():
            assert_array_equal(start.tensors[name], value, err_msg=name)


def test_columns_of_a_frame_keep_their_code():
    rng = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame({"size": rng.normal(size=n), "kind": rng.choice(["a", "b", "c"], n)})
    groups, y = np.repeat(np.arange(12), 20), rng.normal(size=n)
    settings = SMALL | {"n_shot": 5}
    first = MAML(**settings).fit(frame, y, groups=groups).prior_
    few = frame.assign(kind=frame["kind"].where(frame["kind"] != "c", "d"))
    second = MAML(**settings | {"prior": first}).fit(few, y, groups=groups).prior_
    assert second.provenance["columns"] == first.provenance["columns"]


TASKS = SMALL | {"n_shot": 3, "n_query": 3, "sampling": "task"}
OTHER = SMALL | {"backbone_params": {"hidden": (8,)}}
OF_ANY_WIDTH = MetaPrior.load_shipped("classification")


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            lambda X, y, groups, prior: MAML(**TASKS, prior=prior).fit(X, X[:, 0], groups),
            "cannot start from.*classification",
        ),
        (lambda X, y, _, prior: ProtoNet(**SMALL, prior=prior).fit(X[:, :3], y), "3 features"),
        (lambda X, y, _, prior: ProtoNet(**OTHER, prior=prior).fit(X, y), "hidden.*16"),
        (
            lambda X, y, *_: ProtoNet(**SMALL, prior=OF_ANY_WIDTH).fit(X, y),
            "any width.*InContextLearner",
        ),
        (
            lambda X, y, groups, _: MAML(
                **TASKS, prior=MAML(**TASKS).fit(X, y % 2, groups).prior_
            ).fit(X, np.where(y % 2, "yes", "no"), groups),
            "'no', 'yes'.*parameters for",
        ),
    ],
)
def test_priors_that_do_not_fit(fit, message):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5)), np.repeat(np.arange(6), 10)
    prior = ProtoNet(**SMALL).fit(X, y).prior_
    with pytest.raises(PriorError, match=message):
        fit(X, y, np.tile(np.arange(10), 6), prior)
