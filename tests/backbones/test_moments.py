"""Moments as a function of its own, against torch's primitive operations."""

import pytest
import torch
from builders import draw

from skmeta.backbones._layers import moments


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
