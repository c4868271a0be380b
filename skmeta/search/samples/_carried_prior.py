"""What scores on a sample say of the scores on more rows: a prior of the search on more rows.

Notation (symbol, shape, meaning):

y       (m,)             standardised scores of m candidates on the sample
C       (T, m)           surfaces of T past tasks at these candidates, low values raised
C(z)    (T,)             the same at a candidate z
w       (T,)             probabilities of the past tasks to be like the new one
M       (m, m)           Matern 5/2 correlation of the candidates; m(z), that of z and them
t^2     scalar           variance of what past tasks do not explain, on all rows
d^2     scalar           variance of what differs between the sample and all rows
e^2     scalar           variance of the noise
c, a    scalar           inverse scale and offset of the sample's scores

On all rows the score of z is C_k(z) + f(z) if past task k is like the new one, with f of covariance
t^2 M. On the sample it is C_k(z) + f(z) + g(z), with g of covariance d^2 M: the first sample is an
observation of the whole with a correlated error (Kennedy and O'Hagan, 2000, "Predicting the output
from a complex computer code when fast approximations are available", eq. 1; Swersky, Snoek and
Adams, 2013, "Multi-task Bayesian optimization"; Klein et al., 2017, "Fast Bayesian optimization of
machine learning hyperparameters on large datasets"). So c y = a + C_k + f + g + noise, and

    E[C_k(z) + f(z) | y] = C_k(z) + t^2 m(z)' K^-1 (c y - a - C_k),  K = (t^2 + d^2) M + e^2 I.

Each past task gets this surface. Its weight is the mean of its probabilities before and after the
sample, since a task that agrees with a few scores on few rows need not agree with those on all
rows. The search on all rows takes them as it takes any past tasks: with an offset and a scale of
its own, a remainder that they do not explain, and a model without history beside them. So a sample
that misleads costs little, and what is best on few rows need not be best on many.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from skmeta.search.prior import SearchPrior
from skmeta.search.record import Configuration, PastSearch
from skmeta.search.space import parameter_names
from skmeta.search.surrogate import krige, matern, winsorize_scores, with_one_thread

Array = NDArray[np.float64]

_REMAINDERS = (0.03, 0.2, 1.0)
_DIFFERENCE = 0.03
_NOISE = 0.02
_WINSOR_FACTOR = 1.0
_FLOOR = 0.0
_MIN_SCORES = 3
_TRUST = 0.5  # probability that past tasks agree with all rows as they do with the sample


class CarriedPrior:
    """A prior that has seen scores of the data set at hand on fewer rows; see `carry_over`.

    `Z` (m, n_columns) are the encoded candidates of the sample, and `A` (n_tasks, m) how much each
    task's surface changes near each of them.
    """

    def __init__(self, prior: Any, task_weights: Array, Z: Array, A: Array) -> None:
        self.datasets, self.encode = prior.datasets, prior.encode
        self.task_weights, self.pooled_weights = task_weights, prior.pooled_weights
        self._prior, self._Z, self._A = prior, Z, A

    def __len__(self) -> int:
        return len(self._prior)

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Return all True: the sample has tried the estimators that past tasks do not know."""
        return np.ones(len(configurations), dtype=bool)

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces at configurations that `encode` encoded."""
        past = np.maximum(self._prior.surfaces_of(Z), _FLOOR)
        return np.asarray(past + self._A @ matern(self._Z, Z))


@with_one_thread()
def carry_over(prior: Any, configurations: Sequence[Configuration], scores: Sequence[float]) -> Any:
    """Return what is known after candidates were tried on a sample (NaN is a failure).

    It is the prior itself with fewer than three different scores; without one, the sample's
    surface.
    """
    y = np.array(scores, dtype=np.float64)
    distinct = np.unique(y[np.isfinite(y)])
    if len(distinct) < _MIN_SCORES:
        return prior
    if prior is None or not len(prior):
        past = PastSearch(dataset="sample", configurations=tuple(configurations), scores=y)
        return SearchPrior.from_searches([past])
    y = winsorize_scores(y, _WINSOR_FACTOR)
    y = (y - y.mean()) / y.std()
    Z = prior.encode(configurations, frozenset(parameter_names(configurations)))
    C = np.maximum(prior.surfaces_of(Z), _FLOOR)
    M, noise = matern(Z, Z), _NOISE * np.eye(len(Z))
    posteriors = [
        krige((remainder + _DIFFERENCE) * M + noise, C, y, prior.task_weights)
        for remainder in _REMAINDERS
    ]
    kriging, remainder = max(
        zip(posteriors, _REMAINDERS, strict=True), key=lambda pair: pair[0].evidence
    )
    solved = cho_solve(
        (kriging.L, True), np.column_stack([np.outer(y, kriging.c) - C.T, np.ones(len(y))])
    )
    residual, ones = solved[:, :-1], solved[:, -1:]
    offset = residual.sum(0) / ones.sum()
    weights = _TRUST * kriging.shares + (1 - _TRUST) * prior.task_weights
    return CarriedPrior(prior, weights, Z, remainder * (residual - ones * offset).T)
