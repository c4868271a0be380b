"""Batches of synthetic tables of one shape, as tensors.

Notation: b tasks, n rows, d columns, c classes of a task (at most 10). A task is made in four
steps:

1. Draw latent columns ``z`` (b, n, d): correlated normals, clusters, or nodes of a random causal
   network.
2. Convert each to an observed column ``x`` (skewed, ordinal, categorical, ...) and a numeric
   effect ``u`` (``_columns``).
3. Compute scores: random functions of the effects, or further nodes of the causal network.
4. Compute labels or targets from the scores (``_targets``), repeat a few columns, and remove
   values (``_columns``).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.make.synthetic_tables.columns import observe, remove_values
from benchmarks.make.synthetic_tables.functions import (
    ACTIVATIONS,
    FUNCTIONS,
    activate,
    integers,
    linear,
    normal,
    standardize,
    uniform,
)
from benchmarks.make.synthetic_tables.targets import MAX_CLASSES, balance, to_classes, to_targets

# Share of tasks whose columns are correlated normals, clusters, or nodes of a causal network.
_LATENTS = (0.45, 0.20, 0.35)
# Share of the tasks with a causal network, or with clusters, whose labels come from the latent
# structure instead of a function of the columns.
_FROM_NODES = 0.6
_FROM_CLUSTERS = 0.7


class Latents(NamedTuple):
    """Columns before they are observed: z (b, n, d), standardised.

    ``scores`` (b, n, 10) are those of the classes by the latent structure, and ``is_own`` (b,) says
    whether the labels follow them instead of a function of the columns.
    """

    z: Tensor
    scores: Tensor
    is_own: Tensor


def draw_tables(
    generator: torch.Generator,
    n_tasks: int,
    n_samples: int,
    n_features: int,
    *,
    kind: str = "classification",
    n_classes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw tasks of one shape, on the generator's device.

    Returns x (n_tasks, n_samples, n_features), float32, with NaN for missing values, and y
    (n_tasks, n_samples): class positions (int64), or targets (float32). By default, 2 to 10 classes
    are drawn, at most a third of the number of rows, small numbers more often. A class may have no
    rows.
    """
    # Classes are balanced by leaving rows out, so twice as many rows are drawn.
    n_pool = 2 * n_samples if kind == "classification" else n_samples
    latents = _draw_latents(generator, n_tasks, max(n_pool, 16), n_features)
    x, u = observe(generator, latents.z)
    if kind == "regression":
        scores = _draw_scores(generator, u, latents, 1)
        y = to_targets(generator, scores[..., 0])
        x, y = x[:, :n_samples], y[:, :n_samples]
    else:
        scores = _draw_scores(generator, u, latents, MAX_CLASSES)
        y = to_classes(generator, scores, n_samples, n_classes)
        row = balance(generator, y, n_samples)
        y = y.gather(1, row)
        x = x.gather(1, row[:, :, None].expand(-1, -1, n_features))
    return remove_values(generator, x, y), y


def _draw_latents(generator: torch.Generator, b: int, n: int, d: int) -> Latents:
    n_normal, n_clusters = (round(share * b) for share in _LATENTS[:2])
    sizes = (n_normal, n_clusters, b - n_normal - n_clusters)
    makers = (_correlated, _clustered, _causal)
    drawn = [
        make(generator, size, n, d) for make, size in zip(makers, sizes, strict=True) if size > 0
    ]
    if b < 4:  # With so few tasks, rounded shares would never draw some of the kinds.
        make = makers[int(torch.multinomial(torch.tensor(_LATENTS), 1, generator=_cpu(generator)))]
        drawn = [make(generator, b, n, d)]
    z, scores, is_own = (torch.cat(part) for part in zip(*drawn, strict=True))
    return Latents(standardize(z), standardize(scores), is_own)


def _cpu(generator: torch.Generator) -> torch.Generator:
    if generator.device.type == "cpu":
        return generator
    return torch.Generator().manual_seed(int(integers(generator, 0, 2**31 - 1, 1)))


def _correlated(generator: torch.Generator, b: int, n: int, d: int) -> Latents:
    n_factors = int(integers(generator, 1, max(1, d // 2), 1))
    factors = normal(generator, b, n, n_factors) @ normal(generator, b, n_factors, d)
    share = uniform(generator, b, 1, d) * (uniform(generator, b, 1, 1) < 0.6)
    own = normal(generator, b, n, d)
    # A few tasks have heavier tails than the normal distribution.
    tail = torch.sqrt(0.2 + -torch.log(uniform(generator, b, n, 1, low=0.01)))
    own = torch.where(uniform(generator, b, 1, 1) < 0.25, own * tail, own)
    z = own * torch.sqrt(1 - share) + factors * torch.sqrt(share / n_factors)
    return Latents(z, z.new_zeros(b, n, MAX_CLASSES), torch.zeros(b, device=z.device) > 0)


def _clustered(generator: torch.Generator, b: int, n: int, d: int) -> Latents:
    """Draw normal clusters. Each belongs to a class, and a class may have several clusters."""
    n_clusters = int(integers(generator, 2, 20, 1))
    distance = torch.exp(uniform(generator, b, 1, 1, low=-1.0, high=1.5))
    seen = uniform(generator, b, 1, d) < uniform(generator, b, 1, 1, low=0.1)
    centre = normal(generator, b, n_clusters, d) * distance * seen / math.sqrt(math.log(d + 2))
    width = torch.exp(0.5 * normal(generator, b, n_clusters, d))
    width = torch.where(uniform(generator, b, 1, 1) < 0.5, width, 1.0)
    member = torch.multinomial(
        torch.exp(0.7 * normal(generator, b, n_clusters)), n, replacement=True, generator=generator
    )
    at = member[:, :, None].expand(-1, -1, d)
    z = centre.gather(1, at) + width.gather(1, at) * normal(generator, b, n, d)
    value = 3 * normal(generator, b, n_clusters, MAX_CLASSES)
    scores = value.gather(1, member[:, :, None].expand(-1, -1, MAX_CLASSES))
    return Latents(z, scores, uniform(generator, b) < _FROM_CLUSTERS)


def _causal(generator: torch.Generator, b: int, n: int, d: int) -> Latents:
    """Draw nodes of a random network; some become columns, and others become scores."""
    n_layers = int(integers(generator, 1, 3, 1))
    width = max(8, -(-(d + MAX_CLASSES + 4) // n_layers))
    n_causes = int(integers(generator, 2, 12, 1))
    h = normal(generator, b, n, n_causes)
    nodes = []
    choice = integers(generator, 0, len(ACTIVATIONS) - 1, b, 1, width)
    choice = torch.where(uniform(generator, b, 1, 1) < 0.4, choice[..., :1], choice)
    noise = torch.exp(uniform(generator, b, 1, 1, low=-4.0, high=0.0))
    for _ in range(n_layers):
        weight = normal(generator, b, h.shape[2], width)
        kept = uniform(generator, b, h.shape[2], width) < _edge_chance(generator, h, width)
        h = h @ (weight * kept) + 0.5 * normal(generator, b, 1, width)
        h = standardize(activate(h, choice)) + noise * normal(generator, b, n, width)
        nodes.append(h)
    both = torch.cat(nodes, 2)
    seen = torch.argsort(uniform(generator, b, both.shape[2]), 1)[:, None, :]
    chosen = both.gather(2, seen[..., : d + MAX_CLASSES].expand(-1, n, -1))
    return Latents(chosen[..., :d], chosen[..., d:], uniform(generator, b) < _FROM_NODES)


def _edge_chance(generator: torch.Generator, h: Tensor, width: int) -> Tensor:
    """Return the chance of each edge between two layers of a causal network, (b, causes, effects).

    All edges of a task have the same chance or, in half of the tasks, chances of random Cauchy
    graphs: few nodes have many causes or effects (Qu et al. 2026, TabICLv2).
    """
    b, n_causes = len(h), h.shape[2]
    same = uniform(generator, b, 1, 1, low=0.15)
    logit = _cauchy(generator, b, 1, 1) + _cauchy(generator, b, n_causes, 1)
    logit = logit + _cauchy(generator, b, 1, width)
    return torch.where(uniform(generator, b, 1, 1) < 0.5, same, torch.sigmoid(logit))


def _cauchy(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.tan(math.pi * (uniform(generator, *shape, low=0.001, high=0.999) - 0.5))


def _draw_scores(generator: torch.Generator, u: Tensor, latents: Latents, k: int) -> Tensor:
    """Draw standardised scores (b, n, k) of the rows."""
    b, _, d = u.shape
    # In most tasks few columns are relevant, and their relevances differ.
    kept = torch.exp(uniform(generator, b, 1) * math.log(d + 1)).ceil()
    order = torch.argsort(uniform(generator, b, d), 1).argsort(1)
    decay = 2 * uniform(generator, b, 1) * (uniform(generator, b, 1) < 0.5)
    fall = torch.exp(-decay * order)
    # The relevances of the other tasks fall by a power law.
    power = (order + 1.0) ** -(2 * uniform(generator, b, 1))
    relevance = (order < kept) * torch.where(uniform(generator, b, 1) < 0.6, fall, power)
    share = torch.tensor([s for s, _ in FUNCTIONS], device=u.device)
    chosen = torch.multinomial(share, b, replacement=True, generator=generator)
    scores = u.new_zeros(b, u.shape[1], k)
    for i, (_, function) in enumerate(FUNCTIONS):
        task = (chosen == i).nonzero()[:, 0]
        if len(task):
            part = function(generator, u[task], relevance[task], k)
            scores[task] = standardize(part)
    trend = standardize(linear(generator, u, relevance, k))
    weight = uniform(generator, b, 1, 1) * (uniform(generator, b, 1, 1) < 0.3)
    own = latents.scores[..., :k]
    return standardize(torch.where(latents.is_own[:, None, None], own, scores + weight * trend))
