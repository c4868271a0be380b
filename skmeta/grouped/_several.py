"""Several columns of groups: members that know all of them, mixed by what is held out.

They have effects of the groups of each column, nested or crossed. Rows are held out, and groups of
each column. Members are fitted again without them, and weighed by which groups of a row are new,
and by how many rows of these are known.

With an order of rows in time, a model of the series stands beside them, which knows time and has
other columns of groups as columns of X. Models may have targets on different scales, so that their
means, medians and quantiles are mixed on the target's own units.

Notation: n rows, F columns of groups, m members, p probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from skmeta.grouped._cases import counts_of, regime_of
from skmeta.grouped._model import FittedModel
from skmeta.grouped._parts import Part, Rows, Series
from skmeta.tabular import (
    PROBABILITIES,
    CalibratedOutputs,
    Level,
    Table,
    Target,
    TargetUnits,
    interpolate,
    mix,
    quantiles_at,
    sharpen,
    width_of_exposure,
)

NORMAL = ndtri(PROBABILITIES)


@dataclass(frozen=True)
class SeveralColumns:
    """The mixture of a model of all columns of groups and, in time, of one of the series."""

    parts: tuple[Part, ...]  # the model of all columns, and that of the series
    names: tuple[str, ...]  # members of the model of all columns
    n_groups: np.ndarray  # numbers (F,) of groups of fit, and of series
    regimes: list[list[Level]]  # weights with a new group of each column, several, series, none
    series: Series | None = None  # with an order

    @property
    def joint(self) -> FittedModel:
        """The model of all columns of groups."""
        return self.parts[0].model

    @property
    def known(self) -> Table:
        """The known rows."""
        return self.joint.known

    @property
    def target_units(self) -> OwnUnits | None:
        """What turns predictions into means and quantiles; None for a classification."""
        units, settings = self.joint.target_units, self.joint.settings
        kind = None if settings.exposure_unit is None else settings.target_kind
        return None if units is None else OwnUnits(units, kind)

    @property
    def seasons(self) -> list[str]:
        """Names of the seasons in time, of any of the models."""
        return list(dict.fromkeys(name for part in self.parts for name in part.model.seasons))

    @property
    def n_factors(self) -> int:
        """Number of columns of groups."""
        return len(self.parts[0].numbers)

    def resolve(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, F) with -1 for groups beside another than they are nested in."""
        is_apart = self.joint.resolve(self.parts[0].codes(codes)) < 0
        return np.where(is_apart, -1, codes)

    def add(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: Any
    ) -> SeveralColumns:
        """Return a model with more known rows; what was learned of all groups stays as it is."""
        series = None if self.series is None else self.series.grown(codes)
        rows = Rows(X, y, weight, codes if series is None else series(codes), times)
        return replace(self, parts=tuple(part.add(rows) for part in self.parts), series=series)

    def predict(
        self, X: np.ndarray, codes: np.ndarray, times: Any, exposure: np.ndarray | None = None
    ) -> CalibratedOutputs:
        """Predict rows: means, and quantiles (n, p) on the target's own units, or classes."""
        codes = codes if self.series is None else self.series(codes)
        rows = Rows.to_predict(X, codes, times)
        weights, ratio, noise, slope = self._weights(codes)
        n, used = len(codes), np.array([row.any() for row in weights])
        used[0] |= self.target_units is not None
        outputs = predict_parts(self.parts, self.names, rows, used)
        if self.target_units is None:
            mixed = sharpen(mix(outputs, weights), slope)
            return CalibratedOutputs(mixed, np.zeros(n), np.zeros((n, 0)), np.zeros((n, 0)))
        mean, median, below, above = mix_parts(outputs, weights)
        left = ratio * np.where(ratio < 0, below[:, None], above[:, None])
        std, quantiles, none = np.sqrt((left**2).mean(1)), median[:, None] + left, np.zeros((n, 0))
        if exposure is not None:
            unit = self.joint.settings.exposure_unit
            wide = width_of_exposure(noise, exposure / unit)
            mean, std = exposure * mean, exposure * wide * std
            quantiles = exposure[:, None] * (median[:, None] + wide[:, None] * left)
        return CalibratedOutputs(mean, std, quantiles, none)

    def _weights(self, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return weights (m, n), quantiles (n, p) of residuals, shares of noise and slopes (n,)."""
        counts = counts_of(self.joint.known.codes, self.parts[0].codes(codes))
        if self.series is not None:
            own = next(part for part in self.parts if part.factor == self.n_factors)
            known = counts_of(own.model.known.codes, own.codes(codes))
            counts = np.column_stack([counts, known])
        is_new = (codes < 0) | (codes >= self.n_groups)
        regime, n_known = regime_of(is_new, counts, self.n_factors)
        first = self.regimes[-1][0]
        weights = np.zeros((len(first.weights), len(codes)))
        ratio, noise = np.zeros((len(codes), len(first.quantiles))), np.zeros(len(codes))
        slope = np.ones(len(codes))
        for k, levels in enumerate(self.regimes):
            at = np.flatnonzero(regime == k)
            weights[:, at], ratio[at], _, calibration, slope[at] = interpolate(levels, n_known[at])
            noise[at] = calibration[:, -1]
        return weights, ratio, noise, slope


class OwnUnits(NamedTuple):
    """Means, deviations and quantiles of predictions on the target's own units."""

    units: TargetUnits  # of rates, if there are exposures
    kind: str | None = None  # of targets that are rates times exposures

    @property
    def target(self) -> Target:
        """The kind of the target."""
        target = self.units.target
        return target if self.kind is None else target._replace(kind=self.kind)

    @property
    def scale(self) -> float:
        """Unit of the effects."""
        return self.units.scale

    @property
    def is_given(self) -> bool:
        """Whether targets may be any number, and are modelled as given."""
        return self.units.is_given

    def __str__(self) -> str:
        return str(self.units._replace(target=self.target))

    def mean(self, outputs: CalibratedOutputs) -> np.ndarray:
        """Return means (n,)."""
        return outputs.mean

    def std(self, outputs: CalibratedOutputs) -> np.ndarray:
        """Return standard deviations (n,)."""
        return outputs.std

    def quantiles(self, outputs: CalibratedOutputs, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (n, q) at levels (q,)."""
        return self.target.settle(quantiles_at(outputs.quantiles, PROBABILITIES, levels))


def predict_parts(
    parts: Sequence[Part], names: Sequence[str], rows: Rows, used: np.ndarray
) -> np.ndarray:
    """Return what members predict (m, n, k); 0 for those that are not used (m,)."""
    joint = [name for name, is_used in zip(names, used, strict=False) if is_used]
    found = dict(zip(joint, parts[0].predict(rows, joint), strict=True)) if joint else {}
    outputs: list[Any] = [found.get(name) for name in names]
    for k, part in enumerate(parts[1:], len(names)):
        outputs.append(part.predict(rows, ())[0] if used[k] else None)
    shape = next(one.shape for one in outputs if one is not None)
    return np.stack([np.zeros(shape) if one is None else one for one in outputs])


def mix_parts(
    outputs: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mixed means and medians (n,), and deviations of the first of members (m, n, 4)."""
    mean, _, median, _ = mix(outputs, weights).T
    _, low, middle, high = outputs[0].T
    return mean, median, middle - low, high - middle
