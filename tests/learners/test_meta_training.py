"""From a table to a prior, and the score of it."""

from functools import partial

import builders
import numpy as np
import pytest
import torch
from marks import slow
from sklearn.datasets import make_classification
from torch import nn

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import (
    ANIL,
    MAML,
    ALPaCA,
    ExecutionOptions,
    FineTuning,
    LSTMMetaLearner,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

BARE = builders.SMALL | {"n_iterations": 4, "validation": Validation(n_tasks=4)}
SMALL = BARE | {"backbone_params": {"hidden": (5,)}}


make_classes = partial(builders.make_classes, spread=2.0)


def make_sinusoids(n_tasks, seed):
    X, y, groups = make_sinusoid_tasks(n_tasks, 20, random_state=seed)
    return X, y, groups + 1000 * seed


@pytest.mark.parametrize(
    "learner",
    [
        MAML(inner_lr=0.05, meta_lr=0.01),
        slow(MetaSGD(inner_lr=0.05, meta_lr=0.01)),
        slow(Reptile(inner_lr=0.05, meta_lr=0.01, n_inner_steps=10)),
    ],
    ids=lambda learner: type(learner).__name__,
)
def test_query_loss_falls_on_sinusoids(learner):
    settings = {"n_shot": 10, "n_query": 10, "device": "cpu", "random_state": 0}
    learner.set_params(n_iterations=400, validation=Validation(every=50), **settings)
    X, y, groups = make_sinusoids(200, seed=0)
    learner.fit(X, y, groups)
    losses = learner.learning_curve_["validation_loss"]
    assert losses[-1] < 0.7 * losses[0]
    unseen = make_sinusoids(50, seed=1)
    assert learner.score(*unseen) > 0.3
    untrained = MAML(**settings, n_iterations=1, inner_lr=0.05)
    assert learner.score(*unseen) > untrained.fit(X, y, groups).score(*unseen) + 0.1


def test_validation_tasks_are_not_trained_on():
    X, y = make_classes()
    prior = ProtoNet(**SMALL | {"validation": 0.3}).fit(X, y).prior_
    assert len(prior.trained_on) == 8
    assert prior.trained_on_kind == "classes"
    learner = ProtoNet(**SMALL | {"validation": 0}).fit(X, y)
    assert len(learner.prior_.trained_on) == 12
    assert "validation_score" not in learner.learning_curve_


def test_groups_of_one_classification_share_a_learned_head():
    X, label = make_classification(240, 4, n_redundant=0, random_state=0)
    groups, y = np.repeat(np.arange(20), 12), np.where(label == 1, "yes", "no")
    learner = MAML(**SMALL, sampling="class").fit(X, y, groups)
    prior = learner.prior_
    assert prior.learner_params["head_init"] == "learned"
    assert list(prior.classes) == ["no", "yes"]
    assert prior.trained_on_kind == "groups"
    assert prior.tensors["head.weight"].shape == (2, 5)
    learner.set_params(n_iterations=100, inner_lr=0.05, meta_lr=0.01).fit(X, y, groups)
    assert learner.score(X, y, groups + 100) > 0.7


def test_a_users_module_is_the_backbone():
    X, y = make_classes()
    torch_state = torch.random.get_rng_state()
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU())
    torch.random.set_rng_state(torch_state)
    before = {n: v.clone() for n, v in module.state_dict().items()}
    learner = MAML(**BARE, backbone=module).fit(X, y)
    assert learner.prior_.module is module
    assert all(torch.equal(v, before[n]) for n, v in module.state_dict().items())
    assert isinstance(module[1], torch.nn.BatchNorm1d)
    learner.score(*make_classes(first=100))


def test_a_learner_without_weights_is_only_validated():
    X, y = make_classes()
    learner = ProtoNet(backbone="identity", **BARE).fit(X, y)
    assert learner.learning_curve_["iteration"] == [0]
    assert len(learner.learning_curve_["validation_score"]) == 1
    same = ProtoNet(backbone="identity", **BARE).initial_prior(
        X[np.isin(y, learner.prior_.trained_on)]
    )
    np.testing.assert_allclose(
        learner.prior_.tensors["scaler.x_mean"], same.tensors["scaler.x_mean"]
    )
    clf = MetaFewShotClassifier(learner).fit(X, y)
    assert clf.score(X, y) > 0.5


@pytest.mark.parametrize(
    "make", [ALPaCA, ANIL, FineTuning, LSTMMetaLearner, MAML, MetaSGD, Reptile]
)
def test_frozen_weights_stay(make):
    module = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 4))
    module[0].requires_grad_(False)
    settings = BARE | {"meta_lr": 0.1}
    if "inner_lr" in make().get_params() and make is not ALPaCA:
        settings["n_inner_steps"] = 2
    X, y, groups = make_sinusoids(12, seed=0)
    learner = make(backbone=module, **settings).fit(X, y, groups)
    weight = module[0].weight.numpy()
    np.testing.assert_array_equal(learner.prior_.tensors["body.0.weight"], weight)
    moved = learner.prior_.tensors["body.2.weight"]
    assert np.abs(moved - module[2].weight.detach().numpy()).max() > 1e-4
    reg = MetaFewShotRegressor(learner).fit(X[:5], y[:5])
    adapted = reg.adapted_.get("body.0.weight", weight)
    np.testing.assert_array_equal(adapted, weight.astype(adapted.dtype))


class RandomFeatures(nn.Module):
    """Features with a fixed matrix, which is a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("frequency", torch.ones(1, 4))
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(torch.cos(x @ self.frequency))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_buffers_have_the_precision_of_the_rows(precision):
    X, y, groups = make_sinusoids(12, seed=0)
    learner = MAML(
        backbone=RandomFeatures(), execution=ExecutionOptions(precision=precision), **BARE
    ).fit(X, y, groups)
    reg = MetaFewShotRegressor(learner).fit(X[:5], y[:5])
    single = MetaFewShotRegressor(learner, precision="float32").fit(X[:5], y[:5])
    np.testing.assert_allclose(single.predict(X), reg.predict(X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1e8), (1e-15, 0.0), (1e-200, 0.0), (1e100, 0)])
def test_columns_of_any_centre_and_scale(scale, offset):
    X, y, groups = make_sinusoids(12, seed=0)
    plain, other = (
        MAML(**SMALL).fit(x, t, groups) for x, t in ((X, y), (scale * X + offset, scale * y))
    )
    np.testing.assert_allclose(
        other.learning_curve_["train_loss"], plain.learning_curve_["train_loss"], rtol=1e-3
    )
    few, rest = slice(0, 5), slice(5, 10)
    expected = MetaFewShotRegressor(plain).fit(X[few], y[few]).predict(X[rest])
    reg = MetaFewShotRegressor(other).fit((scale * X + offset)[few], scale * y[few])
    found = reg.predict((scale * X + offset)[rest]) / scale
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
