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

from skmeta._columns import wall_time
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
# Seasons of this many phases have a smooth part, with this length of the periodic kernel of MacKay
# (1998), Introduction to Gaussian processes, equation 47.
_MIN_SMOOTH, _SMOOTH, _JITTER = 12, 0.5, 1e-6
# Seasons of this many phases are indicators in columns.
_FEW = 12
# Days of a month, and slack of steps of months.
_MONTH, _MONTH_SLACK = 365.2425 / 12, 1.1
# Lengths that are tried on whole numbers, and those that are warned of.
_LENGTHS, _ALL_LENGTHS, _TINY = (4, 7, 12, 24, 52), range(2, 61), 1e-12
_MAX_P_VALUE, _MIN_SHARE, _MANY, _MIN_EACH = 1e-4, 0.1, 0.25, 1.5
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
        if self.n_phases < _MIN_SMOOTH:
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
    zone: str | None = None  # of times that are dates

    def phases(self, times: np.ndarray) -> np.ndarray:
        """Return the phases (n, s) of standardised times (n,)."""
        given = wall_time(np.asarray(times) * self.scale + self.centre, self.zone)
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

    @property
    def n_steps(self) -> int:
        """Number of phases of the longest season; 0 without one."""
        return max((season.n_phases for season in self.seasons), default=0)

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
    zone: str | None = None,
) -> Calendar:
    """Find the seasons of rows (n,), and warn of a clear cycle that is none of them.

    Times, in units `centre` and `scale`, are numbers, or dates as days since 1970 in UTC.
    """
    step = typical_step(times, codes)
    if step is None or step <= 0:
        return Calendar((), 1.0, centre, scale, zone)
    times = wall_time(times, zone)
    span, n_months = np.ptp(times), _n_months(step) if is_date else 0
    seasons: list[Season] = []
    if season is not None and not isinstance(season, str):
        steps = _steps(times, step, n_months)
        n_steps = int(np.ptp(steps)) + 1
        seasons = [_season_of_steps(int(p), step, n_months) for p in np.atleast_1d(season)]
        short = [one for one in seasons if n_steps >= _MIN_CYCLES * one.n_phases]
        if len(short) < len(seasons):
            warn_caller(
                f"The times cover {n_steps} steps, so a season of "
                f"{max(one.n_phases for one in seasons)} cannot be seen, and is left out: at least "
                "half a cycle is needed.",
                UnusedDataWarning,
            )
        seasons = short
    elif season == "auto" and is_date:
        names = next((names for most, names in _STEPS if step < most), ())
        kinds = [(name, *_CALENDAR[name][:2]) for name in names]
        seasons = [Season(name, p) for name, p, days in kinds if span >= _MIN_CYCLES * days]
    changes = _Changes.learn(times, y, codes, step, n_months) if season is not None else None
    if changes is not None and season == "auto" and not is_date:
        length, any_length = changes.clearest(_LENGTHS, True), changes.clearest(_ALL_LENGTHS)
        # Phases of 12 steps explain a part of a cycle of 9.
        if length and (any_length is None or 0 in (length % any_length, any_length % length)):
            seasons = [_season_of_steps(length, step, n_months)]
    if changes is not None:
        for one in seasons:
            changes = changes.without(one)
        left = changes.clearest(_ALL_LENGTHS)
        if left:
            _warn_of_cycle(left, seasons)
    return Calendar(tuple(seasons), step / scale, centre, scale, zone)


def _season_of_steps(n_phases: int, step: float, n_months: int) -> Season:
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
    """Changes from row to row within groups (n,), scaled by group, at steps in time (T,)."""

    times: np.ndarray  # of the later row (T,)
    steps: np.ndarray  # whole numbers (T,)
    place: np.ndarray  # of each change in the steps (n,)
    group: np.ndarray
    change: np.ndarray

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
        used = np.flatnonzero(size > 0)
        if not len(used):
            return None
        at = times[order][1:][same][used]
        steps, first, place = np.unique(
            _steps(at, step, n_months), return_index=True, return_inverse=True
        )
        group = np.unique(group[used], return_inverse=True)[1]
        return cls(at[first], steps, place, group, change[used] / size[used])

    def without(self, season: Season) -> _Changes:
        """Return what the season of each group does not explain."""
        cell = self.group * season.n_phases + season.phases(self.times)[self.place]
        mean = np.bincount(cell, self.change) / np.maximum(np.bincount(cell), 1)
        return self._replace(change=self.change - mean[cell])

    def clearest(self, lengths: Sequence[int], per_group: bool = False) -> int | None:
        """Return the number of steps that explains most of the changes, if one does clearly.

        They are the changes of all groups, or with `per_group` those of many groups one by one.
        """
        span = int(np.ptp(self.steps)) + 1
        tried = [length for length in lengths if span >= 2 * length]
        typical = np.bincount(self.place, self.change) / np.bincount(self.place)
        p_values = [self._p_value(length, typical, per_group) for length in tried]
        if not p_values or min(p_values) >= _MAX_P_VALUE / len(lengths):
            return None
        # A multiple of a cycle explains as much, with more phases.
        return tried[int(np.argmin(p_values))]

    def _p_value(self, length: int, typical: np.ndarray, per_group: bool) -> float:
        """Return the p-value of what phases explain of the typical change (T,), or of many groups.

        Tests count times, not rows, because groups share what happens at a time (Rueger, 1978).
        """
        phase = self.steps % length
        one, at = np.zeros_like(self.place), phase[self.place]
        p_value = float(_p_values(typical, one[: len(phase)], phase, length)[0])
        if self._share(one, at, length) < _MIN_SHARE:
            p_value = 1.0
        n_groups = int(self.group.max()) + 1 if per_group else 1
        if n_groups == 1 or self._share(self.group, at, length) < _MIN_SHARE:
            return 2 * p_value
        n_many = max(round(_MANY * n_groups), 1)
        own = np.sort(_p_values(self.change, self.group, at, length))
        return 2 * min(p_value, float(own[n_many - 1]) * n_groups / n_many)

    def _share(self, group: np.ndarray, phase: np.ndarray, length: int) -> float:
        """Return the share of the variance of changes that phases explain in both halves of time.

        Cycles that wander are others in the second half than in the first.
        """
        cell = (group * length + phase) * 2 + (self.place >= len(self.steps) / 2)
        n_cells = 2 * length * (int(group.max()) + 1)
        n = np.bincount(cell, minlength=n_cells).reshape(-1, 2)
        mean = np.bincount(cell, self.change, n_cells).reshape(-1, 2) / np.maximum(n, 1)
        weight = n.sum(1) * (n > 0).all(1)
        both = weight @ mean.prod(1) / max(weight.sum(), 1)
        return float(both / max(np.mean(self.change**2), 1e-300))


def _p_values(
    change: np.ndarray, group: np.ndarray, phase: np.ndarray, n_phases: int
) -> np.ndarray:
    """Return p-values (G,) of F tests of phases (n,) in the changes (n,) of each group."""
    n_groups = int(group.max()) + 1
    cell, shape = group * n_phases + phase, (n_groups, n_phases)
    n = np.bincount(cell, minlength=n_groups * n_phases).reshape(shape)
    sums = np.bincount(cell, change, n_groups * n_phases).reshape(shape)
    square, n_all, p = np.bincount(group, change**2), n.sum(1), (n > 0).sum(1)
    left = np.maximum(square - (sums**2 / np.maximum(n, 1)).sum(1), 0.0)
    total = square - sums.sum(1) ** 2 / n_all
    enough = (n_all > _MIN_EACH * p) & (p > 1) & (total > _TINY * square)
    degrees = np.maximum(p - 1, 1), np.maximum(n_all - p, 1)
    ratio = (total - left) / degrees[0] / np.maximum(left / degrees[1], 1e-300)
    return np.where(enough, f_distribution.sf(ratio, *degrees), 1.0)
