"""Recordings are simplified: each rule gives the same numbers, with fewer operations."""

import pytest
import torch
from builders import draw
from torch.fx.experimental.proxy_tensor import make_fx

from skmeta._backend._replay import compile_graph
from skmeta._backend._simplification import simplify

A, B, C = (4, 3), (3, 5), (4, 5)
RULES = {
    # Name: the function, shapes of its arguments, and operations that are left.
    "zero": (lambda a: a + torch.zeros_like(a), [A], []),
    "one": (lambda a: a * torch.ones_like(a) / 1.0, [A], []),
    "power zero": (lambda a: a * a.pow(0.0), [A], []),
    "a constant": (lambda a: a * (torch.ones_like(a) * 3 + 1), [A], ["mul"]),
    "a constant that is seen through a view": (
        lambda a: a * torch.ones_like(a.sum()).expand(A),
        [A],
        [],
    ),
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
    "a product of one multiple with itself": (
        lambda a: (lambda b: b @ b)(3.0 * a),
        [(3, 3)],
        ["addmm"],
    ),
    "a multiple that others use, too": (
        lambda a, b: (a @ (2.0 * b), 2.0 * b),
        [A, B],
        ["mul", "mm"],
    ),
    "a sum with a product": (lambda a, b, c: c - 0.3 * (a @ b), [A, B, C], ["addmm"]),
    "a product less a term": (lambda a, b, c: a @ b - c, [A, B, C], ["mm", "sub"]),
    "a bias": (lambda a, b, c: (a.reshape(8, 3) @ b).view(2, 4, 5) + c, [(2, 4, 3), B, (5,)], None),
    "a sum of products": (lambda a, b: a @ b + 2.0 * (a.exp() @ b), [A, B], None),
    "a sum that was one before": (
        lambda a, b, c: torch.addmm(c, a, b) + c,
        [A, B, C],
        ["addmm", "add"],
    ),
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
