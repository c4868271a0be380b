"""Mean and variance of each channel, as one function that is differentiable twice.

Notation: n samples, c channels, m values per channel (n times the pixels of an image).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._torch_compat import apply_function

# Any value will do, because the variance is computed back from the normalisation's own result.
_EPS = 1e-5


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and biased variance of each channel.

    Autograd would store, and pass over, several tensors as large as ``x``. Here a forward and a
    backward pass each pass over them once.

    Parameters
    ----------
    x : Tensor of shape (n, c, ...)
        The values.

    Returns
    -------
    mean, var : Tensor of shape (c,)
        In the precision of ``x``; in float32 if that is bfloat16.
    """
    x = x.float() if x.dtype == torch.bfloat16 else x
    moments: tuple[Tensor, Tensor] = apply_function(_Moments, x)
    return moments


class _Moments(torch.autograd.Function):
    """mean = sum(x) / m, var = sum((x - mean)^2) / m."""

    # Under vmap, forward and backward are vectorised as they stand.
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        # The fastest kernel that passes over the values once. Its gradient is not used.
        _, mean, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.0, _EPS)
        return mean, (inverse.pow(-2) - _EPS).clamp_min(0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def backward(ctx: Any, mean_gradient: Tensor, var_gradient: Tensor) -> Tensor:
        # Written with differentiable operations, for the second derivative.
        x, mean = ctx.saved_tensors
        m = x.numel() // x.shape[1]
        slope = var_gradient * (2 / m)
        shape = (-1, *[1] * (x.dim() - 2))
        level = mean_gradient / m - slope * mean
        return torch.addcmul(level.reshape(shape), x, slope.reshape(shape))


def convolved_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the moments of a 3x3 convolution's output, without the output.

    Mean and covariance S of the input's 3x3 patches are enough: the output w.p of a patch p has
    mean w.mean(p) and variance w.S.w. With few input channels, S is small, and the gradient with
    respect to the weights does not pass over the output either.

    Parameters
    ----------
    x : Tensor of shape (n, c_in, height, width)
        Images.
    weight : Tensor of shape (c, c_in, 3, 3)
        Filters.

    Returns
    -------
    mean, var : Tensor of shape (c,)
        Moments of ``conv2d(x, weight, padding=1)``.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _convolved_moments(x, weight)


def _convolved_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1))
    shifts = [(i, j) for i in range(3) for j in range(3)]
    # (c_in, 9, m), in the order of a filter's entries.
    patches = torch.stack([padded[:, :, i : i + height, j : j + width] for i, j in shifts])
    patches = patches.permute(2, 0, 1, 3, 4).reshape(9 * x.shape[1], -1)
    centre = patches.mean(1)
    centred = patches - centre[:, None]
    covariance = (centred @ centred.T) / patches.shape[1]
    filters = weight.reshape(weight.shape[0], -1)
    return filters @ centre, ((filters @ covariance) * filters).sum(1)
