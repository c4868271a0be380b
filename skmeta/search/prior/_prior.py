"""``SearchPrior``: the expected score of each configuration, learned from past searches."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmeta.search.prior._file import read_file, write_file
from skmeta.search.prior._immutable import Immutable
from skmeta.search.prior._kernel_sums import weighted_kernel_sums
from skmeta.search.prior._past_task import PastTask
from skmeta.search.prior._resemblance import weights_by_resemblance
from skmeta.search.record import Configuration, PastSearch
from skmeta.search.space import Encoding, parameter_names
from skmeta.search.surrogate import (
    learn_surfaces,
    matern,
    scale_columns,
    standardise,
    winsorize_scores,
)

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

# Chosen on searches of estimators whose bad scores are very bad (SVR, MLPRegressor, Lasso).
_WINSOR_FACTOR = 2.0
_BY_EVALUATION = ("X", "weights")
_BY_TASK = ("offsets", "noise", "uncertainty", "levels")
_N_REFERENCE = 100  # configurations by whose scores past tasks are compared


class SearchPrior(Immutable):
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
    length_scales : dict of str -> float
        The smallest length scale of each parameter, in units of its range. The smaller it is, the
        more the parameter matters.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.search import PastSearch, SearchPrior
    >>> values = np.geomspace(0.01, 100, 9)
    >>> past = PastSearch(
    ...     dataset="wine",
    ...     configurations=tuple({"SVC.C": float(c)} for c in values),
    ...     scores=1 - 0.01 * np.log10(values) ** 2,
    ... )
    >>> prior = SearchPrior.from_searches([past])
    >>> prior
    SearchPrior(1 task, 9 evaluations of 1 parameter, metric 'score')
    >>> bad, good = prior.surfaces([{"SVC.C": 0.01}, {"SVC.C": 1.0}])[0]
    >>> bool(bad < 0 < good)
    True
    """

    _encoding: Encoding
    _tasks: tuple[PastTask, ...]
    _tensors: dict[str, Array32]
    _ends: NDArray[np.intp]
    _task_weights: Array

    def __init__(
        self,
        encoding: Encoding,
        tasks: Sequence[PastTask],
        tensors: dict[str, Any],
        task_weights: Array | None = None,
    ) -> None:
        # Writing to the instance's dict avoids __setattr__, which raises an error.
        frozen = {}
        for name, tensor in tensors.items():
            frozen[name] = np.array(tensor, dtype="<f4", order="C")
            frozen[name].setflags(write=False)
        sizes = [task.n_evaluations for task in tasks]
        equal = np.full(len(tasks), 1 / max(1, len(tasks)))
        vars(self).update(
            _encoding=encoding,
            _tasks=tuple(tasks),
            _tensors=frozen,
            _ends=np.cumsum([0, *sizes]),
            _task_weights=equal if task_weights is None else task_weights,
        )

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
        """
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

    # -- facts ---------------------------------------------------------------------------------

    @property
    def n_tasks(self) -> int:
        return len(self._tasks)

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(task.dataset for task in self._tasks)

    @property
    def task_weights(self) -> Array:
        return self._task_weights.copy()

    @property
    def pooled_weights(self) -> Array:
        """Weight of each past task whatever the data set at hand: all are equal."""
        return np.full(self.n_tasks, 1 / max(1, self.n_tasks))

    @property
    def dataset_features(self) -> tuple[dict[str, float], ...]:
        """Features of the data set of each past task, as `PastSearch` has them."""
        return tuple(dict(task.dataset_features) for task in self._tasks)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(sorted({task.metric for task in self._tasks}))

    @property
    def estimators(self) -> tuple[str, ...]:
        return tuple(sorted({task.estimator for task in self._tasks}))

    @property
    def parameters(self) -> tuple[str, ...]:
        return self._encoding.parameters

    @property
    def n_evaluations(self) -> int:
        return sum(task.n_evaluations for task in self._tasks)

    @property
    def uncertainty(self) -> Array:
        return self._tensors["uncertainty"].astype(np.float64)

    @property
    def noise(self) -> Array:
        """Variance of the noise of each task's standardised scores, of shape (n_tasks,)."""
        return self._tensors["noise"].astype(np.float64)

    @property
    def levels(self) -> Array:
        """Location and scale of each task's scores, of shape (n_tasks, 2).

        A task's score at x is about ``location + scale * surface(x)``.
        """
        return self._tensors["levels"].astype(np.float64)

    @property
    def encoding(self) -> Encoding:
        """How configurations become columns, with the ranges of the past searches."""
        return self._encoding

    @property
    def n_columns(self) -> int:
        """Number of columns of `encode`."""
        return self._encoding.n_columns

    @property
    def length_scales(self) -> dict[str, float]:
        scales = self._length_scales[self._encoding.groups]
        return {name: float(scales[c].min()) for name, c in self._encoding.columns.items()}

    @property
    def _length_scales(self) -> Array:
        return self._tensors["length_scales"].astype(np.float64)

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations, each column divided by its length scale.

        Parameters
        ----------
        configurations : sequence of dict
            Canonical names to values.
        names : collection of str
            The parameters that the search varies.

        Returns
        -------
        ndarray of shape (n_configurations, n_columns)
        """
        X = self._encoding.transform(configurations, names)
        return scale_columns(X, self._encoding.groups, self._length_scales)

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Return whether past tasks tried the estimators of configurations: all True."""
        return np.ones(len(configurations), dtype=bool)

    def surfaces(
        self, configurations: Sequence[Configuration], names: Collection[str] | None = None
    ) -> Array:
        """Return the scores of configurations that each past task predicts.

        Parameters
        ----------
        configurations : sequence of dict
            Names independent of pipeline steps (``"SVC.C"``) to values.
        names : collection of str, default=None
            The parameters that the search varies; by default all parameters of `configurations`.

        Returns
        -------
        ndarray of shape (n_tasks, n_configurations)
            Standardised: 0 is the task's mean over configurations and 1 its deviation. Greater
            is better.
        """
        known = parameter_names(configurations) if names is None else names
        return self.surfaces_of(self.encode(configurations, known))

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces at configurations that `encode` encoded.

        Parameters
        ----------
        Z : ndarray of shape (n_configurations, n_columns)
            The configurations.

        Returns
        -------
        ndarray of shape (n_tasks, n_configurations)
        """
        if not self.n_tasks:
            return np.empty((0, len(Z)))
        sums = weighted_kernel_sums(
            self._tensors["X"], self._tensors["weights"], self._ends, Z.astype(np.float32)
        )
        return np.asarray(self._tensors["offsets"][:, None] + sums)

    def _surface(self, t: int, Z32: Array32) -> Array:
        rows = slice(self._ends[t], self._ends[t + 1])
        weights = self._tensors["weights"][rows]
        found = self._tensors["offsets"][t] + matern(Z32, self._tensors["X"][rows]) @ weights
        return np.asarray(found, dtype=np.float64)

    def _level(self, t: int, scores: Array) -> tuple[float, float]:
        """Return the least-squares location and scale of a task's scores on its surface."""
        surface = self._surface(t, self._tensors["X"][self._ends[t] : self._ends[t + 1]])
        spread = surface.var()
        scale = float(np.cov(surface, scores, bias=True)[0, 1] / spread) if spread > 1e-12 else 0.0
        return float(scores.mean() - scale * surface.mean()), scale

    # -- the data set at hand ------------------------------------------------------------------

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
        Z = self.reference()
        past = self.dataset_features
        weights = weights_by_resemblance(self.surfaces_of(Z), self.noise, past, dataset_features)
        if np.array_equal(weights, self._task_weights):
            return self
        return type(self)(self._encoding, self._tasks, self._tensors, weights)

    def reference(self) -> Array:
        """Return some configurations of past searches, encoded."""
        X = self._tensors["X"]
        rows = np.linspace(0, len(X) - 1, min(len(X), _N_REFERENCE)).astype(np.intp)
        return np.asarray(X[rows], dtype=np.float64)

    # -- leaving tasks out ---------------------------------------------------------------------

    def without(
        self,
        *,
        datasets: Collection[str] = (),
        data_digests: Collection[str] = (),
        data_sketch: Sequence[int] = (),
        threshold: float = 0.5,
    ) -> Self:
        """Leave out the past searches on some data sets.

        Parameters
        ----------
        datasets : collection of str
            Names of data sets.
        data_digests : collection of str
            Digests of their rows.
        data_sketch : sequence of int
            MinHash sketch of a data set. Past data sets with at least the similarity `threshold`
            are near duplicates and are left out.
        threshold : float, default=0.5
            Similarity from which data sets count as near duplicates.

        Returns
        -------
        prior : SearchPrior
            The surfaces of the other searches do not change.
        """
        left_out = [
            task.is_on(datasets, data_digests, data_sketch, threshold) for task in self._tasks
        ]
        return self.select([not left for left in left_out])

    def select(self, mask: Sequence[bool]) -> Self:
        """Keep some of the past searches.

        Parameters
        ----------
        mask : sequence of bool of length n_tasks
            True for those to keep.

        Returns
        -------
        prior : SearchPrior
        """
        keep = np.array(mask, dtype=bool)
        if keep.all():
            return self
        return self._take(np.flatnonzero(keep).tolist())

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
        return type(self)(self._encoding, [self._tasks[t] for t in at], tensors, weights)

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
            task.about(sketches.get(task.dataset, ()), dataset_features.get(task.dataset, {}))
            for task in self._tasks
        ]
        return type(self)(self._encoding, tasks, self._tensors)

    # -- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write the prior to a file, whole or not at all, without pickle.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced. Its folder must exist.
        half : bool, default=False
            Write configurations in half precision. The file is smaller, and nothing is lost,
            since `from_searches` rounds configurations to half precision.
        """
        fields = {
            "encoding": self._encoding.to_json(),
            "tasks": [task.to_json() for task in self._tasks],
        }
        tensors = dict(self._tensors)
        if half:
            tensors["X"] = tensors["X"].astype("<f2")
        write_file(Path(path), fields, tensors)

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
        PriorFormatError
            If the file is truncated, altered, not a search prior, or of a newer format, or if its
            contents do not fit together.
        """
        return cls(*read_file(Path(path)))

    # -- comparison and pickling ---------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._encoding, self._tasks, dict(self._tensors), self._task_weights)

    def __len__(self) -> int:
        return self.n_tasks

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SearchPrior)
            and (self._encoding, self._tasks) == (other._encoding, other._tasks)
            and all(np.array_equal(self._tensors[n], other._tensors[n]) for n in self._tensors)
            and np.array_equal(self._task_weights, other._task_weights)
        )

    def __hash__(self) -> int:
        return hash((self._encoding, self._tasks))

    def __repr__(self) -> str:
        metrics = ", ".join(map(repr, self.metrics)) or "none"
        return (
            f"SearchPrior({_count(self.n_tasks, 'task')}, "
            f"{_count(self.n_evaluations, 'evaluation')} of "
            f"{_count(len(self.parameters), 'parameter')}, metric {metrics})"
        )


def _noise_factors(search: PastSearch) -> Array:
    """Return the variance of each score's noise, over that of a score of all folds."""
    if search.n_folds is None:
        return np.ones(len(search.configurations))
    counts = np.maximum(search.n_folds, 1)  # a failed candidate may have none
    return np.asarray(counts.max() / counts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
