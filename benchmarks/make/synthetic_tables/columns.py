"""Observed columns of synthetic tables.

Notation: b tasks, n rows, d columns. A latent column ``z`` becomes an observed column ``x``
(skewed, ordinal, categorical, a count, a date, ...) and a numeric effect ``u`` on labels.
"""

import math

import torch
from torch import Tensor

from benchmarks.make.synthetic_tables.functions import integers, normal, standardize, uniform

_MAX_LEVELS = 12


def observe(generator: torch.Generator, z: Tensor) -> tuple[Tensor, Tensor]:
    """Convert latent columns z (b, n, d), standardised, to observed ones and their effects."""
    b, _, d = z.shape
    rank = 0.5 * (1 + torch.erf(z / math.sqrt(2.0)))
    # The columns of a task are numeric, discrete or both. Numeric columns may be warped.
    share = torch.where(uniform(generator, b, 1) < 0.45, 0.0, uniform(generator, b, 1, high=1.3))
    is_discrete = (uniform(generator, b, d) < share)[:, None]
    numeric = _warp(generator, z, rank)
    level, code, effect, is_named = _discretize(generator, rank)
    discrete = torch.where(is_named, code, level)
    x = torch.where(is_discrete, discrete, numeric)
    u = torch.where(is_discrete, standardize(torch.where(is_named, effect, level)), z)
    scale = torch.exp(normal(generator, b, 1, d))
    shift = 2 * normal(generator, b, 1, d)
    x = torch.where(is_discrete, x, scale * (x + shift))
    is_date = (uniform(generator, b, 1, 1) < 0.1) & (uniform(generator, b, 1, d) < 0.2)
    date, season = _dates(generator, rank)
    return torch.where(is_date, date, x), torch.where(is_date, season, u)


def _dates(generator: torch.Generator, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Return days since some day, and effects: a trend, or a season of one to four periods."""
    b, _, d = rank.shape
    n_days = torch.exp(uniform(generator, b, 1, d, low=math.log(7), high=math.log(4000)))
    day = torch.floor(n_days * rank)
    angle = 2 * math.pi * (integers(generator, 1, 4, b, 1, d) * rank + uniform(generator, b, 1, d))
    trend = uniform(generator, b, 1, d) < 0.5
    start = 20_000 * uniform(generator, b, 1, d)
    return torch.floor(start) + day, standardize(torch.where(trend, rank, torch.cos(angle)))


def _warp(generator: torch.Generator, z: Tensor, rank: Tensor) -> Tensor:
    """Apply monotone maps, which keep the ranks of a column, except for rounding and clipping."""
    b, _, d = z.shape
    strength = uniform(generator, b, 1, d)
    warped = uniform(generator, b, 1, 1) < 0.7
    kind = torch.where(warped, integers(generator, 0, 11, b, 1, d), 0)
    x = z
    options = (
        torch.exp((0.3 + 2 * strength) * z.clamp(-5, 5)),
        -torch.exp((0.3 + strength) * -z.clamp(-5, 5)),
        z.sign() * z.abs() ** (0.3 + 3 * strength),
        rank,
        (z - strength).clamp_min(0),
        torch.exp(1.5 * (z - strength).clamp(0, 4)) - 1,
        torch.round((1 + 6 * strength) * z),
        torch.floor(torch.exp((0.5 + 1.5 * strength) * z.clamp(-5, 5) + 2 * strength)),
    )
    for k, option in enumerate(options, start=1):
        x = torch.where(kind == k, option, x)
    return x


def _discretize(generator: torch.Generator, rank: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ordered levels, unordered codes, effects of codes, and which columns have codes."""
    b, _, d = rank.shape
    most = torch.where(uniform(generator, b, 1, d) < 0.4, 2, _MAX_LEVELS)
    n_levels = 2 + (uniform(generator, b, 1, d) * (most - 1)).long().clamp_max(_MAX_LEVELS - 2)
    skew = torch.exp(normal(generator, b, 1, d))
    level = (n_levels * rank.clamp(1e-6, 1 - 1e-6) ** skew).long().minimum(n_levels - 1)
    codes = torch.argsort(uniform(generator, b, _MAX_LEVELS, d), 1).to(rank.dtype)
    effects = normal(generator, b, _MAX_LEVELS, d)
    is_named = uniform(generator, b, 1, d) < uniform(generator, b, 1, 1)
    return level.to(rank.dtype), codes.gather(1, level), effects.gather(1, level), is_named


def remove_values(generator: torch.Generator, x: Tensor, y: Tensor) -> Tensor:
    """Repeat columns of some tasks, and remove values of x (b, n, d), given labels y (b, n).

    Values are missing at random, above a threshold, for labels above a threshold, or in the same
    rows of several columns.
    """
    b, n, d = x.shape
    clumsy = (uniform(generator, b, 1, 1) < 0.12) & (uniform(generator, b, 1, d) < 0.3)
    another = x.roll(1, dims=2)
    another = torch.where(uniform(generator, b, 1, d) < 0.3, another[:, :1], another)
    x = torch.where(clumsy, another, x)
    touched = (uniform(generator, b, 1, 1) < 0.2) & (uniform(generator, b, 1, d) < 0.5)
    rate = 0.5 * uniform(generator, b, 1, d) ** 2
    # The same rows in all columns of some tasks.
    together = uniform(generator, b, 1, 1) < 0.2
    drawn = torch.where(together, uniform(generator, b, n, 1), uniform(generator, b, n, d))
    row = integers(generator, 0, n - 1, b, 1, d)
    high = x > x.gather(1, row)
    label_chance = (y[:, :, None] > y[:, :, None].expand(-1, -1, d).gather(1, row)) * rate
    kind = uniform(generator, b, 1, d)
    chance = torch.where(kind < 0.2, 0.5 * high, torch.where(kind < 0.3, label_chance, rate))
    return x.masked_fill((drawn < chance) & touched, math.nan)
