"""The learned optimizer against torch's LSTM cells, finite differences and plain loops."""

import copy
from functools import partial

import builders
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import plain_loss, tiny_mlp
from torch import nn

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import PriorError
from skmeta.learners import MAML, LearnedOptimizer, PriorOptimizer, Validation
from skmeta.learners.learned_optimizers import _learned_optimizer

N_FEATURES, N_HIDDEN = 3, 4


# Gradients that the optimizer reads are constants (section 2.1).
PUBLISHED = {"network": "lstm", "first_order": True, "n_hidden": N_HIDDEN, "n_inner_steps": 5}


def make_learner(**settings):
    return LearnedOptimizer(**(PUBLISHED | settings))


def make_context():
    return builders.make_context(tiny_mlp(), kind="regression")


make_state = partial(builders.make_state, scale=0.2)
make_task = partial(builders.make_task, n_support=6, kind="regression")


def is_weight(name):
    return name.startswith(("body.", "head."))


class PlainOptimizer(nn.Module):
    """Two layers of torch's own LSTM cell, and a linear output."""

    def __init__(self, state):
        super().__init__()
        self.cells = nn.ModuleList(nn.LSTMCell(m, N_HIDDEN) for m in (2, N_HIDDEN)).double()
        self.out = nn.Linear(N_HIDDEN, 1).double()
        with torch.no_grad():
            for k, cell in enumerate(self.cells):
                weight = state[f"lstm.{k}.weight"]
                cell.weight_ih.copy_(weight[:, :-N_HIDDEN])
                cell.weight_hh.copy_(weight[:, -N_HIDDEN:])
                cell.bias_ih.copy_(state[f"lstm.{k}.bias"])
                cell.bias_hh.zero_()
            self.out.weight.copy_(state["out.weight"])
            self.out.bias.copy_(state["out.bias"])

    def forward(self, slope, memory):
        size = slope.abs()
        close = size < np.exp(-10)
        first = torch.where(close, -1.0, size.log() / 10)
        second = torch.where(close, np.exp(10) * slope, slope.sign())
        x, new = torch.stack([first, second], 1), []
        for k, cell in enumerate(self.cells):
            x, c = cell(x, None if memory is None else memory[k])
            new.append((x, c))
        return self.out(x)[:, 0], new

    def gradients(self):
        found = {}
        for k, cell in enumerate(self.cells):
            found[f"lstm.{k}.weight"] = torch.cat([cell.weight_ih.grad, cell.weight_hh.grad], 1)
            found[f"lstm.{k}.bias"] = cell.bias_ih.grad
        found |= {"out.weight": self.out.weight.grad[0], "out.bias": self.out.bias.grad}
        return found


def plain_meta_gradient(learner, state, task, noise, truncation):
    """The loop of the paper: steps, losses, and a backward pass every ``truncation`` steps."""
    rule = PlainOptimizer(state)
    rows = task.query if learner.objective == "query" else task.support
    theta = {n: noise.get(f"start.{n}", v) for n, v in state.items() if is_weight(n)}
    leaves = theta = {n: v.clone().requires_grad_() for n, v in theta.items()}
    memory, total = None, 0.0
    for k in range(1, learner.n_inner_steps + 1):
        at = {n: v.detach().requires_grad_() for n, v in theta.items()}
        seen = task.support
        if "rows" in noise:
            seen = type(seen)(*(part[noise["rows"][k - 1]] for part in seen))
        grads = torch.autograd.grad(plain_loss(at, seen), at.values())
        slope = torch.cat([g.reshape(-1) for g in grads]) * noise["loss_scale"]
        update, memory = rule(slope, memory)
        pieces = (learner.inner_lr * update).split([v.numel() for v in theta.values()])
        theta = {n: v + p.reshape(v.shape) for (n, v), p in zip(theta.items(), pieces, strict=True)}
        total = total + plain_loss(theta, rows) / learner.n_inner_steps
        if k % truncation == 0 or k == learner.n_inner_steps:
            total.backward()
            theta = {n: v.detach() for n, v in theta.items()}
            memory = [tuple(part.detach() for part in pair) for pair in memory]
            total = 0.0
    return rule.gradients() | {n: v.grad for n, v in leaves.items()}


@pytest.mark.parametrize("truncation", [1, 2, 5])
@pytest.mark.parametrize("objective", ["query", "support"])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_meta_gradient_is_that_of_the_papers_loop(truncation, objective, batch_size, monkeypatch):
    monkeypatch.setattr(_learned_optimizer, "TRUNCATION", truncation)
    learner = make_learner(objective=objective, batch_size=batch_size, inner_lr=0.3)
    context, task = make_context(), make_task()
    state = make_state(learner, context)
    gradient, _ = learner.algorithm(learner).meta_gradient(context, state, task)
    noise = learner.algorithm(learner)._draw(context, state, task)
    expected = plain_meta_gradient(learner, state, task, noise, truncation)
    for name in state:
        if name == "horizon" or is_weight(name):
            assert not gradient[name].any(), name
        else:
            assert gradient[name].abs().max() > 1e-6, name
            torch.testing.assert_close(gradient[name], expected[name], rtol=1e-8, atol=1e-11)


def test_each_step_sees_other_rows_and_no_padding():
    learner = make_learner(batch_size=4, n_inner_steps=50)
    context, task = make_context(), make_task()
    weight = torch.tensor([1.0, 1, 0, 1, 0, 1]).double()
    task = task._replace(support=task.support._replace(w=weight))
    noise = learner.algorithm(learner)._draw(context, make_state(learner, context), task)
    rows = noise["rows"]
    assert rows.shape == (50, 4)
    # Four rows are no padding, so each step sees each of them once, in its own order.
    assert (rows.sort(1).values == torch.tensor([0, 1, 3, 5])).all()
    assert len(rows.unique(dim=0)) > 10
    few = make_learner(batch_size=3, n_inner_steps=50)
    rows = few.algorithm(few)._draw(context, make_state(few, context), task)["rows"]
    assert set(map(int, rows.ravel())) == {0, 1, 3, 5}
    assert len(rows.sort(1).values.unique(dim=0)) == 4


def test_validation_measures_the_loss_that_is_descended():
    X, y, groups = make_sinusoid_tasks(60, 12, random_state=0)
    rng = np.random.default_rng(0)
    # Query rows cannot be predicted, and a network with many units fits the support set.
    settings = {"n_shot": 2, "n_query": 10, "n_iterations": 20, "device": "cpu", "random_state": 0}
    settings |= {"validation": Validation(0.2, n_tasks=10), "network": "mlp"}
    y = rng.normal(size=len(y))
    losses = {}
    for objective in ("query", "support"):
        learner = LearnedOptimizer(objective=objective, **settings)
        history = learner.fit(X, y, groups=groups).learning_curve_
        losses[objective] = history["validation_loss"][-1]
        assert ("task_ridge_score" in history) == (objective == "query")
    assert losses["support"] < 0.3 < 0.8 < losses["query"]


@pytest.fixture(scope="module")
def fitted():
    settings = {"backbone_params": {"hidden": (10,)}, "objective": "support", "network": "lstm"}
    settings |= {"n_hidden": 8, "n_inner_steps": 10, "n_shot": 10, "n_query": 2, "meta_lr": 0.01}
    learner = LearnedOptimizer(
        **settings, n_iterations=20, validation=0, device="cpu", random_state=0
    )
    return learner.fit(*make_sinusoid_tasks(100, 12, random_state=0))


def test_the_optimizer_takes_the_steps_of_the_learner(fitted):
    """In torch and as a learner, beyond the horizon too."""
    X, y, groups = make_sinusoid_tasks(2, 12, random_state=7)
    X, y = X[groups == 0], y[groups == 0]
    model = MetaFewShotRegressor(fitted.prior_, learner_params={"n_inner_steps": 35}).fit(X, y)
    prior = fitted.prior_
    net = nn.Sequential(nn.Linear(1, 10), nn.ReLU(), nn.Linear(10, 1)).double()
    names = ("body.1.weight", "body.1.bias", "head.weight", "head.bias")
    with torch.no_grad():
        for parameter, name in zip(net.parameters(), names, strict=True):
            parameter.copy_(torch.tensor(prior.tensors[name]))
    scale = {n: prior.tensors[f"scaler.{n}"] for n in ("x_mean", "x_scale", "y_mean", "y_scale")}
    x = torch.tensor((X - scale["x_mean"]) / scale["x_scale"])
    target = torch.tensor((y - scale["y_mean"]) / scale["y_scale"])
    optimizer = PriorOptimizer(net.parameters(), prior)
    for _ in range(35):
        optimizer.zero_grad()
        loss = F.mse_loss(net(x)[:, 0], target)
        loss.backward()
        optimizer.step(loss=loss)
    for parameter, name in zip(net.parameters(), names, strict=True):
        np.testing.assert_allclose(parameter.detach(), model.adapted_[name], rtol=1e-7)


def bowl(theta):
    return (torch.tensor([1.0, 3.0, 0.2]).double() * theta**2).sum()


def run(optimizer, theta, n_steps):
    losses = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = bowl(theta)
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step(loss=loss)
    return np.array(losses)


def start():
    return torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)


def test_a_rising_loss_is_answered_by_gradient_descent_from_the_best_point(fitted):
    theta, tensors = start(), dict(fitted.prior_.tensors)
    # An optimizer that walks away uphill, whatever the gradient.
    tensors["out.weight"] = np.zeros_like(tensors["out.weight"])
    tensors["out.bias"] = np.full_like(tensors["out.bias"], 10.0)
    optimizer = PriorOptimizer([theta], fitted.prior_.replace(tensors=tensors))
    losses, points = [], []
    while not points or optimizer.param_groups[0]["memory"]["guard"]["rate"] == 0:
        assert len(points) < 100
        points.append(theta.detach().clone())
        losses += run(optimizer, theta, 1).tolist()
    best = points[int(np.argmin(losses))]
    slope = 2 * torch.tensor([1.0, 3.0, 0.2]).double() * best
    # Each step of the drift was 1 in each of three coordinates.
    rate = 3**0.5 / 2 / slope.norm()
    torch.testing.assert_close(theta.detach(), best - rate * slope)
    assert not torch.equal(best, points[-1])
    before = theta.detach().clone()
    run(optimizer, theta, 1)
    slope = 2 * torch.tensor([1.0, 3.0, 0.2]).double() * before
    torch.testing.assert_close(theta.detach(), before - rate * slope)


def test_a_saved_optimizer_goes_on_exactly(fitted):
    theta = start()
    optimizer = PriorOptimizer([theta], fitted.prior_)
    run(optimizer, theta, 15)
    other = theta.detach().clone().requires_grad_()
    resumed = PriorOptimizer([other], fitted.prior_)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(optimizer, theta, 10)
    run(resumed, other, 10)
    torch.testing.assert_close(theta, other, rtol=1e-9, atol=1e-12)
    fresh = theta.detach().clone().requires_grad_()
    run(PriorOptimizer([fresh], fitted.prior_), fresh, 10)
    run(optimizer, theta, 10)
    assert not torch.equal(theta, fresh)


def test_groups_and_schedulers_set_the_step_size(fitted):
    slow, fast = start(), start()
    params = [{"params": [slow], "lr": 0.01}, {"params": [fast]}]
    optimizer = PriorOptimizer(params, fitted.prior_, lr=0.02)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    (bowl(slow) + bowl(fast)).backward()
    optimizer.step()
    moved = [(p.detach() - start()).detach() for p in (slow, fast)]
    torch.testing.assert_close(2 * moved[0], moved[1])
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.005, 0.01]


def test_bad_input(fitted):
    with pytest.raises(ValueError, match="lr must be positive, got -1"):
        PriorOptimizer([start()], fitted.prior_, lr=-1)
    X, y, groups = make_sinusoid_tasks(20, 20, random_state=0)
    prior = MAML(n_iterations=1, random_state=0).fit(X, y, groups).prior_
    with pytest.raises(PriorError, match="needs a prior learned by LearnedOptimizer"):
        PriorOptimizer([start()], prior)
    with pytest.raises(TypeError, match="prior must be a MetaPrior, got list"):
        PriorOptimizer(prior, [start()])
