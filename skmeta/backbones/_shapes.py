"""Checks of a named backbone that take no memory for its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from skmeta.backbones._build import BACKBONES
from skmeta.exceptions import BackboneError, PriorError

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
    given = {n: v.shape for n, v in tensors.items() if n.startswith("body.")}
    # Each layer has a tensor, and each edge of a cell a row in the tensor of the architecture.
    max_layers = max([1, len(given), *(shape[0] for shape in given.values() if shape)])
    try:
        shapes = parameter_shapes(backbone, input_shape, params, max_layers=max_layers)
    except BackboneError as error:
        raise PriorError(
            f"The prior names a backbone that cannot be built: {error} {_OTHER_FILE}"
        ) from error
    check_weights({f"body.{n}": shape for n, shape in shapes.items()}, tensors, _OTHER_FILE)


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


def parameter_shapes(
    backbone: str,
    input_shape: tuple[int, ...],
    params: Mapping[str, Any] | None = None,
    *,
    max_layers: int,
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of a named backbone, without allocating them.

    Parameters
    ----------
    backbone : str
        Name of the backbone.
    input_shape : tuple of int
        Shape of one row.
    params : mapping, optional
        Keyword arguments of the backbone. They may come from a stranger.
    max_layers : int
        Layers, blocks or edges of cells that the backbone may have.

    Returns
    -------
    dict of str to tuple of int
        Name of each parameter and its shape.

    Raises
    ------
    BackboneError
        If the name is unknown, its parameters are wrong, or there are more layers.
    """
    params = dict(params or {})
    if backbone not in BACKBONES:
        raise BackboneError(f"backbone must be one of {sorted(BACKBONES)}, got {backbone!r:.60}.")
    try:
        n_layers = _count_layers(params)
        if n_layers > max_layers:
            raise BackboneError(
                f"backbone_params of {backbone!r} ask for {n_layers:,} layers, but at most "
                f"{max_layers:,} are possible here."
            )
        # On the device "meta" a tensor has a shape and no memory.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = BACKBONES[backbone](tuple(input_shape), **params)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        if isinstance(error, BackboneError):
            raise
        raise BackboneError(f"backbone_params of {backbone!r}: {str(error)[:200]}") from error
    return {name: tuple(value.shape) for name, value in module.named_parameters()}


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
