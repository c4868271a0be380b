"""Settings of the inner loop, fixed and learned, against plain torch and finite differences."""

import builders
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import make_task, tiny_mlp

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, MetaSGD

N_STEPS = 2
UNITS = ("scalar", "step", "tensor", "tensor and step", "weight", "weight and step")
FIXED = {"inner_lr": 0.3, "weight_decay": 0.2, "label_smoothing": 0.1}


def make_context(kind="classification", head="learned"):
    return builders.make_context(tiny_mlp(), kind=kind, head=head)


def make_state(learner, context):
    return builders.make_state(learner, context, scale=0.05)


def values_of(state, name, tensor, step):
    """The values of a setting, by the shapes that its unit stands for."""
    values = state.get(f"{name}.{tensor}", state.get(name))
    return FIXED[name] if values is None else values[min(step, len(values) - 1)]


def plain_adaptation(state, support, n_steps, names):
    """Adapt the network of ``builders.tiny_mlp`` in plain torch, differentiably."""
    theta = {n: v for n, v in state.items() if n.startswith(("body.", "head."))}
    for step in range(n_steps):
        hidden = torch.tanh(F.linear(support.x, theta["body.1.weight"], theta["body.1.bias"]))
        outputs = F.linear(hidden, theta["head.weight"], theta["head.bias"])
        if outputs.shape[1] == 1:
            losses = (outputs[:, 0] - support.y) ** 2
        else:
            smoothing = values_of(state, "label_smoothing", "", 0)
            target = F.one_hot(support.y, outputs.shape[1]).double() * (1 - smoothing)
            target = target + smoothing / outputs.shape[1]
            losses = -(target * outputs.log_softmax(1)).sum(1)
        loss = (support.w * losses).sum() / support.w.sum()
        adapted = {n: v for n, v in theta.items() if n.startswith(names)}
        gradients = torch.autograd.grad(loss, list(adapted.values()), create_graph=True)
        for (n, v), gradient in zip(adapted.items(), gradients, strict=True):
            decay, rate = (values_of(state, s, n, step) for s in ("weight_decay", "inner_lr"))
            theta = theta | {n: v - rate * (gradient + decay * v)}
    return theta


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("unit", [None, *UNITS])
@pytest.mark.parametrize("cls", [MAML, ANIL])
def test_steps_and_their_meta_gradient_are_those_of_plain_torch(cls, unit, kind):
    learn = {"inner_lr": unit, "weight_decay": unit} if unit else {}
    is_class = kind == "classification"
    settings = FIXED if is_class else FIXED | {"label_smoothing": 0.0}
    if unit and is_class:
        learn["label_smoothing"] = "scalar"
    learner = cls(**settings, n_inner_steps=N_STEPS, learn=learn or None)
    context, task = make_context(kind), make_task(kind=kind)
    algorithm, state = learner.algorithm(learner), make_state(learner, make_context(kind))
    names = ("body.", "head.") if cls is MAML else ("head.",)
    leaves = {n: v.clone().requires_grad_() for n, v in state.items()}
    theta = plain_adaptation(leaves, task.support, N_STEPS, names)
    adapted = algorithm.adapt(context, state, task.support)
    for name, expected in theta.items():
        torch.testing.assert_close(adapted[name], expected.detach(), rtol=1e-9, atol=1e-12)
    value = builders.plain_loss(theta, task.query)
    expected = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    found, _ = algorithm.meta_gradient(context, state, task)
    for name, gradient in zip(leaves, expected, strict=True):
        assert gradient is not None, name
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-11, msg=name)


@pytest.mark.parametrize("head", ["learned", "shared", "zeros", "prototype"])
@pytest.mark.parametrize("cls", [MAML, MetaSGD])
def test_meta_gradients_of_learned_settings_equal_finite_differences(cls, head):
    learn = {"weight_decay": "tensor and step", "label_smoothing": "scalar"}
    if cls is MAML:
        learn["inner_lr"] = "step"
    learner = cls(**FIXED, n_inner_steps=N_STEPS, learn=learn)
    algorithm, context, task = learner.algorithm(learner), make_context(head=head), make_task()
    state = make_state(learner, context)
    gradient, _ = algorithm.meta_gradient(context, state, task)
    learned = [n for n in state if not n.startswith(("body.", "head."))]
    assert {n.partition(".")[0] for n in learned} == FIXED.keys()
    for name in learned:
        for index in np.ndindex(*state[name].shape[:2]):
            ends = []
            for h in (-1e-6, 1e-6):
                moved = state[name].clone()
                moved[index] += h
                ends.append(float(algorithm.meta_loss(context, state | {name: moved}, task)[0]))
            expected = (ends[1] - ends[0]) / 2e-6
            found = float(gradient[name][index].sum())
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-9), (name, index)


def test_fixed_settings_are_those_of_torch():
    learner = MAML(**FIXED, n_inner_steps=3)
    context, support = make_context(), make_task().support
    state = make_state(learner, context)
    support = support._replace(w=torch.ones_like(support.w))
    adapted = learner.algorithm(learner).adapt(context, state, support)
    leaves = {n: v.clone().requires_grad_() for n, v in state.items()}
    optimizer = torch.optim.SGD(leaves.values(), lr=0.3, weight_decay=0.2)
    for _ in range(3):
        optimizer.zero_grad()
        hidden = torch.tanh(F.linear(support.x, leaves["body.1.weight"], leaves["body.1.bias"]))
        outputs = F.linear(hidden, leaves["head.weight"], leaves["head.bias"])
        F.cross_entropy(outputs, support.y, label_smoothing=0.1).backward()
        optimizer.step()
    for name, expected in leaves.items():
        torch.testing.assert_close(adapted[name], expected.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", [MAML, MetaSGD])
def test_more_steps_than_in_meta_training_do_not_diverge(cls):
    X, y, groups = make_sinusoid_tasks(60, 20, random_state=0)
    learn = {"inner_lr": "scalar"} if cls is MAML else None
    learner = cls(inner_lr=3.0, learn=learn, n_inner_steps=2, n_iterations=1, random_state=0)
    X_new, y_new, new = make_sinusoid_tasks(20, 30, random_state=1)
    prior = learner.fit(X, y, groups=groups).prior_
    assert prior.learner_params["n_train_steps"] == 2
    scores = [
        learner.score_tasks(X_new, y_new, new + 100, n_tasks=20, n_query=5, n_inner_steps=n)
        for n in (2, 40)
    ]
    assert np.isfinite(scores).all()
    losses = []
    for n in (2, 40):
        reg = MetaFewShotRegressor(prior, learner_params={"n_inner_steps": n})
        predicted = reg.fit(X_new[:10], y_new[:10]).predict(X_new[:10])
        losses.append(np.mean((predicted - y_new[:10]) ** 2))
    assert losses[1] < losses[0]


def test_what_is_learned_moves_and_is_kept_for_new_tasks():
    X, y, groups = make_sinusoid_tasks(60, 20, random_state=0)
    learner = MAML(
        learn={"inner_lr": "tensor", "weight_decay": "scalar"}, n_iterations=30, random_state=0
    ).fit(X, y, groups=groups)
    tensors = learner.prior_.tensors
    rates = np.array([v for n, v in tensors.items() if n.startswith("inner_lr.")])
    assert rates.shape == (6, 1)
    assert len(np.unique(rates)) == 6
    assert tensors["weight_decay"] != 0
    X, y, _ = make_sinusoid_tasks(1, 10, random_state=1)
    reg = MetaFewShotRegressor(learner).fit(X, y)
    assert np.isfinite(reg.predict(X)).all()
    other = MetaFewShotRegressor(learner, learner_params={"weight_decay": 0.1})
    with pytest.raises(ValueError, match=r"weight_decay=0\.1 .* whose weight_decay is learned"):
        other.fit(X, y)


@pytest.mark.parametrize(
    "settings", [{"label_smoothing": 0.1}, {"learn": {"label_smoothing": "scalar"}}]
)
def test_label_smoothing_is_for_classes(settings):
    table = make_sinusoid_tasks(20, 20, random_state=0)
    with pytest.raises(ValueError, match=r"label_smoothing.*tasks are of regression.*Leave it out"):
        MAML(**settings, n_iterations=2).fit(*table)
