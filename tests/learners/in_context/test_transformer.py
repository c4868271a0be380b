"""Which rows a prediction depends on, and on which it does not."""

import pytest
import torch
from builders import describe_table

from skmeta.learners.in_context import (
    N_EXPERTS,
    TableTransformer,
    bin_edges,
    fit_experts,
    predict_experts,
)

B, N, M, D = 3, 11, 5, 4


@pytest.fixture(params=["classification", "regression"])
def kind(request):
    return request.param


@pytest.fixture
def network(kind):
    n_labels = 10 if kind == "classification" else None
    network = TableTransformer(n_labels, width=16, n_layers=2, n_heads=2, cell_width=8).double()
    generator = torch.Generator().manual_seed(0)
    network.draw(generator)
    with torch.no_grad():
        for parameter in network.parameters():
            # No weight is special: a drawn head is all zero.
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture
def task(kind):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, N + M, D, generator=generator, dtype=torch.float64)
    x[:, ::4, 1] = torch.nan
    y = torch.randn(B, N, generator=generator, dtype=torch.float64)
    if kind == "classification":
        y = torch.arange(N).expand(B, -1) % 3
    slots = torch.tensor([[5, 1, 60, 7]])
    return {"x": x[:, :N], "y": y, "slots": slots, "query": x[:, N:]}


def call(network, task, **changes):
    with torch.no_grad():
        return network(**(task | changes))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_a_table_seen_in_several_ways_is_as_several_tables(network, task, kind):
    y, slots = task["y"][:1], torch.tensor([[5, 1, 60, 7], [8, 5, 2, 30], [0, 1, 2, 3]])
    if kind == "classification":
        y = torch.tensor([[4, 0, 9], [1, 2, 0], [7, 8, 1]]).gather(1, y.expand(3, -1))
    one = {n: task[n][:1] for n in ("x", "query")} | {"y": y, "slots": slots}
    several = one | {n: one[n].expand(3, -1, -1) for n in ("x", "query")}
    for w in (None, torch.rand(1, N, generator=torch.Generator().manual_seed(0)).double() + 0.5):
        weights = {} if w is None else {"w": w}
        every = {} if w is None else {"w": w.expand(3, -1)}
        expected = call(network, several, **every)
        close(call(network, one, **weights), expected)
        memory = call(network, one, **weights, query=None)
        with torch.no_grad():
            close(network(one["query"], memory=memory), expected)
    assert not torch.allclose(expected[0], expected[1])
    # What the experts are asked does not depend on the views.
    assert len(memory["expert.relevance"]) == 1


def test_a_support_row_does_not_hear_its_own_label_from_its_columns(network):
    encoder = network.cells
    generator = torch.Generator().manual_seed(2)
    cells = torch.randn(B, N, D, 8, generator=generator, dtype=torch.float64)
    code = torch.randn(B, N, encoder.n_label, generator=generator, dtype=torch.float64)

    def bin_predictions(rows, asking, **own):
        bins = encoder._bins(cells)
        sums = torch.einsum("bndhg,bnv->bdhgv", bins[:, rows], code[:, rows])
        return encoder._predict_from_bins(sums, bins[:, rows].sum(1), bins[:, asking], **own)

    every = list(range(N))
    overlap = (encoder._bins(cells) ** 2).sum(4)
    with torch.no_grad():
        found = bin_predictions(every, every, overlap=overlap, code=code)
        for i in every:
            others = [k for k in every if k != i]
            close(found[:, [i]], bin_predictions(others, [i]))


def test_without_meta_training_it_says_what_the_experts_say(kind, task):
    n_labels = 10 if kind == "classification" else None
    network = TableTransformer(n_labels, width=16, cell_width=8)
    network.double().draw(torch.Generator().manual_seed(0))
    # The linear model has no share.
    torch.nn.init.constant_(network.linear_model.network_evidence, 1e6)
    w = torch.ones(B, N, dtype=torch.float64)
    y = task["y"][..., None]
    if kind == "classification":
        y = (y == torch.arange(10)).double() - (torch.arange(10) < 3).double() / 3
    _, _, fitted = fit_experts(describe_table(task["x"], w), y, w)
    predicted, _ = predict_experts(fitted, describe_table(task["x"], w, task["query"]))
    found = call(network, task)
    assert predicted.shape == (B, M, N_EXPERTS, y.shape[2])
    if kind == "classification":
        close(found[..., :3], (0.6 * predicted.sum(2))[..., :3].log_softmax(2))
    else:
        # Symmetric around each of them.
        edge = bin_edges().double()
        centre = torch.cat([edge[:1] - 0.5, (edge[1:] + edge[:-1]) / 2, edge[-1:] + 0.5])
        mean = found.softmax(2) @ centre
        torch.testing.assert_close(mean, predicted.mean(2)[..., 0], atol=0.03, rtol=0)


def test_autocast_changes_the_gradient_by_little(network, task, kind):
    network.float()
    task = {n: v.float() if v.is_floating_point() else v for n, v in task.items()}
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = network(**task)
        assert outputs.dtype == torch.float32
        outputs.float().log_softmax(2)[..., 0].mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
        network.zero_grad()
    exact, rounded = gradients
    assert not torch.equal(exact, rounded)
    assert torch.cosine_similarity(exact, rounded, 0) > 0.999
