"""Names under which the tensors of a transformer are stored in priors and checkpoints.

They are the names of version 0.1, so every version can read the files of every other version. The
modules and their memory have other names now, which are the usual ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

Value = TypeVar("Value")

_PREFIX = "table."
# Part of a name in the module -> in a file.
_STORED = {
    "query": "ask",
    "key_value": "offer",
    "output": "mix",
    "feed_forward_in": "grow",
    "feed_forward_out": "shrink",
    "agreement": "gauge",
}


def to_stored_name(name: str) -> str:
    """Return the stored name of a module's parameter, or of an entry of its memory.

    Parameters
    ----------
    name : str
        For example ``"blocks.0.query.weight"``.

    Returns
    -------
    str
        For example ``"blocks.0.ask.weight"``.
    """
    parts = f".{name}."
    for current, stored in _STORED.items():
        parts = parts.replace(f".{current}.", f".{stored}.")
    return parts[1:-1]


def from_stored_name(name: str) -> str:
    """Return the module's name of a stored tensor: the inverse of :func:`to_stored_name`.

    Parameters
    ----------
    name : str
        For example ``"blocks.0.ask.weight"``.

    Returns
    -------
    str
        For example ``"blocks.0.query.weight"``.
    """
    parts = f".{name}."
    for current, stored in _STORED.items():
        parts = parts.replace(f".{stored}.", f".{current}.")
    return parts[1:-1]


def stored_parameters(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a transformer under their names in a prior.

    Parameters
    ----------
    network : Module
        The transformer.

    Returns
    -------
    dict of Tensor
        Detached parameters by names that begin with ``table.``.
    """
    return {_PREFIX + to_stored_name(n): p.detach() for n, p in network.named_parameters()}


def module_parameters(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Return the tensors of a prior that are parameters of its transformer.

    Parameters
    ----------
    tensors : mapping
        Tensors or arrays of a prior.

    Returns
    -------
    dict
        Those of the transformer, by the names that its module has for them.
    """
    return {
        from_stored_name(name.removeprefix(_PREFIX)): value
        for name, value in tensors.items()
        if name.startswith(_PREFIX)
    }
