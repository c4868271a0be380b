"""Models of rows whose groups stand in several columns: of all columns, or of one of them.

With an order of rows in time, another column says the series: the groups of all columns together.

Notation: n rows, F columns of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from skmeta.grouped._model import FittedModel
from skmeta.tabular import PROBABILITIES, Outputs, TargetUnits

# A group of another column is a column of X if it has this many rows.
_MIN_ROWS = 10
# Probabilities of the quantiles of members: a deviation below the median and above it.
_THREE = np.array([0.1586552539, 0.5, 0.8413447461])


class Rows(NamedTuple):
    """Rows: columns (n, d) that are no groups, targets, weights, groups (n, F) and times (n,).

    Times are 0 without an order; with one, they are the last column, too.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    codes: np.ndarray
    times: np.ndarray

    @classmethod
    def to_predict(cls, X: np.ndarray, codes: np.ndarray, times: np.ndarray) -> Rows:
        """Return rows without targets."""
        nothing = np.zeros(len(X))
        return cls(X, nothing, nothing, codes, times)

    def take(self, rows: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(*(part[rows] for part in self))


class Series(NamedTuple):
    """Numbers of series: groups of all columns together that occur."""

    known: np.ndarray  # groups (s, F) of each

    @classmethod
    def learn(cls, codes: np.ndarray) -> Series | None:
        """Learn from groups (n, F); None if series are single rows, or groups of one column."""
        known = np.unique(codes, axis=0)
        is_column = len(known) in codes.max(0) + 1
        return None if is_column or len(known) == len(codes) else cls(known)

    def grown(self, codes: np.ndarray) -> Series:
        """Return numbers of more series; those that are known keep theirs."""
        new = np.unique(codes[self(codes)[:, -1] < 0], axis=0)
        return Series(np.vstack([self.known, new]))

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Return groups (n, F + 1) with the number of the series; -1 for one without known rows."""
        both = np.unique(np.vstack([self.known, codes]), axis=0, return_inverse=True)[1].ravel()
        numbers = np.full(both.max() + 1, -1)
        numbers[both[: len(self.known)]] = np.arange(len(self.known))
        return np.column_stack([codes, numbers[both[len(self.known) :]]])


class Indicators(NamedTuple):
    """Columns that say which group a row has: an indicator of each that has several rows."""

    groups: list[np.ndarray]  # by column of groups, those with an indicator
    has_other: list[bool]  # whether all others share one

    @classmethod
    def learn(cls, codes: np.ndarray, factor: int | None) -> Indicators:
        """Learn from groups (n, F) of all columns but ``factor``; of none if it is None."""
        groups, has_other = [], []
        for f, column in enumerate(codes.T):
            large = np.flatnonzero(np.bincount(column) >= _MIN_ROWS)
            is_apart = factor is None or f == factor
            has_other.append(not is_apart and len(large) <= column.max())
            # Of two groups, one indicator says all.
            large = large[1:] if len(large) == 2 and not has_other[f] else large
            groups.append(large[:0] if is_apart else large)
        return cls(groups, has_other)

    def __call__(self, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return columns (n, d) of rows after the indicators of their groups (n, F)."""
        parts = []
        for column, groups, has_other in zip(codes.T, self.groups, self.has_other, strict=False):
            parts.append((column[:, None] == groups) * 1.0)
            if has_other:
                parts.append(1.0 - parts[-1].sum(1, keepdims=True))
        return np.hstack([*parts, X])


@dataclass(frozen=True)
class Part:
    """A model of all columns of groups, or of one, and its numbers of the groups of the table."""

    model: FittedModel
    factor: int | None  # the column of groups; None for all
    indicators: Indicators  # of the other columns of groups
    numbers: list[np.ndarray]  # by column, the model's number of each group; -1 for none

    def codes(self, codes: np.ndarray) -> np.ndarray:
        """Return the model's numbers (n, f) of groups (n, F)."""
        columns = self._columns(codes)
        own = np.full(columns.shape, -1)
        for f, numbers in enumerate(self.numbers):
            at = (columns[:, f] >= 0) & (columns[:, f] < len(numbers))
            own[at, f] = numbers[columns[at, f]]
        return own

    def _columns(self, codes: np.ndarray) -> np.ndarray:
        return codes[:, : len(self.numbers)] if self.factor is None else codes[:, [self.factor]]

    def add(self, rows: Rows) -> Part:
        """Return the part with more known rows."""
        columns, numbers = self._columns(rows.codes), []
        for known, column in zip(self.numbers, columns.T, strict=True):
            grown = np.append(known, np.full(max(int(column.max()) + 1 - len(known), 0), -1))
            new = np.unique(column[grown[column] < 0])
            grown[new] = grown.max(initial=-1) + 1 + np.arange(len(new))
            numbers.append(grown)
        part = replace(self, numbers=numbers)
        X = self.indicators(rows.X, rows.codes)
        model = self.model.add(X, rows.y, rows.weight, part.codes(rows.codes), rows.times)
        return replace(part, model=model)

    def predict(self, rows: Rows, names: Sequence[str]) -> list[np.ndarray]:
        """Return what members predict on the target's own units: probabilities (n, c), or (n, 4).

        These are means, and quantiles a deviation below the median, at it and above it.
        """
        X = self.indicators(rows.X, rows.codes)
        codes, units = self.codes(rows.codes), self.model.target_units
        if self.factor is None:
            each = self.model.predict_members(X, codes, names)
            return [one.mean if units is None else _on_own_units(units, one) for one in each]
        outputs = self.model.predict(X, codes, rows.times)
        if units is None:
            return [outputs.mean / outputs.mean.sum(1, keepdims=True)]
        return [units.mean_and_quantiles(outputs, _THREE)]


def _on_own_units(units: TargetUnits, outputs: Outputs) -> np.ndarray:
    """Return means and quantiles (n, 4) of normal distributions on the scale of the target."""
    mean, std = outputs.mean[:, None], outputs.std[:, None]
    quantiles = units.restore(mean + std * ndtri(_THREE))
    if units.is_given:
        return np.column_stack([quantiles[:, 1], quantiles])
    ratio = ndtri(PROBABILITIES[::8])
    return np.column_stack([units.restore(mean + std * ratio).mean(1), quantiles])
