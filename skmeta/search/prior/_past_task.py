"""Labels of a past search that a prior keeps: data set, metric and estimator."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from skmeta.search.record import PastSearch, sketch_similarity


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
    """

    dataset: str
    metric: str
    estimator: str
    data_digest: str
    data_sketch: tuple[int, ...]
    n_evaluations: int

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
        )

    def is_on(
        self,
        datasets: Collection[str],
        data_digests: Collection[str],
        data_sketch: Sequence[int],
        threshold: float,
    ) -> bool:
        """Return whether the search was on one of some data sets, or on a near duplicate."""
        return (
            self.dataset in datasets
            or (self.data_digest != "" and self.data_digest in data_digests)
            or sketch_similarity(self.data_sketch, data_sketch) >= threshold
        )

    def to_json(self) -> dict[str, Any]:
        """Return the labels as strings, lists and numbers."""
        return asdict(self) | {"data_sketch": [*self.data_sketch]}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Self:
        """Return the labels that `to_json` described."""
        return cls(**(dict(described) | {"data_sketch": tuple(described["data_sketch"])}))
