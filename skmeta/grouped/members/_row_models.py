"""Models of rows to which groups are categories: they know a group by its rows.

A model reads the rows that it was fitted to and further known rows, those of new groups among
them, and nothing is fitted again when rows are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from skmeta.tabular import (
    Outputs,
    Table,
    WeightedRows,
    condition_process,
    fit_process,
)

# Tables of more rows have enough of them for trees.
MAX_ROWS_OF_MODELS = 1000


class Kind(NamedTuple):
    """How a model is fitted to rows, given other rows and asked: functions on arrays."""

    fit: Callable[[WeightedRows, range, Any], Any]  # near a fitted one, if it is not None
    condition: Callable[[Any, WeightedRows], Any]
    predict: Callable[[Any, np.ndarray], Outputs]


def _predict_process(process: Any, X: np.ndarray) -> Outputs:
    return Outputs(process.predict(X), process.predict_std(X))


KINDS_OF_MODELS = {
    "process": Kind(
        lambda rows, categories, start: fit_process(rows, categories, start=start),
        condition_process,
        _predict_process,
    ),
}


@dataclass(frozen=True)
class RowModel:
    """A model that was fitted to a table, and knows further rows."""

    kind: str
    fitted: Any
    learned: Table  # rows of fit
    further: Table | None = None
    offset: int = 0  # numbers of further groups begin here

    known_only: ClassVar[bool] = False
    keeps_rows: ClassVar[bool] = True

    def without(self, kept: Table) -> RowModel:
        """Fit the model to the rows of other groups, starting from what it is."""
        return fit_row_model(self.kind, kept, self, int(kept.codes.max()) + 1)

    def condition(self, known: Table) -> RowModel:
        """Take further known rows: those that it was not fitted to."""
        is_further = ~np.isin(known.place, self.learned.place) | (known.place < 0)
        return replace(self, further=known.take(np.flatnonzero(is_further)))

    @cached_property
    def given(self) -> Any:
        """The model, given all known rows."""
        if self.further is None or not len(self.further.y):
            return self.fitted
        rows, further = _rows_of(self.learned), _rows_of(self.further, self.offset)
        return KINDS_OF_MODELS[self.kind].condition(self.fitted, rows.join(further))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "given"}

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows; a group without known rows is a missing value."""
        return KINDS_OF_MODELS[self.kind].predict(self.given, _rows_of(at, self.offset).X)


def _rows_of(table: Table, offset: int = 0) -> WeightedRows:
    codes = np.where(table.codes < 0, np.nan, table.codes + float(offset))
    return WeightedRows(np.hstack([codes, table.X]), table.y, table.weight)


def fit_row_model(
    kind: str, table: Table, start: RowModel | None = None, offset: int = 0
) -> RowModel:
    """Fit a model to a table, or near one that was fitted to more rows of it."""
    before = None if start is None else start.fitted
    categories = range(table.codes.shape[1])
    fitted = KINDS_OF_MODELS[kind].fit(_rows_of(table), categories, before)
    return RowModel(kind, fitted, table, offset=offset)
