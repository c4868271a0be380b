"""Priors that are made of priors: the user's own with a shipped one, and one for a choice.

Both answer what a search strategy asks of a prior: an encoding of configurations, and a surface
of each past task at what was encoded.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
Z       (n, d)           encoded configurations: the blocks of columns of all parts
F       (T, n)           surfaces of past tasks
======  ===============  ====================================================================
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.prior._prior import SearchPrior
from skmeta.search.record import Configuration

__all__ = ["ChoicePrior", "JointPrior"]

Array = NDArray[np.float64]

# A user's own past searches weigh as much as all that shipped when there are this many.
_N_EQUAL = 5


class JointPrior:
    """The past searches of several priors together.

    Parameters
    ----------
    own : SearchPrior
        From the user's history. The more searches it has, the more it weighs.
    shipped : SearchPrior or ChoicePrior
        What is known beside it.

    Attributes
    ----------
    parts : tuple of SearchPrior or ChoicePrior
        `own` and `shipped`.
    datasets : tuple of str of length n_tasks
        Data sets of the past tasks, the user's own first.
    task_weights : ndarray of shape (n_tasks,)
        Their weights, which sum to 1. Five searches of the user's own weigh as much together as
        all that shipped.

    Examples
    --------
    >>> from skmeta.search import JointPrior, PastSearch, SearchPrior
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

    def __init__(
        self, own: "SearchPrior | ChoicePrior", shipped: "SearchPrior | ChoicePrior"
    ) -> None:
        self._parts = (own, shipped)

    @property
    def parts(self) -> "tuple[SearchPrior | ChoicePrior, SearchPrior | ChoicePrior]":
        """What it was made of: the user's own, and the shipped one."""
        return self._parts

    def __len__(self) -> int:
        return len(self._parts[0]) + len(self._parts[1])

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets of the past tasks, the user's own first."""
        return tuple(name for part in self._parts for name in part.datasets)

    @property
    def task_weights(self) -> Array:
        """Weight of each past task, of shape (n_tasks,); they sum to 1."""
        n_own, n_shipped = map(len, self._parts)
        share = n_own / (n_own + _N_EQUAL)
        weights = [np.full(n_own, share / n_own), np.full(n_shipped, (1 - share) / n_shipped)]
        return np.concatenate(weights)

    def __repr__(self) -> str:
        return f"JointPrior({', '.join(map(repr, self._parts))})"

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations as each part does; distances are means over the parts."""
        blocks = [part.encode(configurations, names) for part in self._parts]
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(len(blocks)))

    def knows(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Whether past tasks tell of configurations, of shape (n_configurations,)."""
        return np.logical_or(*(part.knows(configurations) for part in self._parts))

    def surfaces_of(self, Z: Array) -> Array:
        """Surfaces at configurations that `encode` has encoded."""
        Z = Z * np.sqrt(len(self._parts))
        ends = np.cumsum([part.n_columns for part in self._parts])[:-1]
        blocks = np.split(Z, ends, axis=1)
        return np.concatenate(
            [part.surfaces_of(block) for part, block in zip(self._parts, blocks, strict=True)]
        )


class ChoicePrior:
    """What past searches say where the search chooses between estimators too.

    Its tasks are the data sets on which all of the estimators were searched: there, what each
    scored is comparable.

    Parameters
    ----------
    priors : dict of str -> SearchPrior
        By class of the estimator. Of another estimator nothing is known.

    Attributes
    ----------
    datasets : tuple of str of length n_tasks
        The data sets that all of them know, sorted.
    task_weights : ndarray of shape (n_tasks,)
        Their weights: all are the same and sum to 1.

    Examples
    --------
    >>> from skmeta.search import ChoicePrior, PastSearch, SearchPrior
    >>> def learn(name, *scores):
    ...     tried = tuple({name: value} for value in (0.1, 1.0, 10.0))
    ...     return SearchPrior.from_searches(
    ...         [PastSearch(dataset="wine", configurations=tried, scores=scores)]
    ...     )
    >>> svc = learn("SVC.C", 0.7, 0.9, 0.8)
    >>> logistic = learn("LogisticRegression.C", 0.6, 0.5, 0.4)
    >>> ChoicePrior({"SVC": svc, "LogisticRegression": logistic})
    ChoicePrior(1 task, SVC | LogisticRegression)
    """

    def __init__(self, priors: Mapping[str, SearchPrior]) -> None:
        shared = sorted(set.intersection(*(set(prior.datasets) for prior in priors.values())))
        self._priors = {name: prior.ordered(shared) for name, prior in priors.items()}
        self.datasets = tuple(shared)
        levels = np.array([prior.levels for prior in self._priors.values()])
        # Mean and deviation of a task's scores, each estimator counting the same.
        location, scale = levels[:, :, 0], levels[:, :, 1]
        self._mean = location.mean(0)
        spread = (scale**2 + (location - self._mean) ** 2).mean(0)
        self._deviation = np.sqrt(np.where(spread > 0, spread, 1.0))

    def without(
        self,
        *,
        datasets: Collection[str] = (),
        data_digests: Collection[str] = (),
        data_sketch: Sequence[int] = (),
    ) -> "ChoicePrior":
        """Leave out past searches on some data, as `SearchPrior.without` does."""
        left = {
            name: prior.without(
                datasets=datasets, data_digests=data_digests, data_sketch=data_sketch
            )
            for name, prior in self._priors.items()
        }
        return ChoicePrior(left)

    def __len__(self) -> int:
        return len(self.datasets)

    def __repr__(self) -> str:
        tasks = "1 task" if len(self) == 1 else f"{len(self)} tasks"
        return f"ChoicePrior({tasks}, {' | '.join(self._priors)})"

    @property
    def n_columns(self) -> int:
        """Number of columns of `encode`."""
        return sum(1 + prior.n_columns for prior in self._priors.values())

    @property
    def task_weights(self) -> Array:
        """Weight of each past task, of shape (n_tasks,); they sum to 1."""
        return np.full(len(self), 1 / max(1, len(self)))

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations: which estimator, and its own columns; zeros for the others."""
        blocks = []
        for name, prior in self._priors.items():
            chosen = np.array([_uses(name, c) for c in configurations], dtype=np.float64)[:, None]
            blocks += [chosen, chosen * prior.encode(configurations, names)]
        return np.concatenate(blocks, axis=1)

    def knows(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Whether past tasks tell of configurations, of shape (n_configurations,)."""
        return np.array([any(_uses(name, c) for name in self._priors) for c in configurations])

    def surfaces_of(self, Z: Array) -> Array:
        """Surfaces at configurations that `encode` has encoded."""
        F = np.zeros((len(self), len(Z)))
        start = 0
        for prior in self._priors.values():
            end = start + 1 + prior.n_columns
            rows = Z[:, start] > 0.5
            location, scale = prior.levels.T[:, :, None]
            scores = location + scale * prior.surfaces_of(Z[rows, start + 1 : end])
            F[:, rows] = (scores - self._mean[:, None]) / self._deviation[:, None]
            start = end
        return F


def _uses(estimator: str, configuration: Mapping[str, Any]) -> bool:
    return any(name.startswith(f"{estimator}.") for name in configuration)
