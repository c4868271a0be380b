"""Build a network from a name or a user's module, and check a named one before it takes memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from skmeta._validation import suggest
from skmeta.backbones._cell_network import CellNetwork
from skmeta.backbones._cells import Filter, cells
from skmeta.backbones._conv4 import ConvBlock, conv4
from skmeta.backbones._layers import convert_batch_norm, refuse_lazy
from skmeta.backbones._mlp import mlp
from skmeta.exceptions import PriorError


def identity(input_shape: tuple[int, ...]) -> nn.Module:
    """Build a network without parameters that flattens its input."""
    return nn.Flatten()


BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "conv4": conv4,
    "mlp": mlp,
    "identity": identity,
    "cells": cells,
}


def build_backbone(
    backbone: str | nn.Module,
    input_shape: tuple[int, ...],
    params: Mapping[str, Any] | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Build the network that maps rows (n, *input_shape) to features (n, n_features).

    A module is copied, keeps its weights, and has its batch normalisations replaced by
    :class:`EpisodeBatchNorm`. A named backbone is built with `params`, and its weights are drawn by
    `generator`; without it, they are the same each time. Torch's global generator is not used. A
    ValueError is raised if names or parameters are wrong, or the network does not fit the shape.
    """
    params = dict(params or {})
    if isinstance(backbone, nn.Module):
        if params:
            raise ValueError(
                f"backbone_params={params} apply to a named backbone, but backbone is a "
                f"{type(backbone).__name__}. Set them where you make the module."
            )
        refuse_lazy(backbone)  # It cannot be copied.
        module = convert_batch_norm(copy.deepcopy(backbone)).float()
    elif isinstance(backbone, str) and backbone in BACKBONES:
        try:
            # A new layer draws weights from torch's global generator, which must not change.
            with torch.random.fork_rng(devices=[]):
                module = BACKBONES[backbone](tuple(input_shape), **params)
        except (TypeError, RuntimeError) as error:
            raise ValueError(f"backbone_params of {backbone!r}: {error}") from error
        draw_parameters(module, torch.Generator() if generator is None else generator)
    elif isinstance(backbone, type):
        raise ValueError(
            f"backbone is the class {backbone.__name__}, but must be a module. Pass an instance, "
            f"for example backbone={backbone.__name__}()."
        )
    else:
        raise ValueError(
            f"backbone must be a torch.nn.Module or one of {sorted(BACKBONES)}, got {backbone!r}."
            + suggest(backbone, BACKBONES)
        )
    check_output(module, input_shape)
    return module


def draw_parameters(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of linear layers and convolutions in place, as torch does by default."""
    for part in module.modules():
        if isinstance(part, Filter | CellNetwork):
            part.draw_weights(generator)
        elif isinstance(part, nn.Linear | ConvBlock):
            fan_in = part.weight[0].numel()
            bound = 1 / math.sqrt(fan_in)
            nn.init.uniform_(part.weight, -bound, bound, generator)
            if isinstance(part, nn.Linear):
                nn.init.uniform_(part.bias, -bound, bound, generator)


def check_output(module: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Raise a ValueError if a network does not map rows of a shape to one vector per row."""
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    try:
        with torch.no_grad():
            out = module(torch.zeros(2, *input_shape, dtype=dtype))
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f"The backbone does not fit rows of shape {tuple(input_shape)}: {error} "
            "Set inputs to the shape of one row, or change the backbone."
        ) from error
    if not isinstance(out, torch.Tensor) or out.dim() != 2 or out.shape[0] != 2:
        shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise ValueError(
            "The backbone must map (n_samples, ...) to (n_samples, n_features), but for 2 rows "
            f"it returned {shape}. End it with torch.nn.Flatten()."
        )


_OTHER_FILE = "Give a file that MetaPrior.save wrote."


def check_backbone(
    backbone: str,
    input_shape: tuple[int, ...],
    params: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
) -> None:
    """Raise a PriorError if a named backbone does not have the weights (``body.*``) of a prior.

    It is not allocated, because a file from a stranger could name a network too large for any
    memory.
    """
    given = [v.shape for n, v in tensors.items() if n.startswith("body.")]
    # Each layer has a tensor, and each edge of a cell a row in the tensor of the architecture.
    most = max([1, len(given), *(shape[0] for shape in given if shape)])
    try:
        if backbone not in BACKBONES:
            raise ValueError(f"it must be one of {sorted(BACKBONES)}")
        if (n_layers := _count_layers(params)) > most:
            raise ValueError(f"it has {n_layers:,} layers, but at most {most:,} are possible here")
        # On the device "meta" a tensor has a shape and no memory.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = BACKBONES[backbone](tuple(input_shape), **params)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise PriorError(
            f"The prior names a backbone that cannot be built, {backbone!r:.60}: "
            f"{str(error)[:200]}. {_OTHER_FILE}"
        ) from error
    shapes = {f"body.{n}": tuple(value.shape) for n, value in module.named_parameters()}
    check_weights(shapes, tensors, _OTHER_FILE)


def check_weights(
    expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, np.ndarray], advice: str
) -> None:
    """Raise a PriorError with advice if a prior has not the weights of a backbone.

    `expected` are the shapes of the backbone's weights, ``body.*``.
    """
    given = {n: v.shape for n, v in tensors.items() if n.startswith("body.")}
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            raise PriorError(
                f"The backbone does not have the prior's weights: {name!r} has shape "
                f"{expected.get(name)} in the backbone, {given.get(name)} in the prior. {advice}"
            )


def _count_layers(params: Mapping[str, Any]) -> int:
    """Return how many layers the parameters of any backbone ask for, defaults left out."""
    counts = {name: params.get(name, 1) for name in ("n_blocks", "n_cells", "n_nodes")}
    if counts["n_blocks"] is None:
        counts["n_blocks"] = 1
    for name, count in counts.items():
        if type(count) is not int:
            raise TypeError(f"{name} is a {type(count).__name__}, but must be an integer")
    if (chosen := params.get("chosen")) is not None:
        return sum(name != "none" for name in chosen)
    n_edges = counts["n_cells"] * counts["n_nodes"] * (counts["n_nodes"] + 1) // 2
    n_hidden = len(params.get("hidden", ()))
    return max(n_hidden, int(counts["n_blocks"]), int(n_edges))
