"""Configurations as rows of a matrix, with each coordinate on a unit scale.

A parameter that varies has, in this order,

- one numeric column, if it takes at least two different numbers. They are scaled to [0, 1], after
  a logarithm if that spreads them more evenly. Zero is then the lower end of the range; and
- one indicator column for each *kind* of value, if there are at least two kinds. Each string, bool
  and None is a kind, all numbers together are one kind, and so is being absent (a parameter of an
  estimator that was not chosen). The indicator is ``sqrt(1/2)``, so two kinds have distance 1.

The numeric column and the indicator columns are the two *groups* of the parameter. A kernel has
one length scale per group.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration
from skmeta.search.space._default_table import NUMBERS_OF_NONE

_ABSENT = "absent"
_NUMBER = "number"
_CENTRE = 0.5
_CLIP = (-0.5, 1.5)  # bounds of numbers outside the range that the encoding was fitted to
_MIN_LOG_RATIO = 10.0
# A penalty of zero is as good as the smallest one if penalties span this factor.
_MIN_RATIO_BESIDE_ZERO = 1000.0
_INDICATOR = math.sqrt(0.5)


@dataclass(frozen=True)
class _Parameter:
    """Encoding of one parameter, such as ``"SVC.C"``."""

    name: str
    low: float  # of the numbers, as logarithms if `log`
    high: float  # equal to `low` without a numeric column
    log: bool
    kinds: tuple[str, ...]  # of `_kind`; empty if there is only one

    @property
    def has_number(self) -> bool:
        return self.high > self.low

    @property
    def n_columns(self) -> int:
        return int(self.has_number) + len(self.kinds)

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return the columns of values, one per configuration; `_ABSENT_VALUE` is no value."""
        values = [_effective(self.name, value) for value in values]
        kinds = [_kind(value) for value in values]
        columns = np.empty((len(values), self.n_columns))
        if self.has_number:
            columns[:, 0] = self._scale(
                [v if k == _NUMBER else math.nan for v, k in zip(values, kinds, strict=True)]
            )
        if self.kinds:
            at = {kind: i for i, kind in enumerate(self.kinds)}
            codes = np.array([at.get(kind, -1) for kind in kinds], dtype=np.intp)
            # An unknown kind has zeros only, at distance sqrt(1/2) from all others.
            hot = codes[:, None] == np.arange(len(self.kinds))
            columns[:, int(self.has_number) :] = _INDICATOR * hot
        return columns

    def centre(self) -> list[float]:
        """Return the columns of an unknown value: the middle of the range."""
        n_kinds = len(self.kinds)
        return [_CENTRE] * self.has_number + [_INDICATOR / max(1, n_kinds)] * n_kinds

    def _scale(self, numbers: Sequence[float]) -> NDArray[np.float64]:
        column = np.array(numbers, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                column = np.where(
                    column > 0, np.log(column), np.where(column <= 0, self.low, column)
                )
        column = (column - self.low) / (self.high - self.low)
        return np.where(np.isnan(column), _CENTRE, np.clip(column, *_CLIP))


_ABSENT_VALUE = object()  # stands for an absent parameter


class Encoding:
    """Encode configurations as a matrix with each coordinate on a unit scale. Immutable."""

    def __init__(self, parameters: Iterable[_Parameter]) -> None:
        self._parameters = tuple(p for p in parameters if p.n_columns)

    @classmethod
    def from_configurations(cls, configurations: Sequence[Configuration]) -> Self:
        """Fit ranges and kinds to the configurations of one search."""
        return cls.from_searches([configurations])

    @classmethod
    def from_searches(cls, searches: Sequence[Sequence[Configuration]]) -> Self:
        """Fit ranges and kinds to the configurations of several searches.

        A parameter that no configuration of a search has is unknown there; else it is absent from
        some.
        """
        seen: dict[str, list[Any]] = {}
        for configurations in searches:
            for name in parameter_names(configurations):
                values = seen.setdefault(name, [])
                values.extend(c.get(name, _ABSENT_VALUE) for c in configurations)
        # Most parameters are constant: one object, which all candidates share.
        varying = [n for n, values in seen.items() if any(v is not values[0] for v in values)]
        return cls(_fit_parameter(name, seen[name]) for name in sorted(varying))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that have columns, sorted."""
        return tuple(p.name for p in self._parameters)

    @property
    def n_columns(self) -> int:
        """Return the number of columns."""
        return sum(p.n_columns for p in self._parameters)

    @property
    def columns(self) -> dict[str, range]:
        """Return the columns of each parameter."""
        starts = np.cumsum([0, *(p.n_columns for p in self._parameters)]).tolist()
        return {p.name: range(starts[i], starts[i + 1]) for i, p in enumerate(self._parameters)}

    @property
    def groups(self) -> NDArray[np.intp]:
        """Return the group of each column, of shape (n_columns,). A group has one length scale."""
        sizes: list[int] = []
        for parameter in self._parameters:
            sizes += [1] * parameter.has_number + [len(parameter.kinds)] * bool(parameter.kinds)
        return np.repeat(np.arange(len(sizes)), sizes)

    def transform(
        self, configurations: Sequence[Configuration], names: Collection[str] | None = None
    ) -> NDArray[np.float64]:
        """Encode configurations of one search to (n_configurations, n_columns).

        One of `names` that a configuration lacks is inactive; other parameters are in mid-range.
        """
        known = parameter_names(configurations) if names is None else names
        rows = np.empty((len(configurations), self.n_columns))
        for parameter, columns in zip(self._parameters, self.columns.values(), strict=True):
            block = slice(columns.start, columns.stop)
            if parameter.name in known:
                rows[:, block] = parameter.encode(
                    [c.get(parameter.name, _ABSENT_VALUE) for c in configurations]
                )
            else:
                rows[:, block] = parameter.centre()
        return rows

    def to_json(self) -> list[dict[str, Any]]:
        """Return the encoding as lists, dicts, strings and numbers."""
        return [asdict(p) | {"kinds": [*p.kinds]} for p in self._parameters]

    @classmethod
    def from_json(cls, described: Sequence[Mapping[str, Any]]) -> Self:
        """Return the encoding that `to_json` described."""
        return cls(
            _Parameter(
                str(d["name"]), d["low"], d["high"], bool(d["log"]), tuple(map(str, d["kinds"]))
            )
            for d in described
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Encoding) and self._parameters == other._parameters

    def __hash__(self) -> int:
        return hash(self._parameters)


def parameter_names(configurations: Iterable[Configuration]) -> set[str]:
    """Return the names of all parameters in some configurations."""
    return {name for configuration in configurations for name in configuration}


def _fit_parameter(name: str, values: Sequence[Any]) -> _Parameter:
    if name in NUMBERS_OF_NONE:
        values = [_effective(name, value) for value in values]
    value_kinds = [_kind(value) for value in values]
    kinds, is_number = tuple(sorted(set(value_kinds))), [kind == _NUMBER for kind in value_kinds]
    numbers = np.array([*compress(values, is_number)], dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    positive = numbers[numbers > 0]
    log = is_logarithmic(positive)
    if log and len(positive) < len(numbers):
        # Zero may be the only other number, and is as good as the smallest one of a wide range.
        is_wide = positive.max() > _MIN_RATIO_BESIDE_ZERO * positive.min()
        log = bool(numbers.min() == 0 and is_wide)
    scaled = np.log(positive) if log else numbers
    low, high = (scaled.min(), scaled.max()) if len(scaled) else (0.0, 0.0)
    return _Parameter(name, float(low), float(high), log, kinds if len(kinds) > 1 else ())


def _effective(name: str, value: Any) -> Any:
    """Return the number that a value of None stands for, where there is one."""
    return NUMBERS_OF_NONE.get(name) if value is None else value


def _kind(value: Any) -> str:
    """Return the kind of a value: its type and text, so that True and 'True' differ."""
    if type(value) is float or type(value) is np.float64:  # the most frequent ones
        return "float:nan" if value != value else _NUMBER
    if value is _ABSENT_VALUE:
        return _ABSENT
    if isinstance(value, bool | np.bool_):
        return f"bool:{bool(value)}"
    if isinstance(value, int | float | np.number):
        return "float:nan" if value != value else _NUMBER
    return f"{type(value).__name__}:{value}"


def is_logarithmic(numbers: NDArray[np.float64]) -> bool:
    """Return whether numbers span a factor of ten and are more even on a log scale."""
    if len(numbers) == 0 or numbers.min() <= 0 or numbers.max() < _MIN_LOG_RATIO * numbers.min():
        return False
    return _unevenness(np.log(numbers)) < _unevenness(numbers)


def _unevenness(numbers: NDArray[np.float64]) -> float:
    """Return the Kolmogorov-Smirnov distance of distinct numbers from a uniform distribution."""
    distinct = np.unique(numbers)
    scaled = (distinct - distinct[0]) / (distinct[-1] - distinct[0])
    return float(np.abs(scaled - np.linspace(0, 1, len(distinct))).max())
