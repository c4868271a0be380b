"""EpisodeBatchNorm against torch's batch normalisation."""

from functools import partial

import pytest
import torch
from builders import draw
from torch import nn

from skmeta.backbones import EpisodeBatchNorm, build_backbone
from skmeta.backbones._layers import convert_batch_norm


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
