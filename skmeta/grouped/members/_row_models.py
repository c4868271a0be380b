"""Models of rows to which groups are categories, as other columns are: they know a group by rows.

A model reads the rows that it was fitted to and further known rows, those of new groups among
them, and nothing is fitted again when rows are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular import (
    Member,
    Outputs,
    Table,
    WeightedRows,
    condition_process,
    fit_process,
)
from skmeta._tabular.table_prior import TablePrior

# Multiples of it modulo 1 are far from each other, in an order that looks random.
_GOLDEN = (5**0.5 - 1) / 2


class RowModelKind(NamedTuple):
    """How a model is fitted to rows, given other rows and asked: functions on arrays."""

    title: str  # for readers
    # Rows, columns of categories, number of classes, and a fitted model to start from, or None.
    fit: Callable[[WeightedRows, range, int, Any], Any]
    condition: Callable[[Any, WeightedRows, range, int], Any]
    predict: Callable[[Any, np.ndarray], Outputs]
    belief: float
    unknown: float  # code of a group without known rows
    # Of tables of numbers and of classes, as fits of more take longer than all other members. On
    # development tables of numbers of over 40 rows, the prior brings .3 % of the loss.
    max_rows: int
    max_rows_of_classes: int  # 0 if it predicts no classes


def _predict_process(process: Any, X: np.ndarray) -> Outputs:
    return Outputs(process.predict(X), process.predict_std(X))


def _read_rows(rows: WeightedRows, categories: range, n_classes: int) -> Any:
    prior = TablePrior.load("classification" if n_classes else "regression")
    y = rows.y.astype(int) if n_classes else rows.y
    return prior.condition(rows.X, y, rows.weight, categories=categories, n_classes=n_classes)


def _predict_by_prior(prior: Any, X: np.ndarray) -> Outputs:
    predicted = prior.predict(X)
    return Outputs(predicted, np.zeros(len(X))) if prior.n_classes else Outputs(*predicted[:2])


PROCESS = "process"
KINDS_OF_MODELS = {
    PROCESS: RowModelKind(
        "Gaussian process",
        lambda rows, categories, _, start: fit_process(rows, categories, start=start),
        lambda process, rows, *_: condition_process(process, rows),
        _predict_process,
        belief=1.5,
        unknown=-1.0,
        max_rows=1000,
        max_rows_of_classes=0,
    ),
    # Nothing is fitted: the prior ships with the package, and a file need not hold it.
    "prior": RowModelKind(
        "table prior",
        lambda *_: None,
        lambda _, rows, categories, n_classes: _read_rows(rows, categories, n_classes),
        _predict_by_prior,
        belief=0.2,
        unknown=np.nan,
        max_rows=50,
        max_rows_of_classes=100,
    ),
}


def names_of_models(n_rows: int, n_classes: int) -> list[str]:
    """Return the names of the models that suit a table."""
    return [
        name
        for name, kind in KINDS_OF_MODELS.items()
        if n_rows <= (kind.max_rows_of_classes if n_classes else kind.max_rows)
    ]


class Categories(NamedTuple):
    """Which columns (d,) are the indicators of a category, and the values between 0 and 1."""

    indicators: tuple[np.ndarray, ...]
    half: np.ndarray  # (d,)

    def split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes (n, c), NaN without an indicator, and the other columns of X (n, d)."""
        is_level = self.half < X
        codes = np.full((len(X), len(self.indicators)), np.nan)
        for k, positions in enumerate(self.indicators):
            has_level = is_level[:, positions].any(1)
            codes[has_level, k] = is_level[has_level][:, positions].argmax(1)
        return codes, np.delete(X, np.concatenate([np.empty(0, int), *self.indicators]), 1)


@dataclass(frozen=True)
class RowModel(Member):
    """A model that was fitted to a table, and knows further rows."""

    kind: str
    n_classes: int  # 0 for a regression
    fitted: Any
    learned: Table  # rows of fit
    columns: Categories
    further: Table | None = None
    offset: int = 0  # numbers of further groups begin here

    keeps_rows = True

    @property
    def belief(self) -> float:
        """Its weight among others with the same loss."""
        return KINDS_OF_MODELS[self.kind].belief

    def without(self, kept: Table) -> RowModel:
        """Fit the model to the rows of other groups, starting from what it is."""
        offset = int(kept.codes.max()) + 1
        return fit_row_model(self.kind, kept, self.n_classes, self.columns, self, offset)

    def condition(self, known: Table) -> RowModel:
        """Take further known rows: those that it was not fitted to."""
        is_further = np.isin(known.place, self.learned.place, invert=True)
        return replace(self, further=known.take(np.flatnonzero(is_further)))

    @cached_property
    def given(self) -> Any:
        """The model, given all known rows."""
        rows = _rows_of(self.learned, self.columns)
        if self.further is not None and len(self.further.y):
            rows = rows.join(_rows_of(self.further, self.columns, self.offset))
        elif self.fitted is not None:
            return self.fitted
        categories = _categories_of(self.learned, self.columns)
        condition = KINDS_OF_MODELS[self.kind].condition
        return condition(self.fitted, rows, categories, self.n_classes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "given"}

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows, of groups without known rows too."""
        X, kind = _rows_of(at, self.columns, self.offset).X, KINDS_OF_MODELS[self.kind]
        codes = X[:, : at.codes.shape[1]]
        codes[np.isnan(codes)] = kind.unknown
        return kind.predict(self.given, X)


def _rows_of(table: Table, columns: Categories, offset: int = 0) -> WeightedRows:
    """Return rows whose first columns are codes: those of groups, and those of categories.

    Groups and levels are numbered by their content, so that targets may rise with the number. Codes
    have another order, as a model may take them for numbers.
    """
    level_codes, X = columns.split(table.X)
    group_codes = np.where(table.codes < 0, np.nan, table.codes + float(offset))
    codes = np.hstack([group_codes, level_codes]) * _GOLDEN % 1.0
    return WeightedRows(np.hstack([codes, X]), table.y, table.weight)


def _categories_of(table: Table, columns: Categories) -> range:
    return range(table.codes.shape[1] + len(columns.indicators))


def fit_row_model(
    kind: str,
    table: Table,
    n_classes: int,
    columns: Categories,
    start: RowModel | None = None,
    offset: int = 0,
) -> RowModel:
    """Fit a model to a table, or near one that was fitted to more rows of it."""
    before = None if start is None else start.fitted
    rows, categories = _rows_of(table, columns), _categories_of(table, columns)
    fitted = KINDS_OF_MODELS[kind].fit(rows, categories, n_classes, before)
    return RowModel(kind, n_classes, fitted, table, columns, offset=offset)
