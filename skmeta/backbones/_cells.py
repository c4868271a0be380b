"""Cells of mixed operations, for images and for tables."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skmeta.backbones._cell_network import CellNetwork, ChosenCells, check_cells
from skmeta.backbones._conv4 import ConvBlock
from skmeta.backbones._layers import EpisodeBatchNorm
from skmeta.backbones._mlp import ACTIVATIONS


class Filter(nn.Conv2d):
    """A convolution without a bias, that keeps height, width and variance.

    Operations that are mixed should have outputs of the same size at first.
    """

    def __init__(
        self, n_in: int, n_out: int, size: int, groups: int = 1, dilation: int = 1
    ) -> None:
        padding = size // 2 * dilation
        super().__init__(
            n_in, n_out, size, padding=padding, groups=groups, dilation=dilation, bias=False
        )

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        bound = math.sqrt(3 / self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound, generator)


def separable(n_channels: int, size: int, dilation: int = 1) -> nn.Module:
    """Make a filter for each channel, and a mixture of the channels."""
    return nn.Sequential(
        Filter(n_channels, n_channels, size, n_channels, dilation),
        Filter(n_channels, n_channels, 1),
    )


class Gated(nn.Module):
    """A linear layer whose outputs are gated by those of another."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_samples, width) to the same shape."""
        out: Tensor = self.value(x) * torch.sigmoid(self.gate(x))
        return out


class Residual(nn.Module):
    """A layer whose output is added to its input."""

    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(width, width), activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_samples, width) to the same shape."""
        out: Tensor = x + self.layer(x)
        return out


class Halve(nn.Module):
    """Maximum of 2x2 pixels; an axis of one pixel does not change."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_samples, n_channels, height, width) to half the height and width."""
        return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))


IMAGE_OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "conv_3x3": lambda c: Filter(c, c, 3),
    "sep_conv_3x3": lambda c: separable(c, 3),
    "sep_conv_5x5": lambda c: separable(c, 5),
    "dil_conv_3x3": lambda c: separable(c, 3, dilation=2),
    "max_pool_3x3": lambda c: nn.MaxPool2d(3, 1, 1),
    "skip": lambda c: nn.Identity(),
    "none": lambda c: nn.Identity(),  # It is never called.
}
TABLE_OPERATIONS: dict[str, Callable[[int, Callable[[], nn.Module]], nn.Module]] = {
    "linear": lambda width, activation: nn.Sequential(nn.Linear(width, width), activation()),
    "gated": lambda width, activation: Gated(width),
    "residual": lambda width, activation: Residual(width, activation()),
    "skip": lambda width, activation: nn.Identity(),
    "none": lambda width, activation: nn.Identity(),  # It is never called.
}


def _image_cells(
    input_shape: tuple[int, ...],
    *,
    n_channels: int = 32,
    n_cells: int = 3,
    n_nodes: int = 2,
    operations: Sequence[str] = tuple(IMAGE_OPERATIONS),
    chosen: Sequence[str] | None = None,
) -> CellNetwork | ChosenCells:
    """Build cells for images: the first block is that of ``conv4``, each cell halves the image."""
    check_cells(n_cells, n_nodes, operations, tuple(IMAGE_OPERATIONS))
    return _network(
        ConvBlock(input_shape[0], n_channels, pool=min(input_shape[1:]) > 1),
        {name: partial(IMAGE_OPERATIONS[name], n_channels) for name in operations},
        lambda: nn.Sequential(OrderedDict(norm=EpisodeBatchNorm(n_channels), relu=nn.ReLU())),
        Halve(),
        {"n_cells": n_cells, "n_nodes": n_nodes, "n_channels": n_channels},
        chosen,
    )


def _table_cells(
    input_shape: tuple[int, ...],
    *,
    width: int = 40,
    n_cells: int = 1,
    n_nodes: int = 2,
    activation: str = "relu",
    normalize: bool = False,
    operations: Sequence[str] = tuple(TABLE_OPERATIONS),
    chosen: Sequence[str] | None = None,
) -> CellNetwork | ChosenCells:
    """Build cells for tables."""
    check_cells(n_cells, n_nodes, operations, tuple(TABLE_OPERATIONS))
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}.")
    act = ACTIVATIONS[activation]
    params: dict[str, Any] = {"n_cells": n_cells, "n_nodes": n_nodes, "width": width}
    params |= {"activation": activation} if activation != "relu" else {}
    return _network(
        nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width), act()),
        {name: partial(TABLE_OPERATIONS[name], width, act) for name in operations},
        lambda: EpisodeBatchNorm(width) if normalize else nn.Identity(),
        nn.Identity(),
        params | ({"normalize": True} if normalize else {}),
        chosen,
    )


def _network(
    stem: nn.Module,
    operations: dict[str, Callable[[], nn.Module]],
    make_node: Callable[[], nn.Module],
    between: nn.Module,
    params: dict[str, Any],
    chosen: Sequence[str] | None,
) -> CellNetwork | ChosenCells:
    """Build the network that is searched, or that of the chosen operations."""
    if chosen is None:
        return CellNetwork(stem, operations, make_node, between, params)
    return ChosenCells(stem, operations, make_node, between, params, chosen)


def cells(input_shape: tuple[int, ...], **params: Any) -> CellNetwork | ChosenCells:
    """Build a network of cells, whose operations :class:`~skmeta.learners.MetaNAS` chooses.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one row: (channels, height, width) of an image, or that of a row of a table.
    **params
        ``n_cells`` and ``n_nodes``: cells, and nodes of each (3 and 2 for images, 1 and 2 for
        tables). ``operations``: names of what an edge can be; by default all. For images they are
        ``"conv_3x3"``, ``"sep_conv_3x3"``, ``"sep_conv_5x5"``, ``"dil_conv_3x3"``,
        ``"max_pool_3x3"``, ``"skip"`` and ``"none"``; for tables ``"linear"``, ``"gated"``,
        ``"residual"``, ``"skip"`` and ``"none"``. Images have ``n_channels=32`` in all cells.
        Tables have ``width=40`` features in all cells, ``activation="relu"`` (or ``"tanh"``,
        ``"gelu"``, ``"silu"``), and ``normalize=False``: whether nodes normalise their sums.
        ``chosen`` names one operation for each edge, in the order of computation, and makes the
        network of these alone; ``params`` of ``MetaNAS.architecture_`` has it.

    Returns
    -------
    torch.nn.Module
        Maps (n_samples, *input_shape) to (n_samples, n_features).

    Raises
    ------
    ValueError
        If an operation or the activation is unknown.

    References
    ----------
    Elsken, Staffler, Metzen and Hutter (2020), Meta-learning of neural architectures for few-shot
    learning, section 4 and appendix (the operations).
    """
    if len(input_shape) != 3 and "n_channels" in params:
        raise ValueError(
            "n_channels is for images of shape (channels, height, width), but a row has the shape "
            f"{tuple(input_shape)}. Pass input_shape, or width for tables."
        )
    return (_image_cells if len(input_shape) == 3 else _table_cells)(input_shape, **params)
