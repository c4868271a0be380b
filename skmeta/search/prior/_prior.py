"""``SearchPrior``: the expected score of each configuration, learned from past searches."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmeta._files import write_tensor_file
from skmeta._validation import count
from skmeta.search.prior._file import FORMAT, read_file
from skmeta.search.prior._past_surfaces import PastSurfaces, PastTask
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE, resemblance
from skmeta.search.record import Configuration, PastSearch
from skmeta.search.space import Encoding
from skmeta.search.surrogate import (
    learn_surfaces,
    matern,
    scale_columns,
    standardise,
    winsorize_scores,
    with_one_thread,
)

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

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

    _encoding: Encoding
    _tasks: tuple[PastTask, ...]
    _tensors: dict[str, Array32]  # those of `learn_surfaces`, and ``levels``
    _rows: list[slice]  # of each task's evaluations
    metrics: tuple[str, ...]
    parameters: tuple[str, ...]
    n_evaluations: int
    noise: Array  # variance (n_tasks,) of the noise of each task's standardised scores
    uncertainty: Array

    def __init__(self) -> None:
        raise TypeError("A SearchPrior is made by SearchPrior.from_searches, or read by load.")

    @classmethod
    def _make(
        cls,
        encoding: Encoding,
        tasks: Sequence[PastTask],
        tensors: Mapping[str, Any],
        task_weights: Array | None = None,
        distance: float = UNKNOWN_DISTANCE,
        promise_offset: float = 0.0,
    ) -> Self:
        self = cls.__new__(cls)
        frozen = {name: np.array(t, dtype="<f4", order="C") for name, t in tensors.items()}
        for tensor in frozen.values():
            tensor.setflags(write=False)
        ends = accumulate((task.n_evaluations for task in tasks), initial=0)
        noise, uncertainty = (frozen[n].astype(np.float64) for n in ("noise", "uncertainty"))
        self._set(
            _encoding=encoding,
            _tasks=tuple(tasks),
            _tensors=frozen,
            _rows=[slice(*ends) for ends in pairwise(ends)],
            datasets=[task.dataset for task in tasks],
            estimators=tuple(sorted({task.estimator for task in tasks})),
            metrics=tuple(sorted({task.metric for task in tasks})),
            parameters=encoding.parameters,
            n_columns=encoding.n_columns,
            n_evaluations=sum(task.n_evaluations for task in tasks),
            dataset_features=tuple(dict(task.dataset_features) for task in tasks),
            levels=frozen["levels"].astype(np.float64),
            noise=noise,
            uncertainty=uncertainty,
            errors=noise + uncertainty,
            task_weights=task_weights,
            distance=distance,
            promise_offset=promise_offset,
        )
        return self

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
        tensors = learn_surfaces(encoding, X, [y for _, _, y in kept])
        tensors["levels"] = np.zeros((len(kept), 2))
        prior = cls._make(encoding, [PastTask.of(s) for s, _, _ in kept], tensors)
        if kept:
            tensors["levels"] = [prior._level(t, r) for t, (_, r, _) in enumerate(kept)]
        return cls._make(encoding, prior._tasks, tensors)

    # -- surfaces ------------------------------------------------------------------------------

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations (n, n_columns), each column divided by its length scale."""
        X = self._encoding.transform(configurations, names)
        length_scales = self._tensors["length_scales"].astype(np.float64)
        return scale_columns(X, self._encoding.groups, length_scales)

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces (n_tasks, n_configurations) at encoded configurations."""
        F, Z = np.empty((self.n_tasks, len(Z))), Z.astype(np.float32)
        for t, rows in enumerate(self._rows):
            weights = self._tensors["weights"][rows]
            F[t] = self._tensors["offsets"][t] + weights @ matern(self._tensors["X"][rows], Z)
        return F

    def _level(self, t: int, scores: Array) -> tuple[float, float]:
        """Return the least-squares location and scale of a task's scores on its surface."""
        X, weights = (self._tensors[name][self._rows[t]] for name in _BY_EVALUATION)
        surface = np.asarray(self._tensors["offsets"][t] + matern(X, X) @ weights, np.float64)
        spread = surface.var()
        scale = float(np.cov(surface, scores, bias=True)[0, 1] / spread) if spread > 1e-12 else 0.0
        return float(scores.mean() - scale * surface.mean()), scale

    # -- the data set at hand ------------------------------------------------------------------

    @with_one_thread()
    def conditioned_on(self, dataset_features: Mapping[str, float]) -> Self:
        """Weight the past searches by how much their data sets resemble the one at hand.

        Parameters
        ----------
        dataset_features : dict of str -> float
            Features of the data set at hand, as `PastSearch` has them.

        Returns
        -------
        prior : SearchPrior
            All weights are equal if features are unknown. Files do not keep the weights.
        """
        near = resemblance(self.errors, self.dataset_features, dataset_features)
        if np.array_equal(near.weights, self.task_weights) and near.distance == self.distance:
            return self
        return self._replace(task_weights=near.weights, distance=near.distance)

    # -- leaving tasks out ---------------------------------------------------------------------

    def without(  # type: ignore[override]
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
            Sketch of the rows of a data set, as `PastSearch` has it. Past data sets that have rows
            in common with it, more than by chance, are left out.

        Returns
        -------
        prior : SearchPrior
            The surfaces of the other searches do not change.
        """
        which = datasets, data_digests, data_sketch
        kept = [t for t, task in enumerate(self._tasks) if not task.is_on(*which)]
        return self if len(kept) == self.n_tasks else self._take(kept)

    def select_datasets(self, datasets: Sequence[str]) -> Self:
        """Keep one past search on each of some known data sets, in their order."""
        return self._take([self.datasets.index(name) for name in datasets])

    def _take(self, tasks: Sequence[int]) -> Self:
        at = np.asarray(tasks, dtype=np.intp)
        every = np.concatenate([np.empty(0, np.intp), *(np.r_[self._rows[t]] for t in at)])
        tensors: dict[str, Any] = {"length_scales": self._tensors["length_scales"]}
        tensors |= {name: self._tensors[name][every] for name in _BY_EVALUATION}
        tensors |= {name: self._tensors[name][at] for name in _BY_TASK}
        left = self.task_weights[at]
        weights = left / left.sum() if left.sum() else None
        tasks_left = [self._tasks[t] for t in at]
        return self._replace(tasks=tasks_left, tensors=tensors, task_weights=weights)

    def with_datasets(
        self,
        sketches: Mapping[str, Sequence[int]],
        dataset_features: Mapping[str, Mapping[str, float]],
    ) -> Self:
        """Replace sketches and features of data sets by name; those not named get none."""
        tasks = [
            replace(
                task,
                data_sketch=tuple(sketches.get(task.dataset, ())),
                dataset_features=dataset_features.get(task.dataset, {}),
            )
            for task in self._tasks
        ]
        return self._replace(tasks=tasks, task_weights=None, distance=UNKNOWN_DISTANCE)

    def with_promise_offset(self, offset: float) -> Self:
        """Return a prior whose promises have higher log odds by `offset`."""
        return self._replace(promise_offset=offset)

    def _replace(self, **changes: Any) -> Self:
        """Return a prior with some of the constructor's arguments changed."""
        given = {name.removeprefix("_"): value for name, value in self.__getstate__().items()}
        return self._make(**given | changes)

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
        return cls._make(*read_file(Path(path)))

    # -- comparison and pickling ---------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        names = "_encoding", "_tasks", "_tensors", "task_weights", "distance", "promise_offset"
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(vars(self._make(*state.values())))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, type(self))
            and (self._encoding, self._tasks) == (other._encoding, other._tasks)
            and all(np.array_equal(self._tensors[n], other._tensors[n]) for n in self._tensors)
            and np.array_equal(self.task_weights, other.task_weights)
        )

    def __hash__(self) -> int:
        return hash((self._encoding, self._tasks))

    def __repr__(self) -> str:
        metrics = ", ".join(map(repr, self.metrics)) or "none"
        return (
            f"SearchPrior({count(self.n_tasks, 'tasks')}, "
            f"{count(self.n_evaluations, 'evaluations')} of "
            f"{count(len(self.parameters), 'parameters')}, metric {metrics})"
        )
