"""What keeps a learned optimizer from diverging where it was not trained.

Notation: theta the parameters, g the gradient, L the loss, u the learned update, t the number of
steps done, T the horizon of the training.

1. After T steps u shrinks as T / t, and if it does not point downhill (u g > 0) a gradient step of
   its length takes its place.
2. The loss, smoothed over some ten steps, must stay below a ceiling: the first loss and as much
   again within the horizon; after it, the loss at T and a tenth of what had been gained by then.
   Where it does not, parameters go back to the best ones seen, and gradient descent goes on from
   there: its first step is half as long as the mean u so far, and each time that the loss meets
   the ceiling again, parameters go back and the step size is halved.

The first needs no loss. With the second, the loss stays below the ceiling but for the steps that it
takes to notice: gradient descent lowers a smooth loss once its step size is small enough.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Guard = dict[str, Tensor]

_SMOOTHING = 0.9
_TOLERANCE = 0.1
_TINY = 1e-30


def bound_step(update: Tensor, slope: Tensor, step: Tensor, horizon: Tensor) -> Tensor:
    """Keep an update beyond the horizon short and downhill.

    Parameters
    ----------
    update, slope : Tensor of shape (n,)
        u and g.
    step, horizon : Tensor of shape ()
        t and T.

    Returns
    -------
    Tensor of shape (n,)
        The update; as given within the horizon.
    """
    length = update.norm() / slope.norm().clamp_min(_TINY)
    downhill = torch.where((update * slope).sum() > 0, -slope * length, update)
    shrunk = downhill * (horizon / step.clamp_min(1.0))
    return torch.where(step < horizon, update, shrunk)


def guard_loss(
    guard: Mapping[str, Tensor],
    theta: Tensor,
    slope: Tensor,
    value: Tensor,
    step: Tensor,
    horizon: Tensor,
) -> tuple[Guard, Tensor, Tensor]:
    """Compare the loss with the ceiling, and go back if it is above.

    Parameters
    ----------
    guard : mapping of str to Tensor
        What the call before returned; empty at the first one.
    theta, slope : Tensor of shape (n,)
        Where the loss was taken, and its gradient.
    value : Tensor of shape ()
        L.
    step, horizon : Tensor of shape ()
        t and T.

    Returns
    -------
    guard : dict of Tensor
        ``rate`` () is the step size of the gradient descent; 0 as long as there is none.
    theta, slope : Tensor of shape (n,)
        As given, or the best ones.
    """
    if not guard:
        zero = torch.zeros_like(value)
        guard = {"first": value, "smooth": value, "at_horizon": value, "best_value": value}
        guard |= {"best": theta, "best_slope": slope, "rate": zero, "length": zero}
    new = dict(guard)
    smooth = _SMOOTHING * guard["smooth"] + (1 - _SMOOTHING) * value
    better = value < guard["best_value"]
    for name, found in (("best_value", value), ("best", theta), ("best_slope", slope)):
        new[name] = torch.where(better, found, guard[name])
    first = guard["first"]
    new["at_horizon"] = torch.where(step <= horizon, smooth, guard["at_horizon"])
    gained = (first - new["at_horizon"]).clamp_min(0.0)
    after = new["at_horizon"] + _TOLERANCE * gained
    ceiling = torch.where(step < horizon, first + first.abs(), after)
    # A loss that is no number is above any ceiling.
    tripped = ~(smooth <= ceiling)
    shorter = torch.where(
        guard["rate"] > 0,
        guard["rate"] / 2,
        guard["length"] / new["best_slope"].norm().clamp_min(_TINY) / 2,
    )
    new["rate"] = torch.where(tripped, shorter, guard["rate"])
    new["smooth"] = torch.where(tripped, new["best_value"], smooth)
    new["at_horizon"] = torch.where(tripped, guard["at_horizon"], new["at_horizon"])
    theta = torch.where(tripped, new["best"], theta)
    return new, theta, torch.where(tripped, new["best_slope"], slope)


def select_step(
    guard: Mapping[str, Tensor], update: Tensor, slope: Tensor, step: Tensor
) -> tuple[Guard, Tensor]:
    """Take the learned update, or the gradient step if the guard has gone over to it.

    Parameters
    ----------
    guard : mapping of str to Tensor
        What :func:`guard_loss` returned.
    update, slope : Tensor of shape (n,)
        u and g.
    step : Tensor of shape ()
        t.

    Returns
    -------
    guard : dict of Tensor
        With the mean length of the learned updates in ``length`` ().
    update : Tensor of shape (n,)
        To add to the parameters.
    """
    descends = guard["rate"] > 0
    mean = guard["length"] + (update.norm() - guard["length"]) / (step + 1)
    length = torch.where(descends, guard["length"], mean)
    return {**guard, "length": length}, torch.where(descends, -guard["rate"] * slope, update)
