"""Cells of mixed operations against plain torch."""

import pytest
import torch
import torch.nn.functional as F

from skmeta.backbones import build_backbone
from skmeta.exceptions import BackboneError


def make(name, shape, seed=0, **params):
    generator = torch.Generator().manual_seed(seed)
    return build_backbone(name, shape, params, generator).double()


def decide(network, names):
    """Set the architecture to one operation an edge."""
    alpha = torch.full(network.allowed.shape, -torch.inf, dtype=torch.float64)
    for row, name in enumerate(names):
        alpha[row, network.operations.index(name)] = 0.0
    with torch.no_grad():
        network.architecture.copy_(alpha)
    return network


def normalised(x):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return F.relu((x - mean) / (var + 1e-5).sqrt())


def plain_operation(edge, name, x):
    """An image operation in plain torch."""
    if name in ("skip", "none"):
        return x if name == "skip" else torch.zeros_like(x)
    if name == "max_pool_3x3":
        return F.max_pool2d(x, 3, 1, 1)
    if name == "conv_3x3":
        return F.conv2d(x, edge[name].weight, padding=1)
    depthwise, pointwise = (part.weight for part in edge[name])
    size, dilation = depthwise.shape[-1], 2 if name == "dil_conv_3x3" else 1
    x = F.conv2d(x, depthwise, padding=size // 2 * dilation, dilation=dilation, groups=len(x[0]))
    return F.conv2d(x, pointwise)


def test_a_mixed_edge_is_the_weighted_sum_of_its_operations():
    network = make("cells", (2, 6, 6), n_channels=4, n_cells=1, n_nodes=1).train()
    with torch.no_grad():
        network.architecture.copy_(torch.randn(1, 7, generator=torch.Generator().manual_seed(1)))
    x = torch.randn(5, 2, 6, 6, dtype=torch.float64)
    hidden = network.stem(x)
    # The only edge goes from a node to the next one, and is never cut.
    shares = torch.softmax(network.architecture[0, :-1], 0)
    names = network.operations[:-1]
    terms = [plain_operation(network.edges[0], name, hidden) for name in names]
    mixed = sum(w * term for w, term in zip(shares, terms, strict=True))
    expected = F.max_pool2d(normalised(mixed), 2).flatten(1)
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("name", ["conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "max_pool_3x3"])
def test_a_decided_network_is_the_plain_one_with_and_without_gradients(name):
    network = make("cells", (1, 9, 9), n_channels=4, n_cells=2).train()
    decide(network, [name, "none", "sep_conv_3x3", "skip", name, name])
    x = torch.randn(5, 1, 9, 9, dtype=torch.float64)
    first, second = network.edges[:3], network.edges[3:]
    node = normalised(plain_operation(first[0], name, network.stem(x)))
    node = F.max_pool2d(normalised(plain_operation(first[2], "sep_conv_3x3", node)), 2)
    middle = normalised(node)
    total = plain_operation(second[1], name, node) + plain_operation(second[2], name, middle)
    expected = F.max_pool2d(normalised(total), 2).flatten(1)
    torch.testing.assert_close(network(x), expected)
    with torch.no_grad():  # What has no share is not computed here.
        torch.testing.assert_close(network(x), expected)


def test_table_operations_are_what_their_names_say():
    x = torch.randn(4, 3, dtype=torch.float64)
    for name in ("linear", "gated", "residual", "skip"):
        network = decide(make("cells", (3,), width=6, n_nodes=1, activation="tanh"), [name])
        h, module = network.stem(x), network.edges[0][name]
        if name == "linear":
            expected = torch.tanh(F.linear(h, module[0].weight, module[0].bias))
        elif name == "gated":
            gate = torch.sigmoid(F.linear(h, module.gate.weight, module.gate.bias))
            expected = F.linear(h, module.value.weight, module.value.bias) * gate
        elif name == "residual":
            layer = module.layer[0]
            expected = h + torch.tanh(F.linear(h, layer.weight, layer.bias))
        else:
            expected = h
        torch.testing.assert_close(network(x), expected)


def test_an_architecture_is_readable():
    network = make("cells", (3,), width=8, n_cells=2)
    found = network.describe(torch.zeros(6, 5), [0, 4, 3, 1, 4, 2])
    assert repr(found).splitlines() == [
        "Architecture(6 edges, 320 of 1,760 parameters)",
        "  cell 0: 0 -> 1  linear    0.25",
        "  cell 0: 0 -> 2  none      0.20",
        "  cell 0: 1 -> 2  skip      0.25",
        "  cell 1: 0 -> 1  gated     0.25",
        "  cell 1: 0 -> 2  none      0.20",
        "  cell 1: 1 -> 2  residual  0.25",
    ]
    operations = ["linear", "none", "skip", "gated", "none", "residual"]
    assert [edge.operation for edge in found.edges] == operations
    assert [edge.n_parameters for edge in found.edges] == [72, 0, 0, 144, 0, 72]


@pytest.mark.parametrize(
    ("shape", "params", "match"),
    [
        ((1, 8, 8), {"operations": ("conv_7x7",)}, "must be different names among"),
        ((4,), {"operations": ("none",)}, "must have one besides 'none'"),
        ((4,), {"operations": ("skip", "skip")}, "must be different names among"),
        ((4,), {"n_cells": 0}, "n_cells and n_nodes must be 1 or more"),
        ((4,), {"activation": "sine"}, "activation must be one of"),
    ],
)
def test_bad_parameters(shape, params, match):
    with pytest.raises(BackboneError, match=match):
        build_backbone("cells", shape, params)
