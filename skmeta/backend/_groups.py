"""Rows of many groups: divide them, and apply a function to each group."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from skmeta.backend._functional import State

# Names of what the adaptation to one of several groups changed.
_GROUP = re.compile(r"group(\d+)\.(.*)")


def split_groups(codes: Tensor, n_groups: int) -> Sequence[Tensor]:
    """Return the positions of the rows of each group.

    Parameters
    ----------
    codes : Tensor of shape (n_rows,), int64
        Group of each row, from 0 on.
    n_groups : int
        Number of groups.

    Returns
    -------
    sequence of Tensor
        One for each group; rows keep their order.
    """
    sizes: list[int] = torch.bincount(codes, minlength=n_groups).tolist()
    order = torch.argsort(codes, stable=True)
    return torch.split(order, sizes)


def map_groups(
    function: Callable[[State, Tensor], tuple[Tensor, ...]],
    adapted: Mapping[str, Tensor],
    x: Tensor,
    codes: Tensor,
) -> tuple[Tensor, ...]:
    """Apply a function to the rows of each group, with the state of the group.

    Parameters
    ----------
    function : callable
        Takes the adapted state of a group and its rows; returns tensors with an axis of rows.
    adapted : mapping of str to Tensor
        What is shared, and under names that begin with ``group0.``, ``group1.`` and so on what
        differs.
    x : Tensor of shape (n_rows, *input_shape)
        Rows of all groups.
    codes : Tensor of shape (n_rows,), int64
        Group of each row.

    Returns
    -------
    tuple of Tensor
        What the function returned, in the order of the rows.
    """
    shared: State = {}
    own: dict[int, State] = {}
    for name, value in adapted.items():
        match = _GROUP.match(name)
        if match is None:
            shared[name] = value
        else:
            own.setdefault(int(match[1]), {})[match[2]] = value
    present, position = torch.unique(codes, return_inverse=True)
    parts = split_groups(position, len(present))
    found = [
        function(shared | own.get(k, {}), x[rows])
        for k, rows in zip(present.tolist(), parts, strict=True)
    ]
    order = torch.argsort(torch.cat(list(parts)))
    return tuple(torch.cat(values)[order] for values in zip(*found, strict=True))
