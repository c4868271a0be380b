"""The LSTM meta-learner: an LSTM whose cell state is the weights that a task learns."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from skmeta._backend import State
from skmeta._sklearn_compat import Interval
from skmeta._training import parameter
from skmeta.learners._core import Context, GradientLearner, InnerLoopAlgorithm, Memory
from skmeta.learners.learned_optimizers._learned_update import (
    lstm_cell,
    lstm_weights,
    preprocess_gradient,
    ravel,
    unravel,
)

# Forget gates start almost open and input gates almost closed (section 3.3).
_FORGET_BIAS = 5.0
_SMALL = 0.01


class LSTMAlgorithm(InnerLoopAlgorithm):
    """Take steps of an LSTM."""

    can_be_recorded: ClassVar[bool] = True

    def skips_zero_gradient(self, state: State) -> bool:
        return False  # The forget gate changes weights without a gradient, too.

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        state = super().init_state(context, generator)
        # Size and direction of the gradient, and of the loss.
        state |= lstm_weights("lstm", 4, self.settings.n_hidden, generator)
        biases = {
            "forget": _FORGET_BIAS,
            "input": math.log(self.settings.inner_lr / (1 - self.settings.inner_lr)),
        }
        for name, bias in biases.items():
            weight = torch.empty(self.settings.n_hidden + 2).uniform_(
                -_SMALL, _SMALL, generator=generator
            )
            state |= {f"gate.{name}.weight": weight, f"gate.{name}.bias": torch.tensor([bias])}
        return state

    def update(
        self, state: State, fast: State, gradient: State, memory: Memory, value: Tensor
    ) -> tuple[State, Memory]:
        """Take one step of both LSTMs (section 3.1, equation 2 and those after it)."""
        theta, slope = ravel(fast), ravel(gradient)
        loss = preprocess_gradient(value)[:, None].expand(2, len(theta))
        seen = torch.cat([preprocess_gradient(slope), loss])
        hidden, cell = lstm_cell(state, "lstm", seen, memory.get("hidden"), memory.get("cell"))
        # Before the first step, gates are those of a cell that keeps everything.
        before = memory.get("gates", torch.tensor([[1.0], [0.0]]).to(theta))
        weight = torch.stack([state[f"gate.{n}.weight"] for n in ("forget", "input")])
        bias = torch.stack([state[f"gate.{n}.bias"] for n in ("forget", "input")])
        w_hidden, w_theta, w_before = weight.split([len(hidden), 1, 1], 1)
        gates = torch.addmm(bias, w_hidden, hidden) + w_theta * theta + w_before * before
        gates = torch.sigmoid(gates)
        forget, step_size = gates.unbind()
        theta = forget * theta - step_size * slope
        return unravel(theta, fast), {"hidden": hidden, "cell": cell, "gates": gates}


class LSTMMetaLearner(GradientLearner):
    """An optimizer that is an LSTM, learned together with the weights that it starts from.

    Weights theta are the cell state of an LSTM cell: theta' = f * theta - i * gradient, entry by
    entry. A first LSTM, the same for all entries, reads each entry's gradient and the support
    loss; its output, the entry and the gate's last value decide how much is kept (f) and the
    step size (i). ``inner_lr`` is where the step size starts. :ref:`gradient-steps` has the
    differences from the paper.

    Parameters
    ----------
    n_hidden : int, default=20
        Hidden units of the learned optimizer's LSTM, which has a state for each weight.
    meta_lr : float or "auto", default="auto"
        Step size of the outer loop (beta in the papers) at its start; ``auto``: 0.02 for
        regressions, else 0.002.

    References
    ----------
    Ravi and Larochelle (2017), Optimization as a model for few-shot learning, section 3 and
    algorithm 1.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import LSTMMetaLearner
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> learner = LSTMMetaLearner(n_iterations=5, validation=0, random_state=0)
    >>> learner.fit(X, y, groups=groups).prior_.learner
    'LSTMMetaLearner'
    """

    inner_lr: float = 0.01
    n_inner_steps: int = 5
    first_order: bool = True
    meta_lr: float | str = "auto"
    n_hidden: int = parameter(20, Interval(Integral, 1, None, closed="left"))

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "inner_lr": [Interval(Real, 0, 1, closed="neither")]
    }

    algorithm = LSTMAlgorithm

    def _choose_meta_lr(self, kind: str, new_classes: bool) -> float:
        return 0.02 if kind == "regression" else 0.002
