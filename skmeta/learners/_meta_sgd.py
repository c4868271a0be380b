"""Meta-SGD: MAML with a learned step size for every parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.learners._context import Context
from skmeta.learners._gradient import GradientLearner, Memory
from skmeta.learners._heads import initial_head


@dataclass(kw_only=True, eq=False, repr=False)
class MetaSGD(GradientLearner):
    """Meta-SGD."""

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        state = super().init_state(context, generator)
        # A head that starts from zero or from prototypes has no weights of its own to learn, but
        # its step sizes are learned: one row, shared by all classes.
        adapted = initial_head("shared", context.network.n_features, 1, generator) | state
        rates = {f"rate.{n}": torch.full_like(v, self.inner_lr) for n, v in adapted.items()}
        return state | rates

    def update(
        self, state: Mapping[str, Tensor], fast: State, gradient: State, memory: Memory
    ) -> tuple[State, Memory]:
        """One inner step: theta' = theta - alpha * grad, element by element (equation 2)."""
        return {n: fast[n] - state[f"rate.{n}"] * gradient[n] for n in fast}, memory
