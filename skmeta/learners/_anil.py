"""ANIL: MAML whose inner loop adapts the head alone."""

from __future__ import annotations

from dataclasses import dataclass

from skmeta.learners._maml import MAML


@dataclass(kw_only=True, eq=False, repr=False)
class ANIL(MAML):
    """Almost no inner loop."""

    def is_adapted(self, name: str) -> bool:
        """Whether a task adapts the tensor of this name: those of the head only."""
        return name.startswith("head.")
