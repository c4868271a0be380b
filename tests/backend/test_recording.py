"""Recorded gradients are those of the function; simplified ones give the same numbers."""

import logging

import pytest
import torch
from builders import draw
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from skmeta._backend import Execution, Network
from skmeta._backend._replay import compile_graph
from skmeta._backend._simplification import simplify

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
    seed = 0

    def forward(self, x):
        self.seed += 1
        drawn = torch.rand((), generator=torch.Generator().manual_seed(self.seed), dtype=x.dtype)
        return x + drawn


@pytest.mark.parametrize(
    ("part", "reason"), [(Branch(), "tracing failed"), (Draw(), "differs from it")]
)
def test_a_module_that_cannot_be_recorded_runs_as_it_is(part, reason, caplog):
    tasks = make_tasks()
    with caplog.at_level(logging.DEBUG, "skmeta._backend"):
        found, _ = gradients(make_module(part), "loop", True, tasks)
    records = [record for record in caplog.records if record.name.startswith("skmeta")]
    assert [reason in record.getMessage() for record in records] == [True]
    if isinstance(part, Branch):
        expected, _ = gradients(make_module(part), "loop", False, tasks)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)


A, B, C = (4, 3), (3, 5), (4, 5)
RULES = {
    # Name: the function, shapes of its arguments, and operations that are left.
    "zero": (lambda a: a + torch.zeros_like(a), [A], []),
    "one": (lambda a: a * torch.ones_like(a) / 1.0, [A], []),
    "power zero": (lambda a: a * a.pow(0.0), [A], []),
    "a constant": (lambda a: a * (torch.ones_like(a) * 3 + 1), [A], ["mul"]),
    "a constant seen through a view": (lambda a: a * torch.ones_like(a.sum()).expand(A), [A], []),
    "twice the same": (lambda a: a.exp() + a.exp(), [A], ["exp", "add"]),
    "all rows": (lambda a: a.index_select(0, torch.arange(4)), [A], []),
    "other rows": (lambda a: a.index_select(0, torch.tensor([1, 0, 2, 3])), [A], ["index_select"]),
    "sum of one": (lambda a: a[:, None].sum(1), [A], []),
    "multiples": (lambda a: -(2.0 * a), [A], ["mul"]),
    "a step": (lambda a, b: a - 0.5 * b, [A, A], ["sub"]),
    "a step that goes up": (lambda a, b: a + 0.5 * -b, [A, A], ["add"]),
    "a turned product": (lambda a, b: (a @ b).t() * 2.0, [A, B], ["mm", "mul"]),
    "a product of a multiple": (lambda a, b: a @ (-0.1 * b).t(), [A, (5, 3)], ["addmm"]),
    "a product of multiples": (lambda a: (2.0 * a) @ (2.0 * a).t(), [A], ["addmm"]),
    "a multiple times itself": (lambda a: (lambda b: b @ b)(3.0 * a), [(3, 3)], ["addmm"]),
    "a multiple used twice": (lambda a, b: (a @ (2.0 * b), 2.0 * b), [A, B], ["mul", "mm"]),
    "a sum with a product": (lambda a, b, c: c - 0.3 * (a @ b), [A, B, C], ["addmm"]),
    "a product less a term": (lambda a, b, c: a @ b - c, [A, B, C], ["mm", "sub"]),
    "a bias": (lambda a, b, c: (a.reshape(8, 3) @ b).view(2, 4, 5) + c, [(2, 4, 3), B, (5,)], None),
    "a sum of products": (lambda a, b: a @ b + 2.0 * (a.exp() @ b), [A, B], None),
    "a sum before": (lambda a, b, c: torch.addmm(c, a, b) + c, [A, B, C], ["addmm", "add"]),
    "batches": (
        lambda a, b, c: c - 0.3 * torch.bmm(a, b).transpose(1, 2),
        [(2, 4, 3), (2, 3, 5), (2, 5, 4)],
        ["baddbmm"],
    ),
    "the derivative of a derivative": (
        lambda a, b: torch.func.grad(
            lambda x: torch.func.grad(lambda y: (y @ b).relu().pow(3).sum())(x).pow(2).sum()
        )(a),
        [A, B],
        None,
    ),
}


def operations(graph):
    views = ("reshape", "t", "transpose", "expand", "unsqueeze", "squeeze", "permute")
    names = [str(n.target).split(".")[1] for n in graph.graph.nodes if n.op == "call_function"]
    return [n for n in names if n not in views]


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_a_simpler_graph_gives_the_same_numbers(rule, reuse):
    function, shapes, left = RULES[rule]

    def listed(*args):
        result = function(*args)
        return result if isinstance(result, tuple) else (result,)

    arguments = [draw(*shape, seed=k) for k, shape in enumerate(shapes)]
    graph = make_fx(listed)(*arguments)
    before = len(operations(graph))
    graph = simplify(graph, arguments)
    if left is None:
        assert len(operations(graph)) < before
    else:
        assert operations(graph) == left
    run = compile_graph(graph, arguments, reuse=reuse)
    others = [draw(*shape, seed=10 + k) for k, shape in enumerate(shapes)]
    first, second = run(*arguments), run(*others)
    # What was returned first is not overwritten.
    for args, results in ((arguments, first), (others, second)):
        for found, expected in zip(results, listed(*args), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_memory_is_used_again_but_never_while_it_is_needed():
    def function(a, b):
        kept = a.exp()
        for _ in range(6):
            a = (a + b).tanh() * kept + a.t() @ b
        return a * kept, a.sum(0)

    arguments = [draw(5, 5, seed=k) for k in range(2)]
    graph = simplify(make_fx(function)(*arguments), arguments)
    run = compile_graph(graph, arguments, reuse=True)
    memory = {
        value.untyped_storage().data_ptr()
        for name, value in run.__globals__.items()
        if name.startswith("v")
    }
    assert len(memory) < len(operations(graph)) / 2
    for found, expected in zip(run(*arguments), function(*arguments), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
