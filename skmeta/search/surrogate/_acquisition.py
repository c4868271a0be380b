"""Which candidate to try next: an initial design, then the upper confidence bound of its score.

Notation of the design: F of shape (n_tasks, n) holds the surfaces of past tasks over the pool. U of
the same shape is the utility, tanh of the gain over the estimator as given: it is bounded, so that
a very large gain on a few tasks does not outweigh small losses on most. The estimator as given has
0.01, so that it is best if nothing is clearly better.

The bound is the mean over the models, by their weights, of mean + 1.5 std. It is not the expected
improvement: the best score so far is too high by the noise of the folds, and what improves on it
is then chosen by the most uncertain model, however small its weight.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skmeta._tabular import cholesky, solve_lower
from skmeta.search.record import Configuration
from skmeta.search.surrogate._gp import matern

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Chosen on the development half of benchmarks/measure/search_tables.py.
_LARGE_GAIN = 1.0
_UTILITY_AS_GIVEN = 0.01
_LENGTH_SCALE = 2.0
_NOISE = 0.01
_N_REFERENCE = 256  # candidates over which the variance is averaged
_N_PRIOR = 0.5  # candidates that an estimator has seen, with the seconds of the others
_MIN_SECONDS = 2e-3  # faster fits save nothing, as the search itself takes about as long
# Parameter -> its usual value, and the exponent of seconds.
_COSTS = dict.fromkeys(("n_estimators", "max_iter", "iterations"), (100, 0.85))
_COSTS |= dict.fromkeys(("num_leaves", "max_leaf_nodes"), (31, 0.4))
# Chosen on recorded searches of the development half.
_DEVIATIONS = 1.5  # of a score that are added to its mean
_WEIGHT_OF_SECONDS = 0.2  # deviations that a factor e of seconds has to promise


def design_from_surfaces(
    F: Array,
    task_weights: Array,
    given: int | None,
    seen: Sequence[int] = (),
    is_available: Mask | None = None,
) -> int:
    """Return the available candidate that most increases the mean utility of the best one.

    The candidate that is best on average stands for the one as `given` if that is None or far
    worse.
    """
    U = _utilities(F, task_weights, given)
    so_far = U[:, list(seen)].max(1, initial=-1.0)
    expected = task_weights @ np.maximum(U, so_far[:, None])
    # Once the best candidate of every past task is chosen, prefer one that is good on average.
    expected += 1e-6 * task_weights @ U
    available = True if is_available is None else is_available
    return int(np.where(available, expected, -np.inf).argmax())


def expected_utility(F: Array, task_weights: Array, given: int | None) -> Array:
    """Return the mean utility of each candidate, of shape (n,); parameters as in the design."""
    return np.asarray(task_weights @ _utilities(F, task_weights, given))


def _utilities(F: Array, task_weights: Array, given: int | None) -> Array:
    mean = task_weights @ F
    if given is None or mean[given] < mean.max() - _LARGE_GAIN:
        given = int(mean.argmax())
    U = np.tanh(F - F[:, given, None])
    U[:, given] = _UTILITY_AS_GIVEN
    return np.asarray(U)


def design_of_least_variance(X: Array, seen: Sequence[int], is_available: Mask) -> int:
    """Return the available candidate whose score most reduces the mean variance of the pool.

    Cohn (1996), Neural network exploration using optimal experiment design, Neural Networks 9(6);
    Seo et al. (2000), Gaussian process regression: active data selection and test point rejection.
    """
    scaled = X / _LENGTH_SCALE
    reference = scaled[np.unique(np.linspace(0, len(X) - 1, _N_REFERENCE).astype(np.intp))]
    covariance, variance = matern(reference, scaled), np.ones(len(X))
    if len(seen):
        known = scaled[list(seen)]
        L = cholesky(matern(known, known) + _NOISE * np.eye(len(seen)))
        whitened = solve_lower(L, matern(known, scaled))
        covariance -= solve_lower(L, matern(known, reference)).T @ whitened
        variance -= (whitened * whitened).sum(0)
    gain = (covariance * covariance).sum(0) / (np.maximum(variance, 0) + _NOISE)
    return int(np.where(is_available, gain, -np.inf).argmax())


def most_promising(
    predictions: Sequence[tuple[Array, Array]],
    weights: Array,
    log_seconds: Array,
    is_available: Mask,
) -> int:
    """Return the available candidate with the largest upper confidence bound, seconds deducted.

    `predictions` are means and deviations (n,) of each model, whose weights sum to 1. Cox and John
    (1997), SDO: a statistical method for global optimization; Srinivas et al. (2010), Gaussian
    process optimization in the bandit setting.
    """
    bounds = np.array([mean + _DEVIATIONS * std for mean, std in predictions])
    value = weights @ bounds - _WEIGHT_OF_SECONDS * log_seconds
    return int(np.where(is_available, value, -np.inf).argmax())


def log_cost(configuration: Configuration) -> float:
    """Return the logarithm of a fit's seconds, up to a constant, from its rounds and leaves."""
    cost = 0.0
    for name, value in configuration.items():
        usual, exponent = _COSTS.get(name.rpartition(".")[2], (1, 0.0))
        if exponent and isinstance(value, int | np.integer) and value > 0:
            cost += exponent * float(np.log(value / usual))
    return cost


def expected_log_seconds(
    kinds: Sequence[Hashable], log_costs: Sequence[float], observed: Mapping[int, float]
) -> Array:
    """Return the expected logarithm (n,) of each candidate's seconds.

    Seconds over costs have a mean for each estimator, shrunken towards that of all. Without
    observations it is half of the costs, so that the number of candidates counts as much.
    """
    costs = np.array(log_costs)
    by_kind: dict[Hashable, list[float]] = {}
    for index, seconds in observed.items():
        if np.isfinite(seconds):
            rate = float(np.log(max(seconds, _MIN_SECONDS))) - log_costs[index]
            by_kind.setdefault(kinds[index], []).append(rate)
    if not by_kind:
        return np.asarray(0.5 * costs)
    overall = float(np.mean([np.mean(values) for values in by_kind.values()]))
    expected = {
        kind: (sum(values) + _N_PRIOR * overall) / (len(values) + _N_PRIOR)
        for kind, values in by_kind.items()
    }
    return np.asarray(costs + [expected.get(kind, overall) for kind in kinds])
