"""``SearchPrior``: the expected score of each configuration, learned from past searches."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmeta._files import write_tensor_file
from skmeta._validation import count
from skmeta.search.prior._file import FORMAT, read_file
from skmeta.search.prior._past_surfaces import PastSurfaces, PastTask
from skmeta.search.prior._resemblance import resemblance
from skmeta.search.record import PastSearch
from skmeta.search.space import Encoding
from skmeta.search.surrogate import (
    learn_surfaces,
    standardise,
    winsorize_scores,
    with_one_thread,
)

Array = NDArray[np.float64]

# Chosen on searches of estimators whose bad scores are very bad (SVR, MLPRegressor, Lasso).
_WINSOR_FACTOR = 2.0
_BY_EVALUATION = ("X", "weights")
_BY_TASK = ("offsets", "noise", "uncertainty", "levels")


class SearchPrior(PastSurfaces):
    """Expected score of each configuration, learned from past searches.

    The *surface* of a past search is a standardised Gaussian process fit to its scores. Learning
    has a closed form, except for the kernel's length scales, which all past searches share. A
    prior is immutable, and clones and copies share it.

    Make one with `from_searches`, or from a history.

    Attributes
    ----------
    n_tasks : int
        Number of past searches. Each has at least two different scores.
    datasets : tuple of str of length n_tasks
        Data set of each past search.
    task_weights : ndarray of shape (n_tasks,)
        Weight of each past search, which sum to 1. They are equal, except after `conditioned_on`.
    metrics : tuple of str
        The metrics of the scores, sorted.
    estimators : tuple of str
        Classes of their final predictors, sorted.
    parameters : tuple of str
        The parameters that varied, sorted.
    n_evaluations : int
        Number of configurations behind the surfaces.
    uncertainty : ndarray of shape (n_tasks,)
        Share of each surface's variance that its evaluations leave open, between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from skmeta.search import SearchHistory, SearchPrior
    >>> values = np.geomspace(0.01, 100, 9)
    >>> scores = 1 - 0.01 * np.log10(values) ** 2
    >>> history = SearchHistory()
    >>> history = history.add(SVC(), [{"C": float(c)} for c in values], scores, dataset="wine")
    >>> prior = SearchPrior.from_searches(history.searches())
    >>> prior
    SearchPrior(1 task, 9 evaluations of 1 parameter, metric 'score')
    >>> bad, good = prior.surfaces([{"SVC.C": 0.01}, {"SVC.C": 1.0}])[0]
    >>> bool(bad < 0 < good)
    True
    """

    @classmethod
    def from_searches(cls, searches: Sequence[PastSearch]) -> Self:
        """Learn a prior.

        Parameters
        ----------
        searches : sequence of PastSearch
            Past searches, in any order. A failed configuration (NaN) counts as one with the
            worst score of its search. Scores are winsorized: the distance of a score below the
            median is at most twice that of the best score above it. Searches whose scores are all
            equal are left out.

        Returns
        -------
        prior : SearchPrior
            It may be empty (``len(prior) == 0``).

        Raises
        ------
        TypeError
            If these are not past searches, but the path of a history, for example.
        """
        if not isinstance(searches, Sequence) or any(
            not isinstance(search, PastSearch) for search in searches
        ):
            raise TypeError(
                "searches must be a list of past searches, such as "
                f"SearchHistory('searches.db').searches(estimator='SVC'), got {searches!r}."
            )
        winsorized = [
            winsorize_scores(np.array(s.scores, np.float64), _WINSOR_FACTOR) for s in searches
        ]
        scored = [(s, r, standardise(r)) for s, r in zip(searches, winsorized, strict=True)]
        kept = [(s, r, y) for s, r, y in scored if y is not None]
        # Sorted, so that the order of the searches has no effect, not even on the last digit.
        kept.sort(key=lambda one: (one[0].dataset, one[0].metric, one[2].tobytes()))
        encoding = Encoding.from_searches([s.configurations for s, _, _ in kept])
        X = [encoding.transform(s.configurations) for s, _, _ in kept]
        noise = [_noise_factors(s) for s, _, _ in kept]
        tensors = learn_surfaces(encoding, X, [y for _, _, y in kept], noise)
        tensors["levels"] = np.zeros((len(kept), 2))
        prior = cls(encoding, [PastTask.of(s) for s, _, _ in kept], tensors)
        if kept:
            tensors["levels"] = [prior._level(t, r) for t, (_, r, _) in enumerate(kept)]
        return cls(encoding, prior._tasks, tensors)

    # -- the data set at hand ------------------------------------------------------------------

    @with_one_thread()
    def conditioned_on(self, dataset_features: Mapping[str, float]) -> Self:
        """Weight the past searches by how much their data sets resemble the one at hand.

        How much resemblance counts is learned from the past searches: by how well each is
        predicted from the others.

        Parameters
        ----------
        dataset_features : dict of str -> float
            Features of the data set at hand, as `PastSearch` has them.

        Returns
        -------
        prior : SearchPrior
            All weights are equal if features are unknown, or tell nothing. Files do not keep
            the weights.
        """
        F = self.surfaces_of(self.reference())
        found = resemblance(F, self.errors, self.dataset_features, dataset_features)
        if np.array_equal(found.weights, self._task_weights) and found.distance == self.distance:
            return self
        parts = self._encoding, self._tasks, self._tensors
        return type(self)(*parts, *found, self.promise_offset)

    # -- leaving tasks out ---------------------------------------------------------------------

    def without(
        self,
        *,
        datasets: Collection[str] = (),
        data_digests: Collection[str] = (),
        data_sketch: Sequence[int] = (),
    ) -> Self:
        """Leave out the past searches on some data sets.

        Parameters
        ----------
        datasets : collection of str
            Names of data sets.
        data_digests : collection of str
            Digests of their rows.
        data_sketch : sequence of int
            MinHash sketch of a data set. Past data sets that share half of its rows are near
            duplicates and are left out.

        Returns
        -------
        prior : SearchPrior
            The surfaces of the other searches do not change.
        """
        which = datasets, data_digests, data_sketch
        kept = [t for t, task in enumerate(self._tasks) if not task.is_on(*which)]
        return self if len(kept) == self.n_tasks else self._take(kept)

    def select_datasets(self, datasets: Sequence[str]) -> Self:
        """Keep one past search on each of some data sets, in their order.

        Parameters
        ----------
        datasets : sequence of str
            Names of data sets that the prior knows.

        Returns
        -------
        prior : SearchPrior
        """
        return self._take([self.datasets.index(name) for name in datasets])

    def _take(self, tasks: Sequence[int]) -> Self:
        at = np.asarray(tasks, dtype=np.intp)
        rows = [np.arange(self._ends[t], self._ends[t + 1]) for t in at]
        every = np.concatenate(rows) if rows else np.empty(0, dtype=np.intp)
        tensors: dict[str, Any] = {"length_scales": self._tensors["length_scales"]}
        tensors |= {name: self._tensors[name][every] for name in _BY_EVALUATION}
        tensors |= {name: self._tensors[name][at] for name in _BY_TASK}
        left = self._task_weights[at]
        weights = left / left.sum() if left.sum() else None
        tasks_left = [self._tasks[t] for t in at]
        parts = self._encoding, tasks_left, tensors, weights, self.distance, self.promise_offset
        return type(self)(*parts)

    def with_datasets(
        self,
        sketches: Mapping[str, Sequence[int]],
        dataset_features: Mapping[str, Mapping[str, float]],
    ) -> Self:
        """Replace what is known of the data sets.

        Parameters
        ----------
        sketches : dict of str -> sequence of int
            Data set -> the sketch that near duplicates are found by.
        dataset_features : dict of str -> dict of str -> float
            Data set -> its features. Data sets that are not named get none, and no sketch.

        Returns
        -------
        prior : SearchPrior
        """
        tasks = [
            replace(
                task,
                data_sketch=tuple(sketches.get(task.dataset, ())),
                dataset_features=dataset_features.get(task.dataset, {}),
            )
            for task in self._tasks
        ]
        parts = self._encoding, tasks, self._tensors
        return type(self)(*parts, promise_offset=self.promise_offset)

    def with_promise_offset(self, offset: float) -> Self:
        """Return a prior whose promises have higher log odds by `offset`."""
        parts = self._encoding, self._tasks, self._tensors, self._task_weights, self.distance
        return type(self)(*parts, offset)

    # -- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the prior to a file, whole or not at all, without pickle.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced. Its folder must exist.
        """
        fields = {
            "encoding": self._encoding.to_json(),
            "tasks": [task.to_json() for task in self._tasks],
        }
        # Nothing is lost, since `from_searches` rounds configurations to half precision.
        tensors = {**self._tensors, "X": self._tensors["X"].astype("<f2")}
        write_tensor_file(Path(path), FORMAT, fields, tensors)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a prior that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        prior : SearchPrior

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        PriorError
            If the file is truncated, altered, not a search prior, or of a newer format, or if its
            contents do not fit together.
        """
        return cls(*read_file(Path(path)))

    def __repr__(self) -> str:
        metrics = ", ".join(map(repr, self.metrics)) or "none"
        return (
            f"SearchPrior({count(self.n_tasks, 'tasks')}, "
            f"{count(self.n_evaluations, 'evaluations')} of "
            f"{count(len(self.parameters), 'parameters')}, metric {metrics})"
        )


def _noise_factors(search: PastSearch) -> Array:
    """Return the variance of each score's noise, over that of a score of all folds."""
    if search.n_folds is None:
        return np.ones(len(search.configurations))
    counts = np.maximum(search.n_folds, 1)  # a failed candidate may have none
    return np.asarray(counts.max() / counts)
