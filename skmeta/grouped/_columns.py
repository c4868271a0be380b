"""The columns of a grouped table: the groups, the order in time, and the others as numbers."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from skmeta._columns import (
    FrameEncoder,
    Times,
    check_no_times,
    check_one_type,
    distinct_rows,
    frame_columns,
    is_data_frame,
    numbers_of,
    table_columns,
    take_column,
    time_numbers,
)
from skmeta._sklearn_compat import get_feature_names
from skmeta._validation import count, quote, quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import EpisodeError, UnusedDataWarning

# Exposures over their mean: the largest, and steps of their rounding within a factor of two.
_MAX_EXPOSURE, _EXPOSURE_STEPS = 1e9, 2.0**36
# The name of what groups have in common, in reports.
SHARED = "shared"
# With fewer groups, differences between groups cannot be learned well.
_FEW_GROUPS = 10
# A column looks like time if it rises in this share of the groups that have this many rows.
_MIN_SHARE, _MIN_ROWS, _MIN_GROUPS = 0.9, 3, 5


def group_labels(values: np.ndarray, name: str, largest: int, known: Any = None) -> list[Any]:
    """Return labels (n,) of groups as whole numbers or strings; others raise a ValueError.

    Floats from `largest` on leave out whole numbers; `known` is a label of `fit`. Blanks around
    strings are left out.
    """
    labels = np.empty(len(values), dtype=object)
    labels[:] = values.tolist()
    missing = np.array([v is None or v != v for v in labels], bool)
    if missing.any():
        rows = np.flatnonzero(missing)
        raise ValueError(
            f"Group column {name} is missing in {len(rows)} rows: {quote_some(rows.tolist(), 5)}. "
            "Drop these rows, or give them a group of their own."
        )
    for k, label in enumerate(labels):
        if not isinstance(label, Hashable) or isinstance(label, tuple):
            raise ValueError(
                f"Group column {name} has several values in a row, such as {label!r} in row {k}. "
                "Make a column of each and name them in groups, or convert them to strings."
            )
        if isinstance(label, float):
            if not label.is_integer():
                raise ValueError(
                    f"Group column {name} holds numbers with fractions, such as {label!r} in row "
                    f"{k}, but groups are labels. Name another column, convert it to strings, or "
                    "keep it out of a scaler."
                )
            if abs(label) >= largest:
                raise ValueError(
                    f"Group column {name} holds floating-point numbers such as {label:.0f} in row "
                    f"{k}, but from {largest:,} on, some whole numbers are equal to others in "
                    "this type. Keep the labels as whole numbers or strings: read_csv takes "
                    "dtype={name: str}."
                )
            labels[k] = int(label)
        elif isinstance(label, str):
            labels[k] = label.strip()
    check_one_type(labels.tolist(), f"Group column {name}", known)
    return labels.tolist()


def distinct_table(
    X: Any, y: np.ndarray, is_class: bool, groups: Sequence[int], weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what `distinct_rows` does of a table with targets (n,) and columns of groups."""
    columns = (
        (values, is_number and k not in groups)
        for k, (values, is_number) in enumerate(table_columns(X))
    )
    return distinct_rows(itertools.chain([(y, not is_class)], columns), weight)


def exposures(values: np.ndarray, name: str) -> np.ndarray:
    """Return exposures (n,) as positive, finite numbers; others raise a ValueError."""
    rule = "but exposures are positive, finite numbers"
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Exposure column {name} holds values that are no numbers ({error}), {rule}. Convert "
            "it, or name another column."
        ) from error
    wrong = np.flatnonzero(~((numbers > 0) & np.isfinite(numbers)))
    if len(wrong):
        raise ValueError(
            f"Exposure column {name} has {float(numbers[wrong[0]]):g} in row {wrong[0]}, {rule}. "
            "Drop rows without exposure, or name another column."
        )
    return numbers


def mean_exposure(exposure: np.ndarray) -> float:
    """Return the mean of exposures (n,), which may be near the largest number."""
    largest = exposure.max()
    return float((exposure / largest).mean() * largest)


def relative_exposures(exposure: np.ndarray, unit: float, name: str) -> np.ndarray:
    """Return exposures (n,) over the mean at fit, rounded: in another unit, last bits are others.

    A ValueError is raised if one is more than `_MAX_EXPOSURE` times as large or small.
    """
    with np.errstate(over="ignore"):
        mantissa, exponent = np.frexp(exposure / unit)
    relative = np.ldexp(np.round(mantissa * _EXPOSURE_STEPS) / _EXPOSURE_STEPS, exponent)
    wrong = np.flatnonzero(~((relative < _MAX_EXPOSURE) & (relative > 1 / _MAX_EXPOSURE)))
    if len(wrong):
        raise ValueError(
            f"Exposure column {name} has {float(exposure[wrong[0]]):g} in row {wrong[0]}, but the "
            f"mean at fit is {unit:g}, and no exposure may be more than {_MAX_EXPOSURE:g} times as "
            "large or small. Check its unit, or drop the row."
        )
    return relative


# Counts of groups with fewer rows than this, on average, are divided into so many parts.
_MIN_SIZE, _N_PARTS = 2, 3


def parts_of_counts(y: np.ndarray, codes: np.ndarray) -> int:
    """Return the number of parts that counts (n,) of groups (n, F) are divided into; mostly 1.

    Given its rate, parts of a Poisson count over equal parts of the exposure are independent, so
    groups of one row have several. Nothing is gained or lost by it (Neufeld, Dharamshi, Gao and
    Witten, 2024, Data thinning for convolution-closed distributions).
    """
    is_few = len(codes) < _MIN_SIZE * (codes.max() + 1)
    return _N_PARTS if is_few and float(y.max()) < 2**53 else 1


def divide_counts(
    rates: np.ndarray,
    weight: np.ndarray,
    exposure: np.ndarray | None,
    content: np.ndarray,
    n_parts: int,
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return rows (n n_parts,) and their rates, weights and exposures.

    Counts are divided at random, in the order of their `content` (n, d).
    """
    if exposure is None or n_parts == 1:
        return slice(None), rates, weight, exposure
    counts = np.round(rates * exposure).astype(np.int64)
    order = np.lexsort((*content.T[::-1], exposure, counts))
    parts = np.empty((len(counts), n_parts))
    shares = np.full(n_parts, 1 / n_parts)
    parts[order] = np.random.default_rng(0).multinomial(counts[order], shares)
    rows = np.repeat(np.arange(len(rates)), n_parts)
    divided = (parts * n_parts / exposure[:, None]).ravel()
    return rows, divided, weight[rows] / n_parts, exposure[rows] / n_parts


class FeatureColumns:
    """Turn all columns but those `left_out` into numbers; that of times, `order`, comes last."""

    def __init__(
        self,
        X: Any,
        left_out: Sequence[int],
        order: str | int | None = None,
        weight: np.ndarray | None = None,
    ) -> None:
        self.order = order
        self.times = None if order is None else Times.of_column(X, order)
        names = get_feature_names(X)
        n_columns = np.shape(X)[1]
        self.positions = [k for k in range(n_columns) if k not in set(left_out)]
        self.names = [f"x{k}" if names is None else str(names[k]) for k in self.positions]
        self.names = self.names or ["constant"]
        self.encoder: FrameEncoder | None = None
        for column in frame_columns(self._part(X)) if is_data_frame(X) else ():
            check_no_times(column, "" if order is not None else f"Set order={column.name!r}")
        if is_data_frame(X) and self.positions:
            part = self._part(X)
            self.encoder = FrameEncoder.learn(part, True, weight=weight, is_family=False)
        # Of the columns that `names_out` has, in the order in which `encode` returns them.
        self.places = np.arange(len(self.names_out()))

    def _part(self, X: Any) -> Any:
        if hasattr(X, "get_columns"):
            return X[:, self.positions]
        return X.iloc[:, self.positions] if is_data_frame(X) else np.asarray(X)[:, self.positions]

    @property
    def has_dates(self) -> bool:
        """Whether times are dates."""
        return self.times is not None and self.times.kind == "dates"

    def encode(self, X: Any) -> np.ndarray:
        """Return columns (n, d) of numbers; NaN is a missing value. Without columns, one is 0."""
        numbers = self._encode(X)
        if self.order is None or self.times is None:
            return numbers.take(self.places, 1)
        times = time_numbers(X, self.order)
        self.times.check(Times.of_column(X, self.order), self.order)
        return np.column_stack([numbers, times]).take(self.places, 1)

    def _encode(self, X: Any) -> np.ndarray:
        if not self.positions:
            return np.zeros((len(X), 1))
        part = self._part(X)
        if self.encoder is not None:
            numbers = self.encoder.encode(part, "at fit")
        else:
            numbers = _as_numbers(part)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).any(1).argmax())
            raise ValueError(f"X contains infinity in row {row}. Drop the row, or clip its values.")
        return numbers

    def indicators(self) -> tuple[np.ndarray, ...]:
        """Return the positions of the indicators of each category, as `encode` returns them."""
        place = np.argsort(self.places)
        by_category = [] if self.encoder is None else self.encoder.indicators()
        return tuple(np.sort(place[list(positions)]) for positions in by_category)

    def names_out(self) -> list[str]:
        """Return the names of the encoded columns, in the order given."""
        names = list(self.names) if self.encoder is None else self.encoder.names_out()
        return names if self.order is None else [*names, str(self.order)]

    def levels_out(self) -> dict[int, tuple[str, int | None]]:
        """Return what columns of categories compare: by column, a name and that of the first."""
        levels: dict[int, tuple[str, int | None]] = {}
        k = 0
        for column in () if self.encoder is None else self.encoder.columns:
            labels = [*column.get("categories", ()), *["other"] * column.get("has_other", False)]
            first, base = column.get("reference", labels[0] if labels else ""), k
            for label in labels:
                is_pair = "reference" in column
                levels[k] = f"{column['name']} ({label} - {first})", None if is_pair else base
                k += 1
            k += 0 if "categories" in column else 1 + column.get("has_indicator", False)
        return levels


def _as_numbers(part: Any) -> np.ndarray:
    dtypes = list(getattr(part, "dtypes", ())) if is_data_frame(part) else []
    # Column by column takes a hundred times as long for one row.
    if dtypes and all(isinstance(each, np.dtype) and each.kind in "biuf" for each in dtypes):
        return np.asarray(part, dtype=np.float64)
    for column in frame_columns(part):
        check_no_times(column)
    try:
        if is_data_frame(part):
            return np.column_stack([numbers_of(column) for column in frame_columns(part)])
        return np.asarray(part, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X holds values that are no numbers ({error}). Pass a data frame: its columns of "
            "strings are taken for categories."
        ) from error


def place_of_groups(X: Any, groups: Any, name: str) -> str:
    """Say how groups (n,) become a column of a table."""
    labels = np.asarray(groups).ravel().astype(str)
    n_columns = np.shape(X)[1] if len(np.shape(X)) == 2 else 0
    for k in range(n_columns if len(labels) == len(X) else 0):
        if (np.asarray(take_column(X, k)).astype(str) == labels).all():
            column = quote(X.columns[k]) if is_data_frame(X) else k
            return f"X has them as a column: set {name}(groups={column})."
    if is_data_frame(X):
        return f"Add one, for example X.assign(group=groups), and set {name}(groups='group')."
    return f"Add one, np.column_stack([groups, X]), and set {name}(groups=0)."


def codes_of(labels: list[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the distinct labels in the order they come, and the code of each row."""
    known: dict[Any, int] = {}
    codes = np.array([known.setdefault(label, len(known)) for label in labels], dtype=np.int64)
    return list(known), codes


def series_of(codes: np.ndarray) -> np.ndarray:
    """Return a number (n,) for the groups (n, F) of all columns together."""
    return np.asarray(np.unique(codes, axis=0, return_inverse=True)[1].ravel())


def check_groups(
    names: list[Any], codes: np.ndarray, y: np.ndarray, column: str, are_rates: bool
) -> None:
    """Raise an error if groups (n,) say nothing, unless y are counts over exposures; or warn."""
    if SHARED in names or column == quote(SHARED):
        what = "the column" if column == quote(SHARED) else f"the group of column {column}"
        raise ValueError(
            f"{quote(SHARED)} is the row of effects_ and the column of parts that say what groups "
            f"have in common. Rename {what}."
        )
    n_groups, n_rows = len(names), len(codes)
    if n_groups == n_rows and n_rows > 1 and not are_rates:
        raise EpisodeError(
            f"Each of the {n_rows} rows has a group of its own in column {column}, so nothing says "
            "how rows of a group are alike. Name the column of groups, or set groups=None. Of "
            "counts with exposures, one row per group is enough: GroupedRegressor has exposure=."
        )
    values = np.unique(y, return_inverse=True)[1]
    if n_groups > 1 and values.max() + 1 == n_groups and not are_rates:
        pairs = np.unique(np.column_stack([codes, values]), axis=0)
        if len(pairs) == n_groups:
            raise EpisodeError(
                f"Group column {column} is a copy of the target: each group has one value of y, "
                "and no two groups have the same. Name another column."
            )
    if n_groups < _FEW_GROUPS:
        warn_caller(
            f"Column {column} has fewer than {_FEW_GROUPS} groups ({n_groups}). Differences "
            "between groups cannot be learned well from so few: read in summary_ how well groups "
            "held out were predicted.",
            UnusedDataWarning,
        )


def check_factors(codes: np.ndarray, names: list[str]) -> None:
    """Raise an error if a column of groups has one group, or is the same as another one."""
    for f, name in enumerate(names):
        if codes[:, f].max() == 0:
            raise EpisodeError(
                f"Group column {quote(name)} has one group only, so nothing says how its groups "
                "differ. Leave it out of groups."
            )
        for g in range(f):
            n_pairs = len(np.unique(codes[:, [f, g]], axis=0))
            if n_pairs == codes[:, f].max() + 1 == codes[:, g].max() + 1:
                raise EpisodeError(
                    f"Group columns {quote(names[g])} and {quote(name)} divide the rows into the "
                    "same groups. Name one of them."
                )


def _rising_columns(numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the columns of numbers (n, d) that rise from row to row within nearly all groups."""
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    large = sizes >= _MIN_ROWS
    if large.sum() < _MIN_GROUPS:
        return np.empty(0, dtype=np.int64)
    same = np.diff(codes[order]) == 0
    group = codes[order][1:][same]
    with np.errstate(invalid="ignore"):
        falls = ~(np.diff(numbers[order], axis=0)[same] > 0)
    n_falls = np.column_stack([np.bincount(group, column, len(sizes)) for column in falls.T])
    share = (n_falls[large] == 0).mean(0)
    return np.flatnonzero(share >= _MIN_SHARE)


def warn_of_time(numbers: np.ndarray, codes: np.ndarray, names: Sequence[str]) -> None:
    """Warn if a column of numbers (n, d) rises within nearly all groups (n,)."""
    rising = _rising_columns(numbers, codes)
    if len(rising):
        warn_caller(
            f"Column {names[rising[0]]!r} rises from row to row within the groups, as time does: "
            "with order=, the name or position of the column, later rows are predicted from "
            "earlier ones, beyond the times seen too.",
            UnusedDataWarning,
        )


def warn_of_doubled(times: np.ndarray, codes: np.ndarray, places: np.ndarray, name: str) -> None:
    """Warn if two places (n,) in the table, -1 for rows known before, have one date and group."""
    order = np.lexsort((places, times, codes))
    same = (np.diff(codes[order]) == 0) & (np.diff(times[order]) == 0)
    same &= np.diff(places[order]) != 0
    if same.any():
        n_doubled, first = int(same.sum()), int(np.argmax(same))
        one, other = places[order[first : first + 2]]
        example = f"row {other} and one that was known" if one < 0 else f"rows {one} and {other}"
        warn_caller(
            f"{count(n_doubled, 'rows')} {'has' if n_doubled == 1 else 'have'} the group and the "
            f"date of another, for example {example}. They are taken for repeated measurements. If "
            "they belong to different series, name their column in groups, too, or sum them by "
            f"group and {name!r}.",
            UnusedDataWarning,
        )
