"""Learners against implementations that share no code with them."""

import builders
import numpy as np
import pytest
import torch
from builders import make_state, plain_loss, tiny_mlp
from sklearn.neighbors import NearestCentroid

from skmeta._backend import Rows
from skmeta.backbones import build_backbone
from skmeta.learners import MAML, FineTuning, MetaSGD, ProtoNet, Reptile

N_FEATURES, N_WAY = 4, 3


def make_context(backbone="mlp", kind="classification", head="zeros", n_way=N_WAY):
    module = tiny_mlp(N_FEATURES, 5)
    if backbone != "mlp":
        module = build_backbone(backbone, (N_FEATURES,))
    return builders.make_context(module, (N_FEATURES,), kind, head, n_way)


def make_rows(kind="classification", n_rows=7, n_way=N_WAY, seed=2):
    return builders.make_rows(n_rows, (N_FEATURES,), kind, n_way, seed)


def make_task(kind="classification"):
    return builders.make_task(kind=kind, shape=(N_FEATURES,))


def set_up(learner, kind="classification", head="learned"):
    """The surroundings of a learner, a state and a task."""
    context = make_context(kind=kind, head=head)
    return context, make_state(learner, context), make_task(kind)


def all_rows(task):
    return Rows(*(torch.cat(parts) for parts in zip(*task, strict=True)))


def descend(context, state, batches, lr, optimizer=torch.optim.SGD, **settings):
    """Weights of the MLP and its head after a step of a torch optimizer on each batch."""
    weights = {}
    for name, value in state.items():
        if name.startswith(("body.", "head.")):
            size = (context.n_outputs if "head." in name else len(value), *value.shape[1:])
            weights[name] = value.expand(size).detach().clone().requires_grad_()
    optimizer = optimizer(weights.values(), lr=lr, **settings)
    for rows in batches:
        optimizer.zero_grad()
        plain_loss(weights, rows).backward()
        optimizer.step()
    return weights


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_protonet_on_raw_rows_is_nearest_centroid():
    learner, context = ProtoNet(), make_context("identity", n_way=4)
    support = make_rows(n_rows=21, n_way=4)._replace(w=torch.ones(21, dtype=torch.float64))
    query = make_rows(n_rows=50, n_way=4, seed=5)
    adapted = learner.algorithm(learner).adapt(context, make_state(learner, context), support)
    found = learner.algorithm(learner).forward(context, adapted, query.x).argmax(1)
    oracle = NearestCentroid().fit(support.x.numpy(), support.y.numpy())
    expected = oracle.predict(query.x.numpy())
    assert len(np.unique(expected)) == 4
    assert np.array_equal(found.numpy(), expected)


def test_protonet_logits_are_squared_distances():
    learner = ProtoNet()
    context, state, (support, query) = set_up(learner, head="zeros")
    adapted = learner.algorithm(learner).adapt(context, state, support)
    found = learner.algorithm(learner).forward(context, adapted, query.x).numpy()
    layer = [state[f"body.1.{n}"].numpy() for n in ("weight", "bias")]
    embed = [np.tanh(rows.x.numpy() @ layer[0].T + layer[1]) for rows in (support, query)]
    for k in range(N_WAY):
        own = support.y.numpy() == k
        centre = np.average(embed[0][own], axis=0, weights=support.w.numpy()[own])
        np.testing.assert_allclose(found[:, k], -((embed[1] - centre) ** 2).sum(1), atol=1e-12)


KINDS = pytest.mark.parametrize("kind", ["classification", "regression"])


@KINDS
def test_first_order_gradient_is_that_of_the_query_loss_at_the_adapted_weights(kind):
    learner = MAML(n_inner_steps=3, inner_lr=0.2, first_order=True)
    context, state, task = set_up(learner, kind)
    gradient, metrics = learner.algorithm(learner).meta_gradient(context, state, task)
    theta = descend(context, state, [task.support] * 3, 0.2)
    value = plain_loss(theta, task.query)
    for name, expected in zip(theta, torch.autograd.grad(value, theta.values()), strict=True):
        close(gradient[name], expected)
    close(metrics["loss"], value.detach())


@KINDS
def test_reptile_moves_reptile_gradient_of_plain_sgd_on_all_rows(kind):
    learner = Reptile(n_inner_steps=4, inner_lr=0.1)
    context, state, task = set_up(learner, kind)
    gradient, _ = learner.algorithm(learner).meta_gradient(context, state, task)
    for name, end in descend(context, state, [all_rows(task)] * 4, 0.1).items():
        close(gradient[name], state[name] - end.detach())


@KINDS
def test_reptile_as_published_takes_steps_of_adam_without_momentum_on_batches(kind):
    learner = Reptile(inner_optimizer="adam", inner_lr=0.01, inner_batch_size=4, n_inner_steps=5)
    context, state, task = set_up(learner, kind)
    rows = all_rows(task)
    rows = rows._replace(w=torch.ones_like(rows.w))
    taken = []

    class Recorded(learner.algorithm):
        def _take_step(self, context, state, point, support):
            taken.append(support)
            return super()._take_step(context, state, point, support)

    adapted = Recorded(learner).adapt(context, state, rows)
    theta = descend(context, state, taken, 0.01, torch.optim.Adam, betas=(0.0, 0.999))
    for name, expected in theta.items():
        torch.testing.assert_close(adapted[name], expected.detach(), rtol=1e-3, atol=1e-9)
    # Batches have four rows each, and no row comes again before all were used.
    known = [tuple(x.tolist()) for x in rows.x]
    used = [known.index(tuple(x.tolist())) for batch in taken for x in batch.x]
    assert [len(batch.y) for batch in taken] == [4] * 5
    whole = len(known) // 4 * 4
    assert len(set(used[:whole])) == min(whole, len(used))


def test_reptile_moves_a_shared_row_towards_the_mean_of_its_rows():
    learner = Reptile(n_inner_steps=4)
    context, state, task = set_up(learner, head="shared")
    gradient, _ = learner.algorithm(learner).meta_gradient(context, state, task)
    ends = descend(context, state, [all_rows(task)] * 4, learner.inner_lr)
    end = ends["head.weight"].detach().mean(0, keepdim=True)
    close(gradient["head.weight"], state["head.weight"] - end)


def test_reptile_starts_from_prototypes_of_the_support_set_alone():
    learner = Reptile(n_inner_steps=4, inner_lr=0.1)
    context, state, task = set_up(learner, head="prototype")
    gradient, _ = learner.algorithm(learner).meta_gradient(context, state, task)
    x, y, w = (values.numpy() for values in task.support)
    features = np.tanh(x @ state["body.1.weight"].numpy().T + state["body.1.bias"].numpy())
    means = [np.average(features[y == k], axis=0, weights=w[y == k]) for k in range(N_WAY)]
    means = torch.as_tensor(np.stack(means))
    head = {"head.weight": 2 * means, "head.bias": -(means**2).sum(1)}
    ends = descend(context, state | head, [all_rows(task)] * 4, 0.1)
    for name, value in state.items():
        close(gradient[name], value - ends[name].detach())


@pytest.mark.parametrize("head", ["learned", "shared", "zeros", "prototype"])
def test_meta_sgd_starts_as_maml(head):
    sgd, maml = (cls(inner_lr=0.15, n_inner_steps=2) for cls in (MetaSGD, MAML))
    context, state, (support, _) = set_up(sgd, head=head)
    rates = {n: v for n, v in state.items() if n.startswith("inner_lr.")}
    assert all(bool(((v - 0.15).abs() < 1e-7).all()) for v in rates.values())
    # A drawn state is float32, in which 0.15 is not quite 0.15.
    rates = {n: torch.full_like(v, 0.15) for n, v in rates.items()}
    found = sgd.algorithm(sgd).adapt(context, state | rates, support)
    expected = maml.algorithm(maml).adapt(
        context, {n: v for n, v in state.items() if n not in rates}, support
    )
    assert found.keys() == expected.keys()
    for name in expected:
        close(found[name], expected[name])


def test_meta_sgd_takes_a_step_of_its_own_size_for_each_weight():
    learner = MetaSGD()
    context, state, (support, _) = set_up(learner)
    generator = torch.Generator().manual_seed(0)
    rates = {n: torch.rand(v.shape, generator=generator, dtype=v.dtype)
             for n, v in state.items() if n.startswith("inner_lr.")}  # fmt: skip
    adapted = learner.algorithm(learner).adapt(context, state | rates, support)
    moved = descend(context, state, [support], 1.0)
    for name, weight in moved.items():
        slope = state[name] - weight.detach()
        close(adapted[name], state[name] - rates[f"inner_lr.{name}"][0] * slope)


@KINDS
def test_meta_sgd_does_not_diverge_over_many_steps(kind):
    losses = []
    for n_steps in (0, 1, 3, 30):
        learner = MetaSGD(inner_lr=30.0, n_train_steps=1, n_inner_steps=n_steps)
        context, state, (support, _) = set_up(learner, kind)
        adapted = learner.algorithm(learner).adapt(context, state, support)
        losses.append(float(plain_loss(adapted, support)))
    assert losses[1] > losses[0]  # The steps of the meta-training are those of the paper.
    assert losses[3] < losses[2] <= losses[1]


def test_meta_gradient_of_damped_steps_equals_finite_differences():
    learner = MetaSGD(inner_lr=8.0, n_train_steps=1, n_inner_steps=4)
    algorithm, (context, state, task) = learner.algorithm(learner), set_up(learner)
    point = algorithm._start_point(context, state, task.support)
    for _ in range(4):
        point = algorithm._take_step(context, state, point, task.support)
    assert float(point.memory["scale"]) < 1  # At least one step was undone.
    gradient, _ = algorithm.meta_gradient(context, state, task)
    generator = torch.Generator().manual_seed(1)
    direction = {n: torch.randn(v.shape, generator=generator, dtype=v.dtype)
                 for n, v in state.items()}  # fmt: skip
    ends = [
        algorithm.meta_loss(context, {n: v + h * direction[n] for n, v in state.items()}, task)[0]
        for h in (-1e-6, 1e-6)
    ]
    expected = float((ends[1] - ends[0]) / 2e-6)
    found = float(sum((gradient[n] * direction[n]).sum() for n in state))
    assert found == pytest.approx(expected, rel=1e-5)


def test_fine_tuning_is_plain_adam():
    learner = FineTuning(n_inner_steps=6, inner_lr=0.05)
    context, state, (support, _) = set_up(learner)
    adapted = learner.algorithm(learner).adapt(context, state, support)
    for name, expected in descend(context, state, [support] * 6, 0.05, torch.optim.Adam).items():
        # Torch adds epsilon after the correction of the bias, the learner before it.
        torch.testing.assert_close(adapted[name], expected.detach(), rtol=1e-3, atol=1e-9)
