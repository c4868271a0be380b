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
from skmeta.exceptions import BackboneError, PriorError


def identity(input_shape: tuple[int, ...]) -> nn.Module:
    """Build a network without parameters that flattens its input.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one row.

    Returns
    -------
    torch.nn.Module
        Maps (n_samples, *input_shape) to (n_samples, n_features).
    """
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
    """Build the network that turns a row into features.

    Parameters
    ----------
    backbone : {"conv4", "mlp", "identity", "cells"} or \
torch.nn.Module
        A name, or a module of your own. A module is copied, keeps its weights, and has its batch
        normalisations replaced by :class:`EpisodeBatchNorm`.
    input_shape : tuple of int
        Shape of one row.
    params : mapping, optional
        Keyword arguments of the named backbone.
    generator : torch.Generator, optional
        Draws the initial weights of a named backbone. Without it, the weights are the same each
        time. Torch's global generator is neither read nor moved.

    Returns
    -------
    torch.nn.Module
        Maps (n_samples, *input_shape) to (n_samples, n_features).

    Raises
    ------
    BackboneError
        If the name is unknown, its parameters are wrong, or the network does not fit the shape.
    """
    params = dict(params or {})
    if isinstance(backbone, nn.Module):
        if params:
            raise BackboneError(
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
            raise BackboneError(f"backbone_params of {backbone!r}: {error}") from error
        draw_parameters(module, torch.Generator() if generator is None else generator)
    elif isinstance(backbone, type):
        raise BackboneError(
            f"backbone is the class {backbone.__name__}, but must be a module. Pass an instance, "
            f"for example backbone={backbone.__name__}()."
        )
    else:
        raise BackboneError(
            f"backbone must be a torch.nn.Module or one of {sorted(BACKBONES)}, got {backbone!r}."
            + suggest(backbone, BACKBONES)
        )
    check_output(module, input_shape)
    return module


def draw_parameters(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of linear layers and convolutions, as torch does by default.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    generator : torch.Generator
        Source of the numbers, so torch's global generator does not change.
    """
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
    """Raise an error if a network does not turn rows of a shape into vectors.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    input_shape : tuple of int
        Shape of one row.

    Raises
    ------
    BackboneError
        If the network fails on rows of that shape, or does not return one vector per row.
    """
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    try:
        with torch.no_grad():
            out = module(torch.zeros(2, *input_shape, dtype=dtype))
    except (RuntimeError, ValueError, IndexError) as error:
        raise BackboneError(
            f"The backbone does not fit rows of shape {tuple(input_shape)}: {error} "
            "Set input_shape to the shape of one row, or change the backbone."
        ) from error
    if not isinstance(out, torch.Tensor) or out.dim() != 2 or out.shape[0] != 2:
        shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise BackboneError(
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
    """Check that a named backbone has the weights of a prior, before it is allocated.

    A file could name a network that is too large for any memory.

    Parameters
    ----------
    backbone : str
        Name of the backbone.
    input_shape : tuple of int
        Shape of one row.
    params : mapping
        Keyword arguments of the backbone. They may come from a stranger.
    tensors : mapping of str to ndarray
        Tensors of the prior. Those of the backbone begin with ``body.``.

    Raises
    ------
    PriorError
        If the backbone is unknown, or has other weights than the prior.
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
    """Check that a prior has the weights of a backbone.

    Parameters
    ----------
    expected : mapping of str to tuple of int
        Shapes of the backbone's weights, ``body.*``.
    tensors : mapping of str to ndarray
        Tensors of the prior.
    advice : str
        What to do if they differ.

    Raises
    ------
    PriorError
        If the prior's have other names or shapes.
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
    n_edges = counts["n_cells"] * counts["n_nodes"] * (counts["n_nodes"] + 1) // 2
    n_hidden = len(params.get("hidden", ()))
    return max(n_hidden, int(counts["n_blocks"]), int(n_edges))
