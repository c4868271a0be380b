"""Random functions of table rows, from which labels of synthetic tasks are made.

Notation: b tasks, n rows, d columns, k outputs. Every function draws all its parameters from a
`torch.Generator` and takes

``u``
    Tensor (b, n, d), columns of mean 0 and variance about 1.
``relevance``
    Tensor (b, d), weight of each column in the function; 0 for an irrelevant one.
``k``
    Number of outputs.

and returns a tensor (b, n, k).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda h: h,
    torch.tanh,
    torch.relu,
    torch.sin,
    torch.abs,
    lambda h: (h > 0).to(h.dtype),
    lambda h: torch.exp(-h * h),
    lambda h: h * h.clamp(-3, 3),
)


def uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw uniform numbers on the generator's device."""
    drawn = torch.rand(*shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw standard normal numbers on the generator's device."""
    return torch.randn(*shape, generator=generator, device=generator.device)


def integers(generator: torch.Generator, low: int, high: int, *shape: int) -> Tensor:
    """Draw integers from ``low`` to ``high``, both included, on the generator's device."""
    return torch.randint(low, high + 1, shape, generator=generator, device=generator.device)


def draw_index(generator: torch.Generator, weight: Tensor, n: int) -> Tensor:
    """Draw n columns (b, n) with probabilities in proportion to ``weight`` (b, d)."""
    return torch.multinomial(weight, n, replacement=True, generator=generator)


def standardize(values: Tensor, dim: int = 1) -> Tensor:
    """Standardise values to mean 0 and variance 1 along an axis; constant values become 0."""
    centred = values - values.mean(dim, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(dim, keepdim=True) + 1e-6)


def activate(h: Tensor, choice: Tensor) -> Tensor:
    """Apply the activation at position ``choice`` (broadcast to h) to each value."""
    out = h
    for k, activation in enumerate(ACTIVATIONS[1:], start=1):
        out = torch.where(choice == k, activation(h), out)
    return out


def linear(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate random weighted sums."""
    b, _, d = u.shape
    return u @ (relevance[:, :, None] * normal(generator, b, d, k))


def weak_sums(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate weighted sums of all columns, relevant or not, none of which stands out.

    Linear models are best at them. In half of the tasks, all weights have the same sign, as those
    of marks or symptoms that add up to a verdict. In a third, each column has a bend.
    """
    b, _, d = u.shape
    size = torch.exp(0.5 * normal(generator, b, d, 1))
    sign = torch.where(uniform(generator, b, 1, 1) < 0.5, 1.0, normal(generator, b, d, k))
    weight = size * sign + 0.1 * normal(generator, b, d, k)
    bend = torch.tanh(u + normal(generator, b, 1, d))
    bent = torch.where(uniform(generator, b, 1, 1) < 0.33, bend, u)
    # Heavy-tailed columns do not decide alone.
    out: Tensor = bent.clamp(-4, 4) @ weight
    return out


def products(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate sums of columns and of products of two columns."""
    b, n, _ = u.shape
    n_terms = int(integers(generator, 1, 6, 1))
    column = draw_index(generator, relevance, 2 * n_terms)
    pair = u.gather(2, column[:, None, :].expand(-1, n, -1)).clamp(-4, 4).unflatten(2, (n_terms, 2))
    both = pair.prod(3) @ normal(generator, b, n_terms, k)
    alone = pair[..., 0] @ normal(generator, b, n_terms, k)
    out: Tensor = both + uniform(generator, b, 1, 1) * alone
    return out


def network(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate a random network of one or two hidden layers, with one activation per unit."""
    b, _, d = u.shape
    width = int(integers(generator, 4, 24, 1))
    # Some tasks have the same activation for all units, others a mixture.
    choice = integers(generator, 0, len(ACTIVATIONS) - 1, b, 1, width)
    choice = torch.where(uniform(generator, b, 1, 1) < 0.5, choice[..., :1], choice)
    scale = 1 + 2 * uniform(generator, b, 1, 1)
    h = u @ (relevance[:, :, None] * normal(generator, b, d, width)) * scale
    h = standardize(activate(h + normal(generator, b, 1, width), choice))
    if uniform(generator, 1) < 0.5:
        weight = normal(generator, b, width, width) / math.sqrt(width)
        h = h @ weight * scale + normal(generator, b, 1, width)
        h = standardize(activate(h, choice.roll(1, dims=2)))
    out: Tensor = h @ normal(generator, b, width, k)
    return out


def smooth(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate a draw from a Gaussian process, by random Fourier features.

    Half of the tasks have a Gaussian kernel, the others the rougher Matern kernel of order 3/2,
    whose frequencies have Student's t distribution with three degrees of freedom.
    """
    b, _, d = u.shape
    n_waves = 48
    length = torch.exp(uniform(generator, b, 1, 1, low=-0.7, high=1.5))
    size = torch.sqrt((relevance * relevance).sum(1))[:, None, None]
    frequency = relevance[:, :, None] / size * normal(generator, b, d, n_waves) / length
    tail = torch.sqrt((normal(generator, b, 3, n_waves) ** 2).mean(1, keepdim=True) + 1e-3)
    frequency = frequency / torch.where(uniform(generator, b, 1, 1) < 0.5, tail, 1.0)
    phase = uniform(generator, b, 1, n_waves, high=2 * math.pi)
    return torch.cos(u @ frequency + phase) @ normal(generator, b, n_waves, k)


def oblivious_trees(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate a sum of trees with the same condition at all nodes of a level."""
    return _bits_to_values(generator, u, relevance, k, depth=(1, 4), n_terms=(1, 8), rules=False)


def rules(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate a sum of conjunctions of one to three conditions."""
    return _bits_to_values(generator, u, relevance, k, depth=(1, 3), n_terms=(2, 10), rules=True)


def _bits_to_values(
    generator: torch.Generator,
    u: Tensor,
    relevance: Tensor,
    k: int,
    depth: tuple[int, int],
    n_terms: tuple[int, int],
    rules: bool,
) -> Tensor:
    b, n, _ = u.shape
    levels, terms = int(integers(generator, *depth, 1)), int(integers(generator, *n_terms, 1))
    column = draw_index(generator, relevance, terms * levels)
    values = u.gather(2, column[:, None, :].expand(-1, n, -1))
    row = integers(generator, 0, n - 1, b, 1, terms * levels)
    bits = (values > values.gather(1, row)).unflatten(2, (terms, levels))
    place = 2 ** torch.arange(levels, device=u.device)
    leaf = (bits * place).sum(3)
    value = normal(generator, b, terms, 2**levels, k)
    if rules:
        value[:, :, :-1] = 0
    flat = value.flatten(1, 2)
    offset = torch.arange(terms, device=u.device) * 2**levels
    at = (leaf + offset).flatten(1)[:, :, None].expand(-1, -1, k)
    out: Tensor = flat.gather(1, at).unflatten(1, (n, terms)).sum(2)
    return out


def tree(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate a decision tree with a different condition at each node."""
    b, n, _ = u.shape
    depth = int(integers(generator, 2, 6, 1))
    n_nodes = 2**depth - 1
    column = draw_index(generator, relevance, n_nodes)
    node_row = integers(generator, 0, n - 1, b, n_nodes)
    task = torch.arange(b, device=u.device)[:, None]
    threshold = u[task, node_row, column]
    node = torch.zeros(b, n, dtype=torch.int64, device=u.device)
    for _ in range(depth):
        value = u.gather(2, column.gather(1, node)[:, :, None])[:, :, 0]
        node = 2 * node + 1 + (value > threshold.gather(1, node)).long()
    leaves = normal(generator, b, 2**depth, k)
    at = (node - n_nodes)[:, :, None].expand(-1, -1, k)
    return leaves.gather(1, at)


def prototypes(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Return the value of the nearest prototype, which is constant in each Voronoi cell."""
    b, n, _ = u.shape
    n_prototypes = int(integers(generator, 2, 16, 1))
    scaled = u * relevance[:, None, :]
    row = integers(generator, 0, n - 1, b, n_prototypes, 1)
    chosen = scaled.gather(1, row.expand(-1, -1, u.shape[2]))
    nearest = torch.cdist(scaled, chosen).argmin(2)
    value = normal(generator, b, n_prototypes, k)
    return value.gather(1, nearest[:, :, None].expand(-1, -1, k))


def additive(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate a sum of smooth functions of one column each, without interactions."""
    b, _, d = u.shape
    n_waves = 6
    length = torch.exp(uniform(generator, b, 1, d, low=-0.5, high=1.5))
    frequency = normal(generator, b, n_waves, d) / length
    phase = uniform(generator, b, n_waves, 1, d, high=2 * math.pi)
    size = normal(generator, b, n_waves, d, k) * relevance[:, None, :, None]
    out = u.new_zeros(b, u.shape[1], k)
    for wave in range(n_waves):
        out += torch.cos(u * frequency[:, wave, None] + phase[:, wave]) @ size[:, wave]
    return out


def near_linear(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate weighted sums, and smaller sums of products or of smooth functions."""
    straight = standardize(linear(generator, u, relevance, k))
    bend = products if uniform(generator, 1) < 0.5 else smooth
    share = 0.5 * uniform(generator, len(u), 1, 1)
    return straight + share * standardize(bend(generator, u, relevance, k))


def switched(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Evaluate weighted sums whose weights depend on one or two conditions."""
    b, n, d = u.shape
    n_conditions = int(integers(generator, 1, 2, 1))
    column = draw_index(generator, relevance, n_conditions)
    values = u.gather(2, column[:, None, :].expand(-1, n, -1))
    row = integers(generator, 0, n - 1, b, 1, n_conditions)
    bits = values > values.gather(1, row)
    part = (bits * 2 ** torch.arange(n_conditions, device=u.device)).sum(2)
    n_parts = 2**n_conditions
    weight = relevance[:, None, :, None] * normal(generator, b, n_parts, d, k)
    every = u[:, None] @ weight + normal(generator, b, n_parts, 1, k)
    at = part[:, None, :, None].expand(-1, 1, -1, k)
    return every.gather(1, at)[:, 0]


def neighbours(generator: torch.Generator, u: Tensor, relevance: Tensor, k: int) -> Tensor:
    """Return the mean value of the nearest ones of many anchors, in one of two distances."""
    b, n, d = u.shape
    n_anchors, n_nearest = int(integers(generator, 16, 120, 1)), int(integers(generator, 1, 4, 1))
    scaled = u * relevance[:, None, :]
    anchors = torch.exp(0.2 * normal(generator, b, n_anchors, 1))
    row = integers(generator, 0, n - 1, b, n_anchors, 1)
    anchors = anchors * scaled.gather(1, row.expand(-1, -1, d))
    power = 1.0 if uniform(generator, 1) < 0.5 else 2.0
    nearest = torch.cdist(scaled, anchors, p=power).topk(n_nearest, dim=2, largest=False).indices
    value = normal(generator, b, n_anchors, k)
    at = nearest.flatten(1)[:, :, None].expand(-1, -1, k)
    means: Tensor = value.gather(1, at).unflatten(1, (n, n_nearest)).mean(2)
    return means


FUNCTIONS: tuple[tuple[float, Callable[..., Tensor]], ...] = (
    (0.08, linear),
    (0.14, weak_sums),
    (0.07, near_linear),
    (0.04, products),
    (0.06, switched),
    (0.08, additive),
    (0.14, network),
    (0.09, smooth),
    (0.13, oblivious_trees),
    (0.08, tree),
    (0.06, rules),
    (0.04, prototypes),
    (0.03, neighbours),
)
"""Probability of each function, and the function."""
