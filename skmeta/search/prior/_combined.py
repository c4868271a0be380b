"""Priors made of other priors: a choice between estimators, two sources, and scores on a sample.

Notation (symbol, shape, meaning):

Z       (n, d)           encoded configurations
F       (T, n)           surfaces of T past tasks
y       (m,)             standardised scores of m candidates on the sample
C       (T, m)           surfaces of past tasks at these candidates, low values raised
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

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from skmeta._validation import count
from skmeta.search.prior._past_surfaces import PastSurfaces
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE, resemblance
from skmeta.search.record import Configuration, PastSearch
from skmeta.search.space import parameter_names
from skmeta.search.surrogate import krige, matern, winsorize_scores, with_one_thread

Array = NDArray[np.float64]

# With this many past searches of the user, they have the same total weight as the shipped ones.
_N_EQUAL = 5
# Of what a sample says; chosen with benchmarks/measure/search_samples.py.
_REMAINDERS = (0.03, 0.2, 1.0)
_DIFFERENCE = 0.03
_NOISE = 0.02
_WINSOR_FACTOR = 1.0
_FLOOR = 0.0
_MIN_SCORES = 3
_TRUST = 0.5  # probability that past tasks agree with all rows as they do with the sample


class AlgorithmSelectionPrior(PastSurfaces):
    """The prior of a search that chooses between estimators (CASH): one of each class.

    Its tasks are the data sets on which all of them were searched: only those scores can be
    compared.
    """

    _priors: dict[str, SearchPrior]

    def __init__(
        self,
        priors: Mapping[str, SearchPrior],
        task_weights: Array | None = None,
        distance: float = UNKNOWN_DISTANCE,
    ) -> None:
        shared = sorted(set.intersection(*(set(prior.datasets) for prior in priors.values())))
        parts = {name: prior.select_datasets(shared) for name, prior in priors.items()}
        # Mean and deviation of a task's scores, with equal weights of the estimators.
        levels = np.array([prior.levels for prior in parts.values()])
        location, scale = levels[:, :, 0], levels[:, :, 1]
        mean = location.mean(0)
        spread = (scale**2 + (location - mean) ** 2).mean(0)
        self._set(
            _priors=parts,
            datasets=shared,
            estimators=tuple(sorted(parts)),
            n_columns=sum(1 + prior.n_columns for prior in parts.values()),
            levels=np.column_stack([mean, np.sqrt(np.where(spread > 0, spread, 1.0))]),
            errors=np.mean([prior.errors for prior in parts.values()], axis=0),
            dataset_features=next(iter(parts.values())).dataset_features,
            task_weights=task_weights,
            distance=distance,
        )

    def without(self, **which: Any) -> "AlgorithmSelectionPrior":
        left = {name: prior.without(**which) for name, prior in self._priors.items()}
        return AlgorithmSelectionPrior(left)

    @with_one_thread()
    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "AlgorithmSelectionPrior":
        if not len(self):
            return self
        alike = resemblance(self.errors, self.dataset_features, dataset_features)
        return AlgorithmSelectionPrior(self._priors, *alike)

    def _on_common_scale(self, prior: SearchPrior, F: Array) -> Array:
        """Return the surfaces of one estimator in units of the scores of all."""
        (location, scale), (mean, deviation) = prior.levels.T, self.levels.T
        scores = location[:, None] + scale[:, None] * F
        return np.asarray((scores - mean[:, None]) / deviation[:, None])

    def __repr__(self) -> str:
        return f"AlgorithmSelectionPrior({count(len(self), 'tasks')}, {' | '.join(self._priors)})"

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode an indicator per estimator, and columns: those of estimators not chosen are 0."""
        blocks = []
        for name, prior in self._priors.items():
            chosen = np.array([_uses(name, c) for c in configurations], dtype=np.float64)[:, None]
            blocks += [chosen, chosen * prior.encode(configurations, names)]
        return np.concatenate(blocks, axis=1)

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        return np.array([any(_uses(name, c) for name in self._priors) for c in configurations])

    def surfaces_of(self, Z: Array) -> Array:
        F = np.zeros((len(self), len(Z)))
        start = 0
        for prior in self._priors.values():
            end = start + 1 + prior.n_columns
            rows = Z[:, start] > 0.5
            own = prior.surfaces_of(Z[rows, start + 1 : end])
            F[:, rows] = self._on_common_scale(prior, own)
            start = end
        return F


def _uses(estimator: str, configuration: Mapping[str, Any]) -> bool:
    return any(name.startswith(f"{estimator}.") for name in configuration)


class JointPrior(PastSurfaces):
    """The past searches of two priors; five `own` ones weigh as much as all `shipped` ones."""

    _parts: tuple[PastSurfaces, PastSurfaces]

    def __init__(self, own: PastSurfaces, shipped: PastSurfaces) -> None:
        parts = own, shipped
        share = len(own) / (len(own) + _N_EQUAL)
        self._set(
            _parts=parts,
            datasets=own.datasets + shipped.datasets,
            estimators=tuple(sorted({*own.estimators, *shipped.estimators})),
            n_columns=own.n_columns + shipped.n_columns,
            dataset_features=own.dataset_features + shipped.dataset_features,
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("levels", "errors")
            },
            **{
                name: np.concatenate(
                    [share * getattr(own, name), (1 - share) * getattr(shipped, name)]
                )
                for name in ("task_weights", "pooled_weights")
            },
            distance=share * own.distance + (1 - share) * shipped.distance,
            promise_offset=share * own.promise_offset + (1 - share) * shipped.promise_offset,
        )

    def without(self, **which: Any) -> Any:
        return join(*(part.without(**which) for part in self._parts))

    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "JointPrior":
        return JointPrior(*(part.conditioned_on(dataset_features) for part in self._parts))

    def __repr__(self) -> str:
        return f"JointPrior({', '.join(map(repr, self._parts))})"

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations by each part; squared distances are means over the parts."""
        blocks = [part.encode(configurations, names) for part in self._parts]
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(len(blocks)))

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        own, shipped = (part.covers(configurations) for part in self._parts)
        return own | shipped

    def surfaces_of(self, Z: Array) -> Array:
        blocks = np.split(Z * np.sqrt(len(self._parts)), [self._parts[0].n_columns], axis=1)
        return np.concatenate(
            [part.surfaces_of(block) for part, block in zip(self._parts, blocks, strict=True)]
        )


def join(own: PastSurfaces | None, shipped: PastSurfaces | None) -> Any:
    """Join the priors of two sources; one that is empty is left out."""
    return JointPrior(own, shipped) if own and shipped else own or shipped


class CarriedPrior(PastSurfaces):
    """A prior that has seen scores of the data set at hand on fewer rows; see `carry_over`.

    `Z` (m, n_columns) are the candidates of the sample, and `A` (n_tasks, m) how much each surface
    changes near them. It covers all estimators, since the sample has tried those that are unknown.
    """

    _prior: PastSurfaces
    _Z: Array
    _A: Array

    def __init__(self, prior: PastSurfaces, task_weights: Array, Z: Array, A: Array) -> None:
        names = "datasets", "estimators", "n_columns", "levels", "errors", "dataset_features"
        known = {name: getattr(prior, name) for name in (*names, "pooled_weights")}
        self._set(**known, _prior=prior, _Z=Z, _A=A, task_weights=task_weights)

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        return self._prior.encode(configurations, names)

    def surfaces_of(self, Z: Array) -> Array:
        past = np.maximum(self._prior.surfaces_of(Z), _FLOOR)
        return np.asarray(past + self._A @ matern(self._Z, Z))


@with_one_thread()
def carry_over(
    prior: PastSurfaces | None, configurations: Sequence[Configuration], scores: Sequence[float]
) -> PastSurfaces | None:
    """Return what is known after candidates were tried on a sample (NaN is a failure).

    With fewer than three different scores, that is the prior; without a prior, the sample's
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
