"""Compute the expected best score so far of candidates in random order."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Share of the orders between the edges of the band around the expected score.
_BAND = (0.1, 0.9)


class ExpectedIncumbent(NamedTuple):
    """Best score after 1, 2, ... evaluations in random order: mean, 10% and 90% quantile."""

    mean: Array
    low: Array
    high: Array


def expected_incumbent(scores: Array) -> ExpectedIncumbent:
    """Return mean and quantiles of the best of the first k scores, over all orders."""
    n = len(scores)
    succeeded = np.sort(scores[np.isfinite(scores)])
    curves = ExpectedIncumbent(*np.full((3, n), np.nan))
    if not len(succeeded):
        return curves
    # share[j]: probability that the first k are all among the `ranks[j]` lowest, C(i, k) / C(n, k).
    # Failed candidates are the lowest of all; share[0] is the probability that nothing succeeded.
    ranks = np.arange(n - len(succeeded), n + 1)
    share = np.ones(len(ranks))
    for k in range(1, n + 1):
        share *= np.maximum(ranks - k + 1, 0) / (n - k + 1)
        below = (share - share[0]) / (1.0 - share[0])
        curves.mean[k - 1] = np.diff(below) @ succeeded
        for curve, q in zip(curves[1:], _BAND, strict=True):
            at = int(np.searchsorted(below[1:], q - 1e-12))
            curve[k - 1] = succeeded[min(at, len(succeeded) - 1)]
    return curves


def finite_or_nan(scores: Any) -> Array:
    """Return scores as floats, with NaN for those that are not finite."""
    values = np.array(scores, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def score_floor(scores: Array) -> float:
    """Return the lowest score to draw: lower ones would compress the rest of the picture."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return 0.0
    # The median is not robust: over half of the candidates may be no better than chance.
    # Hence the expected better score of two candidates.
    better = expected_incumbent(finite).mean[:2][-1]
    return float(max(finite.min(), finite.max() - 1.5 * (finite.max() - better)))
