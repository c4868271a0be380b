"""Seasons: cycles of the calendar, or of whole numbers, in times.

A season divides time into phases, such as the months of a year. Its effects b (one per phase) are a
sum of parts with covariances v R: one where R is the identity and, with many phases, one where R
correlates phases near each other.

Notation: n rows, P phases, s seasons, c parts of all seasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import f as f_distribution

from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# Largest step in days, and the seasons of smaller steps: name, phases and least cycles to be seen.
_STEPS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.3, ("hour of the day", "hour of the week")),
    (3.0, ("day of the week", "month")),
    (20.0, ("week of the year",)),
    (45.0, ("month",)),
    (150.0, ("quarter",)),
)
# Slack of times, in days: a microsecond is lost in the standard units of times.
_SLACK = 1e-6
# Seasons of so many phases have a smooth part, with this length of the periodic kernel of MacKay
# (1998), Introduction to Gaussian processes, equation 47.
_LEAST_SMOOTH, _SMOOTH, _JITTER = 12, 0.5, 1e-6
# Seasons of so many phases are indicators in columns.
_FEW = 12
# Days of a month, and slack of steps of months.
_MONTH, _MONTH_SLACK = 365.2425 / 12, 1.1
# Lengths that are tried on whole numbers, and those that are warned of.
_LENGTHS, _ALL_LENGTHS, _TINY = (4, 7, 12, 24, 52), range(2, 61), 1e-12
_MAX_P_VALUE, _MIN_SHARE = 1e-4, 0.1
# Cycles that the times must cover.
_MIN_CYCLES = 0.5


def _days(times: np.ndarray) -> np.ndarray:
    return np.asarray(np.floor(times + _SLACK))


def _months(times: np.ndarray) -> np.ndarray:
    return np.asarray(_days(times).astype("datetime64[D]").astype("datetime64[M]").astype(int))


# Name -> number of phases, days of a cycle, and the phase of times in days since 1970.
_CALENDAR: dict[str, tuple[int, float, Callable[[np.ndarray], np.ndarray]]] = {
    "hour of the day": (24, 1.0, lambda t: np.floor((t + _SLACK) * 24) % 24),
    "hour of the week": (168, 7.0, lambda t: np.floor((t + _SLACK) * 24) % 168),
    "day of the week": (7, 7.0, lambda t: _days(t) % 7),
    "week of the year": (52, 365.25, lambda t: np.floor((t + _SLACK) % 365.2425 / 365.2425 * 52)),
    "month": (12, 365.25, lambda t: _months(t) % 12),
    "quarter": (4, 365.25, lambda t: _months(t) % 12 // 3),
}


class Season(NamedTuple):
    """A cycle of the calendar, or of steps of a length in the units of times, or in months."""

    name: str
    n_phases: int
    step: float = 1.0
    n_months: int = 0

    def phases(self, times: np.ndarray) -> np.ndarray:
        """Return the phase (n,) of times (n,) in days since 1970, or as given."""
        if self.name in _CALENDAR:
            return np.asarray(_CALENDAR[self.name][2](times)).astype(np.int64)
        return _steps(times, self.step, self.n_months) % self.n_phases

    @property
    def length(self) -> float:
        """The length of a cycle, in days or in units of the times."""
        is_dated = self.name in _CALENDAR
        return _CALENDAR[self.name][1] if is_dated else self.n_phases * self.step

    @property
    def roots(self) -> list[np.ndarray]:
        """Roots (P, P) of R of each part."""
        rough = np.eye(self.n_phases)
        if self.n_phases < _LEAST_SMOOTH:
            return [rough]
        angle = np.pi * np.arange(self.n_phases) / self.n_phases
        smooth = np.exp(-2 * (np.sin(angle[:, None] - angle) / _SMOOTH) ** 2)
        return [rough, np.linalg.cholesky(smooth + _JITTER * rough)]


class Calendar(NamedTuple):
    """The seasons of a table, and the units of its times."""

    seasons: tuple[Season, ...] = ()
    step: float = 1.0  # typical gap between rows of a group, in standard units
    centre: float = 0.0  # of the times
    scale: float = 1.0

    def phases(self, times: np.ndarray) -> np.ndarray:
        """Return the phases (n, s) of standardised times (n,)."""
        given = np.asarray(times) * self.scale + self.centre
        columns = [season.phases(given) for season in self.seasons]
        return np.column_stack(columns) if columns else np.empty((len(given), 0), np.int64)

    def parts(self, times: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the phases (n, c) of standardised times (n,), and the root of each part."""
        roots = [season.roots for season in self.seasons]
        repeats = np.repeat(np.arange(len(roots)), [len(each) for each in roots])
        return self.phases(times)[:, repeats], [root for each in roots for root in each]

    def with_columns(self, X: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return columns (n, d) and those of phases: indicators, or numbers of many."""
        columns = [X]
        for season, phase in zip(self.seasons, self.phases(times).T, strict=True):
            few = np.arange(season.n_phases) if season.n_phases <= _FEW else np.empty(0)
            columns.append(np.equal(phase[:, None], few[1:]).astype(float))
            if not len(few):
                columns.append(phase[:, None] / season.n_phases)
        return np.hstack(columns)

    def n_cycles(self, times: np.ndarray) -> float:
        """Return how many cycles of the longest season the times (n,) cover; inf without one."""
        longest = max((season.length for season in self.seasons), default=0.0)
        return float(np.ptp(times) * self.scale / longest) if longest else np.inf


NO_SEASONS = Calendar()


def learn_calendar(
    times: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    season: Any,
    is_date: bool,
    centre: float,
    scale: float,
) -> Calendar:
    """Find the seasons of rows (n,), and warn of a clear cycle that is none of them.

    Times are numbers, or dates as days since 1970. A season is given in steps of a cycle; "auto"
    takes the calendar, and what whole numbers show clearly. `centre` and `scale` are units of the
    times.
    """
    step = typical_step(times, codes)
    if step is None or step <= 0:
        return Calendar((), 1.0, centre, scale)
    span, n_months = np.ptp(times), _n_months(step) if is_date else 0
    seasons: list[Season] = []
    if season is not None and not isinstance(season, str):
        seasons = [_of_steps(int(p), step, n_months) for p in np.atleast_1d(season)]
    elif season == "auto" and is_date:
        names = next((names for most, names in _STEPS if step < most), ())
        kinds = [(name, *_CALENDAR[name][:2]) for name in names]
        seasons = [Season(name, p) for name, p, days in kinds if span >= _MIN_CYCLES * days]
    changes = _Changes.learn(times, y, codes, step, n_months) if season is not None else None
    if changes is not None and season == "auto" and not is_date:
        found, any_length = changes.clearest(_LENGTHS), changes.clearest(_ALL_LENGTHS)
        # Phases of 12 steps explain a part of a cycle of 9.
        if found and (any_length is None or 0 in (found % any_length, any_length % found)):
            seasons = [_of_steps(found, step, n_months)]
    if changes is not None:
        for one in seasons:
            changes = changes.without(one.phases(changes.times))
        left = changes.clearest(_ALL_LENGTHS)
        if left:
            _warn_of_cycle(left, seasons)
    return Calendar(tuple(seasons), step / scale, centre, scale)


def _of_steps(n_phases: int, step: float, n_months: int) -> Season:
    return Season(f"{n_phases} steps", n_phases, step, n_months)


def _warn_of_cycle(length: int, seasons: Sequence[Season]) -> None:
    known = ", ".join(season.name for season in seasons)
    warn_caller(
        f"Within the groups, y repeats every {length} rows in time, which "
        + (f"the seasons in use ({known}) do not explain. " if known else "no season explains. ")
        + f"If it goes on, set season={length}; season=None is for none, without this warning.",
        UnusedDataWarning,
    )


def typical_step(times: np.ndarray, codes: np.ndarray) -> float | None:
    """Return the median positive gap between rows of a group; None without one."""
    order = np.lexsort((times, codes))
    gap = np.diff(times[order])[np.diff(codes[order]) == 0]
    gap = gap[gap > 0]
    return float(np.median(gap)) if len(gap) else None


def _n_months(step: float) -> int:
    """Return how many months a step in days is; 0 if it is no number of months."""
    n_months = round(step / _MONTH)
    return n_months if abs(step - n_months * _MONTH) <= _MONTH_SLACK else 0


def _steps(times: np.ndarray, step: float, n_months: int) -> np.ndarray:
    """Return the number (n,) of the step in which times (n,) are."""
    if n_months:
        return np.asarray(_months(times) // n_months, np.int64)
    return np.asarray(np.round(times / step)).astype(np.int64)


class _Changes(NamedTuple):
    """Changes from row to row within groups, scaled by group, in sums over steps in time (T,)."""

    times: np.ndarray  # of the later row
    steps: np.ndarray  # whole numbers
    n: np.ndarray
    sums: np.ndarray
    square: float  # of all changes

    @classmethod
    def learn(
        cls, times: np.ndarray, y: np.ndarray, codes: np.ndarray, step: float, n_months: int
    ) -> _Changes | None:
        """Return the changes of rows (n,); None without any, or if steps are no whole numbers."""
        exact = (times - times.min()) / step
        if not n_months and np.mean(np.abs(exact - np.round(exact)) < 1e-6) <= 0.99:
            return None
        order = np.lexsort((times, codes))
        same = np.diff(codes[order]) == 0
        change, group = np.diff(y[order])[same], codes[order][1:][same]
        size = np.sqrt(np.bincount(group, change**2) / np.maximum(np.bincount(group), 1))[group]
        at, change = times[order][1:][same][size > 0], change[size > 0] / size[size > 0]
        if not len(change):
            return None
        steps, first, place = np.unique(
            _steps(at, step, n_months), return_index=True, return_inverse=True
        )
        n, sums = np.bincount(place).astype(float), np.bincount(place, change)
        return cls(at[first], steps, n, sums, float(change @ change))

    def without(self, phase: np.ndarray) -> _Changes:
        """Return what phases (T,) do not explain."""
        mean = np.bincount(phase, self.sums) / np.maximum(np.bincount(phase, self.n), 1)
        left = self.sums - self.n * mean[phase]
        explained = (self.n * mean[phase] ** 2).sum()
        return self._replace(sums=left, square=max(self.square - float(explained), 0.0))

    def clearest(self, lengths: Sequence[int]) -> int | None:
        """Return the number of steps that explains most of the changes, if one does clearly."""
        span = int(np.ptp(self.steps)) + 1
        tried = [length for length in lengths if span >= 2 * length]
        p_values = [self._p_value(length) for length in tried]
        if not p_values or min(p_values) >= _MAX_P_VALUE / len(lengths):
            return None
        # A multiple of a cycle explains as much, with more phases.
        return tried[int(np.argmin(p_values))]

    def _p_value(self, length: int) -> float:
        """Return the p-value of what phases explain; 1 if it is little."""
        phase = self.steps % length
        share, _ = _explained(self.n, self.sums, self.square, phase, 3.0)
        if share < _MIN_SHARE:
            return 1.0
        # What happens at a time may happen to all groups: a test counts times, not rows.
        typical, ones = self.sums / self.n, np.ones(len(self.n))
        return _explained(ones, typical, float(typical @ typical), phase, 1.5)[1]


def _explained(
    n: np.ndarray, sums: np.ndarray, square: float, phase: np.ndarray, n_each: float
) -> tuple[float, float]:
    """Return the adjusted share of variance that phases explain, and the p-value of an F test.

    `n` and `sums` (T,) are numbers of values and their sums, and `square` is that of all values.
    """
    n_all, p = n.sum(), len(np.unique(phase))
    if n_all <= n_each * p or p < 2:
        return 0.0, 1.0
    by_phase = np.bincount(phase, sums) ** 2 / np.maximum(np.bincount(phase, n), 1)
    total, left = square - sums.sum() ** 2 / n_all, max(square - by_phase.sum(), 0.0)
    if total <= _TINY * square:
        return 0.0, 1.0
    ratio = (total - left) / (p - 1) / max(left / (n_all - p), 1e-300)
    p_value = float(f_distribution.sf(ratio, p - 1, n_all - p))
    return float(1 - left / (n_all - p) / (total / (n_all - 1))), p_value
