"""Members that may go beyond the times they have seen: curves of groups, and their last values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from skmeta._tabular import (
    Member,
    Outputs,
    Table,
    TimeProcess,
    TimeRows,
    fit_time_process,
    predict_season,
    predict_time_process,
)
from skmeta.grouped.longitudinal._rows import rows_before, some_groups
from skmeta.grouped.longitudinal._seasons import NO_SEASONS, Calendar, Season

# Columns of the spline of time in the mean.
_N_SPLINE = 5
# Straight lines go on with this share of their slope beyond the times seen.
_DAMPING = 0.5
# A trend is separated from a season after this many cycles; before, there is none.
_MIN_CYCLES = 1.5
# Columns have interactions with time if there are no more of them.
_MAX_CROSSED = 15
# Maximum number of distinct times that have an effect each, and minimum number of rows per time.
_MAX_TIMES, _MIN_ROWS = 60, 5
# TimeRows that covariances are learned from, at most, in whole groups.
_MAX_ROWS = 2500
# Logarithms of targets are a member if they are less skewed, and the targets' is at least this.
_MIN_SKEW = 0.75
# Predictions are within the range of the targets, widened by this share on both sides.
_BEYOND = 1.0
# Limits of logarithms: above the largest target, and of the variance in the mean of exponentials.
_MAX_LOG, _MAX_VARIANCE = 3.0, 0.5


class Spline(NamedTuple):
    """A constant, a straight line, and curves; orthonormal over the times they were learned from.

    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, eqs. 5.4 and 5.5.
    """

    knots: np.ndarray  # ascending (k,)
    turn: np.ndarray  # from natural splines to orthonormal columns (k, q)

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.turn.shape[1])

    @classmethod
    def learn(cls, times: np.ndarray, n_columns: int) -> Self:
        """Return a spline with so many columns, at most one for each distinct time."""
        distinct = np.unique(times)
        q = min(n_columns, len(distinct))
        if q == 1:
            return cls(np.array([distinct[0], distinct[0] + 1.0]), np.eye(2)[:, :1])
        knots = np.quantile(distinct, np.linspace(0, 1, q))
        turn = np.linalg.qr(_natural(times, knots), mode="r") / np.sqrt(len(times))
        return cls(knots, np.linalg.inv(turn * np.sign(np.diag(turn))[:, None]))

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Return columns (..., q) at times (...)."""
        return np.asarray(_natural(times, self.knots) @ self.turn)


def _natural(times: np.ndarray, knots: np.ndarray) -> np.ndarray:
    scale = knots[-1] - knots[0]
    u, k = (times - knots[0]) / scale, (knots - knots[0]) / scale
    cubes = [np.maximum(u - knot, 0.0) ** 3 for knot in k]
    slopes = [(cube - cubes[-1]) / (1 - at) for cube, at in zip(cubes[:-1], k[:-1], strict=True)]
    curves = [slope - slopes[-1] for slope in slopes[:-1]]
    return np.stack([np.ones_like(u), u, *curves], axis=-1)


class Shape(NamedTuple):
    """What a curve may look like. Each group has an intercept and a slope."""

    is_line: bool  # else the mean is a spline by column, with an effect of each time
    is_log: bool = False  # whether logarithms of the targets are modelled


class CurveDesign(NamedTuple):
    """Columns of the mean and of the groups: what was learned from times."""

    spline: Spline
    times: np.ndarray  # those that have an effect
    first: float  # lines rise half as fast before
    last: float  # and after
    calendar: Calendar

    @classmethod
    def learn(cls, shape: Shape, times: np.ndarray, calendar: Calendar) -> CurveDesign:
        """Return the design for a shape."""
        distinct = np.unique(times)
        few = len(distinct) <= min(_MAX_TIMES, len(times) / _MIN_ROWS)
        has_effects = not shape.is_line and len(distinct) >= _N_SPLINE and few
        n_line = 2 if calendar.n_cycles(times) >= _MIN_CYCLES else 1
        spline = Spline.learn(times, n_line if shape.is_line else _N_SPLINE)
        is_damped = shape.is_line or calendar.seasons
        first, last = (distinct[0], distinct[-1]) if is_damped else (-np.inf, np.inf)
        return cls(
            spline, distinct if has_effects else distinct[:0], float(first), float(last), calendar
        )

    def phi(self, rows: Table) -> np.ndarray:
        """Return columns (n, q) of the spline."""
        near = np.clip(rows.times, self.first, self.last)
        return self.spline(near + _DAMPING * (rows.times - near))

    def __call__(self, rows: Table, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns (n, p) of the mean and their blocks (p,)."""
        X, crossed = rows.features, phi[:, 1 : min(3, phi.shape[1])]
        if X.shape[1] > _MAX_CROSSED or phi.shape[1] <= 2:
            crossed = crossed[:, :0]
        products = (X[:, :, None] * crossed[:, None, :]).reshape(
            len(X), X.shape[1] * crossed.shape[1]
        )
        effects = (rows.times[:, None] == self.times).astype(float)
        phases, roots = self.calendar.parts(rows.times)
        seasons = [root[at] for root, at in zip(roots, phases.T, strict=True)]
        parts, blocks = [phi[:, :2]], [-1] * phi[:, :2].shape[1]
        for part in (X, products, phi[:, 2:], effects, *seasons):
            if part.shape[1]:
                parts.append(part)
                blocks += [max(blocks) + 1] * part.shape[1]
        return np.hstack(parts), np.array(blocks)


class TimeMember(Member):
    """A member that predicts rows of groups from their known rows, without more."""

    def condition(self, known: Table) -> ConditionedInTime:
        """Take the known rows of groups."""
        return ConditionedInTime(self, known)

    def predict_from(self, known: Table, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups from known rows and the outputs of earlier members."""
        raise NotImplementedError


class ConditionedInTime(NamedTuple):
    """A member, and known rows, or what it makes of them."""

    member: Any
    known: Any

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups."""
        outputs: Outputs = self.member.predict_from(self.known, at, before)
        return outputs


class TargetRange(NamedTuple):
    """The range of targets, and how a season is added to them: to their logarithms, if `is_log`."""

    is_log: bool
    lowest: float
    highest: float
    zero: float  # the target 0, in standardised units

    @classmethod
    def of(cls, y: np.ndarray, zero: float, is_log: bool) -> Self:
        """Return the range of targets (n,)."""
        return cls(is_log, float(y.min()), float(y.max()), zero)

    def logs(self, y: np.ndarray) -> np.ndarray:
        """Return logarithms of targets (n,), or these as they are."""
        return np.log(np.maximum(y, self.lowest) - self.zero) if self.is_log else y

    def without_season(self, rows: Table) -> np.ndarray:
        """Return targets (n,) without their season."""
        return self.add(rows.y, -rows.shared)

    def add(self, y: np.ndarray, season: np.ndarray) -> np.ndarray:
        """Return targets (n,) with a season."""
        if not self.is_log:
            return np.asarray(y + season)
        season = np.clip(season, -_MAX_LOG, _MAX_LOG)
        return np.asarray((y - self.zero) * np.exp(season) + self.zero)

    def within(self, mean: np.ndarray) -> np.ndarray:
        """Return predictions that are not far beyond the range."""
        margin = _BEYOND * (self.highest - self.lowest)
        return np.asarray(np.clip(mean, self.lowest - margin, self.highest + margin))


@dataclass(frozen=True)
class Curve(TimeMember):
    """A mean that all groups share, and a process in time within groups."""

    shape: Shape
    design: CurveDesign
    process: TimeProcess
    centre: float  # of the targets, or of their logarithms, in the process
    scale: float
    range: TargetRange
    has_season: bool  # whether other members see targets without its season

    @property
    def seasons(self) -> tuple[Season, ...]:
        """The seasons that other members see targets without."""
        return self.design.calendar.seasons if self.has_season else ()

    def without(self, kept: Table) -> Curve:
        """Return the curve with the mean of other rows."""
        return replace(self, process=self.process.with_mean(self._rows(kept)))

    def predict_from(self, known: Table, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups, given known rows."""
        mean, std = predict_time_process(self.process, self._rows(known), self._rows(at))
        mean, std = mean * self.scale + self.centre, std * self.scale
        if self.shape.is_log:
            mean = np.minimum(mean, np.log(self.range.highest - self.range.zero) + _MAX_LOG)
            growth = np.exp(mean + np.minimum(std**2, _MAX_VARIANCE) / 2)
            mean, std = growth + self.range.zero, growth * np.minimum(std, 1.0)
        return Outputs(self.range.within(mean), std)

    def _rows(self, rows: Table) -> TimeRows:
        y = (self.range.logs(rows.y) - self.centre) / self.scale
        return rows_of_process(self.design, rows, y, self.design.phi(rows))[0]

    def with_shared(self, rows: Table, known: Table) -> Table:
        """Return rows with seasons and effects of columns, in units of targets or logarithms."""
        if not self.has_season:
            return rows
        parts, blocks = (self._rows(known), self._rows(rows)), self.process.blocks
        is_column = (blocks == 0) & (rows.features.shape[1] > 0)
        columns = np.flatnonzero(is_column | (blocks > blocks.max() - len(parts[0].R)))
        return rows._replace(shared=predict_season(self.process, *parts, columns) * self.scale)


def rows_of_process(
    design: CurveDesign, rows: Table, y: np.ndarray, phi: np.ndarray
) -> tuple[TimeRows, np.ndarray]:
    """Return rows with columns of the mean, and the blocks (p,) of these."""
    Z, blocks = design(rows, phi)
    phases, roots = design.calendar.parts(rows.times)
    R = tuple(root @ root.T for root in roots)
    parts = y, rows.times, rows.group, rows.weight, phases, R
    return TimeRows(Z, phi[:, :2], *parts), blocks


def has_log(y: np.ndarray, zero: float) -> bool:
    """Return whether targets are positive, and their logarithms less skewed."""
    if y.min() <= zero:
        return False
    skew = _skew(y)
    return skew > _MIN_SKEW and abs(_skew(np.log(y - zero))) < skew


def _skew(y: np.ndarray) -> float:
    scale = y.std()
    return float(np.mean(((y - y.mean()) / scale) ** 3)) if scale > 0 else 0.0


def fit_curve(
    shape: Shape,
    rows: Table,
    zero: float,
    calendar: Calendar,
    has_season: bool,
    start: Curve | None = None,
) -> Curve:
    """Fit a curve, from `start` on; `zero` is 0 standardised. 2,500 rows give covariances."""
    target_range = TargetRange.of(rows.y, zero, shape.is_log)
    y = target_range.logs(rows.y)
    centre, scale = float(y.mean()), float(y.std()) or 1.0
    design = CurveDesign.learn(shape, rows.times, calendar)
    sample = some_groups(rows, _MAX_ROWS)
    phi = design.phi(sample)
    y = (target_range.logs(sample.y) - centre) / scale
    process = fit_time_process(
        *rows_of_process(design, sample, y, phi),
        None if start is None else start.process,
        20 if start is None else 8,
    )
    curve = Curve(shape, design, process, centre, scale, target_range, has_season)
    return curve if len(sample.y) == len(rows.y) else curve.without(rows)


@dataclass(frozen=True)
class LastValue(TimeMember):
    """The latest target of the group before a row, in the last season's phase if there is one."""

    base: str  # the curve whose deviations it takes
    range: TargetRange
    mean: float  # of all targets without season, predicted before the first known row
    calendar: Calendar = NO_SEASONS

    def predict_from(self, known: Table, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups, given known rows."""
        last = rows_before(known, at).last
        if self.calendar.seasons:
            n_phases = self.calendar.seasons[-1].n_phases
            parts = [
                rows._replace(
                    codes=rows.codes * n_phases + self.calendar.phases(rows.times)[:, -1:]
                )
                for rows in (known, at)
            ]
            last_of_phase = rows_before(*parts).last
            last = np.where(last_of_phase >= 0, last_of_phase, last)
        y = np.append(self.range.without_season(known), self.mean)[last]
        mean = self.range.within(self.range.add(y, at.shared))
        return Outputs(mean, before[self.base].std)


def fit_last_value(
    rows: Table, base: str, target_range: TargetRange, calendar: Calendar = NO_SEASONS
) -> LastValue:
    """Take the mean of targets without season."""
    mean = float(target_range.without_season(rows).mean())
    return LastValue(base, target_range, mean, calendar)
