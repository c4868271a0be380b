"""A prior that joins the user's own prior and a shipped one.

Notation (symbol, shape, meaning):

Z       (n, d)           encoded configurations: the blocks of columns of both parts
F       (T, n)           surfaces of past tasks
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skmeta.search.prior._algorithm_selection import AlgorithmSelectionPrior
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.record import Configuration

Array = NDArray[np.float64]
Part = SearchPrior | AlgorithmSelectionPrior

# With this many past searches of the user, they have the same total weight as the shipped ones.
_N_EQUAL = 5


class JointPrior:
    """The past searches of two priors together: `own`, of the user's history, and `shipped`.

    Five searches of the user have the same total weight as all shipped ones. `task_weights` are for
    the data set at hand and `pooled_weights` for any, (n_tasks,); `levels` (n_tasks, 2) are
    location and scale of each task's scores, `errors` (n_tasks,) variances of surfaces, and
    `distance` the mean squared distance of the data sets to the one at hand.

    >>> from skmeta.search import SearchPrior
    >>> from skmeta.search.prior import JointPrior
    >>> from skmeta.search.record import PastSearch
    >>> def learn(*datasets):
    ...     tried = ({"SVC.C": 0.1}, {"SVC.C": 1.0}, {"SVC.C": 10.0})
    ...     return SearchPrior.from_searches(
    ...         [PastSearch(dataset=name, configurations=tried, scores=[0.7, 0.9, 0.8])
    ...          for name in datasets]
    ...     )
    >>> prior = JointPrior(learn("ours"), learn("wine", "iris"))
    >>> prior.datasets
    ('ours', 'iris', 'wine')
    >>> prior.task_weights.round(2).tolist()
    [0.17, 0.42, 0.42]
    """

    def __init__(self, own: Part, shipped: Part) -> None:
        self.parts = own, shipped
        self.datasets = (*own.datasets, *shipped.datasets)
        self.levels = np.concatenate([own.levels, shipped.levels])
        self.errors = np.concatenate([own.errors, shipped.errors])
        share = len(own) / (len(own) + _N_EQUAL)
        self.distance = share * own.distance + (1 - share) * shipped.distance
        self.promise_offset = share * own.promise_offset + (1 - share) * shipped.promise_offset
        self.task_weights, self.pooled_weights = (
            np.concatenate([share * mine, (1 - share) * theirs])
            for mine, theirs in (
                (own.task_weights, shipped.task_weights),
                (own.pooled_weights, shipped.pooled_weights),
            )
        )

    def __len__(self) -> int:
        return len(self.datasets)

    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "JointPrior":
        """Weight the past searches of each part by the resemblance of their data sets."""
        return JointPrior(*(part.conditioned_on(dataset_features) for part in self.parts))

    def __repr__(self) -> str:
        return f"JointPrior({', '.join(map(repr, self.parts))})"

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations by each part; squared distances are means over the parts."""
        blocks = [part.encode(configurations, names) for part in self.parts]
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(len(blocks)))

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Return whether past tasks tried the estimators of configurations, of shape (n,)."""
        return np.logical_or(*(part.covers(configurations) for part in self.parts))

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces at configurations that `encode` encoded."""
        Z = Z * np.sqrt(len(self.parts))
        ends = np.cumsum([part.n_columns for part in self.parts])[:-1]
        blocks = np.split(Z, ends, axis=1)
        return np.concatenate(
            [part.surfaces_of(block) for part, block in zip(self.parts, blocks, strict=True)]
        )
