"""Recorded gradients are those of the function; what cannot be recorded runs as it is."""

import logging

import pytest
import torch
from builders import draw
from torch import nn

from skmeta._backend import Execution, Network

CPU = torch.device("cpu")


def network_loss(module):
    network = Network(module.double(), (4,), CPU)

    def loss(state, task):
        def inner(at):
            return network.features(at, task["x"]).pow(2).mean()

        gradient = torch.func.grad(inner)(state)
        fast = {n: v - 0.1 * gradient[n] for n, v in state.items()}
        value = network.features(fast, task["z"]).pow(2).mean()
        return value, {"loss": value}

    return network.initial_weights(), loss


def make_tasks(n_tasks=5, n_rows=6):
    return {"x": draw(n_tasks, n_rows, 4, seed=1), "z": draw(n_tasks, n_rows, 4, seed=2)}


def gradients(module, mode, record, tasks, chunk_size=None):
    state, loss = network_loss(module)
    with Execution(mode, device=CPU, n_jobs=2, chunk_size=chunk_size, record=record) as execution:
        return execution.gradient(loss, state, tasks, "key")


def make_module(middle=None):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), middle or nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("mode", ["loop", "threads", "vmap"])
def test_a_recorded_gradient_is_the_gradient(mode, chunk_size):
    expected, _ = gradients(make_module(), "loop", False, make_tasks())
    found, extra = gradients(make_module(), mode, True, make_tasks(), chunk_size)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
        assert not found[name].requires_grad
    assert not extra["loss"].requires_grad


def test_a_recording_holds_for_other_values_and_is_made_once():
    calls = []

    def loss(state, task):
        calls.append(1)
        value = (state["w"] * task).pow(3).sum()
        return value, {"loss": value}

    with Execution("vmap", device=CPU, record=True) as execution:
        for seed in range(5):
            state, tasks = {"w": draw(3, seed=seed)}, draw(4, 3, seed=seed + 10)
            gradient, extra = execution.gradient(loss, state, tasks, "key")
            expected = (3 * state["w"] ** 2 * tasks**3).mean(0)
            torch.testing.assert_close(gradient["w"], expected)
            torch.testing.assert_close(extra["loss"], ((state["w"] * tasks) ** 3).sum(1).mean())
    # Once before the recording, once to record, once to compare.
    assert len(calls) == 3


class Branch(nn.Module):
    def forward(self, x):
        return x if bool(x.sum() > 0) else -x


class Draw(nn.Module):
    def forward(self, x):
        return x + torch.rand((), generator=self.generator(), dtype=x.dtype)

    def __init__(self):
        super().__init__()
        self.seed = 0

    def generator(self):
        self.seed += 1
        return torch.Generator().manual_seed(self.seed)


@pytest.mark.parametrize(
    ("part", "reason"), [(Branch(), "tracing failed"), (Draw(), "differs from it")]
)
def test_a_module_that_cannot_be_recorded_runs_as_it_is(part, reason, caplog):
    tasks = make_tasks()
    with caplog.at_level(logging.DEBUG, "skmeta._backend"):
        found, _ = gradients(make_module(part), "loop", True, tasks)
    assert [
        reason in record.getMessage()
        for record in caplog.records
        if record.name.startswith("skmeta")
    ] == [True]
    if isinstance(part, Branch):
        expected, _ = gradients(make_module(part), "loop", False, tasks)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)
