"""Labels and targets of synthetic tables, from scores of their rows.

Notation: b tasks, n rows, k scores of a row, c classes of a task (at most 10).
"""

import math

import torch
from torch import Tensor

from benchmarks.make.synthetic_tables.functions import integers, normal, standardize, uniform

MAX_CLASSES = 10


def _noise_level(generator: torch.Generator, b: int) -> Tensor:
    level = torch.exp(uniform(generator, b, low=math.log(0.01), high=math.log(1.5)))
    return torch.where(uniform(generator, b) < 0.2, 0.0, level)[:, None]


def to_classes(
    generator: torch.Generator, scores: Tensor, n_samples: int, n_classes: int | None
) -> Tensor:
    """Return class positions (b, n): the highest score, or the interval of one score."""
    b, n, _ = scores.shape
    if n_classes is None:
        most = max(2, min(MAX_CLASSES, n_samples // 3))
        few = 2 + (uniform(generator, b) ** 2 * (most - 1)).long().clamp_max(most - 2)
        c = torch.where(uniform(generator, b) < 0.35, 2, few)[:, None]
    else:
        c = torch.full((b, 1), n_classes, device=scores.device)
    noise = _noise_level(generator, b)[:, :, None]
    scores = scores + noise * normal(generator, *scores.shape)
    # Standard deviation of the logarithms of the classes' shares.
    spread = 1.2 * uniform(generator, b, 1) * (uniform(generator, b, 1) < 0.6)
    spread = torch.where(uniform(generator, b, 1) < 0.1, 1.8, spread)
    bias = spread * normal(generator, b, MAX_CLASSES)
    absent = torch.arange(MAX_CLASSES, device=scores.device) >= c
    highest = (scores + bias[:, None]).masked_fill(absent[:, None], -math.inf).argmax(2)
    interval = _intervals(generator, scores[..., 0], bias, c)
    # With two classes, both ways are the same, except for functions with few values.
    by_interval = uniform(generator, b, 1) < 0.4
    y = torch.where(by_interval, interval, highest)
    flip = 0.25 * uniform(generator, b, 1) * (uniform(generator, b, 1) < 0.25)
    other = (uniform(generator, b, n) * c).long()
    return torch.where(uniform(generator, b, n) < flip, other, y)


def _intervals(generator: torch.Generator, score: Tensor, bias: Tensor, c: Tensor) -> Tensor:
    """Cut a score at random quantiles; a class may have several of the intervals."""
    b, n = score.shape
    n_cuts = 16
    repeated = uniform(generator, b, 1) < 0.3
    n_intervals = torch.where(repeated, (2 * c).clamp_max(n_cuts), c)
    index = torch.arange(n_cuts, device=score.device)[None]
    owner = torch.where(repeated, (uniform(generator, b, n_cuts) * c).long(), index)
    owner = torch.where(index < c, index, owner)
    shuffled = torch.argsort(uniform(generator, b, n_cuts) + (index >= n_intervals), 1)
    owner = owner.gather(1, shuffled)
    share = torch.exp(bias.gather(1, owner.clamp_max(MAX_CLASSES - 1)))
    share = share * (index < n_intervals)
    upper = torch.cumsum(share / share.sum(1, keepdim=True), 1)
    rank = score.argsort(1).argsort(1).to(score.dtype).add(0.5) / n
    at = torch.searchsorted(upper, rank).minimum(n_intervals - 1)
    return owner.gather(1, at)


def balance(generator: torch.Generator, y: Tensor, n_samples: int) -> Tensor:
    """Draw rows (b, n_samples) without replacement; in many tasks, favour rare classes."""
    b, n = y.shape
    member = torch.nn.functional.one_hot(y, MAX_CLASSES)
    count = member.sum(1).gather(1, y)
    power = torch.where(uniform(generator, b, 1) < 0.5, 1.0, uniform(generator, b, 1))
    power = torch.where(uniform(generator, b, 1) < 0.25, 0.0, power)
    gumbel = -torch.log(-torch.log(uniform(generator, b, n, low=1e-6, high=1 - 1e-6)))
    row = (gumbel - power * torch.log(count.to(gumbel.dtype))).topk(n_samples, 1).indices
    return row.gather(1, torch.argsort(uniform(generator, b, n_samples), 1))


def to_targets(generator: torch.Generator, score: Tensor) -> Tensor:
    """Return targets (b, n): scores with noise.

    In some tasks targets are skewed, heavy-tailed, rounded, counts, censored on one or both sides,
    or zero in many rows.
    """
    b, n = score.shape
    noise = normal(generator, b, n)
    # Student's t with three degrees of freedom.
    scale = torch.sqrt((normal(generator, b, n, 3) ** 2).mean(2) + 1e-3)
    noise = torch.where(uniform(generator, b, 1) < 0.2, noise / scale, noise)
    spread = torch.where(uniform(generator, b, 1) < 0.2, score.abs(), 1.0)
    t = score + _noise_level(generator, b) * noise * spread
    strength, shift = uniform(generator, b, 1), normal(generator, b, 1)
    kind = torch.where(uniform(generator, b, 1) < 0.45, 0, integers(generator, 1, 9, b, 1))
    skewed = torch.exp((0.3 + strength) * t.clamp(-5, 5))
    options = (
        skewed,
        t.sign() * t.abs() ** (0.5 + 2 * strength),
        t.maximum(-strength),
        torch.round(t * (1 + 3 * strength)),
        -torch.exp((0.3 + 0.7 * strength) * -t.clamp(-5, 5)),
        torch.floor(skewed * (1 + 5 * strength)),
        t.clamp(-2 * strength, 0.3 + 2 * strength),
        torch.where(t > 0.5 * shift, skewed, 0.0),
        torch.exp((1 + strength) * t.clamp(-5, 4)),
    )
    for k, option in enumerate(options, start=1):
        t = torch.where(kind == k, option, t)
    size = torch.exp(normal(generator, b, 1))
    return size * (standardize(t) + 2 * normal(generator, b, 1))
