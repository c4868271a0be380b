"""The units of a target in a model: its scale, standardised; and distributions on its own units.

A model predicts a mean and a deviation on the scale, and quantiles of residuals are known from what
was held out. On the target's own units, this distribution is averaged, quantile by quantile, with
that of counts (negative binomial, with the same means), and with that of the known targets without
any column. The shares are means over a grid, by the quantile loss in what was held out. Where rows
of the group are known, a prior favours small shares of the known targets.

References: Ratcliff (1979), Group reaction time distributions (means of quantiles); Gneiting and
Raftery (2007), Strictly proper scoring rules, section 6.

Notation: n rows, p probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from scipy import stats

from skmeta._tabular._member import (
    LOG_SIZE,
    NOISE,
    OF_COUNTS,
    OF_KNOWN,
    OF_MODEL,
    PROBABILITIES,
    CalibratedOutputs,
    Level,
    count_independent,
    width_of_exposure,
)
from skmeta._tabular._table import Standardiser, weighted_quantiles
from skmeta._tabular._target import (
    DECILES,
    Scale,
    Target,
    mean_of_quantiles,
    quantile_loss,
    quantiles_at,
)
from skmeta._tabular._weights import average_weights, weight_grid

# Standardised targets are rounded: in other units, far from 0, later decimals are others, and a tie
# between two splits of a tree would be broken by them.
_DECIMALS = 8
# Sizes of negative binomial distributions that are tried: the variance is m + m^2 / size.
_LOG_SIZES = np.linspace(-2.0, 5.0, 15)
# Their quantiles are known at this many means for each factor of e, and beyond this mean are those
# of gamma distributions.
_PER_E, _LARGE = 12, 300.0
# Shares follow from this many rows that are held out, at most.
_MAX_ROWS = 500
# Where rows of the group are known, the share s of the known targets has the prior density of
# (1 - s) to this power, and 1 - s is at least the last number. Chosen on development tables of
# benchmarks/measure/published_models.py and targets.py.
_N_OF_PRIOR, _LEAST_REST = 10.0, 1e-3
# Rows whose quantiles are computed at once.
_BATCH = 4096
# Least rate that is predicted, over the mean.
_LEAST_RATE = 0.01


class TargetUnits(NamedTuple):
    """Units of a target on its scale.

    Means are of distributions whose values beyond the quantiles at `tail` and at 1 minus it are
    taken for these. With exposures, over their mean, the scale is one of rates, and distributions
    are those of targets, which are rates times exposures.
    """

    target: Target
    on: Scale
    standard: Standardiser  # mean and standard deviation on the scale
    known: np.ndarray  # quantiles (p,) of the known targets
    tail: float = 0.0
    exposure: np.ndarray | None = None  # (n,) of rows of fit
    unit: float = 1.0  # mean of the exposures as given
    is_of_counts: bool = False  # whether distributions of rates, as given, are those of counts

    @classmethod
    def learn(cls, y: np.ndarray, weight: np.ndarray, target: Target, on: Scale) -> Self:
        """Learn units of targets (n,)."""
        known = weighted_quantiles(y, weight, PROBABILITIES)
        return cls(target, on, Standardiser.learn(on.forward(y)), known)

    @property
    def scale(self) -> float:
        """Standard deviation on the scale of the targets, or of rates by exposures as given."""
        return float(self.standard.scale) / self._of_unit(self.unit)

    @property
    def centre(self) -> float:
        """Mean on the scale of the targets, or of rates by exposures as given."""
        centre = float(self.standard.centre)
        if self.on.name == "logarithm":
            return centre - float(np.log(self.unit))
        return centre / self._of_unit(self.unit)

    def _of_unit(self, unit: float) -> float:
        """Return the factor on the scale of a factor of rates."""
        return {"as given": unit, "square root": float(np.sqrt(unit))}.get(self.on.name, 1.0)

    @property
    def is_given(self) -> bool:
        """Whether targets may be any number, and are modelled as given."""
        return self.target.kind == "real" and self.on.name == "as given"

    def _rates(self, mean: np.ndarray) -> np.ndarray:
        """Return rates above 0: means of some members may be below."""
        least = _LEAST_RATE * mean_of_quantiles(self.known[None], PROBABILITIES)[0]
        return np.asarray(np.maximum(self.restore(mean), least))

    def __str__(self) -> str:
        is_given = self.on.name == "as given"
        rates = "" if self.exposure is None else " over their exposure"
        how = "as given" if is_given else f"by their {self.on.name}"
        return f"{self.target}{rates}, modelled {how}"

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return targets on the scale, standardised."""
        return np.asarray(np.round(self.standard(self.on.forward(y)), _DECIMALS))

    def restore(self, z: np.ndarray) -> np.ndarray:
        """Return targets as given."""
        return self.on.inverse(self.standard.restore(z))

    # ------------------------------------------------------------------------- distributions

    def mean(self, outputs: CalibratedOutputs) -> np.ndarray:
        """Return means (n,) of the target."""
        if self.is_given:
            return self.restore(outputs.mean)
        if self.is_of_counts:
            assert outputs.exposure is not None
            return np.asarray(outputs.exposure * self._rates(outputs.mean))
        levels = np.clip(PROBABILITIES, self.tail, 1 - self.tail)
        exposure = outputs.exposure
        if exposure is not None:
            # The expected rate does not depend on the exposure.
            outputs = outputs._replace(exposure=np.ones(len(exposure)))
        parts = [
            mean_of_quantiles(quantiles_at(part, PROBABILITIES, levels), PROBABILITIES)
            for part in self._distributions(outputs)
        ]
        means = np.concatenate(parts) if parts else np.zeros(0)
        if self.on.name == "as given":
            # Without a share of another distribution, wide limits at 0 do not move the mean.
            is_own = outputs.calibration[:, OF_MODEL] == 1.0
            own = self.target.clip(self.restore(outputs.mean))
            means = np.where(is_own, own, means)
        return means if exposure is None else np.asarray(exposure * means)

    def std(self, outputs: CalibratedOutputs) -> np.ndarray:
        """Return standard deviations (n,) of the target."""
        if self.is_given:
            # Root mean square of the residuals over the predicted deviation.
            ratio = np.sqrt(np.mean(outputs.quantiles**2, axis=1))
            return np.asarray(outputs.std * ratio * self.scale)
        stds = [part.std(axis=1) for part in self._distributions(outputs)]
        return np.concatenate(stds) if stds else np.zeros(0)

    def quantiles(self, outputs: CalibratedOutputs, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (n, q) of the target at levels (q,)."""
        if self.is_given:
            ratio = quantiles_at(outputs.quantiles, PROBABILITIES, levels)
            return self.restore(outputs.mean[:, None] + outputs.std[:, None] * ratio)
        parts = [quantiles_at(part, PROBABILITIES, levels) for part in self._distributions(outputs)]
        values = np.concatenate(parts) if parts else np.zeros((0, len(levels)))
        return self.target.settle(values)

    def _distributions(self, outputs: CalibratedOutputs) -> Iterator[np.ndarray]:
        """Yield quantiles (n, p) of batches of rows."""
        for start in range(0, len(outputs.mean), _BATCH):
            part = outputs.take(slice(start, start + _BATCH))
            share, exposure = part.calibration[:, :, None], part.exposure
            if self.is_of_counts:
                rates, log_size = self._rates(part.mean), part.calibration[:, LOG_SIZE]
                yield count_quantiles(exposure * rates, log_size, PROBABILITIES)
                continue
            factor = np.ones(1) if exposure is None else exposure
            values = self._values(part, exposure)
            mixed = share[:, OF_MODEL] * values
            mixed += share[:, OF_KNOWN] * factor[:, None] * self.known
            if part.calibration[:, OF_COUNTS].any():
                typical = values if exposure is None else self._values(part, None)
                centre = factor * mean_of_quantiles(typical, PROBABILITIES)
                log_size = part.calibration[:, LOG_SIZE]
                mixed += share[:, OF_COUNTS] * count_quantiles(centre, log_size, PROBABILITIES)
            yield mixed

    def _values(self, outputs: CalibratedOutputs, exposure: np.ndarray | None) -> np.ndarray:
        """Return quantiles (n, p) of targets by the model; without exposures, those of rates."""
        std = outputs.std
        if exposure is None:
            return self.restore(outputs.mean[:, None] + std[:, None] * outputs.quantiles)
        std = std * width_of_exposure(outputs.calibration[:, NOISE], exposure)
        rates = self.restore(outputs.mean[:, None] + std[:, None] * outputs.quantiles)
        return np.asarray(exposure[:, None] * rates)

    def _of_level(self, level: Level, most: int) -> np.ndarray:
        """Return quantiles (n, p) of targets, or rates, of the rows that were held out."""
        held_out = level.held_out
        assert held_out is not None
        held_out = held_out.at_most(most)
        return self.restore(held_out.mean[:, None] + held_out.std[:, None] * level.quantiles)

    def calibrate(self, level: Level, is_own: bool = False) -> Level:
        """Find the shares of distributions by what was held out; that of the model if `is_own`."""
        held_out, level_then = level.held_out, level._replace(held_out=None)
        if held_out is None or is_own:
            return level_then
        if self.is_of_counts:
            assert self.exposure is not None
            exposure = self.exposure[held_out.place]
            mean, y = self._rates(held_out.mean) * exposure, self.restore(held_out.y) * exposure
            calibration = level.calibration.copy()
            calibration[LOG_SIZE] = _likeliest_size(mean, y, held_out.weight / exposure)
            return level_then._replace(calibration=calibration)
        held_out = held_out.at_most(_MAX_ROWS)
        y, weight = self.restore(held_out.y), held_out.weight
        values = self._of_level(level, _MAX_ROWS)
        nothing = np.tile(np.interp(DECILES, PROBABILITIES, self.known), (len(y), 1))
        parts = [quantiles_at(values, PROBABILITIES, DECILES), nothing]
        centre, log_size = mean_of_quantiles(values, PROBABILITIES), 0.0
        if self.exposure is not None:
            # Of a row, the loss of a rate counts by its exposure, and that of a target once.
            exposure = self.exposure[held_out.place]
            weight = weight / exposure
            if self.target.kind == "count":
                std = held_out.std / width_of_exposure(level.calibration[NOISE], exposure)
                typical = level._replace(held_out=held_out._replace(std=std))
                centre = mean_of_quantiles(self._of_level(typical, _MAX_ROWS), PROBABILITIES)
            y, centre = y * exposure, centre * exposure
            parts = [part * exposure[:, None] for part in parts]
        if self.target.kind == "count":
            log_size, counts = _fit_size(centre, y, weight)
            parts.append(counts)
        grid = weight_grid(len(parts))
        groups = np.unique(held_out.group, return_inverse=True)[1]
        totals = np.bincount(groups, weight)
        losses = np.empty(len(grid))
        for k, row in enumerate(grid):
            quantiles = self.target.settle(np.tensordot(row, parts, 1))
            loss = quantile_loss(y, quantiles, DECILES)
            losses[k] = np.mean(np.bincount(groups, weight * loss) / totals)
        # In units of the least: the quantile loss of a Laplace distribution is its scale.
        losses /= max(float(losses.min()), 1e-300)
        ratio = (held_out.y - held_out.mean) / np.maximum(held_out.std, 1e-300)
        n_rows = count_independent(ratio, held_out.group)
        if level.n_known:
            # A group without known rows may be unlike all others.
            losses -= _N_OF_PRIOR / n_rows * np.log(np.maximum(1 - grid[:, 1], _LEAST_REST))
        share = average_weights(losses, grid, n_rows)
        calibration = level.calibration.copy()
        calibration[[OF_MODEL, OF_KNOWN]], calibration[LOG_SIZE] = share[:2], log_size
        calibration[OF_COUNTS] = share[2] if self.target.kind == "count" else 0.0
        return level_then._replace(calibration=calibration)


def _fit_size(mean: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the log size of counts (n,) with the least quantile loss, and their deciles (n, 9)."""
    tried = [count_quantiles(mean, np.full(len(y), size), DECILES) for size in _LOG_SIZES]
    losses = [np.average(quantile_loss(y, q, DECILES), weights=weight) for q in tried]
    best = int(np.argmin(losses))
    return float(_LOG_SIZES[best]), tried[best]


def _likeliest_size(mean: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Return the log size of counts (n,) with the largest likelihood."""
    size = np.exp(_LOG_SIZES)[:, None]
    likelihood = stats.nbinom.logpmf(np.round(y), size, size / (size + mean)) @ weight
    return float(_LOG_SIZES[int(np.argmax(likelihood))])


@cache
def _count_knots(size: float, log_mean: int, probabilities: tuple[float, ...]) -> np.ndarray:
    """Return quantiles (k, p) of negative binomials at the knots of means of a factor of e."""
    means = np.exp(log_mean + np.arange(_PER_E) / _PER_E)[:, None]
    quantiles = np.where(
        means < _LARGE,
        stats.nbinom.ppf(probabilities, size, size / (size + np.minimum(means, _LARGE))),
        stats.gamma.ppf(probabilities, size, scale=means / size),
    )
    return np.asarray(quantiles)


def count_quantiles(
    mean: np.ndarray, log_size: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Return quantiles (n, p) of negative binomials with variance mean + mean^2 / size."""
    nearest = np.abs(log_size[:, None] - _LOG_SIZES).argmin(1)
    log_mean = np.log(np.maximum(mean, 1e-4))
    quantiles = np.empty((len(mean), len(probabilities)))
    for k in np.unique(nearest):
        rows, size = np.flatnonzero(nearest == k), float(np.exp(_LOG_SIZES[k]))
        # The knots are the same for all rows, so that a prediction depends on no other row.
        place = log_mean[rows] * _PER_E
        below = np.floor(place).astype(int)
        first, last = int(below.min()) // _PER_E, (int(below.max()) + 1) // _PER_E
        given = tuple(probabilities.tolist())
        at = np.concatenate([_count_knots(size, k, given) for k in range(first, last + 1)])
        share, below = (place - below)[:, None], below - first * _PER_E
        quantiles[rows] = (1 - share) * at[below] + share * at[below + 1]
    return quantiles
