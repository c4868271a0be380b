"""The probability that a candidate is better than the estimator as given.

Notation (symbol, shape, meaning):

D       (T,)             gain over the estimator as given on each past task, on its surface
e       (T,)             variance of each surface
w       (T,)             weights of the past tasks, with sum 1
s       scalar           share of past tasks that agree: sum of w Phi(D / sqrt(2 e)), and half of
                         one more task, which is a toss
d^2     scalar           mean squared distance of the past data sets to the one at hand
z       scalar           skill of a tree less that of a small tree on the data set at hand
r       scalar           logarithm of the rows over 3,500 of the data set at hand, at least 0
o       scalar           log odds by which promises of the estimator's own prior were too low

The share of past tasks alone promises too much where the data set at hand is unlike them, where
larger models pay than on most of them, and on large tables. So log odds of the probability are o
plus a linear function of log odds of s, log d^2, z and r. The coefficients are a logistic
regression over the past tasks of all shipped priors, each predicted from tasks of other origins,
and those of 3,000 rows and more also from tasks of a third and of a tenth of their rows.
``benchmarks/measure/promises.py`` computes them and o, which is shrunk towards 0 and stands on the
card of a shipped prior, and how often the probabilities are right. A prior of other searches has
o = 0.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

Array = NDArray[np.float64]

_INTERCEPT = 0.28
_COEFFICIENTS = np.array([1.31, -0.57, -0.27, -0.35])
_MIN_VARIANCE, _MAX_VARIANCE = 0.025, 1.0
_MIN_TAIL = 0.01  # shares of past tasks are at least so far from 0 and 1
_MIN_DISTANCE = 0.05
_LARGE = 3_500  # rows


def evidence(
    gains: Array,
    errors: Array,
    weights: Array,
    distance: float,
    dataset_features: Mapping[str, float],
) -> Array:
    """Return log odds of s, log d^2, z and r, of shape (4,)."""
    variance = 2 * np.clip(errors, _MIN_VARIANCE, _MAX_VARIANCE)
    n_tasks = 1 / float(weights @ weights)
    share = (n_tasks * float(weights @ ndtr(gains / np.sqrt(variance))) + 0.5) / (n_tasks + 1)
    skill = float(np.clip(dataset_features.get("skill_size", 0.0), -1, 1))
    odds = logit(np.clip(share, _MIN_TAIL, 1 - _MIN_TAIL))
    size = max(dataset_features.get("log_rows", 0.0) - float(np.log(_LARGE)), 0.0)
    return np.array([odds, np.log(max(distance, _MIN_DISTANCE)), skill, size])


def probability_better(
    gains: Array,
    errors: Array,
    weights: Array,
    distance: float,
    dataset_features: Mapping[str, float],
    offset: float = 0.0,
) -> float:
    """Return the probability to beat the estimator as given, from surfaces of tasks (n_tasks,)."""
    known = evidence(gains, errors, weights, distance, dataset_features)
    return float(expit(_INTERCEPT + offset + _COEFFICIENTS @ known))
