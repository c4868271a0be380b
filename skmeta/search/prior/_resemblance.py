"""Weights of past tasks, by how much their data sets resemble the one at hand.

Notation (symbol, shape, meaning):

F       (T, n)           surfaces of T past tasks, low values raised to their mean, standardised
h       (T,)             variance of each surface, of its noise and of what its few evaluations
                         leave open, with mean 1
d^2     (T, T)           mean squared differences of the features of two data sets; rows and skills
                         of trees have half of the weight together
K       (T, T)           r exp(-d^2 / 2 s^2) + diag(h)
k       (T,)             r exp(-d^2 / 2 s^2) of the past data sets and the one at hand
w       (T,)             weights, with sum 1

The scores of one configuration are a Gaussian process over data sets with an unknown mean. What it
expects for the data set at hand is w' F, with the weights of kriging. Signal r and length scale s
are those with the smallest leave-one-out error of past tasks, in closed form (Rasmussen and
Williams, 2006, section 5.4.2). If features say nothing of past tasks, r is 0 and all weights are
equal.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Chosen on the recorded searches of benchmarks/make/searches.py, origins left out.
_SQUARED_SCALES = (1.0, 2.0)
_SIGNALS = (0.0, 0.1, 0.3, 1.0, 3.0)
_MIN_NOISE = 0.3
_MAX_DEVIATION = 3.0  # of a feature from the mean of past data sets, in standard deviations
# A past data set with more than twice the rows has no weight: what pays there may be too much here.
_MORE_ROWS = float(np.log(2))
_MIN_TASKS = 5  # with fewer tasks, leave-one-out errors say nothing
# Features that tell how large a model may be. Chosen with benchmarks/measure/promises.py.
_OF_SIZE = ("log_rows", "skill_")
# Squared distance of two data sets of which nothing is known: twice the variance.
UNKNOWN_DISTANCE = 2.0


class Resemblance(NamedTuple):
    """Weights of past tasks, which sum to 1, and the mean squared distance of their data sets."""

    weights: Array
    distance: float


class _Kriging(NamedTuple):
    """The inverse of K, and its product with ones."""

    inverse: Array
    row_sums: Array

    @classmethod
    def of(cls, K: Array) -> "_Kriging":
        inverse = np.asarray(np.linalg.inv(K), dtype=np.float64)
        return cls(inverse, inverse.sum(1))

    def weights(self, k: Array) -> Array:
        """Return the weights of a prediction with an unknown mean."""
        missing = 1 - float(self.row_sums @ k)
        return np.asarray(self.inverse @ k + self.row_sums * (missing / self.row_sums.sum()))

    def leave_one_out_errors(self, F: Array) -> Array:
        """Return the errors of each task's surface if it is predicted from the others."""
        projected = self.inverse - np.outer(self.row_sums, self.row_sums) / self.row_sums.sum()
        return np.asarray(projected @ F / projected.diagonal()[:, None])


def resemblance(
    surfaces: Array,
    noise: Array,
    past: Sequence[Mapping[str, float]],
    present: Mapping[str, float],
) -> Resemblance:
    """Return the weights of past tasks, and how far they are from the data set at hand.

    `surfaces` (n_tasks, n) are scores of the same configurations. Tasks of unknown features have
    the mean weight, and those with more than twice the rows none.
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
    is_of_size = np.array([name.startswith(_OF_SIZE) for name in present])
    shares = 1.0 + is_of_size * len(is_of_size) / max(1, is_of_size.sum())
    shares /= shares.sum()
    among, to_present = ((Z[:, None] - Z) ** 2) @ shares, ((Z - z) ** 2) @ shares
    found = _weights(_raise(surfaces[known]), noise[known], among, to_present)
    weights[known] *= known.sum() * found
    squared = np.full(len(weights), UNKNOWN_DISTANCE)
    squared[known] = to_present
    return Resemblance(weights, float(weights @ squared))


def _standardise(past: Array, present: Array) -> tuple[Array, Array]:
    mean, deviation = past.mean(0), past.std(0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    both = np.vstack([past, present])
    both = np.clip((both - mean) / deviation, -_MAX_DEVIATION, _MAX_DEVIATION)
    return both[:-1], both[-1]


def _raise(F: Array) -> Array:
    """Raise what is below the mean of each surface: how bad a bad candidate is does not count."""
    F = np.maximum(F - F.mean(1, keepdims=True), 0)
    deviation = F.std(1, keepdims=True)
    return np.asarray((F - F.mean(1, keepdims=True)) / np.where(deviation > 1e-9, deviation, 1.0))


def _weights(F: Array, noise: Array, among: Array, to_present: Array) -> Array:
    """Return the weights of tasks, given squared distances among them and to the one at hand."""
    h = noise + _MIN_NOISE
    h /= h.mean()
    best, weights = np.inf, np.ones(len(F))
    for signal in _SIGNALS:
        for squared_scale in _SQUARED_SCALES if signal else _SQUARED_SCALES[:1]:
            kriging = _Kriging.of(signal * np.exp(-0.5 * among / squared_scale) + np.diag(h))
            errors = kriging.leave_one_out_errors(F)
            loss = float(((errors**2).mean(1) / h).sum())
            if loss < best:
                best = loss
                weights = kriging.weights(signal * np.exp(-0.5 * to_present / squared_scale))
    weights = np.maximum(weights, 0)
    return np.asarray(weights / weights.sum())
