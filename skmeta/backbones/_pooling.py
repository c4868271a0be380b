"""2x2 max-pooling that keeps only the positions of the maxima for the backward pass."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._torch_compat import apply_function


def halve(x: Tensor) -> Tensor:
    """Take the maximum of each 2x2 block.

    :func:`torch.nn.functional.max_pool2d` keeps its whole input for the backward pass, although it
    needs the positions of the maxima only.

    Parameters
    ----------
    x : Tensor of shape (n, c, height, width)
        Maps.

    Returns
    -------
    Tensor of shape (n, c, height // 2, width // 2)
        The maxima.
    """
    maxima: Tensor = apply_function(_MaxPool, x)[0]
    return maxima


def _fold(n_tasks: int, in_dim: int | None, x: Tensor) -> Tensor:
    """Treat the images of all tasks as images of one batch."""
    x = x.expand(n_tasks, *x.shape) if in_dim is None else x.movedim(in_dim, 0)
    return x.flatten(0, 1)


class _MaxPool(torch.autograd.Function):
    """Maxima and their positions."""

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
        scattered: Tensor = apply_function(_Scatter, gradient, ctx.saved_tensors[0], ctx.size)
        return scattered

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None], x: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        maxima, positions = apply_function(_MaxPool, _fold(info.batch_size, in_dims[0], x))
        sizes = (info.batch_size, -1)
        return (maxima.unflatten(0, sizes), positions.unflatten(0, sizes)), (0, 0)


class _Scatter(torch.autograd.Function):
    """Put values at their positions in larger maps of zeros."""

    @staticmethod
    def forward(values: Tensor, positions: Tensor, size: tuple[int, int]) -> Tensor:
        return F.max_unpool2d(values, positions, (2, 2), output_size=size)

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, tuple[int, int]], output: Tensor
    ) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = ctx.saved_tensors
        gathered = gradient.flatten(2).gather(2, positions.flatten(2))
        return gathered.reshape(positions.shape), None, None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        values: Tensor,
        positions: Tensor,
        size: tuple[int, int],
    ) -> tuple[Tensor, int]:
        n_tasks = info.batch_size
        folded = [_fold(n_tasks, d, x) for d, x in zip(in_dims, (values, positions), strict=False)]
        return apply_function(_Scatter, *folded, size).unflatten(0, (n_tasks, -1)), 0
