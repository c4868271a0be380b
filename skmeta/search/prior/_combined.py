"""Priors made of other priors: a choice between estimators, and two sources."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._validation import count
from skmeta.search.prior._past_surfaces import PastSurfaces
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE, resemblance
from skmeta.search.record import Configuration
from skmeta.search.surrogate import with_one_thread

Array = NDArray[np.float64]

# With this many past searches of the user, they have the same total weight as the shipped ones.
_N_EQUAL = 5


class AlgorithmSelectionPrior(PastSurfaces):
    """The prior of a search that chooses between estimators (CASH): one of each class.

    Its tasks are the data sets on which all of them were searched: only those scores can be
    compared.
    """

    _priors: dict[str, SearchPrior]

    def __init__(
        self,
        priors: Mapping[str, SearchPrior],
        task_weights: Array | None = None,
        distance: float = UNKNOWN_DISTANCE,
    ) -> None:
        shared = sorted(set.intersection(*(set(prior.datasets) for prior in priors.values())))
        parts = {name: prior.select_datasets(shared) for name, prior in priors.items()}
        # Mean and deviation of a task's scores, with equal weights of the estimators.
        levels = np.array([prior.levels for prior in parts.values()])
        location, scale = levels[:, :, 0], levels[:, :, 1]
        mean = location.mean(0)
        spread = (scale**2 + (location - mean) ** 2).mean(0)
        self._set(
            _priors=parts,
            datasets=shared,
            estimators=tuple(sorted(parts)),
            n_columns=sum(1 + prior.n_columns for prior in parts.values()),
            levels=np.column_stack([mean, np.sqrt(np.where(spread > 0, spread, 1.0))]),
            errors=np.mean([prior.errors for prior in parts.values()], axis=0),
            dataset_features=next(iter(parts.values())).dataset_features,
            task_weights=task_weights,
            distance=distance,
        )

    def without(self, **which: Any) -> "AlgorithmSelectionPrior":
        left = {name: prior.without(**which) for name, prior in self._priors.items()}
        return AlgorithmSelectionPrior(left)

    @with_one_thread()
    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "AlgorithmSelectionPrior":
        if not len(self):
            return self
        alike = resemblance(self.errors, self.dataset_features, dataset_features)
        return AlgorithmSelectionPrior(self._priors, *alike)

    def _on_common_scale(self, prior: SearchPrior, F: Array) -> Array:
        """Return the surfaces of one estimator in units of the scores of all."""
        (location, scale), (mean, deviation) = prior.levels.T, self.levels.T
        scores = location[:, None] + scale[:, None] * F
        return np.asarray((scores - mean[:, None]) / deviation[:, None])

    def __repr__(self) -> str:
        return f"AlgorithmSelectionPrior({count(len(self), 'tasks')}, {' | '.join(self._priors)})"

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode an indicator per estimator, and columns: those of estimators not chosen are 0."""
        blocks = []
        for name, prior in self._priors.items():
            chosen = np.array([_uses(name, c) for c in configurations], dtype=np.float64)[:, None]
            blocks += [chosen, chosen * prior.encode(configurations, names)]
        return np.concatenate(blocks, axis=1)

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        return np.array([any(_uses(name, c) for name in self._priors) for c in configurations])

    def surfaces_of(self, Z: Array) -> Array:
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


class JointPrior(PastSurfaces):
    """The past searches of two priors; five `own` ones weigh as much as all `shipped` ones."""

    _parts: tuple[PastSurfaces, PastSurfaces]

    def __init__(self, own: PastSurfaces, shipped: PastSurfaces) -> None:
        parts = own, shipped
        share = len(own) / (len(own) + _N_EQUAL)
        self._set(
            _parts=parts,
            datasets=own.datasets + shipped.datasets,
            estimators=tuple(sorted({*own.estimators, *shipped.estimators})),
            n_columns=own.n_columns + shipped.n_columns,
            dataset_features=own.dataset_features + shipped.dataset_features,
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("levels", "errors")
            },
            **{
                name: np.concatenate(
                    [share * getattr(own, name), (1 - share) * getattr(shipped, name)]
                )
                for name in ("task_weights", "pooled_weights")
            },
            distance=share * own.distance + (1 - share) * shipped.distance,
            promise_offset=share * own.promise_offset + (1 - share) * shipped.promise_offset,
        )

    def without(self, **which: Any) -> Any:
        return join(*(part.without(**which) for part in self._parts))

    def conditioned_on(self, dataset_features: Mapping[str, float]) -> "JointPrior":
        return JointPrior(*(part.conditioned_on(dataset_features) for part in self._parts))

    def __repr__(self) -> str:
        return f"JointPrior({', '.join(map(repr, self._parts))})"

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations by each part; squared distances are means over the parts."""
        blocks = [part.encode(configurations, names) for part in self._parts]
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(len(blocks)))

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        own, shipped = (part.covers(configurations) for part in self._parts)
        return own | shipped

    def surfaces_of(self, Z: Array) -> Array:
        blocks = np.split(Z * np.sqrt(len(self._parts)), [self._parts[0].n_columns], axis=1)
        return np.concatenate(
            [part.surfaces_of(block) for part, block in zip(self._parts, blocks, strict=True)]
        )


def join(own: PastSurfaces | None, shipped: PastSurfaces | None) -> Any:
    """Join the priors of two sources; one that is empty is left out."""
    return JointPrior(own, shipped) if own and shipped else own or shipped
