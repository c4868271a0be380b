"""Cells of mixed operations against plain torch."""

import json

import pytest
import torch
import torch.nn.functional as F

from skmeta.backbones import build_backbone, describe


def make(name, shape, seed=0, **params):
    generator = torch.Generator().manual_seed(seed)
    return build_backbone(name, shape, params, generator).double()


def decide(network, names):
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
    names = [name, "skip", "sep_conv_3x3", "skip", name, "none"]
    decide(network, names)
    x = torch.randn(5, 1, 9, 9, dtype=torch.float64)
    first, second = network.edges[:3], network.edges[3:]
    start = network.stem(x)
    node = normalised(plain_operation(first[0], name, start))
    node = F.max_pool2d(normalised(start + plain_operation(first[2], "sep_conv_3x3", node)), 2)
    # The first edge of the second cell leads to a node that nothing leaves.
    expected = F.max_pool2d(normalised(plain_operation(second[1], name, node)), 2).flatten(1)
    torch.testing.assert_close(network(x), expected)
    with torch.no_grad():  # What has no share is not computed here.
        torch.testing.assert_close(network(x), expected)

    found = describe(network, network.architecture)
    assert [edge.operation for edge in found.edges] == [*names[:3], "none", name, "none"]
    plain = found.build((1, 9, 9)).double().train()
    assert sum(p.numel() for p in plain.parameters()) == found.n_parameters
    weights = network.state_dict()
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    torch.testing.assert_close(plain(x), expected)


@pytest.mark.parametrize(("shape", "plain"), [((1, 28, 28), "conv4"), ((3,), "mlp")])
def test_the_plain_choice_is_the_plain_network(shape, plain):
    params = {"n_channels": 8} if plain == "conv4" else {"width": 8}
    network = make("cells", shape, **params)
    found = describe(network, torch.zeros(network.allowed.shape), network.plain())
    built = found.build(shape).double().train()
    other = make(plain, shape, **(params if plain == "conv4" else {"hidden": (8, 8)})).train()
    assert found.n_parameters == sum(p.numel() for p in other.parameters())
    with torch.no_grad():  # Layers are in the same order, but norms come after the filters.
        theirs = sorted(other.parameters(), key=lambda p: -p.dim())
        ours = sorted(built.parameters(), key=lambda p: -p.dim())
        for own, value in zip(ours, theirs, strict=True):
            own.copy_(value)
    x = torch.randn(5, *shape, dtype=torch.float64)
    torch.testing.assert_close(built(x), other(x))


def test_what_the_input_does_not_reach_counts_for_nothing_in_any_way_of_computing():
    network = make("cells", (4,), width=6, n_nodes=3)
    # Node 1 has no input, so that what leaves it is no part of the network.
    names = ["none", "linear", "gated", "linear", "residual", "none"]
    decide(network, names)
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    alone = torch.stack([network(task) for task in x])
    torch.testing.assert_close(torch.vmap(network)(x), alone)
    found = describe(network, network.architecture)
    assert [e.operation for e in found.edges] == ["none", "none", "none", "linear", "none", "none"]
    plain = found.build((4,)).double()
    plain.load_state_dict({k: network.state_dict()[k] for k in plain.state_dict()})
    torch.testing.assert_close(plain(x[0]), alone[0])


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
    found = describe(network, torch.zeros(6, 5), [0, 3, 3, 4, 2, 1])
    assert repr(found).splitlines() == [
        "Architecture(6 edges, 176 of 1,760 parameters)",
        "  cell 0: 0 -> 1  linear    0.20",
        "  cell 0: 0 -> 2  skip      0.25",
        "  cell 0: 1 -> 2  skip      0.20",
        "  cell 1: 0 -> 1  none      0.20",
        "  cell 1: 0 -> 2  residual  0.25",
        "  cell 1: 1 -> 2  none      0.20",
    ]
    operations = ["linear", "skip", "skip", "none", "residual", "none"]
    assert [edge.operation for edge in found.edges] == operations
    assert [edge.n_parameters for edge in found.edges] == [72, 0, 0, 0, 72, 0]


def test_an_architecture_is_a_value_that_json_keeps():
    network = make("cells", (3,), width=8, activation="tanh", normalize=True)
    found = describe(network, torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
    params = json.loads(json.dumps(found.params))
    again, built = build_backbone("cells", (3,), params), found.build((3,))
    assert repr(again) == repr(built)
    assert {"activation": "tanh", "normalize": True}.items() <= params.items()
    assert not torch.equal(*(next(found.build((3,)).parameters()) for _ in range(2)))
    torch.manual_seed(4)
    one = found.build((3,)).state_dict()
    torch.manual_seed(4)
    other = found.build((3,)).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("shape", "params", "match"),
    [
        ((1, 8, 8), {"operations": ("conv_7x7",)}, "must be different names among"),
        ((4,), {"operations": ("none",)}, "must have one besides 'none'"),
        ((4,), {"operations": ("skip", "skip")}, "must be different names among"),
        ((4,), {"n_cells": 0}, "n_cells and n_nodes must be 1 or more"),
        ((4,), {"activation": "sine"}, "activation must be one of"),
        ((4,), {"chosen": ["linear"]}, "chosen must name one of .* for each of 3 edges, got"),
        ((4,), {"chosen": ["linear", "conv_3x3", "skip"]}, "chosen must name one of"),
        ((4,), {"chosen": ["linear", "none", "skip"]}, "chosen has 'none' on the edge from"),
    ],
)
def test_bad_parameters(shape, params, match):
    with pytest.raises(ValueError, match=match):
        build_backbone("cells", shape, params)
