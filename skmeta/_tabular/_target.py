"""The kind of a target, and the scales on which it may be modelled.

A model sees z = f(y), where f is a scale: a monotone function. Quantiles of z become quantiles of y
by the inverse of f, so a distribution needs no more than its quantiles at some probabilities.

Notation: n rows, p probabilities, m distributions, y targets as given, z targets on a scale.

References: Gneiting and Raftery (2007), Strictly proper scoring rules, section 6 (quantile loss);
Anscombe (1948), The transformation of Poisson, binomial and negative-binomial data (square roots);
Smithson and Verkuilen (2006), A better lemon squeezer? (shares of 0 and 1).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit

from skmeta._validation import count
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

KINDS = ("real", "positive", "count", "share", "ordered")
DECILES = np.linspace(0.1, 0.9, 9)

# A kind is recognised from this many targets on.
_MIN_ROWS = 10
# Targets above 0 are amounts if their mean is less than this many standard deviations, and they are
# more skewed than this. Heights and temperatures are not.
_NEAR_ZERO, _MIN_SKEW = 2.5, 0.6
# Of numbers from 0 on whose mean is below this many standard deviations, no negative ones are
# expected: of 20 values of 347 such columns of R tables, 2 % have any in the whole column.
_CUT_BELOW = 4.0
# Whole numbers are counts if the least of them is not larger.
_MIN_COUNT = 1
# Ratings: maximum number of evenly spaced values, minimum share of the rows at each end, and at the
# upper end as a share of the rows of its neighbour.
_MAX_RATINGS, _MIN_AT_END, _MIN_OF_NEIGHBOUR = 11, 0.03, 0.4
# Shares come so near to 1, at least.
_NEAR_ONE = 0.9
# Rounding errors of targets: of whole numbers and of 1, and of 0 over half the range.
_ROUNDING = 1e-6
# What is taken from a cut distribution, and divided among the classes.
_MIN_SHARE_OF_CLASS = 1e-3
# Predictions on a scale are within the range of the known targets, widened by this share of it.
_BEYOND = 1.0


class Target(NamedTuple):
    """The kind of a target, and its least and largest possible value (infinite if none)."""

    kind: str  # "positive" is from 0 on, "share" in 0 to 1, "ordered" a rating between the limits
    lowest: float = -np.inf
    highest: float = np.inf

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Return values within what is possible."""
        return values if self.kind == "real" else np.clip(values, self.lowest, self.highest)

    def settle(self, quantiles: np.ndarray) -> np.ndarray:
        """Return quantiles that are possible: those of counts are whole numbers."""
        if self.kind == "count":
            # A distribution without gaps gives a count what lies within 1/2 of it.
            quantiles = np.ceil(quantiles - 0.5)
        return self.clip(quantiles) + 0.0

    def check(self, y: np.ndarray, name: str, cure: str) -> None:
        """Raise a ValueError if targets (n,) are not of the kind, which parameter `name` sets."""
        wrong = (y < self.lowest) | (y > self.highest)
        if self.kind == "count":
            wrong |= y != np.floor(y)
        if wrong.any():
            rule = {
                "count": "whole numbers from 0 on",
                "positive": "numbers from 0 on",
            }.get(self.kind, f"numbers from {self.lowest:g} to {self.highest:g}")
            row = int(wrong.argmax())
            raise ValueError(
                f"{name}={self.kind!r} needs {rule}, but y is {float(y[row]):.6g} in row {row}. "
                f"{cure}"
            )

    def __str__(self) -> str:
        return {
            "real": "real numbers",
            "positive": "amounts from 0 on",
            "count": "counts",
            "share": "shares from 0 to 1",
            "ordered": f"ratings from {self.lowest:g} to {self.highest:g}",
        }[self.kind]


def recognise_target(y: np.ndarray, declared: str = "auto") -> Target:
    """Return the kind of targets (n,), or raise a ValueError if one is not of the declared kind."""
    kind = _kind_of(y) if declared == "auto" else declared
    if kind == "ordered":
        return Target(kind, float(y.min()), float(y.max()))
    lowest, highest = {"real": (-np.inf, np.inf), "share": (0.0, 1.0)}.get(kind, (0.0, np.inf))
    target = Target(kind, lowest, highest)
    target.check(y, "target_type", "Set target_type='auto', or another kind.")
    return target


def without_rounding(y: np.ndarray) -> np.ndarray:
    """Return targets (n,) whose rounding errors would change their kind as they should be.

    They are near whole numbers, or near a limit of 0 or 1 that the others do not pass.
    """
    settled, spread = np.round(y), float(y.max() / 2 - y.min() / 2)  # half, which is finite
    if spread < 1 or (abs(y - settled) > _ROUNDING).any():
        lowest, highest = -_ROUNDING * spread, 1 + _ROUNDING
        settled = np.maximum(y, 0.0) if lowest <= y.min() < 0 else y
        settled = np.minimum(settled, 1.0) if lowest <= y.min() and y.max() <= highest else settled
    moved = np.flatnonzero(settled != y)
    if len(moved):
        row = int(moved[0])
        warn_caller(
            f"y is {float(y[row])!r} in row {row} ({count(len(moved), 'rows')} in all), which is "
            f"taken for {float(settled[row]):g} with a rounding error: the other targets are whole "
            "numbers, or within a limit of 0 or 1. Round y, or set target_type='real'.",
            UnusedDataWarning,
        )
    return settled


def least_expected(y: np.ndarray, weight: np.ndarray) -> float:
    """Return 0 if targets (n,) that are taken for real numbers show no negative ones, or -inf."""
    known, weight = y[weight > 0], weight[weight > 0]
    with np.errstate(over="ignore"):
        mean = float(np.average(known, weights=weight))
        std = float(np.sqrt(np.average((known - mean) ** 2, weights=weight)))
    is_near = weight.sum() >= _MIN_ROWS and known.min() >= 0 and mean < _CUT_BELOW * std
    return 0.0 if is_near else -np.inf


def _kind_of(y: np.ndarray) -> str:
    """Return the kind that targets show; real without evidence of another."""
    values, counts = np.unique(y, return_counts=True)
    if len(y) < _MIN_ROWS or len(values) < 3 or (values[0] < 0 and not _are_ratings(y)):
        return "real"
    if _are_ratings(y):
        return "ordered"
    std = float(y.std())
    skew = float(np.mean(((y - y.mean()) / std) ** 3))
    is_near_zero = y.mean() < _NEAR_ZERO * std
    if values[-1] <= 1 and values[-1] > _NEAR_ONE and is_near_zero:
        return "share"
    is_whole = (values == np.floor(values)).all() and values[0] <= _MIN_COUNT
    has_zeros = values[0] == 0 and counts[0] > 1
    if is_near_zero and (skew > _MIN_SKEW or has_zeros):
        return "count" if is_whole else "positive"
    return "real"


def _are_ratings(y: np.ndarray) -> bool:
    """Return whether targets have few values, evenly spaced, and pile up at both ends."""
    values, counts = np.unique(y, return_counts=True)
    if not 4 <= len(values) <= min(_MAX_RATINGS, len(y) / 5):
        return False
    steps = np.diff(values)
    ends = counts[[0, -1]] / len(y)
    return bool(
        np.allclose(steps, steps[0])
        and ends.min() >= _MIN_AT_END
        and counts[-1] >= _MIN_OF_NEIGHBOUR * counts[-2]
    )


# ---------------------------------------------------------------------------------------- scales


class Scale(NamedTuple):
    """A monotone function of ``(y + shift) / unit``, an immutable value."""

    name: str = "as given"
    shift: float = 0.0
    unit: float = 1.0
    first: float = -np.inf  # known targets below are replaced by it
    last: float = np.inf  # and above
    lowest: float = -np.inf  # of predictions: what is possible, and not far beyond known targets
    highest: float = np.inf

    def forward(self, y: np.ndarray) -> np.ndarray:
        """Return targets on the scale."""
        if self.name == "as given":
            return y
        at = (np.clip(y, self.first, self.last) + self.shift) / self.unit
        return np.asarray(_FUNCTIONS[self.name][0](at))

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Return targets as given; values beyond what is possible are taken for the limits."""
        if self.name != "as given":
            # Clipped before and after: exponentials do not overflow, and limits are exact.
            least, most = (self._raw(limit) for limit in (self.lowest, self.highest))
            z = _FUNCTIONS[self.name][1](np.clip(z, least, most)) * self.unit - self.shift
        return np.asarray(np.clip(z, self.lowest, self.highest))

    def _raw(self, limit: float) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(_FUNCTIONS[self.name][0]((limit + self.shift) / self.unit))


_FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "square root": (np.sqrt, np.square),
    "logarithm": (np.log, np.exp),
    "logit": (logit, expit),
}


def scales_of(target: Target, y: np.ndarray) -> list[Scale]:
    """Return the scales that targets (n,) may be modelled on, as given first."""
    lowest, highest = float(y.min()), float(y.max())
    margin = _BEYOND * (highest - lowest)
    least = target.lowest if target.kind != "real" else lowest - margin
    most = min(target.highest, highest + margin)
    given = Scale(lowest=target.lowest, highest=target.highest)
    if target.kind in ("positive", "count"):
        limits: dict[str, float] = {"first": 0.0, "lowest": least, "highest": most}
        shift = _log_shift(target, y)
        root = Scale("square root", 0.375 if target.kind == "count" else 0.0, **limits)
        first = 0.0 if shift else lowest
        return [given, root, Scale("logarithm", shift, **(limits | {"first": first}))]
    if target.kind == "share":
        # Shares of 0 and 1 are moved inwards by half of what one row of n adds.
        end = 0.5 / max(len(y), 2)
        limits = {"first": 0.0, "last": 1.0, "lowest": 0.0, "highest": 1.0}
        return [given, Scale("logit", end, 1 + 2 * end, **limits)]
    return [given]


def _log_shift(target: Target, y: np.ndarray) -> float:
    """Return what is added before the logarithm: 1 for counts; 0 for amounts without zeros."""
    if target.kind == "count":
        return 1.0
    if y.min() > 0:
        return 0.0
    positive = y[y > 0]
    low, high = np.quantile(positive, [0.25, 0.75]) if len(positive) else (1.0, 1.0)
    # Stahel (2002), Statistische Datenanalyse: it depends on the unit as the targets do.
    return float(low**2 / high)


# --------------------------------------------------------------------------------- distributions


def quantile_loss(y: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the mean quantile loss (n,) over levels (q,) of quantiles (n, q)."""
    error = np.asarray(y)[:, None] - quantiles
    return np.asarray(np.maximum(levels * error, (levels - 1) * error).mean(1))


def unconditional_quantiles(
    known: np.ndarray, levels: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return quantiles (q,) of known targets (n,); with weights (n,)."""
    order = np.argsort(known, kind="stable")
    weight = np.ones(len(known)) if weight is None else weight[order]
    above = np.cumsum(weight)
    return np.asarray(np.interp(levels, (above - weight / 2) / above[-1], known[order]))


def _masses(probabilities: np.ndarray) -> np.ndarray:
    """Return the share (p,) of a distribution that the quantile at each probability stands for."""
    edges = np.concatenate([[0.0], (probabilities[1:] + probabilities[:-1]) / 2, [1.0]])
    return np.diff(edges)


def mean_of_quantiles(quantiles: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return means (n,) of distributions, given their quantiles (n, p)."""
    return np.asarray(quantiles @ _masses(probabilities))


def quantiles_at(
    quantiles: np.ndarray, probabilities: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Return quantiles (n, q) at levels (q,), interpolated between quantiles (n, p)."""
    at = np.interp(levels, probabilities, np.arange(len(probabilities)))
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(probabilities) - 1)
    share = at - low
    return np.asarray(quantiles[:, low] * (1 - share) + quantiles[:, high] * share)


def places_of(y: np.ndarray, quantiles: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the probability (n,) of less than each target, plus half of that of equal values.

    The distributions have quantiles (n, p) at `probabilities` (p,), whose ends are the limits.
    """
    p = len(probabilities)
    first, last = (quantiles < y[:, None]).sum(1), (quantiles <= y[:, None]).sum(1)
    places = np.empty(len(y))
    for row, (a, b) in enumerate(zip(first, last, strict=True)):
        if a < b:
            places[row] = (probabilities[a] + probabilities[b - 1]) / 2
        elif 0 < a < p:
            two = slice(a - 1, a + 1)
            places[row] = np.interp(y[row], quantiles[row, two], probabilities[two])
        else:
            places[row] = probabilities[0] if a == 0 else probabilities[-1]
    return places


def cut_distributions(
    quantiles: np.ndarray, probabilities: np.ndarray, n_classes: int
) -> np.ndarray:
    """Return probabilities (n, c) of classes 0, 1, ... from quantiles (n, p), cut at halves."""
    cuts = np.arange(n_classes - 1) + 0.5
    inner = [np.interp(cuts, row, probabilities, left=0.0, right=1.0) for row in quantiles]
    below = np.pad(np.reshape(inner, (-1, n_classes - 1)), ((0, 0), (1, 1)))
    below[:, -1] = 1.0
    share = np.diff(below, axis=1) + _MIN_SHARE_OF_CLASS / n_classes
    return np.asarray(share / share.sum(1, keepdims=True))
