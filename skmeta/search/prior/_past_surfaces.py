"""What a prior says of configurations: the surfaces of past tasks."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._copies import Immutable
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE
from skmeta.search.record import Configuration, PastSearch, share_rows
from skmeta.search.space import parameter_names

Array = NDArray[np.float64]


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
        self, datasets: Collection[str], data_digests: Collection[str], data_sketch: Sequence[int]
    ) -> bool:
        """Return whether the search was on one of some data sets, or on some of its rows."""
        return (
            self.dataset in datasets
            or (self.data_digest != "" and self.data_digest in data_digests)
            or share_rows(self.data_sketch, data_sketch)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the labels as strings, lists and numbers."""
        sketch, features = [*self.data_sketch], dict(self.dataset_features)
        return asdict(self) | {"data_sketch": sketch, "dataset_features": features}


class PastSurfaces(Immutable):
    """What past searches say of configurations: a surface of expected scores for each past task."""

    _advice = "Make another with from_searches, or with without(...)."
    datasets: tuple[str, ...]
    estimators: tuple[str, ...]
    n_columns: int  # of `encode`
    levels: Array  # location and scale (n_tasks, 2): a score is about location + scale * surface
    errors: Array  # variance of each surface: its noise, and what its few evaluations leave open
    dataset_features: tuple[Mapping[str, float], ...]  # as `PastSearch` has them
    task_weights: Array  # for the data set at hand; they sum to 1
    pooled_weights: Array  # for any data set
    distance: float  # mean squared, of their data sets to the one at hand
    promise_offset: float  # log odds to be added to what it promises, see `_promise`

    def _set(
        self,
        *,
        datasets: Sequence[str],
        task_weights: Array | None = None,
        pooled_weights: Array | None = None,
        distance: float = UNKNOWN_DISTANCE,
        promise_offset: float = 0.0,
        **others: Any,
    ) -> None:
        """Set the attributes; weights of tasks are equal by default."""
        equal = np.full(len(datasets), 1 / max(1, len(datasets)))
        pooled = equal if pooled_weights is None else pooled_weights
        others |= {
            "task_weights": equal if task_weights is None else task_weights,
            "pooled_weights": pooled,
        }
        for name, value in others.items():
            if isinstance(value, np.ndarray):
                others[name] = value.view()
                others[name].setflags(write=False)
        # Writing to the instance's dict avoids __setattr__, which raises an error.
        vars(self).update(
            datasets=tuple(datasets), distance=distance, promise_offset=promise_offset, **others
        )

    @property
    def n_tasks(self) -> int:
        return len(self.datasets)

    def __len__(self) -> int:
        return len(self.datasets)

    @property
    def max_log_rows(self) -> float:
        """Logarithm of the rows of the largest past data set; minus infinity if none is known."""
        return max((of.get("log_rows", -np.inf) for of in self.dataset_features), default=-np.inf)

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations of a search that varies the parameters `names`."""
        raise NotImplementedError

    def surfaces_of(self, Z: Array) -> Array:
        """Return the surfaces (n_tasks, n_configurations) at encoded configurations."""
        raise NotImplementedError

    def without(self, **which: Any) -> Any:
        """Leave out the past searches on some data sets, as `SearchPrior.without` does."""
        raise NotImplementedError

    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "PastSurfaces":
        """Weight past searches by resemblance, as `SearchPrior.conditioned_on` does."""
        raise NotImplementedError

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Return whether past tasks tried the estimators of configurations, of shape (n,)."""
        return np.ones(len(configurations), dtype=bool)

    def surfaces(
        self, configurations: Sequence[Configuration], names: Collection[str] | None = None
    ) -> Array:
        """Return the standardised scores (n_tasks, n) that each past task predicts."""
        known = parameter_names(configurations) if names is None else names
        return self.surfaces_of(self.encode(configurations, known))
