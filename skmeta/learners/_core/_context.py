"""What the methods of a learner are given of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skmeta.backend import Network


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
