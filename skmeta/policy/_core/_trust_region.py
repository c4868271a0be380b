"""Natural gradient steps within a trust region.

Notation: g the gradient of the loss, F the Hessian of the divergence, delta its largest value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skmeta.backend import Execution, State

_N_CONJUGATE_STEPS = 10
_DAMPING = 1e-2
_N_HALVINGS = 10


def trust_region_step(
    loss: Callable[[State, Any], tuple[Tensor, Any]],
    kl: Callable[[State, Any], Tensor],
    state: State,
    tasks: Any,
    execution: Execution,
    max_kl: float,
) -> tuple[State, Tensor]:
    """Return the step that lowers the mean loss over tasks most, within the divergence.

    The direction solves F s = g by conjugate gradients, with products of F and a vector by double
    differentiation. It is scaled to a divergence of delta, and halved until the loss falls and the
    divergence is at most delta.

    Parameters
    ----------
    loss : callable
        Takes the state and one task, returns a scalar and what is recorded.
    kl : callable
        Takes the state and one task, returns the divergence; it is 0 at ``state``.
    state : dict of Tensor
        Where the step begins.
    tasks : tree of tensors
        Stacked along axis 0.
    execution : Execution
        How tasks are computed.
    max_kl : float
        delta.

    Returns
    -------
    step : dict of Tensor
        To subtract from the state; zero if no step is better than none.
    loss : Tensor of shape ()
        Mean loss at ``state``.

    References
    ----------
    Schulman et al. (2015), Trust region policy optimization, appendix C.
    """
    gradient, before = execution.gradient(loss, state, tasks)

    def product(vector: State) -> State:
        def of_one(task: Any) -> State:
            slope = torch.func.grad(partial(_swapped, kl, task))
            product: State = torch.func.grad(lambda at: _dot(slope(at), vector))(state)
            return product

        with torch.no_grad():
            curved: State = execution.mean(of_one, tasks)
        return {n: curved[n] + _DAMPING * v for n, v in vector.items()}

    direction = _conjugate_gradients(product, gradient)
    curvature = _dot(direction, product(direction))
    if not bool(curvature > 0):
        return {n: torch.zeros_like(v) for n, v in state.items()}, before
    scale = torch.sqrt(2 * max_kl / curvature)
    step = {n: scale * v for n, v in direction.items()}
    for _ in range(_N_HALVINGS):
        at = {n: v - step[n] for n, v in state.items()}
        with torch.no_grad():
            after, divergence = execution.mean(partial(_both, loss, kl, at), tasks)
        if bool(after < before) and bool(divergence <= max_kl):
            return step, before
        step = {n: 0.5 * v for n, v in step.items()}
    return {n: torch.zeros_like(v) for n, v in state.items()}, before


def _swapped(kl: Callable[[State, Any], Tensor], task: Any, state: State) -> Tensor:
    return kl(state, task)


def _both(
    loss: Callable[[State, Any], tuple[Tensor, Any]],
    kl: Callable[[State, Any], Tensor],
    state: State,
    task: Any,
) -> tuple[Tensor, Tensor]:
    return loss(state, task)[0], kl(state, task)


def _dot(a: State, b: State) -> Tensor:
    return torch.stack([(a[n] * b[n]).sum() for n in a]).sum()


def _conjugate_gradients(product: Callable[[State], State], right: State) -> State:
    """Solve ``product(x) = right`` approximately (Hestenes and Stiefel 1952)."""
    x = {n: torch.zeros_like(v) for n, v in right.items()}
    rest, along = dict(right), dict(right)
    size = _dot(rest, rest)
    for _ in range(_N_CONJUGATE_STEPS):
        if not bool(size > 1e-20):
            break
        curved = product(along)
        rate = size / _dot(along, curved)
        x = {n: v + rate * along[n] for n, v in x.items()}
        rest = {n: v - rate * curved[n] for n, v in rest.items()}
        new = _dot(rest, rest)
        along = {n: v + (new / size) * along[n] for n, v in rest.items()}
        size = new
    return x
