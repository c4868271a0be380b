"""What a learner knows of a task besides its rows, and how it learns many tasks at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skmeta.backend import Network, Rows, State
from skmeta.exceptions import EpisodeError
from skmeta.priors import MetaPrior

# Names of what the adaptation to one of several groups changed.
_GROUP = re.compile(r"group(\d+)\.(.*)")
# Labels of each row as zeros and ones.
_MAX_ONE_HOT = 25_000_000


@dataclass(frozen=True)
class Context:
    """Network, kind and head of a task: all that is fixed while it is learned.

    Attributes
    ----------
    network : Network
        Turns rows into features.
    kind : {"classification", "regression"}
        What the tasks are.
    head : {"none", "shared", "zeros", "prototype", "learned"}
        What a task's linear head starts from; ``"none"`` if the learner has no such head.
    classes : Tensor of shape (n_outputs,)
        Row of each output in a learned head; its length alone matters to other heads.
    progress : float
        Share of the meta-training that is done; 1 for a new task.
    transductive : bool
        Whether batch normalisation uses the query set's own statistics.
    dtype : torch.dtype
        Precision of a learner's own network, where it may be lower than that of its rows.
    """

    network: Network
    kind: str
    head: str
    classes: Tensor
    progress: float = 1.0
    transductive: bool = False
    dtype: torch.dtype = torch.float32

    @property
    def n_outputs(self) -> int:
        """Number of classes, or 1 for a regression."""
        return int(self.classes.shape[0])

    @property
    def has_equal_rows(self) -> bool:
        """Whether a task's head starts with the same row for every class."""
        return self.kind == "classification" and self.head in ("shared", "zeros")

    def features(self, adapted: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return features of query rows, by statistics of the support set or of their own."""
        if self.transductive and self.network.has_statistics:
            return self.network.measure(adapted, x)[0]
        return self.network.features(adapted, x)


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
            found = one.adapt(context, state, Rows(*(values[own] for values in rows)))
            adapted |= {f"group{k}.{n}": v for n, v in found.items() if v is not state.get(n)}
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
            found: tuple[Tensor, ...] = one.predict_distribution(context, prepared, part, levels)
            return found

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
    found = [
        function(shared | own.get(k, {}), x[rows])
        for k, rows in zip(present.tolist(), parts, strict=True)
    ]
    order = torch.argsort(torch.cat(list(parts)))
    return tuple(torch.cat(values)[order] for values in zip(*found, strict=True))


class TaskLimits:
    """Limits of a learner that computes a logit for each row and class of the support set.

    A learner with other limits has an object of a subclass as its attribute ``limits``.
    """

    def check_size(
        self, learner: object, prior: MetaPrior, n_rows: int, n_columns: int, n_classes: int
    ) -> None:
        """Raise an error or warn if a task is too large.

        Parameters
        ----------
        learner : MetaLearner
            The learner, with the settings of the task.
        prior : MetaPrior
            The prior.
        n_rows, n_columns, n_classes : int
            Size of the support set; no classes for a regression.

        Raises
        ------
        ValueError
            If it does not fit into memory.
        """
        if n_rows * n_classes > _MAX_ONE_HOT:
            raise ValueError(
                f"{n_rows:,} rows of {n_classes:,} classes make {n_rows * n_classes:,} logits, but "
                f"a prior of this kind takes at most {_MAX_ONE_HOT:,} in fit. Pass fewer rows or "
                "classes, or use prior='tabular', whose memory does not grow with their product."
            )

    def network_precision(self, precision: str, n_cells: int) -> str:
        """Choose the precision in which the network of a learner reads a table.

        Parameters
        ----------
        precision : {"float32", "float64"}
            Precision of the rows.
        n_cells : int
            Number of rows times number of columns.

        Returns
        -------
        {"float32", "float64"}
            By default ``precision``.
        """
        return precision

    def is_sound(self, name: str, value: Tensor) -> bool:
        """Return whether a tensor of an adapted state has the values that it may have.

        Parameters
        ----------
        name : str
            Name of the tensor.
        value : Tensor
            The tensor.

        Returns
        -------
        bool
            By default whether all values are finite.
        """
        return bool(value.isfinite().all())
