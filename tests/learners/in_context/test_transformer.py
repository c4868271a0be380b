"""The network in training: labels that a row must not hear, and half precision."""

import pytest
import torch

from skmeta.learners.in_context import TableTransformer

B, N, M, D = 3, 11, 5, 4


@pytest.fixture(params=["classification", "regression"])
def kind(request):
    return request.param


@pytest.fixture
def network(kind):
    n_labels = 10 if kind == "classification" else None
    network = TableTransformer(n_labels, width=16, n_layers=2).double()
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
    return {
        "x": x[:, :N],
        "y": y,
        "w": torch.ones(B, N).double(),
        "slots": slots,
        "query": x[:, N:],
    }


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_a_support_row_does_not_hear_its_own_label_from_its_columns(network):
    encoder = network.cells
    generator = torch.Generator().manual_seed(2)
    cells = torch.randn(B, N, D, 4, generator=generator, dtype=torch.float64)
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
