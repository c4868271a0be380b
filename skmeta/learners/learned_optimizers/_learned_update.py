"""Steps of learned optimizers: networks that are applied to each parameter separately.

A learned optimizer is either the network of :mod:`_mlp_rule`, or an LSTM of two layers with a
memory for each parameter (Andrychowicz et al. 2016, Learning to learn by gradient descent by
gradient descent, equations 2 and 3, and appendix A). A safeguard keeps both from diverging beyond
the steps that they were trained for.

Notation: n coordinates (all entries of all tensors that a task adapts), m inputs, h hidden units of
a network; theta (n,) the parameters, g (n,) the gradient, ``slope`` in code, L the loss, u (n,) the
learned update, t the number of steps done, T the horizon of the training. ``guard`` and ``memory``
are carried from step to step, and empty at first.

1. After T steps, u is shrunk by T / t. If it does not point downhill (u g > 0), a gradient step of
   the same length replaces it.
2. The loss, averaged over about ten steps, must stay below a bound. Up to step T, the bound is the
   first loss plus its absolute value. After it, the bound is the loss at step T plus a tenth of
   the decrease up to then. If the loss exceeds the bound, the parameters are reset to the best
   ones so far and gradient descent takes over. Its first step is half as long as the mean u; each
   time that the loss exceeds the bound again, the parameters are reset and the step size is halved.

Rule 1 needs no loss. Rule 2 keeps the loss below the bound, except for the few steps until the
average shows the rise: gradient descent lowers a smooth loss if its step size is small enough.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from skmeta._backend import State
from skmeta.learners.learned_optimizers._lstm_cell import lstm_step
from skmeta.learners.learned_optimizers._mlp_rule import make_layout, mlp_update, mlp_weights

Memory = dict[str, Any]
Shapes = tuple[tuple[torch.Size, ...], ...]

# "p = 10 worked well in our experiments" (Andrychowicz et al. 2016, appendix A).
_P = 10.0


def ravel(tensors: State) -> Tensor:
    """Return all entries of the tensors in one vector of shape (n,)."""
    return torch.cat([v.reshape(-1) for v in tensors.values()])


def unravel(values: Tensor, like: State) -> State:
    """Undo :func:`ravel`: return entries (n,) as tensors with the names and shapes of `like`."""
    pieces = values.split([v.numel() for v in like.values()])
    return {n: piece.reshape(like[n].shape) for n, piece in zip(like, pieces, strict=True)}


def preprocess_gradient(x: Tensor) -> Tensor:
    """Encode gradients (...) of many orders of magnitude by logarithm and sign, as pairs (2, ...).

    (log|x| / p, sign(x)) where |x| >= exp(-p), and (-1, exp(p) x) closer to zero, with p = 10:
    Andrychowicz et al. (2016), appendix A; Ravi and Larochelle (2017), section 3.2.
    """
    size = x.abs()
    large = size >= math.exp(-_P)
    # Both branches must be finite: an infinite one would make the gradient of the other NaN.
    log = torch.where(large, size, torch.ones_like(size)).log() / _P
    return torch.stack(
        [torch.where(large, log, -1.0), torch.where(large, x.sign(), math.exp(_P) * x)]
    )


def lstm_weights(name: str, n_inputs: int, n_hidden: int, generator: torch.Generator) -> State:
    """Draw the weights of an LSTM cell, with names that begin with `name`.

    They are ``{name}.weight`` (4 h, m + h) and ``{name}.bias`` (4 h,), of the input gate, the
    forget gate, the candidate and the output gate.
    """
    bound = n_hidden**-0.5
    weight = torch.empty(4 * n_hidden, n_inputs + n_hidden)
    bias = torch.zeros(4 * n_hidden)
    bias[n_hidden : 2 * n_hidden] = 1.0  # An open forget gate lets a gradient through.
    return {
        f"{name}.weight": weight.uniform_(-bound, bound, generator=generator),
        f"{name}.bias": bias,
    }


def lstm_cell(
    state: State,
    name: str,
    inputs: Tensor,
    hidden: Tensor | None = None,
    cell: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Take one step of an LSTM from inputs (m, n), and return its output and cell state (h, n)."""
    return lstm_step(state[f"{name}.weight"], state[f"{name}.bias"], inputs, hidden, cell)


Guard = dict[str, Tensor]

_SMOOTHING = 0.9
_TOLERANCE = 0.1
_TINY = 1e-30


def bound_step(update: Tensor, slope: Tensor, step: Tensor, horizon: Tensor) -> Tensor:
    """Shorten an update beyond the horizon and make it point downhill (rule 1)."""
    length = update.norm() / slope.norm().clamp_min(_TINY)
    downhill = torch.where((update * slope).sum() > 0, -slope * length, update)
    shrunk = downhill * (horizon / step.clamp_min(1.0))
    return torch.where(step < horizon, update, shrunk)


def guard_loss(
    guard: State, theta: Tensor, slope: Tensor, value: Tensor, step: Tensor, horizon: Tensor
) -> tuple[Guard, Tensor, Tensor]:
    """Compare the loss with the bound; if it is above, reset theta and g (rule 2).

    ``rate`` () in the guard is the step size of the gradient descent, and 0 until it takes over.
    """
    if not guard:
        zero = torch.zeros_like(value)
        guard = {"first": value, "smooth": value, "at_horizon": value, "best_value": value}
        guard |= {"best": theta, "best_slope": slope, "rate": zero, "length": zero}
    new = dict(guard)
    smooth = _SMOOTHING * guard["smooth"] + (1 - _SMOOTHING) * value
    better = value < guard["best_value"]
    for name, now in (("best_value", value), ("best", theta), ("best_slope", slope)):
        new[name] = torch.where(better, now, guard[name])
    first = guard["first"]
    new["at_horizon"] = torch.where(step <= horizon, smooth, guard["at_horizon"])
    gained = (first - new["at_horizon"]).clamp_min(0.0)
    after = new["at_horizon"] + _TOLERANCE * gained
    bound = torch.where(step < horizon, first + first.abs(), after)
    # NaN counts as above the bound.
    exceeded = ~(smooth <= bound)
    shorter = torch.where(
        guard["rate"] > 0,
        guard["rate"] / 2,
        guard["length"] / new["best_slope"].norm().clamp_min(_TINY) / 2,
    )
    new["rate"] = torch.where(exceeded, shorter, guard["rate"])
    new["smooth"] = torch.where(exceeded, new["best_value"], smooth)
    new["at_horizon"] = torch.where(exceeded, guard["at_horizon"], new["at_horizon"])
    theta = torch.where(exceeded, new["best"], theta)
    return new, theta, torch.where(exceeded, new["best_slope"], slope)


def select_step(guard: State, update: Tensor, slope: Tensor, step: Tensor) -> tuple[Guard, Tensor]:
    """Return the learned update, or a gradient step if gradient descent has taken over.

    ``length`` () in the guard is the mean length of the learned updates.
    """
    descends = guard["rate"] > 0
    mean = guard["length"] + (update.norm() - guard["length"]) / (step + 1)
    length = torch.where(descends, guard["length"], mean)
    return {**guard, "length": length}, torch.where(descends, -guard["rate"] * slope, update)


_LAYERS = ("lstm.0", "lstm.1")

RULE = ("lstm.", "out.", "mlp.", "horizon")
"""Prefixes of the names of the optimizer's own tensors."""


def initial_rule(network: str, n_hidden: int, horizon: int, generator: torch.Generator) -> State:
    """Draw the weights of the network that makes the steps, and add the horizon T.

    They are those of :mod:`_mlp_rule`, or ``lstm.*`` of two layers, ``out.weight`` (h,) and
    ``out.bias`` (1,). T is stored with the weights, because a new task may take another number of
    steps.
    """
    state: State = {"horizon": torch.tensor(float(horizon))}
    if network == "mlp":
        return state | mlp_weights(n_hidden, generator)
    for name, n_inputs in zip(_LAYERS, (2, n_hidden), strict=True):
        state |= lstm_weights(name, n_inputs, n_hidden, generator)
    bound = n_hidden**-0.5
    weight = torch.empty(n_hidden).uniform_(-bound, bound, generator=generator)
    return state | {"out.weight": weight, "out.bias": torch.zeros(1)}


def rule_update(
    state: State, lr: float, theta: Tensor, slope: Tensor, memory: Memory, networks: Shapes
) -> tuple[Tensor, Memory]:
    """Return the update (n,) of all coordinates of one or several networks, and the next memory.

    `networks` are the shapes of the tensors of each. In meta-training on tasks, the memory holds
    the scale of the loss.
    """
    if "mlp.entry.weight" in state:
        layout = make_layout(networks, theta.device, theta.dtype)
        return mlp_update(state, lr, theta, slope, memory, layout)
    seen = preprocess_gradient(slope * memory.get("loss_scale", 1.0))
    memory = dict(memory)
    for name in _LAYERS:
        before = (memory.get(f"{name}.{n}") for n in ("hidden", "cell"))
        seen, cell = lstm_cell(state, name, seen, *before)
        memory |= {f"{name}.hidden": seen, f"{name}.cell": cell}
    return lr * (state["out.weight"] @ seen + state["out.bias"]), memory


def learned_step(
    state: State,
    lr: float,
    fast: State,
    gradient: State,
    memory: Memory,
    value: Tensor | None,
) -> tuple[State, Memory]:
    """Take one step, theta' = theta + update, and return it with the memory of the next step.

    `fast` and `gradient` have the same order; `value` is the loss, if known. In meta-training, the
    first memory holds the scales of the task, and the steps are not safeguarded.
    """
    theta, slope = ravel(fast), ravel(gradient)
    memory = dict(memory) or {"guard": {}}
    step = memory.get("step", theta.new_zeros(()))
    is_guarded = "guard" in memory
    if is_guarded and value is not None:
        memory["guard"], theta, slope = guard_loss(
            memory["guard"], theta, slope, value, step, state["horizon"]
        )
    shapes = tuple(v.shape for v in fast.values())
    update, memory = rule_update(state, lr, theta, slope, memory, (shapes,))
    if is_guarded:
        update = bound_step(update, slope, step, state["horizon"])
    if is_guarded and value is not None:
        memory["guard"], update = select_step(memory["guard"], update, slope, step)
    return unravel(theta + update, fast), memory | {"step": step + 1}
