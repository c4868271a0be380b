"""Many tasks learned one after another, in one state: what a whole table of groups needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from skmeta.backend import Rows, State
from skmeta.exceptions import EpisodeError
from skmeta.learners._core._context import Context

# Names of what the adaptation to one of several groups changed.
_GROUP = re.compile(r"group(\d+)\.(.*)")


class GroupMethods:
    """Methods of an algorithm that learn many tasks, by default one after another."""

    def adapt_groups(
        self,
        context: Context,
        state: Mapping[str, Tensor],
        rows: Rows,
        codes: Tensor,
        n_groups: int,
    ) -> State:
        """Learn many tasks from their support sets: one for each group of rows.

        A subclass may compute all groups at once, and may allow groups without rows.

        Parameters
        ----------
        context : Context
            Network, kind and head of the tasks.
        state : mapping of str to Tensor
            The prior.
        rows : Rows
            The support sets of all groups.
        codes : Tensor of shape (n_rows,), int64
            Group of each row, from 0 on.
        n_groups : int
            Number of groups.

        Returns
        -------
        dict of Tensor
            What :meth:`forward_groups` takes: by default ``state``, and under names that begin with
            ``group0.``, ``group1.`` and so on what ``adapt`` changed or added in each group.

        Raises
        ------
        EpisodeError
            If a group has no rows, and the learner needs some.
        """
        one: Any = self
        adapted = dict(state)
        for k, own in enumerate(_split(codes, n_groups)):
            if len(own) == 0:
                raise EpisodeError(
                    f"Group {k} has no rows, but {type(self).__name__} learns a group from its "
                    "rows. Leave the group out, or use HierarchicalLinear."
                )
            one_adapted = one.adapt(context, state, Rows(*(values[own] for values in rows)))
            adapted |= {f"group{k}.{n}": v for n, v in one_adapted.items() if v is not state.get(n)}
        return adapted

    def forward_groups(
        self, context: Context, adapted: Mapping[str, Tensor], x: Tensor, codes: Tensor
    ) -> Tensor:
        """Predict query rows of many groups.

        Parameters
        ----------
        context : Context
            Network, kind and head of the tasks.
        adapted : mapping of str to Tensor
            What :meth:`adapt_groups` returned.
        x : Tensor of shape (n_rows, *input_shape)
            Query rows of all groups.
        codes : Tensor of shape (n_rows,), int64
            Group of each row.

        Returns
        -------
        Tensor of shape (n_rows, n_outputs)
            Logits, or standardised predictions.
        """
        one: Any = self

        def predict(state: State, part: Tensor) -> tuple[Tensor]:
            return (one.forward(context, one.prepare(context, state), part),)

        return _map(predict, adapted, x, codes)[0]

    def predict_distribution_groups(
        self,
        context: Context,
        adapted: Mapping[str, Tensor],
        x: Tensor,
        codes: Tensor,
        levels: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict the distribution of the targets of query rows of many groups.

        Only learners that have ``predict_distribution`` can.

        Parameters
        ----------
        context : Context
            Network, kind and head of regressions.
        adapted : mapping of str to Tensor
            What :meth:`adapt_groups` returned.
        x : Tensor of shape (n_rows, *input_shape)
            Query rows of all groups.
        codes : Tensor of shape (n_rows,), int64
            Group of each row.
        levels : Tensor of shape (n_levels,)
            Levels of the quantiles.

        Returns
        -------
        mean, std : Tensor of shape (n_rows,)
            Means and standard deviations, in units of the targets given to :meth:`adapt_groups`.
        quantiles : Tensor of shape (n_rows, n_levels)
            Quantiles.
        """
        one: Any = self

        def predict(state: State, part: Tensor) -> tuple[Tensor, ...]:
            prepared = one.prepare(context, state)
            parts: tuple[Tensor, ...] = one.predict_distribution(context, prepared, part, levels)
            return parts

        mean, std, quantiles = _map(predict, adapted, x, codes)
        return mean, std, quantiles


def _split(codes: Tensor, n_groups: int) -> Sequence[Tensor]:
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


def _map(
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
    parts = _split(position, len(present))
    results = [
        function(shared | own.get(k, {}), x[rows])
        for k, rows in zip(present.tolist(), parts, strict=True)
    ]
    order = torch.argsort(torch.cat(list(parts)))
    return tuple(torch.cat(values)[order] for values in zip(*results, strict=True))
