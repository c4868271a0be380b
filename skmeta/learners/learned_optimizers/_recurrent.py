"""Recurrent networks that are applied to each parameter separately, with one state for each.

Notation: n coordinates (all entries of all tensors that a task adapts), m inputs, h hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from skmeta.backend import State

# "p = 10 worked well in our experiments" (Andrychowicz et al. 2016, appendix A).
_P = 10.0


def ravel(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return all entries of the tensors in one vector of shape (n,)."""
    return torch.cat([v.reshape(-1) for v in tensors.values()])


def unravel(values: Tensor, like: Mapping[str, Tensor]) -> State:
    """Undo :func:`ravel`.

    Parameters
    ----------
    values : Tensor of shape (n,)
        The entries.
    like : mapping of str to Tensor
        Names and shapes.

    Returns
    -------
    dict of Tensor
        With the names and shapes of ``like``.
    """
    pieces = values.split([v.numel() for v in like.values()])
    return {n: piece.reshape(like[n].shape) for n, piece in zip(like, pieces, strict=True)}


def preprocess_gradient(x: Tensor) -> Tensor:
    """Encode gradients that span many orders of magnitude by their logarithm and sign.

    (log|x| / p, sign(x)) where |x| >= exp(-p), and (-1, exp(p) x) closer to zero, with p = 10.

    Parameters
    ----------
    x : Tensor of shape (...)
        The numbers.

    Returns
    -------
    Tensor of shape (2, ...)
        The pairs.

    References
    ----------
    Andrychowicz et al. (2016), Learning to learn by gradient descent by gradient descent,
    appendix A. Ravi and Larochelle (2017), section 3.2.
    """
    size = x.abs()
    large = size >= math.exp(-_P)
    # Both branches must be finite: an infinite one would make the gradient of the other NaN.
    log = torch.where(large, size, torch.ones_like(size)).log() / _P
    return torch.stack(
        [torch.where(large, log, -1.0), torch.where(large, x.sign(), math.exp(_P) * x)]
    )


def lstm_weights(name: str, n_inputs: int, n_hidden: int, generator: torch.Generator) -> State:
    """Draw the weights of an LSTM cell.

    Parameters
    ----------
    name : str
        Prefix of the tensors' names.
    n_inputs, n_hidden : int
        m and h.
    generator : torch.Generator
        Source of the random numbers.

    Returns
    -------
    dict of Tensor
        ``{name}.weight`` (4 h, m + h) and ``{name}.bias`` (4 h,), of the input gate, the forget
        gate, the candidate and the output gate.
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
    state: Mapping[str, Tensor],
    name: str,
    inputs: Tensor,
    hidden: Tensor | None = None,
    cell: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Take one step of an LSTM, the same for every coordinate.

    Coordinates lie along the last axis, so that each gate is one block of memory. This halves the
    time.

    Parameters
    ----------
    state : mapping of str to Tensor
        With the weights of :func:`lstm_weights`.
    name : str
        Prefix of their names.
    inputs : Tensor of shape (m, n)
        Inputs of each coordinate.
    hidden, cell : Tensor of shape (h, n), optional
        What the previous step returned. None means zeros, which are skipped.

    Returns
    -------
    hidden, cell : Tensor of shape (h, n)
        For the next step; ``hidden`` is the output.
    """
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"][:, None]
    seen = inputs if hidden is None else torch.cat([inputs, hidden])
    i, f, candidate, o = torch.addmm(bias, weight[:, : len(seen)], seen).chunk(4)
    new = torch.sigmoid(i) * torch.tanh(candidate)
    if cell is not None:
        new = torch.addcmul(new, torch.sigmoid(f), cell)
    return torch.sigmoid(o) * torch.tanh(new), new
