"""Moments and pooling as functions of their own, against torch's primitive operations."""

import pytest
import torch
import torch.nn.functional as F
from builders import draw

from skmeta.backbones import conv4
from skmeta.backbones._layers import halve, moments, moments_of_convolution


def primitive(x):
    dims = [0, *range(2, x.dim())]
    return x.mean(dims), x.var(dims, correction=0)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 3), (2, 3, 2, 2, 2)])
def test_moments_and_their_first_two_derivatives(shape):
    x = draw(*shape).add_(2)
    for found, expected in zip(moments(x), primitive(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    x.requires_grad_()
    assert torch.autograd.gradcheck(moments, x)
    assert torch.autograd.gradgradcheck(moments, x)


def test_moments_of_equal_values_and_of_one_row():
    mean, var = moments(torch.full((3, 2), 7.0))
    assert mean.tolist() == [7, 7]
    assert var.abs().max() < 1e-9
    assert moments(draw(1, 2))[1].abs().max() < 1e-12


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moments_in_single_precision(layout):
    x = draw(6, 8, 5, 5).float().add_(3).contiguous(memory_format=layout)
    for found, expected in zip(moments(x), primitive(x.double()), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_moments_of_a_convolution_without_its_output(size):
    x, weight = draw(4, 2, *size), draw(5, 2, 3, 3, seed=1)
    expected = primitive(F.conv2d(x, weight, padding=1))
    for found, value in zip(moments_of_convolution(x, weight), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-10)
    inputs = x.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(moments_of_convolution, inputs)
    assert torch.autograd.gradgradcheck(moments_of_convolution, inputs)


@pytest.mark.parametrize("size", [(4, 4), (5, 7)])
def test_halving_and_its_first_two_derivatives(size):
    x = draw(2, 3, *size)
    assert torch.equal(halve(x), F.max_pool2d(x, 2))
    x.requires_grad_()
    assert torch.autograd.gradcheck(halve, x)
    assert torch.autograd.gradgradcheck(halve, x)


def test_second_order_gradients_of_halving_under_vmap():
    def objective(x):
        gradient = torch.func.grad(lambda z: halve(z).pow(3).sum())(x)
        return (gradient * halve(x).sum()).pow(2).sum()

    x = draw(3, 2, 4, 5, 4)
    found = torch.func.vmap(torch.func.grad(objective))(x)
    for i in range(3):
        torch.testing.assert_close(found[i], torch.func.grad(objective)(x[i]))


def test_conv4_keeps_no_wide_map_of_the_first_convolution():
    # They have four times the values of all other maps, and decide time and memory.
    module, x = conv4((1, 16, 16), n_channels=32), draw(3, 1, 16, 16).float()
    torch.nn.init.normal_(module[0].weight, generator=torch.Generator().manual_seed(0))
    kept = []
    keep = torch.autograd.graph.saved_tensors_hooks
    with keep(lambda t: kept.append(tuple(t.shape)), lambda t: t):
        module(x)
    assert kept
    assert (3, 32, 16, 16) not in kept
