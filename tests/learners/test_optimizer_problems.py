"""Learned optimizers on problems of one's own: meta-gradients, training and errors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from skmeta import MetaFewShotRegressor
from skmeta.exceptions import PriorError
from skmeta.learners import LearnedOptimizer, PriorOptimizer
from skmeta.learners.learned_optimizers import (
    ProblemBatch,
    _problems,
    initial_rule,
    meta_gradient,
    mlp_update,
)
from skmeta.learners.learned_optimizers._mlp_rule import BETAS, make_layout
from skmeta.priors import MetaPrior

STEP = 1e-6


class Noisy:
    """A regression of drawn size that sees other rows at each step."""

    def init(self, rng):
        n = int(rng.integers(2, 5))
        return {"weight": torch.tensor(rng.normal(size=(n, 2))), "bias": torch.tensor(np.ones(n))}

    def loss(self, theta, rng):
        x = torch.tensor(rng.normal(size=(6, 2))).to(theta["bias"])
        outputs = torch.tanh(x @ theta["weight"].T + theta["bias"])
        return ((outputs.sum(1) - x[:, 0]) ** 2).mean()


def make_learner(**settings):
    defaults = {"n_inner_steps": 10, "n_hidden": 4, "n_iterations": 3, "device": "cpu"}
    return LearnedOptimizer(**(defaults | {"meta_batch_size": 2, "random_state": 0} | settings))


def make_state(network):
    generator = torch.Generator().manual_seed(0)
    state = {n: v.double() for n, v in initial_rule(network, 4, 5, generator).items()}
    # The last layers of the MLP are zero at first, which hides the others.
    for name, value in state.items():
        if name != "horizon":
            value += 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return state


def make_batch(seed=1):
    problems, rng = [Noisy(), Noisy()], np.random.default_rng(seed)
    return ProblemBatch(problems, [problem.init(rng) for problem in problems])


def test_without_corrections_a_step_is_one_of_adam():
    """Where the direction of 0.9 has all of the weight; torch's Adam is the oracle.

    The step size falls along a line, and is in units of 1 / sqrt(2 inputs).
    """
    state = initial_rule("mlp", 4, 50, torch.Generator().manual_seed(0))
    state = {n: v.double() for n, v in state.items()}
    state["mlp.tensor.out.bias"][2 : 2 + len(BETAS)] = torch.tensor([-50.0, -50, 50, -50]).double()
    rate = 0.1 * float(state["mlp.tensor.out.bias"][0].exp()) / 2**0.5
    theta = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    other = theta.clone().requires_grad_()
    adam = torch.optim.Adam([other], lr=rate, betas=(0.9, 0.99), eps=1e-12)
    memory = {}
    layout = make_layout(((theta.shape,),), theta.device, theta.dtype)
    for k in range(8):
        slope = torch.tensor([[1.0, 4.0], [-1.0, 0.3]]).double() * theta + k % 3
        other.grad = slope.clone()
        adam.param_groups[0]["lr"] = rate * (1 - 0.95 * k / 50)
        adam.step()
        update, memory = mlp_update(state, 0.1, theta.ravel(), slope.ravel(), memory, layout)
        memory["step"] = torch.tensor(k + 1.0).double()
        theta = theta + update.reshape(2, 2)
        torch.testing.assert_close(theta, other.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("network", ["mlp", "lstm"])
def test_problems_side_by_side_take_the_steps_that_each_takes_alone(network):
    settings = SimpleNamespace(inner_lr=0.1, first_order=True)
    state, whole = make_state(network), make_batch()
    losses = [
        optimise(settings, state, ProblemBatch([p], [s])) for p, s in zip(*whole, strict=True)
    ]
    both = optimise(settings, state, whole)
    torch.testing.assert_close(both, torch.cat(losses, 1), rtol=1e-9, atol=1e-12)


class Fixed(Noisy):
    """The same without the noise."""

    def loss(self, theta, rng):
        return super().loss(theta, np.random.default_rng(0))


def optimise(settings, state, batch):
    batch = ProblemBatch([Fixed()] * len(batch.problems), batch.starts)
    return _problems.run(settings, state, batch, 5, np.random.default_rng(0))


@pytest.mark.parametrize("network", ["mlp", "lstm"])
def test_meta_gradient_is_that_of_finite_differences(network, monkeypatch):
    """Through all steps and second derivatives, if nothing is damped, cut off or clipped."""
    monkeypatch.setattr(_problems, "DAMPING", 1.0)
    monkeypatch.setattr(_problems, "_LARGEST_GRADIENT", 1e9)
    settings = SimpleNamespace(inner_lr=0.1, first_order=False)
    state, horizon, batch = make_state(network), 4, make_batch()
    gradient, metrics = meta_gradient(settings, state, batch, horizon, np.random.default_rng(2))
    curve = _problems.run(settings, state, batch, horizon, np.random.default_rng(2))
    assert metrics["loss"] == pytest.approx(float(curve.mean()))
    first = batch.losses(batch.ravel(), np.random.default_rng(2)).abs()
    weights = torch.tensor(_problems._weights(horizon))

    def objective(at):
        found = _problems.run(settings, at, batch, horizon, np.random.default_rng(2))
        size = (curve.abs() / first).mean(1) + 1e-3
        return float((weights * (found / first).mean(1) / size).sum())

    for name, value in state.items():
        if name == "horizon":
            assert not gradient[name].any()
            continue
        for k in {0, value.numel() // 2, value.numel() - 1}:
            bump = torch.zeros_like(value)
            bump.view(-1)[k] = STEP
            up, down = (objective(state | {name: value + s * bump}) for s in (1, -1))
            expected = (up - down) / (2 * STEP)
            found = float(gradient[name].reshape(-1)[k])
            assert found == pytest.approx(expected, rel=2e-4, abs=1e-7), (name, k)
        assert gradient[name].abs().max() > 0, name


def test_training_lowers_the_loss_on_new_problems():
    settings = {"n_iterations": 40, "meta_lr": 0.02, "first_order": False}
    short, long = make_learner(n_iterations=1, meta_lr=1e-9), make_learner(**settings)
    test = [Noisy(), Noisy()]
    before = short.fit_problems(Noisy(), validation=test).learning_curve_["validation_loss"][-1]
    after = long.fit_problems(Noisy(), validation=test).learning_curve_["validation_loss"][-1]
    assert after < 0.9 * before
    again = make_learner(**settings).fit_problems(Noisy(), validation=test)
    assert again.prior_ == long.prior_
    assert "No plain model was compared" in long.summary_


def test_a_prior_of_problems_is_saved_and_trains_a_network(tmp_path):
    learner = make_learner().fit_problems([Noisy()])
    assert learner.prior_.kind == "optimizer"
    learner.prior_.save(tmp_path / "optimizer.skmeta")
    prior = MetaPrior.load(tmp_path / "optimizer.skmeta")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 2, generator=generator)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    optimizer = PriorOptimizer(net.parameters(), prior, n_inner_steps=60)
    losses = []
    for _ in range(60):
        loss = ((net(x)[:, 0] - x[:, 0] * x[:, 1]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss=loss)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    with pytest.raises(PriorError, match=r"is one for optimizer\. Use skmeta\.learners\.Prior"):
        MetaFewShotRegressor(prior).fit(x.numpy(), np.zeros(32))


def test_in_skorch_it_replaces_adam():
    skorch = pytest.importorskip("skorch")
    prior = make_learner().fit_problems([Noisy()]).prior_
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)).astype("float32")
    y = (X[:, 0] > X[:, 1]).astype("int64")

    settings = {"optimizer": PriorOptimizer, "optimizer__prior": prior, "train_split": None}
    settings |= {"optimizer__n_inner_steps": 100, "max_epochs": 25, "batch_size": 50, "verbose": 0}
    net = skorch.NeuralNetClassifier(
        lambda: nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)),
        criterion=nn.CrossEntropyLoss,
        **settings,
    )
    torch.manual_seed(0)
    net.fit(X, y)
    assert net.score(X, y) > 0.9
    assert float(net.optimizer_.param_groups[0]["memory"]["step"]) == 100


def test_the_number_of_steps_is_known_to_the_optimizer():
    prior = make_learner(n_iterations=20, meta_lr=0.05).fit_problems(Noisy()).prior_
    ends = []
    for n_steps in (5, 500):
        theta = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
        optimizer = PriorOptimizer([theta], prior, n_inner_steps=n_steps)
        (theta**2).sum().backward()
        optimizer.step()
        ends.append(theta.detach())
    assert not torch.equal(*ends)
    with pytest.raises(ValueError, match="n_inner_steps"):
        PriorOptimizer([theta], prior, n_inner_steps=0)


def test_meta_training_goes_on_from_a_prior():
    first = make_learner().fit_problems(Noisy())
    second = make_learner(prior=first.prior_, n_iterations=1, meta_lr=1e-30).fit_problems(Noisy())
    for name, value in first.prior_.tensors.items():
        np.testing.assert_array_equal(value, second.prior_.tensors[name])
    with pytest.raises(PriorError, match="no optimizer with these settings"):
        make_learner(prior=first.prior_, n_hidden=5).fit_problems(Noisy())


class Wrong:
    def __init__(self, theta, loss):
        self.theta, self.value = theta, loss

    def init(self, rng):
        return self.theta

    def loss(self, theta, rng):
        return self.value(theta["a"]) if callable(self.value) else self.value


ONE = {"a": torch.ones(2)}


@pytest.mark.parametrize(
    ("problem", "error", "message"),
    [
        (object(), TypeError, r"problems must have a method init\(rng\)"),
        ([], ValueError, "problems is empty"),
        ([Noisy(), Wrong([1.0], None)], TypeError, r"problems\[1\], a Wrong, must return a dict"),
        (Wrong({"a": torch.ones(2, dtype=int)}, None), TypeError, "'a' is torch.int64. Convert"),
        (Wrong({"a": 1.0}, None), TypeError, "'a' is float. Convert"),
        (Wrong(ONE, lambda a: a), ValueError, r"it returned shape \(2,\)"),
        (Wrong(ONE, lambda a: a.sum() / 0), ValueError, "it returned inf"),
        (Wrong(ONE, 1.0), ValueError, "it returned 1.0"),
        (Wrong(ONE, lambda a: a.detach().sum()), ValueError, "does not depend on theta"),
    ],
)
def test_bad_problems(problem, error, message):
    with pytest.raises(error, match=message):
        make_learner().fit_problems(problem)
