"""Rows of a grouped table, as its model sees them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """Rows, with what the population predicts for them.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Standardised columns; NaN is a missing value.
    shared : ndarray of shape (n,) or (n, n_classes)
        Predictions of the population, which has not seen the group of the row.
    y : ndarray of shape (n,)
        Standardised targets, or class codes. Of rows to predict they have no meaning.
    weight : ndarray of shape (n,)
        Weights.
    codes : ndarray of shape (n, n_factors), int64
        Group of the row in each column of groups; -1 is a group without known rows.
    fold : ndarray of shape (n,), int64
        Fold of the row's group in the population; -1 for groups that were not there at fit.
    place : ndarray of shape (n,), int64
        Position among the rows of fit; -1 for other rows.
    times : ndarray of shape (n,)
        Ranks in time of the rows of fit; 0 for other rows, and without a column of times.
    """

    X: np.ndarray
    shared: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    codes: np.ndarray
    fold: np.ndarray
    place: np.ndarray
    times: np.ndarray

    @property
    def group(self) -> np.ndarray:
        """Group (n,) of each row in the first column of groups."""
        found: np.ndarray = self.codes[:, 0]
        return found

    def take(self, rows: np.ndarray) -> Table:
        """Return some of the rows."""
        return Table(*(part[rows] for part in self))

    def join(self, other: Table) -> Table:
        """Return the rows of both tables."""
        return Table(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def of_cases(self, parts: list[np.ndarray]) -> Table:
        """Return the rows of parts, each of which is a group of its own, numbered from 0 on."""
        sizes = [len(part) for part in parts]
        codes = np.repeat(np.arange(len(parts)), sizes)[:, None]
        return self.take(np.concatenate(parts))._replace(codes=codes)
