"""conv4, mlp, identity, users' modules, normalisation, and shapes of rows."""

from functools import partial

import numpy as np
import pytest
import torch
from builders import draw
from torch import nn

from skmeta.backbones import (
    BACKBONES,
    EpisodeBatchNorm,
    _conv4,
    build_backbone,
    check_backbone,
    conv4,
    mlp,
)
from skmeta.backbones._conv4 import ConvBlock
from skmeta.backbones._layers import convert_batch_norm
from skmeta.exceptions import PriorError


def make_conv4(shape=(2, 9, 8)):
    params = {"n_channels": 4, "n_blocks": 2}
    module = build_backbone("conv4", shape, params, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for block in module[:2]:
            # Some scales are negative: there the maximum does not commute with the affine map.
            block.norm.weight.copy_(torch.tensor([1.0, -0.5, 2.0, -1.5]))
            block.norm.bias.copy_(torch.tensor([0.1, 0.2, -0.3, 0.0]))
    return module


def plain_block(block):
    """The block as the papers write it: convolution, normalisation, ReLU, pooling."""
    out, into = block.weight.shape[:2]
    conv = nn.Conv2d(into, out, 3, padding=1, bias=False)
    norm = nn.BatchNorm2d(out)
    parts = [conv, norm, nn.ReLU(), *([nn.MaxPool2d(2)] if block.pool else [])]
    plain = nn.Sequential(*parts).double()
    with torch.no_grad():
        conv.weight.copy_(block.weight)
        norm.weight.copy_(block.norm.weight)
        norm.bias.copy_(block.norm.bias)
    return plain


def test_conv4_is_convolution_normalisation_relu_and_pooling():
    module, x = make_conv4(), draw(5, 2, 9, 8)
    plain = nn.Sequential(*map(plain_block, module[:2]), nn.Flatten())
    torch.testing.assert_close(module(x), plain(x))
    plain(x).pow(2).sum().backward()
    module(x).pow(2).sum().backward()
    for block, expected in zip(module[:2], plain[:2], strict=True):
        torch.testing.assert_close(block.weight.grad, expected[0].weight.grad)
        torch.testing.assert_close(block.norm.weight.grad, expected[1].weight.grad)
        torch.testing.assert_close(block.norm.bias.grad, expected[1].bias.grad)


def test_conv4_with_folded_statistics_equals_conv4_that_measures():
    module, x = make_conv4(), draw(5, 2, 9, 8)
    measured = module(x).detach()
    module.eval()
    torch.testing.assert_close(module(x), measured)
    # And now a row depends on itself alone.
    torch.testing.assert_close(module(x[:2]), measured[:2])
    module(draw(5, 2, 9, 8, seed=1))
    torch.testing.assert_close(module(x), measured)


@pytest.mark.parametrize("n_bytes", [1, 3 * 24 * 8 * 12 * 8])
def test_images_computed_a_few_at_a_time_equal_all_at_once(n_bytes, monkeypatch):
    block = ConvBlock(1, 24, "pool").double()
    x = torch.rand(7, 1, 8, 12, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        block.weight.normal_(generator=torch.Generator().manual_seed(0))
        block.norm.weight[::2] = -1.0
    block.eval()

    def derivatives(n_bytes):
        monkeypatch.setattr(_conv4, "_CACHE", n_bytes)
        features = block(x)
        values = features.square().sum(), features.sin().sum()
        (first,) = torch.autograd.grad(values[0], block.weight, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum() + values[1], block.weight)
        return features, first, second

    for found, expected in zip(derivatives(n_bytes), derivatives(10**9), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("shape", "params", "n_features"),
    [
        ((1, 28, 28), {}, 64),
        ((3, 84, 84), {}, 1600),
        ((3, 84, 84), {"n_channels": 32}, 800),
        ((1, 8, 8), {"n_blocks": 3}, 64),
        ((2, 9, 12), {"n_blocks": 2, "n_channels": 4}, 24),
        ((1, 8, 8), {}, 64 * 4),  # Small images get blocks that fit.
        ((1, 15, 15), {}, 64 * 9),
        ((1, 3, 3), {}, 64),
    ],
)
def test_conv4_output_size(shape, params, n_features):
    assert conv4(shape, **params)(torch.zeros(2, *shape)).shape == (2, n_features)


def test_an_mlp_with_its_input():
    network = mlp((2, 3), hidden=(4,), skip=True)
    x = torch.randn(5, 2, 3)
    assert network(x).shape == (5, 10)
    assert torch.equal(network(x)[:, :6], x.flatten(1))


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu"])
def test_mlp_is_layers_and_activations(activation):
    module = mlp((2, 3), hidden=(5, 4), activation=activation).double()
    x = draw(7, 2, 3)
    f = {"silu": nn.SiLU(), "gelu": nn.GELU()}.get(activation) or getattr(torch, activation)
    h = f(x.reshape(7, 6) @ module[1].weight.T + module[1].bias)
    torch.testing.assert_close(module(x), f(h @ module[3].weight.T + module[3].bias))


@pytest.mark.parametrize(
    ("make", "shape", "params", "match"),
    [
        (conv4, (784,), {}, r"shape \(784,\). Pass input_shape, or use backbone='mlp'"),
        (conv4, (1, 28), {}, r"needs images of shape \(channels, height, width\)"),
        (
            conv4,
            (1, 15, 28),
            {"n_blocks": 4},
            r"smaller than 16 pixels on a side.*backbone_params=\{\"n_blocks\": 3\}",
        ),
        (mlp, (3,), {"activation": "step"}, r"activation must be one of \['gelu', .*got 'step'"),
        (mlp, (3,), {"hidden": ()}, "hidden must be one positive width or more"),
        (mlp, (3,), {"hidden": (5, 0)}, "hidden must be one positive width or more"),
    ],
)
def test_networks_that_cannot_be(make, shape, params, match):
    with pytest.raises(ValueError, match=match):
        make(shape, **params)


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_come_from_the_generator(name):
    shape = (1, 16, 16)
    before = torch.random.get_rng_state()
    nets = [build_backbone(name, shape, None, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])
    weights = [n for n in states[0] if n.endswith("weight") and "norm" not in n]
    assert all(not torch.equal(states[0][n], states[2][n]) for n in weights)
    assert bool(weights) == (name != "identity")


@pytest.mark.parametrize(
    ("backbone", "params", "match"),
    [
        ("resnet18", None, r"backbone must be a torch.nn.Module or one of \['cells', .*'resnet18'"),
        ("mlp", {"width": 3}, "backbone_params of 'mlp': .*'width'"),
        (nn.Linear(3, 4), {"hidden": 3}, "apply to a named backbone, but backbone is a Linear"),
        (nn.Linear(5, 4), None, r"does not fit rows of shape \(3,\).*Set inputs"),
        (nn.Unflatten(1, (3, 1)), None, r"it returned \(2, 3, 1\)\. End it with torch.nn.Flatten"),
        (nn.LSTM(3, 4), None, "returned tuple"),
    ],
)
def test_backbones_that_are_refused(backbone, params, match):
    with pytest.raises(ValueError, match=match):
        build_backbone(backbone, (3,), params)


def make_pair(shape):
    ours, torchs = EpisodeBatchNorm(3), {2: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](3)
    ours, torchs = ours.double(), torchs.double()
    with torch.no_grad():
        for part in (ours, torchs):
            part.weight.copy_(torch.tensor([1.5, -0.7, 0.2]))
            part.bias.copy_(torch.tensor([0.1, 0.0, -2.0]))
    return ours, torchs


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 5)])
def test_training_mode_is_torchs_training_mode(shape):
    ours, torchs = make_pair(shape)
    x = 3 * draw(*shape) + 1
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [part(value) for part, value in zip((ours, torchs), inputs, strict=True)]
    torch.testing.assert_close(*outputs)
    cotangent = draw(*shape, seed=1)
    for output in outputs:
        output.backward(cotangent)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(ours.weight.grad, torchs.weight.grad)


def test_conversion_keeps_weights_and_eps():
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, eps=0.01), nn.Sequential(nn.Flatten())
    )
    module[2].append(nn.BatchNorm1d(12, affine=False))
    weight = module[1].weight
    converted = convert_batch_norm(module)
    assert converted is module
    assert isinstance(module[1], EpisodeBatchNorm)
    assert module[1].weight is weight
    assert module[1].eps == 0.01
    assert isinstance(module[2][1], EpisodeBatchNorm)
    assert torch.equal(module[2][1].weight, torch.ones(12))


def test_conversion_of_a_normalisation_itself():
    converted = convert_batch_norm(nn.BatchNorm3d(2))
    assert isinstance(converted, EpisodeBatchNorm)
    x = torch.randn(3, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(converted(x), nn.BatchNorm3d(2)(x))


@pytest.mark.parametrize("part", [nn.LazyBatchNorm1d, partial(nn.LazyLinear, 3)])
def test_a_lazy_module_is_refused_until_it_has_seen_data(part):
    module = nn.Sequential(nn.Flatten(), part())
    for call in (convert_batch_norm, lambda module: build_backbone(module, (4,))):
        with pytest.raises(ValueError, match=r"has a Lazy\w+ that has seen no data\. Run one"):
            call(module)
    module(torch.ones(2, 4))
    build_backbone(module, (4,))


BACKBONES = [
    ("mlp", (3,), {"hidden": (4, 5), "activation": "tanh"}),
    ("conv4", (1, 28, 28), {"n_channels": 3}),
    ("conv4", (2, 9, 9), {"n_blocks": 1}),
    ("cells", (3,), {"n_cells": 2, "n_nodes": 3, "operations": ("skip", "none")}),
    ("cells", (3,), {"width": 4, "normalize": True}),
    ("cells", (1, 8, 8), {"n_channels": 2, "n_cells": 1}),
    ("identity", (4,), {}),
]


def weights_of(backbone, shape, params):
    module = build_backbone(backbone, shape, params)
    return {f"body.{n}": p.detach().numpy() for n, p in module.named_parameters()}


@pytest.mark.parametrize(("backbone", "shape", "params"), BACKBONES)
def test_the_weights_of_each_backbone_are_its_own(backbone, shape, params):
    weights = weights_of(backbone, shape, params)
    check_backbone(backbone, shape, params, weights | {"head.weight": np.zeros((2, 2))})
    for name, value in weights.items():
        with pytest.raises(PriorError, match=rf"{name}' has shape .* None in the prior"):
            check_backbone(backbone, shape, params, {n: v for n, v in weights.items() if n != name})
        wider = weights | {name: np.zeros((*value.shape, 1))}
        with pytest.raises(PriorError, match=rf"{name}' has shape .*, 1\) in the prior"):
            check_backbone(backbone, shape, params, wider)
    with pytest.raises(PriorError, match=r"'body.other' has shape None in the backbone"):
        check_backbone(backbone, shape, params, weights | {"body.other": np.zeros(1)})


@pytest.mark.parametrize(
    ("backbone", "shape", "params", "message"),
    [
        ("mlp", (3,), {"hidden": (10**6, 10**6)}, r"'body.1.bias' has shape \(1000000,\)"),
        ("mlp", (10**9,), {"hidden": (4, 5)}, r"'body.1.weight' has shape \(4, 1000000000\)"),
        ("mlp", (3,), {"hidden": (10**30, 5)}, "cannot be built, 'mlp': "),
        ("mlp", (3,), {"hidden": (1,) * 10**5}, "it has 100,000 layers, but at most 5"),
        ("mlp", (3,), {"hidden": 4}, "cannot be built, 'mlp': "),
        ("mlp", (3,), {"width": 4}, "unexpected keyword argument 'width'"),
        ("conv4", (1, 99, 99), {"n_blocks": 10**9}, "it has 1,000,000,000 layers"),
        ("cells", (3,), {"n_nodes": 10**6}, "it has 500,000,500,000 layers"),
        ("cells", (3,), {"n_cells": [0] * 9}, "n_cells is a list, but must be an integer"),
        ("MyNet", (3,), {}, "cannot be built, 'MyNet': it must be one of"),
    ],
)
def test_what_a_stranger_may_ask_for_is_never_built(backbone, shape, params, message):
    weights = weights_of("mlp", (3,), {"hidden": (4, 5)})
    with pytest.raises(PriorError, match=message):
        check_backbone(backbone, shape, params, weights)
