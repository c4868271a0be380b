"""The step of the learned optimizer: an LSTM of two layers for each parameter, and a safeguard.

Notation: n parameters, h hidden units; theta the parameters, u their update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.learners.learned_optimizers._recurrent import (
    lstm_cell,
    lstm_weights,
    preprocess_gradient,
    ravel,
    unravel,
)
from skmeta.learners.learned_optimizers._safeguard import bound_step, guard_loss, select_step

_LAYERS = ("lstm.0", "lstm.1")

RULE = ("lstm.", "out.", "horizon")
"""Prefixes of the names of the optimizer's own tensors."""


def initial_rule(n_hidden: int, horizon: int, generator: torch.Generator) -> State:
    """Draw the weights of the two layers and of their output.

    Parameters
    ----------
    n_hidden : int
        h.
    horizon : int
        Number of steps that it is trained for. It is stored with the weights, since a new task
        may take another number of steps.
    generator : torch.Generator
        Source of the random numbers.

    Returns
    -------
    dict of Tensor
        ``lstm.*``, ``out.weight`` (h,), ``out.bias`` (1,), ``horizon`` ().
    """
    state: State = {}
    for name, n_inputs in zip(_LAYERS, (2, n_hidden), strict=True):
        state |= lstm_weights(name, n_inputs, n_hidden, generator)
    bound = n_hidden**-0.5
    weight = torch.empty(n_hidden).uniform_(-bound, bound, generator=generator)
    return state | {
        "out.weight": weight,
        "out.bias": torch.zeros(1),
        "horizon": torch.tensor(float(horizon)),
    }


def learned_step(
    state: Mapping[str, Tensor],
    lr: float,
    fast: State,
    gradient: State,
    memory: Mapping[str, Any],
    value: Tensor | None,
) -> tuple[State, dict[str, Any]]:
    """Take one step: theta' = theta + u.

    Parameters
    ----------
    state : mapping of str to Tensor
        The optimizer's tensors, from :func:`initial_rule`.
    lr : float
        What the output is multiplied by.
    fast, gradient : dict of Tensor
        theta, and its gradient, in one order.
    memory : mapping
        What the previous step returned; empty at the first step. In meta-training, it holds the
        scales of the task at first, and the steps are not safeguarded.
    value : Tensor of shape () or None
        The loss, if it is known.

    Returns
    -------
    fast : dict of Tensor
        theta'.
    memory : dict
        For the next step.

    References
    ----------
    Andrychowicz et al. (2016), Learning to learn by gradient descent by gradient descent,
    equations 2 and 3, and appendix A.
    """
    theta, slope = ravel(fast), ravel(gradient)
    memory = dict(memory) or {"guard": {}}
    step = memory.get("step", theta.new_zeros(()))
    is_guarded = "guard" in memory
    if is_guarded and value is not None:
        memory["guard"], theta, slope = guard_loss(
            memory["guard"], theta, slope, value, step, state["horizon"]
        )
    seen = preprocess_gradient(slope * memory.get("loss_scale", 1.0))
    for name in _LAYERS:
        before = (memory.get(f"{name}.{n}") for n in ("hidden", "cell"))
        seen, cell = lstm_cell(state, name, seen, *before)
        memory |= {f"{name}.hidden": seen, f"{name}.cell": cell}
    update = lr * (state["out.weight"] @ seen + state["out.bias"])
    if is_guarded:
        update = bound_step(update, slope, step, state["horizon"])
    if is_guarded and value is not None:
        memory["guard"], update = select_step(memory["guard"], update, slope, step)
    return unravel(theta + update, fast), memory | {"step": step + 1}
