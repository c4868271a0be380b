"""Members that may go beyond the times they have seen: curves of groups, and their last values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmeta.grouped.longitudinal._process import Process, Rows, fit_process, predict_process
from skmeta.grouped.longitudinal._rows import TimedRows, rows_before
from skmeta.grouped.longitudinal._spline import Spline

# Columns of the spline of time in the mean.
_N_SPLINE = 5
# Columns have interactions with time if there are no more of them.
_MOST_CROSSED = 15
# Each distinct time has an effect if there are so many at most, with so many rows each at least.
_MOST_TIMES, _LEAST_ROWS = 60, 5
# Rows that covariances are learned from, at most, in whole groups.
_MOST_ROWS = 2500
# Logarithms of targets are a member if they are less skewed, and the targets' is at least this.
_LEAST_SKEW = 0.75
# Predictions are within the range of the targets, widened by this share on both sides.
_BEYOND = 1.0
# Limits of logarithms: above the largest target, and of the variance in the mean of exponentials.
_MOST_LOG, _MOST_VARIANCE = 3.0, 0.5


class Shape(NamedTuple):
    """What a curve may look like.

    Attributes
    ----------
    mean : {"level", "line", "curve"}
        How the mean of all groups depends on time: not, as a straight line, or as a spline with an
        effect of each time. Lines and splines differ by the other columns.
    n_curves : int
        Random coefficients of a group: 1 is an intercept, 2 is a slope too, more is a spline.
    is_log : bool
        Whether logarithms of the targets are modelled.
    """

    mean: str
    n_curves: int
    is_log: bool = False


class Design(NamedTuple):
    """Columns of the mean: what was learned from times.

    Attributes
    ----------
    spline : Spline
        Of time.
    times : ndarray
        Times that have an effect.
    """

    spline: Spline
    times: np.ndarray

    @classmethod
    def learn(cls, shape: Shape, times: np.ndarray) -> Design:
        """Return the design for a shape."""
        distinct = np.unique(times)
        few = len(distinct) <= min(_MOST_TIMES, len(times) / _LEAST_ROWS)
        has_effects = shape.mean == "curve" and len(distinct) >= _N_SPLINE and few
        n_columns = {"level": 1, "line": 2, "curve": _N_SPLINE}[shape.mean]
        return cls(Spline.learn(times, n_columns), distinct if has_effects else distinct[:0])

    def __call__(self, rows: TimedRows) -> tuple[np.ndarray, np.ndarray]:
        """Return columns (n, p) and their blocks (p,)."""
        phi, X = self.spline(rows.times), rows.X
        parts, blocks = [phi[:, :2]], [-1] * phi[:, :2].shape[1]
        crossed = phi[:, 1 : min(3, phi.shape[1])]
        if X.shape[1] > _MOST_CROSSED or phi.shape[1] == 2:
            crossed = crossed[:, :0]
        products = (X[:, :, None] * crossed[:, None, :]).reshape(
            len(X), X.shape[1] * crossed.shape[1]
        )
        effects = (rows.times[:, None] == self.times).astype(float)
        for part in (X, products, phi[:, 2:], effects):
            if part.shape[1]:
                parts.append(part)
                blocks += [max(blocks) + 1] * part.shape[1]
        return np.hstack(parts), np.array(blocks)


class Curve(NamedTuple):
    """A mean that all groups share, and a process in time within groups.

    Attributes
    ----------
    shape : Shape
        What it may look like.
    design : Design
        Columns of the mean.
    process : Process
        Fitted.
    centre, scale : float
        Units of the targets, or of their logarithms, in the process.
    lowest, highest : float
        Range of the targets.
    zero : float
        The target 0, in standardised units.
    """

    shape: Shape
    design: Design
    process: Process
    centre: float
    scale: float
    lowest: float
    highest: float
    zero: float

    def without(self, kept: TimedRows) -> Curve:
        """Return the curve with the mean of other rows."""
        return self._replace(process=self.process.with_mean(self._rows(kept)))

    def predict(self, known: TimedRows, at: TimedRows) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows of groups, given known rows: means and standard deviations (n,)."""
        mean, std = predict_process(self.process, self._rows(known), self._rows(at))
        mean, std = mean * self.scale + self.centre, std * self.scale
        if self.shape.is_log:
            mean = np.minimum(mean, np.log(self.highest - self.zero) + _MOST_LOG)
            growth = np.exp(mean + np.minimum(std**2, _MOST_VARIANCE) / 2)
            mean, std = growth + self.zero, growth * np.minimum(std, 1.0)
        return within(mean, self.lowest, self.highest), std

    def _rows(self, rows: TimedRows) -> Rows:
        y = _forward(self.shape, rows.y, self.lowest, self.zero)
        Z = self.design(rows)[0]
        return Rows(Z, (y - self.centre) / self.scale, rows.times, rows.codes, rows.weight)


def within(mean: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Return predictions that are not far beyond the range of the targets."""
    margin = _BEYOND * (highest - lowest)
    return np.asarray(np.clip(mean, lowest - margin, highest + margin))


def _forward(shape: Shape, y: np.ndarray, lowest: float, zero: float) -> np.ndarray:
    return np.log(np.maximum(y, lowest) - zero) if shape.is_log else y


def has_log(y: np.ndarray, zero: float) -> bool:
    """Return whether targets are positive, and their logarithms less skewed."""
    if y.min() <= zero:
        return False
    skew = _skew(y)
    return skew > _LEAST_SKEW and abs(_skew(np.log(y - zero))) < skew


def _skew(y: np.ndarray) -> float:
    scale = y.std()
    return float(np.mean(((y - y.mean()) / scale) ** 3)) if scale > 0 else 0.0


def fit_curve(shape: Shape, rows: TimedRows, zero: float, start: Curve | None = None) -> Curve:
    """Fit a curve.

    Parameters
    ----------
    shape : Shape
        What it may look like.
    rows : TimedRows
        Rows of all groups. Covariances are learned from 2,500 of them.
    zero : float
        The target 0, in standardised units.
    start : Curve, optional
        The same shape, fitted to more rows.
    """
    lowest, highest = float(rows.y.min()), float(rows.y.max())
    y = _forward(shape, rows.y, lowest, zero)
    centre, scale = float(y.mean()), float(y.std()) or 1.0
    design = Design.learn(shape, rows.times)
    sample = rows.some_groups(_MOST_ROWS)
    Z, blocks = design(sample)
    y = (_forward(shape, sample.y, lowest, zero) - centre) / scale
    process = fit_process(
        Rows(Z, y, sample.times, sample.codes, sample.weight),
        blocks,
        shape.n_curves,
        None if start is None else start.process,
        20 if start is None else 8,
    )
    curve = Curve(shape, design, process, centre, scale, lowest, highest, zero)
    return curve if len(sample.y) == len(rows.y) else curve.without(rows)


class LastValue(NamedTuple):
    """The latest known target of the group before a row.

    Attributes
    ----------
    mean, std : float
        Of all targets; the mean is predicted before the first known row.
    """

    mean: float
    std: float

    def without(self, kept: TimedRows) -> LastValue:
        """Return itself."""
        return self

    def predict(self, known: TimedRows, at: TimedRows) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows of groups, given known rows: means and standard deviations (n,)."""
        last = rows_before(known, at).last
        y = np.append(known.y, self.mean)
        return y[last], np.full(len(at.y), self.std)
