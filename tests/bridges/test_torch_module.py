"""Networks that start from a prior, trained by the real skorch."""

import pickle
from functools import cache

import numpy as np
import pytest
import torch
from builders import make_classes
from marks import slow
from sklearn.base import clone

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import PriorError
from skmeta.learners import MAML, HierarchicalLinear, MetaNAS, ProtoNet
from skmeta.priors import MetaPrior

skorch = pytest.importorskip("skorch")

from skorch.callbacks import Freezer  # noqa: E402

from skmeta.bridges.torch import PriorModule  # noqa: E402

QUICK = {"n_iterations": 3, "meta_batch_size": 2, "random_state": 0}
IMAGES = {
    "backbone": "conv4",
    "backbone_params": {"n_channels": 4, "n_blocks": 2},
    "input_shape": (1, 8, 8),
}


@pytest.fixture(scope="module")
def data():
    return make_classes(spread=2.0)


@pytest.fixture(scope="module")
def sinusoids():
    X, y, groups = make_sinusoid_tasks(12, random_state=0)
    y = 1000 + 50 * y  # in a unit that standardisation has to undo
    return X, y, groups


@cache
def maml_prior(head_init="shared"):
    """Meta-train on the classes that are not those of `new_task`, once for each head."""
    X, y = make_classes(spread=2.0)
    settings = {"head_init": head_init, "n_inner_steps": 3, "inner_lr": 0.2}
    learner = MAML(backbone="mlp", n_way=3, n_shot=2, n_query=2, **settings, **QUICK)
    return learner.fit(X[y < 9], y[y < 9]).prior_


def new_task(data, first=9, n_classes=3):
    X, y = data
    chosen = y >= first
    return X[chosen], y[chosen] - first


def make_net(prior, **settings):
    kind = skorch.NeuralNetClassifier
    if prior.kind == "classification":
        settings = {"criterion": torch.nn.CrossEntropyLoss, "module__n_outputs": 3} | settings
    else:
        kind = skorch.NeuralNetRegressor
    return kind(PriorModule, module__prior=prior, train_split=None, verbose=0, **settings)


def as_maml(prior, **settings):
    """A net that does the inner steps of MAML: gradient descent on all rows."""
    params = prior.learner_params
    steps = {"lr": params["inner_lr"], "max_epochs": params["n_inner_steps"], "batch_size": -1}
    return make_net(prior, **steps | settings)


def start(net, X, y):
    net.initialize().module_.start(torch.tensor(X), torch.tensor(y))
    return net


@pytest.mark.parametrize("head", ["shared", slow("zeros"), slow("prototype")])
def test_gradient_descent_on_all_rows_is_the_inner_loop_of_maml(data, head):
    prior = maml_prior(head)
    X, y = new_task(data)
    net = start(as_maml(prior), X, y).partial_fit(X, y)
    expected = MetaFewShotClassifier(prior, precision="float64").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(net.predict_proba(X), expected, atol=2e-4)


class StandardisedLoss(skorch.NeuralNetRegressor):
    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred, y_true, *args, **kwargs) / self.module_.y_scale**2


def test_and_for_regressions_in_any_unit(sinusoids):
    X, y, groups = sinusoids
    old, new = groups < 10, groups == 10
    learner = MAML(n_shot=5, n_query=5, inner_lr=0.05, n_inner_steps=3, **QUICK)
    prior = learner.fit(X[old], y[old], groups=groups[old]).prior_
    net = StandardisedLoss(
        PriorModule, module__prior=prior, train_split=None, verbose=0, lr=0.05, max_epochs=3
    )
    target = y[new].astype(np.float32)[:, None]
    net.set_params(batch_size=-1).fit(X[new].astype(np.float32), target)
    expected = MetaFewShotRegressor(prior, precision="float64").fit(X[new], y[new]).predict(X[new])
    np.testing.assert_allclose(net.predict(X[new])[:, 0], expected, rtol=1e-4)


def test_batch_normalisation_has_the_statistics_of_the_rows(data):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 6)
    X = rng.uniform(size=(48, 64)) + 0.1 * y[:, None]
    learner = ProtoNet(n_way=3, n_shot=2, n_query=2, validation=0, **IMAGES, **QUICK)
    prior = learner.fit(X[y < 5], y[y < 5]).prior_
    X, y = X[y >= 5], y[y >= 5] - 5
    net = start(make_net(prior, lr=0.0, max_epochs=1), X, y).partial_fit(X, y)
    expected = MetaFewShotClassifier(prior, precision="float64").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(net.predict_proba(X), expected, atol=1e-3)
    # In training, statistics change; copies and pickles of the net have them.
    net = make_net(prior, lr=0.01, max_epochs=3, batch_size=6).fit(X, y)
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))
    assert (net.module_.body.state_dict().keys()) == copy.module_.body.state_dict().keys()


def test_a_net_is_cloned_trained_on_and_pickled(data):
    X, y = new_task(data)
    net = as_maml(maml_prior())
    copy = clone(net)
    assert copy.get_params()["module__prior"] is net.get_params()["module__prior"]
    before = net.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(copy.fit(X, y).predict_proba(X), before)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), before)
    net.partial_fit(X, y)  # goes on from where it is
    assert np.abs(net.predict_proba(X) - before).max() > 1e-4
    fresh = clone(net).partial_fit(X[:4], y[:4], classes=[0, 1, 2])
    assert fresh.predict_proba(X).shape == (len(X), 3)


def test_a_frozen_body_stays_as_it_is(data):
    prior = maml_prior()
    X, y = new_task(data)
    net = as_maml(prior, callbacks=[Freezer("body.*")]).fit(X, y)
    for name, value in net.module_.body.named_parameters():
        np.testing.assert_array_equal(value.detach(), prior.tensors[f"body.{name}"])
    head = prior.tensors["head.weight"]
    assert np.abs(net.module_.head.weight.detach().numpy() - head).max() > 1e-4


def test_a_module_of_the_user_s(data, tmp_path):
    X, y = data
    body = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU())
    learner = ProtoNet(backbone=body, n_way=3, n_shot=2, n_query=2, **QUICK)
    prior = learner.fit(X[y < 9], y[y < 9]).prior_
    X, y = new_task(data)
    net = start(make_net(prior, max_epochs=2), X, y).partial_fit(X, y)
    assert net.score(X, y) > 0.3
    prior.save(tmp_path / "prior.skmeta")
    with pytest.raises(PriorError, match="trained with a module of yours, Sequential"):
        PriorModule(MetaPrior.load(tmp_path / "prior.skmeta"))


def test_what_is_refused(sinusoids):
    with pytest.raises(TypeError, match=r"must be a MetaPrior, such as learner.prior_, got MAML"):
        PriorModule(MAML())
    X, y, groups = sinusoids
    plain = HierarchicalLinear().fit(X, y, groups=groups).prior_
    with pytest.raises(PriorError, match="HierarchicalLinear has no network"):
        PriorModule(plain)
    chosen = MetaNAS(backbone="cells", n_shot=5, n_query=5, **QUICK)
    with pytest.raises(PriorError, match="chooses the operations of its network"):
        PriorModule(chosen.fit(X, y, groups=groups).prior_)


def test_rows_classes_and_outputs_that_do_not_fit(data):
    prior, (X, y) = maml_prior("prototype"), new_task(data)
    for n_outputs in (0, -2):
        with pytest.raises(ValueError, match="n_outputs must be an integer of at least 1"):
            PriorModule(prior, n_outputs)
    module = PriorModule(prior, 3)
    for rows in (torch.zeros(2, 7), torch.zeros(2, 1), torch.zeros(4)):
        with pytest.raises(ValueError, match=r"X has the shape .* rows of shape \(4,\)\.$"):
            module(rows)
    for classes in (y + 1, y - 1, y[:2], y.astype(str)):
        with pytest.raises(ValueError, match="y must have a class from 0 to 2 for each of the 18"):
            module.start(X, classes)
    module.start(X, y)
    again = start(make_net(prior), X, y).module_
    assert torch.equal(module.head.weight, again.head.weight)
