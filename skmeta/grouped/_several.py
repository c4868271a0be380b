"""Several columns of groups: a model of all columns and one of each, mixed by what is held out.

The model of all columns has effects of the groups of each, nested or crossed. Beside it stands the
whole model of each single column, to which the other columns are columns of X. Rows are held out,
and groups of each column. All models are fitted again without them, and weighed by which groups of
a row are new, and by how many rows of these are known. The models may have targets on different
scales, so that their means, medians and quantiles are mixed on the target's own units.

With an order of rows in time, the models of each column know time, and so does one of the series.

Notation: n rows, F columns of groups, m members, p probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from skmeta.grouped._cases import MAX_WEIGHED, MIN_ROWS, counts_of, divide, regime_of, some_rows
from skmeta.grouped._model import FittedModel, Settings
from skmeta.grouped._parts import Fit, Part, Rows, Series
from skmeta.tabular import (
    PROBABILITIES,
    CalibratedOutputs,
    HeldOut,
    Level,
    Standardiser,
    Table,
    Target,
    TargetUnits,
    find_level,
    interpolate,
    mix,
    quantiles_at,
    sharpen,
    weighted_quantiles,
    widening,
    width_of_exposure,
    width_of_few,
)

# The medians and deviations that members predict count like this number of groups held out.
_N_PRIOR = 20.0
_NORMAL = ndtri(PROBABILITIES)


@dataclass(frozen=True)
class SeveralColumns:
    """The mixture of a model of all columns of groups and of models of one."""

    parts: tuple[Part, ...]  # the model of all columns, then those of one
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

    def with_settings(self, settings: Settings) -> SeveralColumns:
        """Return a model with other settings."""
        parts = (replace(part, model=part.model.with_settings(settings)) for part in self.parts)
        return replace(self, parts=tuple(parts))

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
        mean, median, below, above = _mixed(outputs, weights)
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


def _mixed(
    outputs: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return means and medians (n,) of members (m, n, 4), and deviations below and above.

    The deviations are those of the first member, which knows what each new group may add.
    """
    mean, _, median, _ = mix(outputs, weights).T
    _, low, middle, high = outputs[0].T
    return mean, median, middle - low, high - middle


# ------------------------------------------------------------------------------------------- fit


def fit_several(
    fit: Fit,
    rows: Rows,
    names: tuple[str, ...],
    n_classes: int,
    has_alone: bool,
    has_exposure: bool = False,
) -> SeveralColumns:
    """Fit all models to rows in canonical order, and find their weights.

    `names` are the members of the model of all columns that predict. With `has_alone`, models of
    one column are mixed in, unless there are very many rows: then only that of series in time.
    With `has_exposure`, weights are the exposures of rates.
    """
    (n, n_factors), is_timed = rows.codes.shape, bool(np.ptp(rows.times) > 0)
    series = Series.learn(rows.codes) if is_timed and has_alone else None
    if series is not None:
        rows = rows._replace(codes=series(rows.codes))
    n_groups = rows.codes.max(0) + 1
    alone = [*range(rows.codes.shape[1])] if has_alone else []
    if n > MAX_WEIGHED:
        alone = [int(n_groups.argmax())] if is_timed and has_alone else []
    parts = tuple(Part.fit(fit, rows, n_factors, factor) for factor in (None, *alone))
    names = tuple(name for name in parts[0].model.joint_members if name in names)
    found: dict[int, dict[float, list[tuple[Rows, np.ndarray]]]]
    found = {regime: {} for regime in range(rows.codes.shape[1] + 2)}
    used = np.ones(len(names) + len(parts) - 1, bool)
    weighed = some_rows(rows)
    for kept, cases in divide(weighed, n_factors):
        known = weighed.take(kept)
        if not cases or not _can_learn(known, n_classes):
            continue
        fitted = [Part.fit(fit, known, n_factors, part.factor, part) for part in parts]
        for case in cases:
            query, given = weighed.take(case.query), fitted
            if len(case.few):
                given = [part.add(weighed.take(case.few)) for part in fitted]
            outputs = predict_parts(given, names, query, used)
            found[case.regime].setdefault(case.level, []).append((query, outputs))
    members = parts[0].model.joint_members
    known_only = np.array([*(members[name].known_only for name in names), *[False] * len(alone)])
    knows_time = is_timed and bool(alone) and not n_classes
    regimes: list[list[Level]] = []
    units: Any = None if n_classes else Standardiser.learn(rows.y)
    if knows_time:
        # Series may differ much in size, and count alike on the scale of their model.
        units = parts[-1].model.target_units
    for regime, by_level in found.items():
        is_known = regime == len(found) - 1
        usable = used if is_known or len(used) == 1 else ~known_only
        if is_known and knows_time:
            # Time is but a column to the model of all columns.
            usable = np.arange(len(used)) >= len(names)
        is_several = is_known or regime == n_factors
        factor = (
            int(n_groups[:n_factors].argmax()) if is_several else min(regime, len(n_groups) - 1)
        )
        n_values = float(n_groups[:n_factors].min() if is_several else n_groups[factor])
        n_new = None if is_known else n_values
        levels = [
            _find_level(found_at, level, usable, factor, units, n_new, has_exposure)
            for level, found_at in sorted(by_level.items())
            if sum(len(query.y) for query, _ in found_at) >= min(MIN_ROWS, n // 4)
        ]
        regimes.append(levels)
    return SeveralColumns(parts, names, n_groups, _filled(regimes, len(used)), series)


def _filled(regimes: list[list[Level]], m: int) -> list[list[Level]]:
    """Return levels of each regime; one in which nothing was held out has those of another one."""
    equal = Level(0.0, np.full(m, 1 / m), np.full(m + 1, np.nan), _NORMAL)
    spare = next((levels for levels in regimes if levels), [equal])
    several = next((levels for levels in regimes[-2::-1] if levels), spare)
    return [levels or several for levels in regimes[:-1]] + [regimes[-1] or [spare[-1]]]


def _can_learn(rows: Rows, n_classes: int) -> bool:
    """Return whether each column has groups that differ, and rows have several classes."""
    several = all(len(np.unique(column)) > 1 for column in rows.codes.T)
    pairs = any(np.bincount(column).max() > 1 for column in rows.codes.T)
    return several and pairs and (not n_classes or len(np.unique(rows.y)) > 1)


def _find_level(
    found: list[tuple[Rows, np.ndarray]],
    n_known: float,
    used: np.ndarray,
    factor: int,
    units: Standardiser | TargetUnits | None,
    n_values: float | None,
    has_exposure: bool,
) -> Level:
    """Find weights of members and the distribution of what they leave, in one regime.

    Groups of column `factor` were held out, of `n_values` that it has; None if they are known.
    """
    queries, each = zip(*found, strict=True)
    y, weight = (np.concatenate([getattr(q, name) for q in queries]) for name in ("y", "weight"))
    codes = np.concatenate([q.codes for q in queries])
    outputs, none = np.concatenate(each, axis=1), np.empty((len(y), 0))
    place = np.arange(len(y))
    # Rows of a group that is held out have many groups in the other columns: each row counts.
    at = Table(none, y, y, weight, place[:, None], place, place, y, none)
    if units is None:
        return find_level(outputs, None, at, n_known, used)
    at = at._replace(y=units(y))
    means, ones = np.stack([units(one[:, 0]) for one in outputs]), np.ones(outputs.shape[:2])
    level = find_level(means, ones, at, n_known, used)._replace(held_out=None)
    # Each division's rows have the weights that the others found.
    division = np.repeat(np.arange(len(queries)), [len(q.y) for q in queries])
    ratio = np.zeros(len(y))
    for k in range(len(queries)):
        own, rest = np.flatnonzero(division == k), np.flatnonzero(division != k)
        weights = level.weights
        if len(rest):
            weights = find_level(means[:, rest], ones[:, rest], at.take(rest), 0.0, used).weights
        _, median, below, above = _mixed(outputs[:, own], weights)
        left = y[own] - median
        side = np.where(left < 0, below, above)
        ratio[own] = np.divide(left, side, out=np.zeros(len(own)), where=side > 0)
    group, nothing = codes[:, factor], np.zeros(len(y))
    quantiles = weighted_quantiles(ratio, weight, PROBABILITIES) * widening(ratio, group)
    if has_exposure:
        held_out = HeldOut(nothing, nothing + 1, ratio, weight, group, place)
        level = level._replace(quantiles=quantiles, held_out=held_out).with_exposure(weight)
        quantiles, level = level.quantiles, level._replace(held_out=None)
    # What a new group adds is drawn from as few values as there are groups.
    prior = _NORMAL * width_of_few(n_values) if n_values and not n_known else _NORMAL
    n_units = len(np.unique(codes[:, factor])) * (1 + min(n_known, 1e3))
    share = n_units / (n_units + _N_PRIOR)
    return level._replace(quantiles=share * quantiles + (1 - share) * prior)
