"""MetaNAS: the choice against a search of all architectures, the gradient against differences."""

import json
from itertools import product

import builders
import numpy as np
import pytest
import torch
from builders import make_task
from sklearn.base import clone
from sklearn.datasets import load_digits

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta._backend import Execution, Rows, TaskTensors
from skmeta.backbones import _cell_network, build_backbone
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, MetaNAS, ProtoNet, _metanas
from skmeta.learners._metanas import ALPHA, select_operations
from skmeta.priors import MetaPrior

# Tasks of the meta-training are learned again on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

N_FEATURES, N_WAY, STEP = 3, 3, 1e-6


def make_context(progress=1.0, head="shared", shape=(N_FEATURES,), **params):
    params = params or {"width": 4, "activation": "tanh", "normalize": True}
    module = build_backbone("cells", shape, params, torch.Generator().manual_seed(0))
    return builders.make_context(module, shape, head=head, progress=progress)


def make_state(learner, context, scale=0.3):
    return builders.make_state(learner, context, scale)


def stack(tasks):
    pairs = zip(*tasks, strict=True)
    return TaskTensors(*(Rows(*map(torch.stack, zip(*pair, strict=True))) for pair in pairs))


def test_the_choice_is_the_best_of_all_that_keep_to_the_budget():
    rng = np.random.default_rng(0)
    binds = 0
    for _ in range(30):
        alpha = torch.tensor(rng.normal(size=(3, 4)))
        units = torch.tensor(rng.integers(0, 12, size=(3, 4)))
        units[range(3), rng.integers(2, 4, 3)] = 0
        n_units = int(rng.integers(0, 20))
        units[0, 1] = n_units + 1  # cannot be had
        found = select_operations(alpha, units, n_units)
        every = [
            (float(alpha[range(3), pick].sum()), pick)
            for pick in product(range(4), repeat=3)
            if units[range(3), pick].sum() <= n_units
        ]
        assert tuple(found.tolist()) == max(every)[1]
        binds += not torch.equal(found, alpha.argmax(1))
        alphas = torch.tensor(rng.normal(size=(5, 3, 4)))
        together = torch.vmap(lambda a, u=units, n=n_units: select_operations(a, u, n))(alphas)
        assert torch.equal(
            together, torch.stack([select_operations(a, units, n_units) for a in alphas])
        )
    assert binds > 20


def test_an_adapted_network_computes_only_what_was_chosen(monkeypatch):
    monkeypatch.setattr(MetaNAS.algorithm, "temperature", (1.0, 0.05))
    learner = MetaNAS(n_inner_steps=2, architecture_lr=0.1)
    context = make_context()
    state, (support, query) = make_state(learner, context), make_task()
    # In 4 of 150 draws, alpha does not change: edges are none, gated, none, for example.
    rng = torch.Generator().manual_seed(0)
    state[ALPHA] = 0.05 * torch.randn(state[ALPHA].shape, dtype=torch.float64, generator=rng)
    adapted = learner.algorithm(learner).adapt(context, state, support)
    assert not torch.equal(adapted[ALPHA], state[ALPHA])
    expected = learner.algorithm(learner).forward(context, adapted, query.x)
    found = learner.algorithm(learner).architecture(context, adapted)
    for row, edge in enumerate(found.edges):
        for name in [n for n in adapted if n.startswith(f"body.edges.{row}.")]:
            other = adapted | {name: adapted[name] + 1.0}
            found_outputs = learner.algorithm(learner).forward(context, other, query.x)
            is_same = torch.allclose(found_outputs, expected, rtol=1e-9, atol=1e-12)
            assert is_same == (f".{edge.operation}." not in name), name


@pytest.mark.parametrize("first_order", [True, False])
def test_what_is_pruned_is_not_computed_and_changes_nothing(first_order, monkeypatch):
    learner = MetaNAS(n_inner_steps=2, first_order=first_order, max_parameters=110)
    context, task = make_context(0.6), make_task()
    leaves = {n: v.requires_grad_() for n, v in make_state(learner, context, 0.5).items()}

    layer, called = torch.nn.Linear.forward, []
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda *at: called.append(1) or layer(*at))

    def gradient():
        called.clear()
        value, _ = learner.algorithm(learner).meta_loss(context, leaves, task)
        return len(called), torch.autograd.grad(value, list(leaves.values()), allow_unused=True)

    n_called, found = gradient()
    monkeypatch.setattr(_cell_network, "_used", lambda shares: None)
    n_all, expected = gradient()
    assert n_called < 0.7 * n_all
    for one, other in zip(found, expected, strict=True):
        one = torch.zeros_like(other) if one is None else one
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("progress", [0.0, 0.45, 1.0])
@pytest.mark.parametrize("budget", [None, 100])
def test_exact_gradient_equals_finite_differences(progress, budget, monkeypatch):
    monkeypatch.setattr(_metanas, "_MIXED_SHARE", 1.0)
    monkeypatch.setattr(MetaNAS.algorithm, "temperature", (1.0, 0.5))
    settings = {"inner_lr": 0.3, "architecture_lr": 1.0 if budget is None else 0.0}
    learner = MetaNAS(first_order=False, n_inner_steps=2, max_parameters=budget, **settings)
    context = make_context(progress)
    state = make_state(learner, context)
    tasks, algorithm = [make_task(2), make_task(3)], learner.algorithm(learner)

    def mean_loss(at):
        return float(sum(algorithm.meta_loss(context, at, task)[0] for task in tasks)) / 2

    generator = torch.Generator().manual_seed(3)
    # How far an operation falls behind is held fixed: here alpha does not move it.
    moving = [n for n in state if n != ALPHA or budget is None]
    direction = {n: torch.randn(state[n].shape, generator=generator).double() for n in moving}
    moved = [
        mean_loss(state | {n: state[n] + s * d for n, d in direction.items()})
        for s in (STEP, -STEP)
    ]
    expected = (moved[0] - moved[1]) / (2 * STEP)
    for mode in ("loop", "threads", "vmap"):
        with Execution(mode, device=torch.device("cpu"), n_jobs=2) as execution:
            gradient, _ = algorithm.mean_gradient(context, state, stack(tasks), execution)
        found = sum(float((gradient[n] * d).sum()) for n, d in direction.items())
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("progress", [0.05, 0.5])
def test_some_tasks_mix_operations_until_the_choice_is_made(progress, monkeypatch):
    monkeypatch.setattr(MetaNAS.algorithm, "annealing", (0.1, 0.2))
    learner = MetaNAS()
    algorithm, context = learner.algorithm(learner), make_context(progress)
    state = make_state(learner, context)
    tasks = [make_task(seed) for seed in range(5)]
    with Execution("loop", device=torch.device("cpu")) as execution:
        found, metrics = algorithm.mean_gradient(context, state, stack(tasks), execution)
    n_mixed = 2 if progress < 0.2 else 0  # a quarter of five tasks, rounded up
    contexts = [context] * n_mixed + [make_context(1.0)] * (5 - n_mixed)
    each = [algorithm.meta_gradient(*pair) for pair in
            zip(contexts, [state] * 5, tasks, strict=True)]  # fmt: skip
    for name, value in found.items():
        torch.testing.assert_close(value, sum(gradient[name] for gradient, _ in each) / 5)
    loss = sum(one["loss"] for _, one in each) / 5
    torch.testing.assert_close(metrics["loss"], loss)
    assert (found[ALPHA] != 0).any() == (progress < 0.2)


def test_any_learner_takes_the_network_that_was_found(tmp_path):
    every = load_digits()
    is_new = every.target > 6
    X, y = every.data[~is_new], every.target[~is_new]
    X_new, y_new = every.data[is_new], every.target[is_new]
    small = {"n_way": 3, "n_shot": 2, "n_query": 3, "n_iterations": 4, "meta_batch_size": 4,
             "validation": 0, "random_state": 0}  # fmt: skip
    cells = {"n_channels": 4, "n_cells": 2}
    learner = MetaNAS(**small, backbone_params=cells, max_parameters=500)
    found = learner.fit(X, y).architecture_
    assert found.n_parameters <= 500
    assert json.loads(json.dumps(found.params)) == found.params
    prior = ProtoNet(**small, backbone=found).fit(X, y).prior_
    assert prior.input_shape == (1, 8, 8)
    assert prior.n_parameters == found.n_parameters
    prior.save(tmp_path / "prior.safetensors")
    loaded = MetaPrior.load(tmp_path / "prior.safetensors")
    assert loaded == prior
    clf = [MetaFewShotClassifier(each).fit(X_new[:9], y_new[:9]) for each in (prior, loaded)]
    np.testing.assert_array_equal(*(each.predict_proba(X_new[9:20]) for each in clf))
    # It goes on from a prior of the same network, and a clone of the learner has the same one.
    later = clone(MAML(**small, backbone=found, prior=prior))
    assert later.fit(X, y).prior_.backbone_params["chosen"] == tuple(found.params["chosen"])
    with pytest.raises(ValueError, match="backbone is an Architecture, which has none"):
        MetaNAS(**small, backbone=found).fit(X, y)
    with pytest.raises(ValueError, match="n_channels is for images"):
        MAML(**small, backbone=found).fit(X[:, :60], y)


def test_the_search_starts_at_the_plain_network():
    X = load_digits().data
    learner = MetaNAS(
        backbone_params={"n_channels": 4}, n_way=3, input_shape=(1, 8, 8), random_state=1
    )
    prior = learner.initial_prior(X)
    learner.prior_ = prior
    assert learner.architecture_.params["chosen"] == ["none", "conv_3x3", "none"] * 3
    shares = [edge.share for edge in learner.architecture_.edges]
    assert min(shares) > 0.4
    assert max(shares) < 0.6


@pytest.mark.filterwarnings("ignore:.* are equal to rows that are known already")
def test_the_architecture_can_be_read(tmp_path):
    X, y, _ = make_sinusoid_tasks(1, 15, random_state=4)
    settings = {"backbone_params": {"width": 20}, "n_iterations": 10, "n_shot": 10, "n_query": 5}
    settings |= {"inner_lr": 0.02, "first_order": False, "max_parameters": 900, "meta_lr": 0.005}
    learner = MetaNAS(**settings, device="cpu", random_state=0)
    fitted = learner.fit(*make_sinusoid_tasks(200, 15, random_state=0))
    fitted.prior_.save(tmp_path / "prior.safetensors")
    for prior in (fitted.prior_, MetaPrior.load(tmp_path / "prior.safetensors")):
        model = MetaFewShotRegressor(prior).fit(X, y)
        assert model.architecture_.n_parameters <= 900
        assert repr(model.architecture_).startswith("Architecture(3 edges, ")
    assert fitted.architecture_.n_parameters <= 900
    again = MetaFewShotRegressor(fitted.prior_).partial_fit(X[:8], y[:8]).partial_fit(X[8:], y[8:])
    assert again.architecture_.n_parameters <= 900
    again.set_params(prior="tabular").fit(X, y)
    assert not hasattr(again, "architecture_"), "it is that of the last fit"


def test_bad_input():
    X, y, groups = make_sinusoid_tasks(20, 20, random_state=0)
    with pytest.raises(ValueError, match="the smallest of these networks has 80 parameters"):
        MetaNAS(max_parameters=79).fit(X, y, groups)
    with pytest.raises(ValueError, match="backbone is 'mlp', which has none to choose"):
        MetaNAS(backbone="mlp").fit(X, y, groups)
    assert isinstance(MAML(backbone="cells", n_iterations=2).fit(X, y, groups).prior_, MetaPrior)
