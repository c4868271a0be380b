"""Batch normalisation and max-pooling, both differentiable twice.

Statistics of a batch are a differentiable part of the task. The pooling keeps only the positions of
the maxima for its backward pass, and no derivatives that are known to be zero.

Notation: n samples, c channels, m values per channel (n times the pixels of an image).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from skmeta._torch_compat import apply_function

# Any value will do, because the variance is computed back from the normalisation's own result.
_EPS = 1e-5


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and biased variance (c,) of x (n, c, ...), in float32 for bfloat16.

    Autograd would store, and pass over, several tensors as large as ``x``. Here a forward and a
    backward pass each pass over them once.
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


def moments_of_convolution(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the moments of ``conv2d(x, weight, padding=1)``, weight (c, c_in, 3, 3), without it.

    With the mean and the covariance S of the input's 3x3 patches, the output w.p of a patch p has
    the mean w.mean(p) and the variance w.S.w. Neither pass reads or writes the wide maps.
    """
    with torch.autocast(x.device.type, enabled=False):
        patches = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
        patches = patches.permute(1, 4, 5, 0, 2, 3).reshape(9 * x.shape[1], -1)
        filters = weight.flatten(1)
        var = ((filters @ patches.cov(correction=0).reshape(len(patches), -1)) * filters).sum(1)
        return filters @ patches.mean(1), var


def halve(x: Tensor) -> Tensor:
    """Take the maximum of each 2x2 block of maps (n, c, height, width)."""
    maxima: Tensor = apply_function(_MaxPool, x)[0]
    return maxima


class _MaxPool(torch.autograd.Function):
    """Maxima and their positions."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        pooled: tuple[Tensor, Tensor] = F.max_pool2d_with_indices(x, (2, 2))
        return pooled

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.size = inputs[0].shape[-2:]
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> Tensor:
        wide: Tensor = apply_function(_Unpool, gradient, *ctx.saved_tensors, ctx.size)
        return wide


class _Unpool(torch.autograd.Function):
    """Put values at their positions in larger maps of zeros, the backward pass of pooling."""

    @staticmethod
    def forward(values: Tensor, positions: Tensor, size: tuple[int, int]) -> Tensor:
        return F.max_unpool2d(values, positions, (2, 2), output_size=size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Any], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = ctx.saved_tensors
        gathered = gradient.flatten(2).gather(2, positions.flatten(2))
        return gathered.reshape(positions.shape), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> tuple[Tensor, int]:
        # The images of all tasks are those of one batch: torch has no rule of its own.
        n, size = info.batch_size, inputs[2]
        values, positions = (
            (x.movedim(d, 0) if d is not None else x.expand(n, *x.shape)).flatten(0, 1)
            for x, d in zip(inputs[:2], in_dims, strict=False)
        )
        return apply_function(_Unpool, values, positions, size).unflatten(0, (n, -1)), 0


class EpisodeBatchNorm(nn.Module):
    """Batch normalisation by the support set's statistics.

    In training mode the statistics are those of the batch, and they replace the buffers ``mean``
    and ``var`` (momentum 1), with their gradient. In evaluation mode the buffers are used. A query
    set is thus normalised by the statistics of the support set, and a row's prediction does not
    depend on the rows beside it.

    Rows count equally, whatever their sample weights; rows that pad a task repeat rows that it has.

    It is written with primitive operations: under :func:`torch.func.vmap`, ``nn.BatchNorm2d``
    returns a wrong second-order gradient without a warning.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, n_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("mean", torch.zeros(n_channels))
        self.register_buffer("var", torch.ones(n_channels))

    def measure(self, x: Tensor) -> None:
        """Take the statistics of ``x``, of shape (n_samples, n_channels, ...)."""
        self.mean, self.var = moments(x)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """The affine map that the current statistics make, each of shape (n_channels,)."""
        scale = self.weight * torch.rsqrt(self.var + self.eps)
        return scale, self.bias - self.mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``, of shape (n_samples, n_channels, ...)."""
        if self.training:
            self.measure(x)
        scale, shift = self.scale_and_shift()
        return x * _per_channel(scale, x) + _per_channel(shift, x)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (x.dim() - 2))


def convert_batch_norm(module: nn.Module) -> nn.Module:
    """Replace each ``nn.BatchNorm1d/2d/3d`` in a module by :class:`EpisodeBatchNorm`, in place.

    Learned scales and shifts are kept. A module that is itself a batch normalisation is returned
    replaced. A ValueError is raised if a lazy module has not seen its number of channels yet.
    """
    refuse_lazy(module)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        new = EpisodeBatchNorm(module.num_features, module.eps)
        if module.affine:
            new.weight, new.bias = module.weight, module.bias
        return new
    for name, child in module.named_children():
        setattr(module, name, convert_batch_norm(child))
    return module


def refuse_lazy(module: nn.Module) -> None:
    """Raise an error if a part of a module has no weights yet."""
    for part in module.modules():
        # A lazy module becomes a plain one in its first forward pass.
        if isinstance(part, LazyModuleMixin):
            raise ValueError(
                f"The backbone has a {type(part).__name__} that has seen no data. Run one forward "
                "pass through the module first, or give it its number of inputs."
            )
