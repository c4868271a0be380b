"""The prior of a search that chooses between estimators: one prior per estimator.

Notation (symbol, shape, meaning):

Z       (n, d)           encoded configurations: for each estimator, an indicator and its columns
F       (T, n)           surfaces of past tasks
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._validation import count
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE, resemblance
from skmeta.search.record import Configuration
from skmeta.search.surrogate import with_one_thread

Array = NDArray[np.float64]


class AlgorithmSelectionPrior:
    """The prior of a search that chooses between estimators (CASH): one of each class.

    Its tasks are the data sets on which all of the estimators were searched, because scores of
    different estimators can be compared on the same data only. Weights (n_tasks,) sum to 1, and are
    equal by default; `distance` is the mean squared distance of the data sets to the one at hand.

    >>> from skmeta.search import SearchPrior
    >>> from skmeta.search.prior import AlgorithmSelectionPrior
    >>> from skmeta.search.record import PastSearch
    >>> def learn(name, *scores):
    ...     tried = tuple({name: value} for value in (0.1, 1.0, 10.0))
    ...     return SearchPrior.from_searches(
    ...         [PastSearch(dataset="wine", configurations=tried, scores=scores)]
    ...     )
    >>> svc = learn("SVC.C", 0.7, 0.9, 0.8)
    >>> logistic = learn("LogisticRegression.C", 0.6, 0.5, 0.4)
    >>> AlgorithmSelectionPrior({"SVC": svc, "LogisticRegression": logistic})
    AlgorithmSelectionPrior(1 task, SVC | LogisticRegression)
    """

    def __init__(
        self,
        priors: Mapping[str, SearchPrior],
        task_weights: Array | None = None,
        distance: float = UNKNOWN_DISTANCE,
    ) -> None:
        self.distance = distance
        self.promise_offset = 0.0
        shared = sorted(set.intersection(*(set(prior.datasets) for prior in priors.values())))
        self._priors = {name: prior.select_datasets(shared) for name, prior in priors.items()}
        self.datasets = tuple(shared)
        self.pooled_weights = np.full(len(shared), 1 / max(1, len(shared)))
        self.task_weights = self.pooled_weights if task_weights is None else task_weights
        levels = np.array([prior.levels for prior in self._priors.values()])
        # Mean and deviation of a task's scores, with equal weights of the estimators.
        location, scale = levels[:, :, 0], levels[:, :, 1]
        self._mean = location.mean(0)
        spread = (scale**2 + (location - self._mean) ** 2).mean(0)
        self._deviation = np.sqrt(np.where(spread > 0, spread, 1.0))

    def without(self, **which: Any) -> "AlgorithmSelectionPrior":
        """Leave out the past searches on some data sets, as `SearchPrior.without` does."""
        left = {name: prior.without(**which) for name, prior in self._priors.items()}
        return AlgorithmSelectionPrior(left)

    @with_one_thread()
    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "AlgorithmSelectionPrior":
        """Weight the past data sets by their resemblance, as `SearchPrior.conditioned_on` does."""
        if not len(self):
            return self
        parts = list(self._priors.values())
        surfaces = np.hstack(
            [self._on_common_scale(prior, prior.surfaces_of(prior.reference())) for prior in parts]
        )
        past = parts[0].dataset_features
        found = resemblance(surfaces, self.errors, past, dataset_features)
        return AlgorithmSelectionPrior(self._priors, *found)

    def _on_common_scale(self, prior: SearchPrior, F: Array) -> Array:
        """Return the surfaces of one estimator in units of the scores of all."""
        location, scale = prior.levels.T[:, :, None]
        scores = location + scale * F
        return np.asarray((scores - self._mean[:, None]) / self._deviation[:, None])

    def __len__(self) -> int:
        return len(self.datasets)

    def __repr__(self) -> str:
        return f"AlgorithmSelectionPrior({count(len(self), 'tasks')}, {' | '.join(self._priors)})"

    @property
    def estimators(self) -> tuple[str, ...]:
        """Classes of the estimators that the prior covers, sorted."""
        return tuple(sorted(self._priors))

    @property
    def n_columns(self) -> int:
        """Number of columns of `encode`."""
        return sum(1 + prior.n_columns for prior in self._priors.values())

    @property
    def errors(self) -> Array:
        """Variance of each surface, of shape (n_tasks,): the mean over the estimators."""
        return np.asarray(np.mean([prior.errors for prior in self._priors.values()], axis=0))

    @property
    def levels(self) -> Array:
        """Return location and scale of each task's scores, of shape (n_tasks, 2)."""
        return np.column_stack([self._mean, self._deviation])

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode an indicator per estimator, and columns: those of estimators not chosen are 0."""
        blocks = []
        for name, prior in self._priors.items():
            chosen = np.array([_uses(name, c) for c in configurations], dtype=np.float64)[:, None]
            blocks += [chosen, chosen * prior.encode(configurations, names)]
        return np.concatenate(blocks, axis=1)

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Return whether past tasks tried the estimators of configurations, of shape (n,)."""
        return np.array([any(_uses(name, c) for name in self._priors) for c in configurations])

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces at configurations that `encode` encoded."""
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
