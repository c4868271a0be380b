"""Settings of the inner loop, fixed and learned, and MAML++: formulas, plain torch, differences."""

from functools import partial

import builders
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import make_task, tiny_mlp
from sklearn.datasets import load_digits
from torch import nn

from skmeta import MetaFewShotRegressor
from skmeta.backbones import EpisodeBatchNorm
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, MetaOptimizer, MetaSGD, Validation

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


N_FEATURES, N_WAY = 3, 3


def normalised_context(progress=1.0, head="learned"):
    with torch.random.fork_rng():
        torch.manual_seed(0)  # Torch draws the weights of a layer where it is made.
        module = nn.Sequential(nn.Linear(N_FEATURES, 4), EpisodeBatchNorm(4), nn.Tanh())
    return builders.make_context(module, head=head, progress=progress)


moved_state = partial(builders.make_state, scale=0.2)


def plain_outputs(theta, rows, support):
    """Outputs of the network in plain torch, normalised by the support set."""
    hidden, known = (
        F.linear(part.x, theta["body.0.weight"], theta["body.0.bias"]) for part in (rows, support)
    )
    hidden = (hidden - known.mean(0)) / (known.var(0, correction=0) + 1e-5).sqrt()
    hidden = torch.tanh(hidden * theta["body.1.weight"] + theta["body.1.bias"])
    return F.linear(hidden, theta["head.weight"], theta["head.bias"])


def normalised_loss(theta, rows, support):
    losses = F.cross_entropy(plain_outputs(theta, rows, support), rows.y, reduction="none")
    return (losses * rows.w).sum() / rows.w.sum()


def plain_path(state, support, rate, n_steps, norm=None):
    """Weights after 0, 1, ... steps, differentiably; ``rate(name, step)``, ``norm(name, step)``."""
    theta = {n: v for n, v in state.items() if n.startswith(("body.", "head."))}
    path = [theta]
    for step in range(n_steps):
        loss = normalised_loss(theta, support, support)
        gradient = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        pairs = zip(theta.items(), gradient, strict=True)
        theta = {n: v - rate(n, step) * g for (n, v), g in pairs}
        if norm is not None:
            theta |= {n: norm(n, step) for n in ("body.1.weight", "body.1.bias")}
        path.append(theta)
    return path


def authors_weights(n_steps, n_epochs, epoch):
    """Antoniou's code, without the least weight of the earlier steps."""
    weights = np.ones(n_steps) * (1.0 / n_steps)
    decay_rate = 1.0 / n_steps / n_epochs
    for i in range(n_steps - 1):
        weights[i] = weights[i] - epoch * decay_rate
    weights[-1] = weights[-1] + epoch * (n_steps - 1) * decay_rate
    return weights


@pytest.mark.parametrize("n_steps", [1, 2, 5])
@pytest.mark.parametrize(("progress", "annealed"), [(0.0, 0.0), (0.2, 0.5), (0.4, 1.0), (1.0, 1.0)])
def test_multi_step_loss_is_the_weighted_sum_of_the_query_losses(progress, annealed, n_steps):
    learner = MAML(n_inner_steps=n_steps, inner_lr=0.3, multi_step_loss=0.4)
    context, (support, query) = normalised_context(progress), make_task()
    leaves = {n: v.requires_grad_() for n, v in moved_state(learner, context).items()}
    path = plain_path(leaves, support, lambda name, step: 0.3, n_steps)[1:]
    losses = [normalised_loss(theta, query, support) for theta in path]
    weights = authors_weights(n_steps, 1, annealed)
    total = sum(w * value for w, value in zip(weights, losses, strict=True))
    expected = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    state = {n: v.detach() for n, v in leaves.items()}
    found, metrics = learner.algorithm(learner).meta_gradient(context, state, make_task())
    for (name, value), gradient in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(value, gradient, rtol=1e-8, atol=1e-10, msg=name)
    # What is reported is the loss after the last step.
    torch.testing.assert_close(metrics["loss"], losses[-1].detach())


def test_learned_step_sizes_belong_to_a_tensor_and_a_step():
    learner = MAML(n_inner_steps=2, learn={"inner_lr": "tensor and step"})
    context = normalised_context()
    state, (support, _) = moved_state(learner, context), make_task()
    assert state["inner_lr.head.weight"].shape == (2,)
    with torch.enable_grad():
        leaves = {n: v.clone().requires_grad_() for n, v in state.items()}
        path = plain_path(leaves, support, lambda n, step: state[f"inner_lr.{n}"][min(step, 1)], 4)
    for n_steps in (1, 2, 4):
        learner.n_inner_steps = n_steps
        adapted = learner.algorithm(learner).adapt(context, state, support)
        for name, expected in path[n_steps].items():
            torch.testing.assert_close(adapted[name], expected.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("head", ["learned", "shared", "zeros", "prototype"])
def test_all_options_start_as_plain_maml(head):
    settings = {"n_inner_steps": 3, "inner_lr": 0.25}
    plain = MAML(**settings)
    learn = {"inner_lr": "tensor and step", "weight_decay": "tensor", "label_smoothing": "scalar"}
    options = MAML(**settings, learn=learn)
    context, support = normalised_context(head=head), make_task().support
    state = builders.make_state(options, context, seed=0)
    found, expected = (
        each.algorithm(each).adapt(context, state, support) for each in (options, plain)
    )
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def test_normalisations_have_scales_of_their_own_after_each_step():
    learner = MAML(n_inner_steps=2, inner_lr=0.3, per_step_norm=True)
    context = normalised_context()
    state, (support, query) = moved_state(learner, context), make_task()
    leaves = {n: v.clone().requires_grad_() for n, v in state.items()}

    def norm(name, step):
        return leaves[f"norm.{name}"][step]

    theta = plain_path(leaves, support, lambda name, step: 0.3, 2, norm)[-1]
    adapted = learner.algorithm(learner).adapt(context, state, support)
    outputs = learner.algorithm(learner).forward(context, adapted, query.x)
    expected = plain_outputs(theta, query, support).detach()
    torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(adapted["body.1.bias"], state["norm.body.1.bias"][1])
    # From row 0 to 1 to 2: the rows differ, so that a wrong one would be seen.
    assert not torch.allclose(state["norm.body.1.bias"][0], state["norm.body.1.bias"][1])


@pytest.mark.parametrize(
    ("settings", "meta_lr"),
    [
        ({}, 0.002),
        ({"backbone": "conv4", "input_shape": (1, 8, 8)}, 0.005),
        ({"meta_lr": 0.1}, 0.1),
    ],
)
def test_steps_of_the_outer_loop_are_smaller_for_new_classes_on_small_networks(settings, meta_lr):
    X, y = load_digits(return_X_y=True)
    learner = MAML(
        n_way=3, n_shot=1, n_query=2, n_iterations=2, validation=Validation(every=1, n_tasks=2),
        meta_optimizer=MetaOptimizer(schedule="constant"), random_state=0,
    )  # fmt: skip
    assert learner.set_params(**settings).fit(X, y).learning_curve_["meta_lr"][0] == meta_lr


def test_steps_of_the_outer_loop_for_groups():
    table = make_sinusoid_tasks(n_tasks=20, random_state=0)
    learner = MAML(
        n_shot=2, n_query=2, n_iterations=2, validation=Validation(every=1, n_tasks=2),
        meta_optimizer=MetaOptimizer(schedule="constant"), random_state=0,
    )  # fmt: skip
    assert learner.fit(*table).learning_curve_["meta_lr"][0] == 0.005
