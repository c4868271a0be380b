"""Random configurations of the region that the candidates of a search span."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration, Value
from skmeta.search.space import is_logarithmic

# Stands for the choice between sub-spaces that no single parameter makes.
SUBSPACE = "(sub-space)"


@dataclass(frozen=True)
class Marginal:
    """Distribution of one parameter within a sub-space.

    Attributes
    ----------
    low, high : float
        Range of the numbers.
    is_log, is_whole : bool
        Whether they are spread evenly on a log scale, and whether all are integers.
    values : tuple
        The other values.
    number_share : float
        Probability of a number.
    """

    low: float
    high: float
    is_log: bool
    is_whole: bool
    values: tuple[Value, ...]
    number_share: float

    @classmethod
    def of(cls, column: Sequence[Value]) -> "Marginal":
        """Return the distribution that covers the values of a column."""
        numbers = np.array([v for v in column if is_number(v)], dtype=np.float64)
        others = tuple({_text(v): v for v in column if not is_number(v)}.values())
        low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 0.0)
        is_whole = all(isinstance(v, int) for v in column if is_number(v))
        return cls(low, high, is_logarithmic(numbers), is_whole, others, len(numbers) / len(column))

    @property
    def is_constant(self) -> bool:
        """Whether there is only one value."""
        n_numbers = 0 if self.number_share == 0 else 1 + (self.high > self.low)
        return n_numbers + len(self.values) < 2

    def place(self, shares: NDArray[np.float64]) -> list[Value]:
        """Return the numbers at shares of the range, from 0 to 1."""
        if self.is_log:
            numbers = self.low * (self.high / self.low) ** shares
        else:
            numbers = self.low * (1 - shares) + self.high * shares
        numbers = np.clip(numbers, self.low, self.high)  # rounding
        return [round(v) for v in numbers.tolist()] if self.is_whole else numbers.tolist()

    def draw(self, n: int, rng: np.random.Generator) -> list[Value]:
        """Return random values."""
        numbers = self.place(rng.uniform(size=n))
        if not self.values:
            return numbers
        is_drawn = rng.uniform(size=n) < self.number_share
        chosen = rng.integers(len(self.values), size=n)
        return [
            number if drawn else self.values[k]
            for number, drawn, k in zip(numbers, is_drawn, chosen, strict=True)
        ]


class ConfigurationSampler:
    """Draws configurations from the region that the candidates of a search span.

    Candidates with the same parameters are a sub-space, and each is equally probable. Parameters
    are independent within a sub-space: numbers are uniform between the smallest and the largest
    one that was tried, on a log scale if they are more even there; other values are equally
    probable.

    Parameters
    ----------
    configurations : sequence of dict
        The candidates: names to plain values.

    Attributes
    ----------
    structural : tuple of str
        Parameters that tell the sub-spaces apart: each has one value per sub-space, and more than
        one in all. If there are several sub-spaces and no such parameter, ``"(sub-space)"``.
    varying : tuple of str
        Parameters that vary within a sub-space, and the structural ones.
    """

    def __init__(self, configurations: Sequence[Configuration]) -> None:
        columns: dict[frozenset[str], dict[str, list[Value]]] = {}
        for configuration in configurations:
            own = columns.setdefault(frozenset(configuration), {n: [] for n in configuration})
            for name, value in configuration.items():
                own[name].append(value)
        self._spaces = [
            {name: Marginal.of(column) for name, column in own.items()} for own in columns.values()
        ]
        self._constants = [{n: column[0] for n, column in own.items()} for own in columns.values()]
        self._keys = list(columns)
        self.structural = self._find_structural()
        names = dict.fromkeys(name for space in self._spaces for name in space)
        inner = [
            name
            for name in names
            if any(name in s and not s[name].is_constant for s in self._spaces)
        ]
        self.varying = (*self.structural, *inner)

    def marginal(self, name: str, configuration: Configuration) -> Marginal:
        """Return the distribution of a parameter in the sub-space of a configuration."""
        return self._spaces[self._keys.index(frozenset(configuration))][name]

    def draw(self, n: int, rng: np.random.Generator) -> list[dict[str, Value]]:
        """Return random configurations."""
        drawn: list[dict[str, Value]] = [{} for _ in range(n)]
        chosen = rng.integers(len(self._spaces), size=n)
        for k, space in enumerate(self._spaces):
            rows = np.flatnonzero(chosen == k)
            for name, marginal in space.items():
                for row, value in zip(rows, marginal.draw(len(rows), rng), strict=True):
                    drawn[row][name] = value
        return drawn

    def redraw(
        self, rows: Sequence[Configuration], name: str, rng: np.random.Generator
    ) -> list[dict[str, Value]]:
        """Return configurations with one parameter drawn again.

        A configuration that does not have the parameter stays as it is. If the parameter is
        structural, the sub-space is drawn again; values of parameters that both sub-spaces have
        are kept.
        """
        fresh = self.draw(len(rows), rng)
        if name in self.structural:
            return [self._move(row, other) for row, other in zip(rows, fresh, strict=True)]
        redrawn = [dict(row) for row in rows]
        for k, key in enumerate(self._keys):
            if name not in key:
                continue
            own = [row for row in redrawn if frozenset(row) == key]
            values = self._spaces[k][name].draw(len(own), rng)
            for row, value in zip(own, values, strict=True):
                row[name] = value
        return redrawn

    def _move(self, row: Configuration, other: Configuration) -> dict[str, Value]:
        kept = {n: v for n, v in row.items() if n in other and n not in self.structural}
        return {**other, **kept}

    def _find_structural(self) -> tuple[str, ...]:
        if len(self._spaces) < 2:
            return ()
        shared = set.intersection(*(set(space) for space in self._spaces))
        structural = [
            name
            for name in sorted(shared)
            if all(space[name].is_constant for space in self._spaces)
            and len({_text(own[name]) for own in self._constants}) > 1
        ]
        return tuple(structural) or (SUBSPACE,)


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; a bool is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return f"{type(value).__name__}:{value}"
