"""The options of MAML++ against the authors' formula, plain torch and finite differences."""

from functools import partial

import builders
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import make_task
from sklearn.datasets import load_digits
from torch import nn

from skmeta.backbones import EpisodeBatchNorm
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, MetaOptimizer, Validation

N_FEATURES, N_WAY = 3, 3


def make_context(progress=1.0, head="learned"):
    with torch.random.fork_rng():
        torch.manual_seed(0)  # Torch draws the weights of a layer where it is made.
        module = nn.Sequential(nn.Linear(N_FEATURES, 4), EpisodeBatchNorm(4), nn.Tanh())
    return builders.make_context(module, head=head, progress=progress)


make_state = partial(builders.make_state, scale=0.2)


def plain_outputs(theta, rows, support):
    """Outputs of the network in plain torch, normalised by the support set."""
    hidden, known = (
        F.linear(part.x, theta["body.0.weight"], theta["body.0.bias"]) for part in (rows, support)
    )
    hidden = (hidden - known.mean(0)) / (known.var(0, correction=0) + 1e-5).sqrt()
    hidden = torch.tanh(hidden * theta["body.1.weight"] + theta["body.1.bias"])
    return F.linear(hidden, theta["head.weight"], theta["head.bias"])


def plain_loss(theta, rows, support):
    losses = F.cross_entropy(plain_outputs(theta, rows, support), rows.y, reduction="none")
    return (losses * rows.w).sum() / rows.w.sum()


def plain_path(state, support, rate, n_steps, norm=None):
    """Weights after 0, 1, ... steps, differentiably; ``rate(name, step)``, ``norm(name, step)``."""
    theta = {n: v for n, v in state.items() if n.startswith(("body.", "head."))}
    path = [theta]
    for step in range(n_steps):
        loss = plain_loss(theta, support, support)
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
    context, (support, query) = make_context(progress), make_task()
    leaves = {n: v.requires_grad_() for n, v in make_state(learner, context).items()}
    path = plain_path(leaves, support, lambda name, step: 0.3, n_steps)[1:]
    losses = [plain_loss(theta, query, support) for theta in path]
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
    context = make_context()
    state, (support, _) = make_state(learner, context), make_task()
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
    context, support = make_context(head=head), make_task().support
    state = builders.make_state(options, context, seed=0)
    found, expected = (
        each.algorithm(each).adapt(context, state, support) for each in (options, plain)
    )
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def test_normalisations_have_scales_of_their_own_after_each_step():
    learner = MAML(n_inner_steps=2, inner_lr=0.3, per_step_norm=True)
    context = make_context()
    state, (support, query) = make_state(learner, context), make_task()
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
