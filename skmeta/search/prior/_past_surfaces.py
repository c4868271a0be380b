"""The surfaces of past searches: what a prior holds, and what it says of configurations."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._identity import Immutable
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE
from skmeta.search.record import Configuration, PastSearch, sketch_similarity
from skmeta.search.space import Encoding, parameter_names
from skmeta.search.surrogate import matern, scale_columns

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

_N_REFERENCE = 100  # configurations by whose scores past tasks are compared
_NEAR_DUPLICATE = 0.5  # similarity of sketches
# The kernels of this many evaluations and configurations stay in the processor's cache.
_N_ROWS, _N_COLUMNS = 512, 128


@dataclass(frozen=True)
class PastTask:
    """Labels of one past search, as in `PastSearch`; features are sorted (a dict is taken, too)."""

    dataset: str
    metric: str
    estimator: str
    data_digest: str
    data_sketch: tuple[int, ...]
    n_evaluations: int
    dataset_features: tuple[tuple[str, float], ...] | Mapping[str, float] = ()

    def __post_init__(self) -> None:
        pairs = sorted(dict(self.dataset_features).items())
        finite = tuple((str(name), float(v)) for name, v in pairs if math.isfinite(v))
        object.__setattr__(self, "dataset_features", finite)
        object.__setattr__(self, "data_sketch", tuple(map(int, self.data_sketch)))

    @classmethod
    def of(cls, search: PastSearch) -> "PastTask":
        """Return the labels of a past search."""
        names = ("dataset", "metric", "estimator", "data_digest", "data_sketch", "dataset_features")
        labels = {name: getattr(search, name) for name in names}
        return cls(n_evaluations=len(search.configurations), **labels)

    def is_on(
        self,
        datasets: Collection[str],
        data_digests: Collection[str],
        data_sketch: Sequence[int],
    ) -> bool:
        """Return whether the search was on one of some data sets, or on a near duplicate."""
        return (
            self.dataset in datasets
            or (self.data_digest != "" and self.data_digest in data_digests)
            or sketch_similarity(self.data_sketch, data_sketch) >= _NEAR_DUPLICATE
        )

    def to_json(self) -> dict[str, Any]:
        """Return the labels as strings, lists and numbers."""
        sketch, features = [*self.data_sketch], dict(self.dataset_features)
        return asdict(self) | {"data_sketch": sketch, "dataset_features": features}


class PastSurfaces(Immutable):
    """Surfaces of past searches, which say what scores they expect of configurations."""

    _advice = "Make another with from_searches, or with without(...)."
    _encoding: Encoding
    _tasks: tuple[PastTask, ...]
    _tensors: dict[str, Array32]  # those of `learn_surfaces`, and ``levels``
    _ends: NDArray[np.intp]
    _task_weights: Array  # sum to 1
    distance: float  # mean squared, of their data sets to the one at hand
    promise_offset: float  # log odds to be added to what it promises, see `_promise`

    def __init__(
        self,
        encoding: Encoding,
        tasks: Sequence[PastTask],
        tensors: dict[str, Any],
        task_weights: Array | None = None,
        distance: float = UNKNOWN_DISTANCE,
        promise_offset: float = 0.0,
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
            distance=distance,
            promise_offset=promise_offset,
        )

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
    def errors(self) -> Array:
        """Variance of each surface: its noise, and what its few evaluations leave open."""
        return self.noise + self.uncertainty

    @property
    def levels(self) -> Array:
        """Location and scale (n_tasks, 2): a score is about ``location + scale * surface``."""
        return self._tensors["levels"].astype(np.float64)

    @property
    def n_columns(self) -> int:
        """Number of columns of `encode`."""
        return self._encoding.n_columns

    @property
    def _length_scales(self) -> Array:
        return self._tensors["length_scales"].astype(np.float64)

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations, each column divided by its length scale."""
        X = self._encoding.transform(configurations, names)
        return scale_columns(X, self._encoding.groups, self._length_scales)

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Return whether past tasks tried the estimators of configurations: all True."""
        return np.ones(len(configurations), dtype=bool)

    def surfaces(
        self, configurations: Sequence[Configuration], names: Collection[str] | None = None
    ) -> Array:
        """Return the scores (n_tasks, n_configurations) that each past task predicts.

        A task's mean over configurations is 0, and its deviation 1. `names` are the parameters that
        the search varies, by default all of the configurations.
        """
        known = parameter_names(configurations) if names is None else names
        return self.surfaces_of(self.encode(configurations, known))

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces (n_tasks, n_configurations) at encoded configurations."""
        if not self.n_tasks:
            return np.empty((0, len(Z)))
        sums = weighted_kernel_sums(
            self._tensors["X"], self._tensors["weights"], self._ends, Z.astype(np.float32)
        )
        return np.asarray(self._tensors["offsets"][:, None] + sums)

    def _surface(self, t: int, Z32: Array32) -> Array:
        rows = slice(self._ends[t], self._ends[t + 1])
        weights = self._tensors["weights"][rows]
        surface = self._tensors["offsets"][t] + matern(Z32, self._tensors["X"][rows]) @ weights
        return np.asarray(surface, dtype=np.float64)

    def _level(self, t: int, scores: Array) -> tuple[float, float]:
        """Return the least-squares location and scale of a task's scores on its surface."""
        surface = self._surface(t, self._tensors["X"][self._ends[t] : self._ends[t + 1]])
        spread = surface.var()
        scale = float(np.cov(surface, scores, bias=True)[0, 1] / spread) if spread > 1e-12 else 0.0
        return float(scores.mean() - scale * surface.mean()), scale

    def reference(self) -> Array:
        """Return some configurations of past searches, encoded."""
        X = self._tensors["X"]
        rows = np.linspace(0, len(X) - 1, min(len(X), _N_REFERENCE)).astype(np.intp)
        return np.asarray(X[rows], dtype=np.float64)

    # -- comparison and pickling ---------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        tensors, weights = dict(self._tensors), self._task_weights
        parts = self._encoding, self._tasks, tensors, weights, self.distance, self.promise_offset
        return type(self), parts

    def __len__(self) -> int:
        return self.n_tasks

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, type(self))
            and (self._encoding, self._tasks) == (other._encoding, other._tasks)
            and all(np.array_equal(self._tensors[n], other._tensors[n]) for n in self._tensors)
            and np.array_equal(self._task_weights, other._task_weights)
        )

    def __hash__(self) -> int:
        return hash((self._encoding, self._tasks))


def weighted_kernel_sums(
    X: NDArray[np.float32],
    weights: NDArray[np.float32],
    ends: NDArray[np.intp],
    Z: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return, for each task, the weighted sum (n_tasks, n) of the kernels of its evaluations X.

    Evaluations ``ends[t]`` to ``ends[t + 1]`` are those of task `t`; each has at least one. Columns
    of X (n_evaluations, d) and of configurations Z (n, d) are scaled.
    """
    sums = np.empty((len(ends) - 1, len(Z)))
    for first, last in _blocks_of_tasks(ends):
        start, end = ends[[first, last]]
        for column in range(0, len(Z), _N_COLUMNS):
            columns = slice(column, column + _N_COLUMNS)
            terms = matern(X[start:end], Z[columns])
            terms *= weights[start:end, None]
            sums[first:last, columns] = np.add.reduceat(terms, ends[first:last] - start, axis=0)
    return sums


def _blocks_of_tasks(ends: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return ranges of tasks that have at most `_N_ROWS` evaluations together, or one task."""
    firsts = [0]
    for t in range(1, len(ends) - 1):
        if ends[t + 1] - ends[firsts[-1]] > _N_ROWS:
            firsts.append(t)
    return list(zip(firsts, [*firsts[1:], len(ends) - 1], strict=True))
