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
# Lengths that are tried on whole numbers, and what a season must explain there.
_LENGTHS = (4, 7, 12, 24, 52)
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
    """A cycle: its name, the number of its phases, and the length of a step of whole numbers."""

    name: str
    n_phases: int
    step: float = 1.0

    def phases(self, times: np.ndarray) -> np.ndarray:
        """Return the phase (n,) of times (n,) in days since 1970, or as given."""
        if self.name in _CALENDAR:
            return np.asarray(_CALENDAR[self.name][2](times)).astype(np.int64)
        return np.asarray(np.round(times / self.step)).astype(np.int64) % self.n_phases

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
    """Find the seasons of rows (n,).

    Times are numbers, or dates as days since 1970. A season is given in steps of a cycle; "auto"
    takes the calendar, and what whole numbers show clearly. `centre` and `scale` are units of the
    times.
    """
    step = typical_step(times, codes)
    if step is None:
        return Calendar((), 1.0, centre, scale)
    span = np.ptp(times)
    seasons: Sequence[Season] = ()
    if season is not None and not isinstance(season, str):
        lengths = np.atleast_1d(np.asarray(season)).tolist()
        seasons = [Season(f"{int(p)} steps", int(p), step) for p in lengths]
    elif season == "auto" and is_date:
        names = next((names for most, names in _STEPS if step < most), ())
        kinds = [(name, *_CALENDAR[name][:2]) for name in names]
        seasons = [Season(name, p) for name, p, days in kinds if span >= _MIN_CYCLES * days]
    elif season == "auto" and step > 0 and _is_regular(times, step):
        tried = [Season(f"{p} steps", p, step) for p in _LENGTHS if span >= 2 * p * step]
        p_values = [_p_value(one, times, y, codes) for one in tried]
        if p_values and min(p_values) < _MAX_P_VALUE / len(_LENGTHS):
            # A multiple of a cycle explains as much, with more phases.
            seasons = [tried[int(np.argmin(p_values))]]
    return Calendar(tuple(seasons), step / scale, centre, scale)


def typical_step(times: np.ndarray, codes: np.ndarray) -> float | None:
    """Return the median positive gap between rows of a group; None without one."""
    order = np.lexsort((times, codes))
    gap = np.diff(times[order])[np.diff(codes[order]) == 0]
    gap = gap[gap > 0]
    return float(np.median(gap)) if len(gap) else None


def _is_regular(times: np.ndarray, step: float) -> bool:
    steps = (times - times.min()) / step
    return bool(np.mean(np.abs(steps - np.round(steps)) < 1e-6) > 0.99)


def _p_value(season: Season, times: np.ndarray, y: np.ndarray, codes: np.ndarray) -> float:
    """Return the p-value of what phases explain of changes, scaled by group; 1 if it is little."""
    order = np.lexsort((times, codes))
    same = np.diff(codes[order]) == 0
    change, group = np.diff(y[order])[same], codes[order][1:][same]
    counts = np.maximum(np.bincount(group), 1)
    size = np.sqrt(np.bincount(group, change**2) / counts)[group]
    at = times[order][1:][same][size > 0]
    change = change[size > 0] / size[size > 0]
    share, _ = _explained(change, season.phases(at), 3.0)
    # What happens at a time may happen to all groups: a test counts times, not rows.
    steps, place = np.unique(np.round(at / season.step), return_inverse=True)
    typical = np.bincount(place, change) / np.maximum(np.bincount(place), 1)
    _, p_value = _explained(typical, season.phases(steps * season.step), 1.5)
    return p_value if share >= _MIN_SHARE else 1.0


def _explained(change: np.ndarray, phase: np.ndarray, n_each: float) -> tuple[float, float]:
    """Return the adjusted share of variance that phases explain, and the p-value of an F test."""
    n, p = len(change), len(np.unique(phase))
    if n <= n_each * p:
        return 0.0, 1.0
    mean = np.bincount(phase, change) / np.maximum(np.bincount(phase), 1)
    total, left = ((change - change.mean()) ** 2).sum(), ((change - mean[phase]) ** 2).sum()
    if total == 0:
        return 0.0, 1.0
    ratio = (total - left) / (p - 1) / max(left / (n - p), 1e-300)
    p_value = float(f_distribution.sf(ratio, p - 1, n - p))
    return float(1 - left / (n - p) / (total / (n - 1))), p_value
