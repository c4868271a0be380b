"""A column of times as numbers, and what the clocks of its time zone show.

Differences in time are those of instants. Hours, days and months of a season are those of clocks,
which people's habits follow: a change of clocks moves no pattern.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import numpy as np

from skmeta._columns._frames import resolve_columns, take_column
from skmeta._validation import count, quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning

# Slack of times, in days: a microsecond is lost in units of a standard deviation.
_SLACK = 1e-6


def time_numbers(X: Any, name: str | int) -> np.ndarray:
    """Return the times of a column, dates in days; a ValueError if one is missing or no time."""
    values = take_column(X, resolve_columns(X, name, "order")[0]).tolist()
    missing = [k for k, value in enumerate(values) if value is None or value != value]
    if missing:
        raise ValueError(
            f"Column {name!r}, which order names, is missing in {count(len(missing), 'rows')}: "
            f"{quote_some(missing, 5)}. Fill the times, or drop these rows."
        )
    try:
        times = np.array([_number(value) for value in values], dtype=np.float64)
    except TypeError as error:
        raise ValueError(
            f"Column {name!r}, which order names, holds {error}. Give it numbers or dates, for "
            "example by pandas.to_datetime."
        ) from None
    if np.isinf(times).any():
        raise ValueError(f"Column {name!r}, which order names, holds infinity. Drop these rows.")
    return times


class Times(NamedTuple):
    """What a column of times holds."""

    kind: str  # "dates", "durations" or "numbers"
    zone: str | None = None  # of dates: a name, or hours from UTC, "+05:30"; None without one

    @classmethod
    def of_column(cls, X: Any, name: str | int) -> Self:
        """Return what a column holds; mixing kinds, or zones with none, is an error."""
        values = take_column(X, resolve_columns(X, name, "order")[0]).tolist()
        known = [value for value in values if value is not None and value == value]
        kinds = list(dict.fromkeys(map(_kind, known))) or ["numbers"]
        zones = [getattr(value, "tzinfo", None) for value in known]
        distinct = {id(zone): zone for zone in zones}.values()  # those of dateutil have no hash
        names = list(dict.fromkeys(_name_of(zone, name) for zone in distinct))
        if None in names and len(names) > 1:
            kinds = ["dates with a time zone", "dates without one"]
        if len(kinds) > 1:
            raise ValueError(
                f"Column {name!r}, which order names, mixes {' and '.join(kinds)}. Convert its "
                "values to one type, for example by pandas.to_datetime."
            )
        if len(names) > 1:
            warn_caller(
                f"Column {name!r}, which order names, has several time zones: {quote_some(names)}. "
                "Hours and days of its seasons are those of UTC. Convert it to one zone.",
                UnusedDataWarning,
            )
        return cls(kinds[0], names[0] if len(names) == 1 else "UTC" if names else None)

    def check(self, other: Times, name: str | int) -> None:
        """Raise a ValueError if another column of this name cannot be compared with this one."""
        was, now = self.kind, other.kind
        # Dates without a zone are taken for those of UTC.
        one_has_none = (self.zone is None) != (other.zone is None)
        if was == now and one_has_none and "UTC" not in (self.zone, other.zone):
            was, now = (
                f"dates {f'of the time zone {one.zone}' if one.zone else 'without a time zone'}"
                for one in (self, other)
            )
        if was != now:
            raise ValueError(
                f"Column {name!r}, which order names, had {was} at fit, but has {now} now. Give it "
                "the same type in both."
            )


def wall_time(days: np.ndarray, zone: str | None) -> np.ndarray:
    """Return instants (n,), in days since 1970 in UTC, as the clocks of a zone show them."""
    if zone in (None, "UTC"):
        return days
    # Clocks change at whole quarters of an hour.
    quarters, place = np.unique(np.floor((days + _SLACK) * 96), return_inverse=True)
    offsets = np.array([_offset(zone, int(quarter)) for quarter in quarters])
    return np.asarray(days + offsets[place])


@lru_cache(maxsize=100_000)
def _offset(zone: str, quarter: int) -> float:
    """Return how many days the clocks of a zone are ahead of UTC at a quarter hour since 1970."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter)
    is_fixed = zone[0] in "+-"
    in_zone = datetime.strptime(zone, "%z").tzinfo if is_fixed else ZoneInfo(zone)
    offset = at.astimezone(in_zone).utcoffset()
    return 0.0 if offset is None else offset / timedelta(days=1)


def _name_of(zone: Any, column: str | int) -> str | None:
    """Return the name of a time zone, or its hours from UTC if it has none."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # Of pytz.
    if name is not None:
        return str(name)
    offset = zone.utcoffset(None)
    if offset is None:
        raise ValueError(
            f"Column {column!r}, which order names, has a time zone without a name, {zone!r}. "
            f"Convert it: pandas.to_datetime(X[{column!r}], utc=True), with "
            ".dt.tz_convert('Europe/Berlin') or so."
        )
    return datetime(1970, 1, 1, tzinfo=timezone(offset)).isoformat()[19:] if offset else "UTC"


def _kind(value: Any) -> str:
    if isinstance(value, (date, np.datetime64)) or hasattr(value, "to_timestamp"):  # Or a period.
        return "dates"
    return "durations" if hasattr(value, "total_seconds") else "numbers"


def _number(value: Any) -> float:
    value = value.to_timestamp() if hasattr(value, "to_timestamp") else value  # A period.
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, (date, np.datetime64)):
        return float(np.array([value], "datetime64[us]").astype(np.int64)[0] / 86.4e9)
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds() / 86400)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"{value!r}")
