"""What a learner knows of a task besides its rows."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    network: Network
    kind: str
    head: str
    classes: Tensor
    progress: float = 1.0

    @property
    def n_outputs(self) -> int:
        """Number of classes, or 1 for a regression."""
        return int(self.classes.shape[0])

    @property
    def has_equal_rows(self) -> bool:
        """Whether a task's head starts with the same row for every class."""
        return self.kind == "classification" and self.head in ("shared", "zeros")
