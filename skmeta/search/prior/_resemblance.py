"""Weights of past tasks, by how much their data sets resemble the one at hand.

Notation (symbol, shape, meaning):

F       (T, n)           surfaces of T past tasks
h       (T,)             variance of each surface, of its noise and of what its few evaluations
                         leave open, with mean 1
d^2     (T, T)           mean squared differences of the features of two data sets
K       (T, T)           exp(-d^2 / 2) + diag(h)
k       (T,)             exp(-d^2 / 2) of the past data sets and the one at hand
w       (T,)             weights, with sum 1

The scores of one configuration are a Gaussian process over data sets with an unknown mean. What it
expects for the data set at hand is w' F, with the weights of kriging. Amplitude and length scale
are 1: on recorded searches, those with the smallest leave-one-out errors of past tasks gained
nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Chosen on the recorded searches of benchmarks/make/searches.py, origins left out.
_MIN_NOISE = 0.3
_MAX_DEVIATION = 3.0  # of a feature from the mean of past data sets, in standard deviations
# A past data set with more than twice the rows has no weight: what pays there may be too much here.
_MORE_ROWS = float(np.log(2))
_MIN_TASKS = 5  # with fewer tasks, all have the same weight
# Squared distance of two data sets of which nothing is known: twice the variance.
UNKNOWN_DISTANCE = 2.0


class Resemblance(NamedTuple):
    """Weights of past tasks, which sum to 1, and the mean squared distance of their data sets."""

    weights: Array
    distance: float


def resemblance(
    noise: Array, past: Sequence[Mapping[str, float]], present: Mapping[str, float]
) -> Resemblance:
    """Return the weights of past tasks, and how far they are from the data set at hand.

    `noise` (n_tasks,) is the variance of each surface. Tasks of unknown features have the mean
    weight, and those with more than twice the rows none.
    """
    limit = present.get("log_rows", np.inf) + _MORE_ROWS
    fits = np.array([of.get("log_rows", 0.0) <= limit for of in past], dtype=bool)
    if not fits.any():
        fits[:] = True
    n_tasks = int(fits.sum())
    weights = fits / max(1, n_tasks)
    known = fits & [bool(present) and present.keys() <= of.keys() for of in past]
    if known.sum() < _MIN_TASKS:
        return Resemblance(weights, UNKNOWN_DISTANCE)
    rows = np.array(
        [[of[name] for name in present] for of, ok in zip(past, known, strict=True) if ok]
    )
    Z, z = _standardise(rows, np.array([*present.values()]))
    among, to_present = ((Z[:, None] - Z) ** 2).mean(2), ((Z - z) ** 2).mean(1)
    shares = _weights(noise[known], among, to_present)
    weights[known] *= known.sum() * shares
    squared = np.full(len(weights), UNKNOWN_DISTANCE)
    squared[known] = to_present
    return Resemblance(weights, float(weights @ squared))


def _standardise(past: Array, present: Array) -> tuple[Array, Array]:
    mean, deviation = past.mean(0), past.std(0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    both = np.vstack([past, present])
    both = np.clip((both - mean) / deviation, -_MAX_DEVIATION, _MAX_DEVIATION)
    return both[:-1], both[-1]


def _weights(noise: Array, among: Array, to_present: Array) -> Array:
    """Return the weights of tasks, given squared distances among them and to the one at hand."""
    h = noise + _MIN_NOISE
    K, k = np.exp(-0.5 * among) + np.diag(h / h.mean()), np.exp(-0.5 * to_present)
    by_k, by_ones = np.linalg.solve(K, np.column_stack([k, np.ones(len(k))])).T
    weights = np.maximum(by_k + by_ones * (1 - by_k.sum()) / by_ones.sum(), 0)
    return np.asarray(weights / weights.sum())
