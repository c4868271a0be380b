"""Steps of the learned optimizer ``network="mlp"``: Adam with a learned schedule and corrections.

It has the parts of small learned optimizers (Metz et al. 2022, Practical tradeoffs between memory,
compute, and performance in learned optimizers, section 3), as a residual of Adam: with the weights
that it is drawn with, a step is one of Adam with a step size.

Notation: N coordinates (all entries of all tensors), S tensors, theta (N,) the parameters, g (N,)
the gradient, u (N,) the update before, t the number of steps done, T the horizon. For each beta_k
in ``BETAS``, m_k (N,) is the mean of the gradients with weights beta_k^age, and v (N,) that of
their squares with ``BETA_OF_SQUARES``. Then d_k = m_k / sqrt(v) are directions without scale.

A tensor's unit (S,) is 1 / sqrt(n_inputs) for weights of a layer with n_inputs inputs, because then
a step of one unit changes the outputs of a wide layer as much as those of a narrow one. A vector,
such as the biases, has 1 / 8.

1. A network for each tensor reads its kind, its position, root mean squares, t and T, the number of
   tensors, and the alignment cos(-g, u), averaged over about five steps, of this tensor and of its
   whole network. The alignment is negative if steps are too large (Baydin et al. 2018, Online
   learning rate adaptation with hypergradient descent). The network returns the logarithm r of a
   step size, a change of the level l <= 0 of the tensor, weights p_k of the directions (they sum
   to 1), and b (H,).
2. A network for each coordinate reads d_k, theta / rms(theta), log(v / mean v) and b. It returns
   the logarithm e <= 0 of a factor, and a direction a.
3. theta' = theta - lr unit (1 - 0.95 t / T) exp(r + l) (exp(e) sum_k p_k d_k + a).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skmeta._backend import State

BETAS = (0.0, 0.5, 0.9, 0.97)
BETA_OF_SQUARES = 0.99
# With the initial weights, direction 0.9 has almost all of the weight, as in Adam.
_FIRST_MIX = (-2.0, -1.0, 3.0, -1.0)
_ADAM = BETAS.index(0.9)
# With lr = 0.1, Adam's step size is 0.4 units.
_FIRST_LOG_RATE = 1.386
_MAX_LOG_RATE = 4.0
# Neither the level nor the factor of a coordinate makes a step longer. Where they could, losses of
# deep networks of tanh were higher after 100 steps (one prior, development networks).
_MIN_LEVEL, _MAX_LEVEL = -5.0, 0.0
_LARGEST_CHANGE = 0.2
# The step size falls to this share of itself.
_LAST = 0.05
_SMOOTHING = 0.8
_UNIT_OF_VECTORS = 1 / 8
_N_TENSOR_HIDDEN = 16
_N_TENSOR_INPUTS = 14
_TINY = 1e-12


class NetworkLayout(NamedTuple):
    """Which tensor each coordinate belongs to (N,), and which network each tensor (S,).

    ``size`` (S,) counts coordinates, ``n_tensors`` (n_networks,) counts tensors, ``unit`` (S,) are
    the units of the tensors, and ``fixed`` (S, 3) are inputs that do not change.
    """

    tensor: Tensor
    network: Tensor
    size: Tensor
    n_tensors: Tensor
    unit: Tensor
    fixed: Tensor


@lru_cache(maxsize=64)
def make_layout(
    networks: tuple[tuple[torch.Size, ...], ...], device: torch.device, dtype: torch.dtype
) -> NetworkLayout:
    """Describe the tensors of one or several networks, in the order of their coordinates."""
    sizes, units, fixed = [], [], []
    for shapes in networks:
        for i, shape in enumerate(shapes):
            n, is_matrix = shape.numel(), len(shape) > 1
            sizes.append(n)
            n_inputs = max(1, n // max(1, shape[0])) if is_matrix else 1
            units.append(n_inputs**-0.5 if is_matrix else _UNIT_OF_VECTORS)
            position = i / max(1, len(shapes) - 1)
            fixed.append([float(is_matrix), position, math.log(len(shapes)) / 2])
    kind: dict[str, Any] = {"device": device, "dtype": dtype}
    counts = torch.tensor([len(shapes) for shapes in networks], device=device)
    size = torch.tensor(sizes, device=device)
    return NetworkLayout(
        torch.repeat_interleave(size),
        torch.repeat_interleave(counts),
        size.clamp_min(1).to(dtype),
        counts.clamp_min(1).to(dtype),
        torch.tensor(units, **kind),
        torch.tensor(fixed, **kind),
    )


def mlp_weights(n_hidden: int, generator: torch.Generator) -> State:
    """Draw the weights of both networks; the last layers are zero, but for their biases."""

    def drawn(n_outputs: int, n_inputs: int) -> Tensor:
        values = torch.randn(n_outputs, n_inputs, generator=generator)
        return values / math.sqrt(n_inputs)

    return {
        "mlp.tensor.weight": drawn(_N_TENSOR_HIDDEN, _N_TENSOR_INPUTS),
        "mlp.tensor.bias": torch.zeros(_N_TENSOR_HIDDEN),
        "mlp.tensor.out.weight": torch.zeros(2 + len(BETAS) + n_hidden, _N_TENSOR_HIDDEN),
        "mlp.tensor.out.bias": torch.tensor([_FIRST_LOG_RATE, 0.0, *_FIRST_MIX, *[0.0] * n_hidden]),
        "mlp.entry.weight": drawn(n_hidden, len(BETAS) + 2),
        "mlp.entry.out.weight": torch.zeros(2, n_hidden),
    }


def mlp_update(
    rule: State,
    lr: float,
    theta: Tensor,
    slope: Tensor,
    memory: Mapping[str, Any],
    layout: NetworkLayout,
) -> tuple[Tensor, dict[str, Any]]:
    """Return the update (N,), and the memory of the next step."""
    step = memory.get("step", theta.new_zeros(()))
    means, v, directions = _averages(theta, slope, memory, step)
    before = memory.get("update", torch.zeros_like(theta))
    statistics = _mean(
        torch.stack(
            [
                *(theta * theta, v, directions[_ADAM] ** 2, slope * slope),
                *(before * before, -slope * before),
            ],
            1,
        ),
        layout,
    )
    squares, along = (statistics[:, :-1] + _TINY**2), statistics[:, -1]
    theta_square, mean_v, noise, slope_square, length = squares.unbind(1)
    cosine = along * slope_square.rsqrt() * length.rsqrt()
    zero = torch.zeros_like(cosine)
    aligned = _SMOOTHING * memory.get("aligned", zero) + (1 - _SMOOTHING) * cosine
    level = memory.get("level", zero)
    done = (step / rule["horizon"]).clamp_max(1.0)
    ones = torch.ones_like(mean_v)
    seen = torch.stack(
        [
            *layout.fixed.unbind(1),
            (theta_square.log() / 2 - layout.unit.log()).clamp_min(-7.0) / 2,
            noise.log(),
            (slope_square / mean_v).log() / 2,
            *(4 * aligned, 4 * _mean_of_network(aligned, layout), level / 2),
            *(ones * x for x in (done, done**4, (1 + step).log() / 4)),
            *(ones * x for x in (rule["horizon"].log() / 4, 1 / (1 + step))),
        ]
    )
    hidden = torch.tanh(rule["mlp.tensor.weight"] @ seen + rule["mlp.tensor.bias"][:, None])
    out = rule["mlp.tensor.out.weight"] @ hidden + rule["mlp.tensor.out.bias"][:, None]
    log_rate, change, mix, bias = out.split([1, 1, len(BETAS), len(out) - 2 - len(BETAS)])
    level = (level + _LARGEST_CHANGE * torch.tanh(change[0])).clamp(_MIN_LEVEL, _MAX_LEVEL)
    schedule = lr * (1 - (1 - _LAST) * done)
    rate = schedule * layout.unit * (log_rate + level).clamp_max(_MAX_LOG_RATE).exp()
    scales = torch.stack([theta_square.rsqrt(), mean_v.log()])
    spread = torch.cat([rate, torch.softmax(mix, 0), scales, bias]).index_select(1, layout.tensor)
    rates, weights, (scale, log_v), bias = spread.split([1, len(BETAS), 2, len(bias)])
    relative = torch.stack(
        [(theta * scale).clamp(-5.0, 5.0), (v.log() - log_v).clamp(-12.0, 4.0) / 4]
    )
    entries = torch.cat([directions, relative])
    hidden = torch.tanh(rule["mlp.entry.weight"] @ entries + bias)
    log_factor, direction = rule["mlp.entry.out.weight"] @ hidden
    factor = log_factor.clamp_max(_MAX_LEVEL).exp()
    update = -rates[0] * (factor * (weights * directions).sum(0) + direction)
    return update, {**memory, **means, "update": update, "aligned": aligned, "level": level}


def _averages(
    theta: Tensor, slope: Tensor, memory: Mapping[str, Any], step: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return the running means, v (N,) and the directions (k, N), without the bias of the start."""
    betas = theta.new_tensor(BETAS)[:, None]
    mean = memory.get("mean", theta.new_zeros(len(BETAS), len(theta)))
    square = memory.get("square", torch.zeros_like(theta))
    mean = betas * mean + (1 - betas) * slope
    square = BETA_OF_SQUARES * square + (1 - BETA_OF_SQUARES) * slope * slope
    v = square / (1 - BETA_OF_SQUARES ** (step + 1)) + _TINY**2
    directions = mean / (1 - betas ** (step + 1)) * v.rsqrt()
    return {"mean": mean, "square": square}, v, directions


def _mean(values: Tensor, layout: NetworkLayout) -> Tensor:
    """Take the mean of values (N, j) over the coordinates of each tensor, (S, j)."""
    total = values.new_zeros(len(layout.size), values.shape[1])
    return total.index_add(0, layout.tensor, values) / layout.size[:, None]


def _mean_of_network(values: Tensor, layout: NetworkLayout) -> Tensor:
    """Take the mean of values (S,) over the tensors of each network; return it for each, (S,)."""
    total = values.new_zeros(len(layout.n_tensors)).index_add(0, layout.network, values)
    return (total / layout.n_tensors).index_select(0, layout.network)
