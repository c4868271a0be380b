"""The interface of a member of the mixture: one way to predict rows of groups.

A member is an immutable value, which its module fits to a :class:`~skmeta._tabular.Table`:

- ``member.without(kept)`` is the member for groups that are held out: fitted again to the rows of
  other groups, or itself if it was cross-fitted;
- ``member.condition(known)`` takes the known rows of groups, and returns something that
  ``predict(at, before)`` predicts other rows of these groups. ``before`` holds the outputs of the
  members that come earlier in the mixture, for the same rows;
- ``member.with_shared(rows, known)`` is rows with what later members share, such as their season;
- ``member.known_only`` says that it predicts groups of fit only;
- ``member.keeps_rows`` says that it is conditioned on all known rows when these change; others are
  conditioned when rows are predicted, on the known rows of their groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import stats

from skmeta._tabular._table import Table, weighted_quantiles

# Probabilities of the quantiles of standardised residuals that are kept.
PROBABILITIES = np.linspace(0.0025, 0.9975, 200)
# Minimum effective number of residuals; beyond these levels, quantiles are widened as at them.
_MIN_INDEPENDENT, _WIDENED = 3.0, (0.05, 0.95)
# Members and their disagreement predict this times the deviation of errors, on 33 growth curves and
# panels (benchmarks/lib/time_tables.py).
_NARROWER = 0.8
_NORMAL = _NARROWER * stats.norm.ppf(PROBABILITIES)


class Outputs(NamedTuple):
    """Predictions of rows in standardised units: targets (n,) or probabilities (n, n_classes)."""

    mean: np.ndarray
    std: np.ndarray  # (n,), before calibration; 0 for a classification

    def take(self, rows: np.ndarray) -> Outputs:
        """Return some of the rows."""
        return Outputs(self.mean[rows], self.std[rows])


class CalibratedOutputs(NamedTuple):
    """Calibrated predictions of rows."""

    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray  # (n, k) of the residuals over `std`
    calibration: np.ndarray  # (n, 5), of TargetUnits at a level
    exposure: np.ndarray | None = None  # (n,), if targets are rates

    def take(self, rows: slice) -> CalibratedOutputs:
        """Return some of the rows."""
        mean, std, quantiles, calibration = (part[rows] for part in self[:4])
        exposure = None if self.exposure is None else self.exposure[rows]
        return CalibratedOutputs(mean, std, quantiles, calibration, exposure)


class HeldOut(NamedTuple):
    """Rows that were held out: predictions, targets, weights, groups and places (n,) at fit."""

    mean: np.ndarray
    std: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    place: np.ndarray

    def at_most(self, most: int) -> HeldOut:
        """Return at most so many rows, evenly spaced."""
        if len(self.y) <= most:
            return self
        rows = np.linspace(0, len(self.y) - 1, most).round().astype(int)
        return HeldOut(*(part[rows] for part in self))

    def quantiles(self, is_symmetric: bool = False) -> np.ndarray:
        """Return quantiles of the residuals over the predicted deviation.

        Symmetric ones are halfway, in logarithms, between the larger ones of both signs and those
        of a normal distribution.
        """
        ratio = (self.y - self.mean) / np.maximum(self.std, 1e-300)
        quantiles = weighted_quantiles(ratio, self.weight, PROBABILITIES)
        if is_symmetric:
            larger = np.maximum(quantiles, -quantiles[::-1])
            upper = np.sqrt(np.maximum(larger, 0.0) * np.maximum(_NORMAL, 0.0))
            quantiles = upper - upper[::-1]
        return np.asarray(quantiles * widening(ratio, self.group))


def widening(ratio: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the factor that widens quantiles (p,) of residuals (n,) from few groups."""
    return width_of_few(count_independent(ratio, group))


def count_independent(ratio: np.ndarray, group: np.ndarray) -> float:
    """Return the number of residuals (n,) over their design effect by groups (Kish, 1965)."""
    codes = np.unique(group, return_inverse=True)[1]
    count = np.bincount(codes)
    n, n_groups = len(ratio), len(count)
    if not 1 < n_groups < n:
        return float(n)
    mean = np.bincount(codes, ratio) / count
    within = float(np.sum((ratio - mean[codes]) ** 2)) / (n - n_groups)
    between = float(np.sum(count * (mean - ratio.mean()) ** 2)) / (n_groups - 1)
    size = (n - float(np.sum(count**2)) / n) / (n_groups - 1)
    total = between + (size - 1) * within
    alike = max(between - within, 0.0) / total if total > 0 else 0.0
    return n / (1 + (size - 1) * alike)


def width_of_few(n_independent: float) -> np.ndarray:
    """Return Student's quantiles (p,) over normal ones, given the number of independent values."""
    n_independent = max(n_independent, _MIN_INDEPENDENT)
    # Beyond these, tails are not known, and exponentials of them would carry the mean.
    at = np.clip(PROBABILITIES, *_WIDENED)
    factor = stats.t.ppf(at, n_independent - 1) / stats.norm.ppf(at)
    return np.asarray(factor * np.sqrt(1 + 1 / n_independent))


# Columns of a calibration: shares of the distribution of the model, of counts and of the known
# targets; the log size of counts; the share of the variance that is noise of exposures.
OF_MODEL, OF_COUNTS, OF_KNOWN, LOG_SIZE, NOISE = range(5)
UNCALIBRATED = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
# Shares of noise that are tried.
_NOISE_SHARES = np.linspace(0.0, 1.0, 11)


class Level(NamedTuple):
    """Weights and calibration at a number of known rows."""

    n_known: float
    weights: np.ndarray  # of the predictions (m,)
    losses: np.ndarray  # of each and of their mixture (m + 1,)
    quantiles: np.ndarray  # of residuals over the predicted deviation
    calibration: np.ndarray = UNCALIBRATED  # (5,) on the target's units
    held_out: HeldOut | None = None  # until shares are estimated
    slope: float = 1.0  # of the logarithms of probabilities

    def with_exposure(self, exposure: np.ndarray) -> Level:
        """Return a level whose deviations differ by exposures (n,) of rows of fit, over their mean.

        The share of the variance that falls as one over the exposure has the largest likelihood of
        Laplace distributions of what was held out.
        """
        held_out = self.held_out
        if held_out is None:
            return self
        exposure = exposure[held_out.place]
        ratio = np.abs(held_out.y - held_out.mean) / np.maximum(held_out.std, 1e-300)
        factors = [width_of_exposure(share, exposure) for share in _NOISE_SHARES]
        losses = [np.log(np.mean(ratio / f) + 1e-300) + np.mean(np.log(f)) for f in factors]
        best = int(np.argmin(losses))
        smaller = np.average(ratio / factors[best], weights=held_out.weight)
        quantiles = (
            self.quantiles * smaller / max(np.average(ratio, weights=held_out.weight), 1e-300)
        )
        held_out = held_out._replace(std=held_out.std * factors[best])
        calibration = self.calibration.copy()
        calibration[NOISE] = _NOISE_SHARES[best]
        return self._replace(quantiles=quantiles, held_out=held_out, calibration=calibration)


def width_of_exposure(share: Any, exposure: np.ndarray) -> np.ndarray:
    """Return factors (n,) of deviations, given the share of noise and exposures over their mean."""
    return np.asarray(np.sqrt(1 - share + share / exposure))


def interpolate(
    levels: Sequence[Level], n_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return weights (m, n), quantiles (n, p), calibrations (n, 5) and slopes (n,).

    Levels are interpolated linearly in the log of 1 + `n_known` (n,).
    """
    at = np.log1p([level.n_known for level in levels])
    shares = np.stack([np.interp(np.log1p(n_known), at, row) for row in np.eye(len(at))])
    weights = np.stack([level.weights for level in levels])
    quantiles = np.stack([level.quantiles for level in levels])
    calibration = np.stack([level.calibration for level in levels])
    slope = np.array([level.slope for level in levels]) @ shares
    return weights.T @ shares, shares.T @ quantiles, shares.T @ calibration, slope


class ConditionedMember(Protocol):
    """A member that knows some rows of groups."""

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups from these and the earlier members' outputs for them."""


class Member(Protocol):
    """One way to predict rows of groups, and what most members have in common."""

    @property
    def known_only(self) -> bool:
        """Whether it predicts groups of fit only."""
        return False

    @property
    def belief(self) -> float:
        """Its weight among others with the same loss: what earlier tables say of it."""
        return 0.2

    @property
    def keeps_rows(self) -> bool:
        """Whether it keeps all known rows, and is conditioned when they change."""
        return False

    def with_shared(self, rows: Table, known: Table) -> Table:
        """Return rows of groups with what it says, given known rows, that later members share."""
        return rows

    def without(self, kept: Table) -> Member:
        """Return the member for groups that are not in a table of rows of fit."""
        return self

    def condition(self, known: Table) -> ConditionedMember:
        """Take the known rows of groups, which may be none."""
