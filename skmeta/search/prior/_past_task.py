"""Labels of a past search that a prior keeps: data set, metric and estimator."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from skmeta.search.record import PastSearch, sketch_similarity

_NEAR_DUPLICATE = 0.5  # similarity of sketches


@dataclass(frozen=True)
class PastTask:
    """Labels of one past search.

    Attributes
    ----------
    dataset, metric, estimator, data_digest : str
        As in `PastSearch`.
    data_sketch : tuple of int
        As in `PastSearch`.
    n_evaluations : int
        Number of its configurations.
    dataset_features : tuple of (str, float)
        Names and values of the features of `PastSearch`.
    """

    dataset: str
    metric: str
    estimator: str
    data_digest: str
    data_sketch: tuple[int, ...]
    n_evaluations: int
    dataset_features: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, search: PastSearch) -> Self:
        """Return the labels of a past search."""
        return cls(
            dataset=search.dataset,
            metric=search.metric,
            estimator=search.estimator,
            data_digest=search.data_digest,
            data_sketch=tuple(int(v) for v in search.data_sketch),
            n_evaluations=len(search.configurations),
            dataset_features=_pairs(search.dataset_features),
        )

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

    def about(self, sketch: Sequence[int], dataset_features: Mapping[str, float]) -> Self:
        """Return the labels with another sketch and other features of the data set."""
        sketch = tuple(int(value) for value in sketch)
        return replace(self, data_sketch=sketch, dataset_features=_pairs(dataset_features))

    def to_json(self) -> dict[str, Any]:
        """Return the labels as strings, lists and numbers."""
        return asdict(self) | {
            "data_sketch": [*self.data_sketch],
            "dataset_features": dict(self.dataset_features),
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Self:
        """Return the labels that `to_json` described."""
        return cls(
            **{
                **described,
                "data_sketch": tuple(described["data_sketch"]),
                "dataset_features": _pairs(described["dataset_features"]),
            }
        )


def _pairs(features: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Return names and values of finite features, sorted by name."""
    pairs = ((str(name), float(value)) for name, value in sorted(features.items()))
    return tuple((name, value) for name, value in pairs if math.isfinite(value))
