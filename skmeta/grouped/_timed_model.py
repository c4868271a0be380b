"""The model of a grouped table whose rows come in time: a regression with one column of groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta.grouped._mixture import PROBABILITIES, CalibratedOutputs
from skmeta.grouped._model import Settings
from skmeta.grouped.longitudinal import Longitudinal, TimedRows, fit_longitudinal
from skmeta.grouped.members import (
    GroupEffects,
    Order,
    Standardiser,
    Table,
    canonical_order,
    deal_groups,
    design_of,
    fill,
    fit_group_effects,
    folds_of,
    varying,
)


def fit_timed_model(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    codes: np.ndarray,
    times: np.ndarray,
    settings: Settings,
) -> tuple[TimedModel, Order] | None:
    """Fit members that know time, and the weights of their mixture.

    Parameters
    ----------
    X, y, weight, codes, times, settings
        As for :func:`~skmeta.grouped._model.fit_model`. The last column of X holds the times.

    Returns
    -------
    model : TimedModel
        The fitted model.
    order : Order
        The canonical order of rows and groups.

    None if all times are equal, or no row of a group can be held out.
    """
    column_units, target_units = Standardiser.learn(X), Standardiser.learn(y)
    X, y = column_units(X), target_units(y)
    if np.ptp(X[:, -1]) == 0:
        return None
    order = canonical_order(np.column_stack([X, y]), codes)
    X, y, weight, times = (part[order.rows] for part in (X, y, weight, times))
    codes = order.codes
    folds = deal_groups(codes[:, 0], y, min(settings.n_folds, int(codes.max()) + 1))
    shared, place = np.zeros(len(y)), np.arange(len(y))
    table = Table(X, shared, y, weight, codes, folds[codes[:, 0]], place, times)
    columns = varying(fill(X[:, :-1]))
    zero = float(target_units(np.zeros(1))[0])
    fitted = fit_longitudinal(_rows(table, columns), settings.population, zero, PROBABILITIES)
    settings.population.report()
    if fitted is None:
        return None
    return TimedModel(settings, column_units, target_units, columns, folds, fitted, table), order


def _rows(table: Table, columns: np.ndarray) -> TimedRows:
    X = fill(table.X[:, :-1])[:, columns]
    return TimedRows(X, table.X[:, -1], table.y, table.group, table.weight, table.X, table.fold)


@dataclass(frozen=True)
class TimedModel:
    """A fitted model, an immutable value. Groups have numbers; -1 is one without known rows.

    Attributes
    ----------
    settings : Settings
        How it was fitted.
    column_units, target_units : Standardiser
        Units.
    columns : ndarray of int64
        Columns that vary, of those that are filled, without the times.
    folds : ndarray of shape (n_groups,), int64
        Fold of each group of fit.
    fitted : Longitudinal
        The members, and their weights.
    known : Table
        The known rows, those of fit first.
    """

    settings: Settings
    column_units: Standardiser
    target_units: Standardiser
    columns: np.ndarray
    folds: np.ndarray
    fitted: Longitudinal
    known: Table

    n_classes = 0
    crossed = None

    def add(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> TimedModel:
        """Return a model with more known rows, of groups that are known or new."""
        rows = self._table(X, self.target_units(y), weight, codes, times)
        return replace(self, known=self.known.join(rows))

    def resolve(self, codes: np.ndarray) -> np.ndarray:
        """Return the codes as they are."""
        return codes

    def predict(self, X: np.ndarray, codes: np.ndarray, times: np.ndarray) -> CalibratedOutputs:
        """Predict rows, in standardised units."""
        nothing = np.zeros(len(X))
        at, known = self._table(X, nothing, nothing, codes, times), self.known
        known = known.take(np.flatnonzero(np.isin(known.group, np.unique(at.group))))
        predicted = self.fitted.predict(_rows(known, self.columns), _rows(at, self.columns))
        return CalibratedOutputs(predicted.mean, predicted.std, predicted.quantiles)

    def _table(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, times: np.ndarray
    ) -> Table:
        none, fold = np.full(len(X), -1), folds_of(self.folds, codes[:, 0])
        X = self.column_units(X)
        return Table(X, np.zeros(len(X)), y, weight, codes, fold, none, times)

    @cached_property
    def effects_of_columns(self) -> GroupEffects | None:
        """How groups differ in the columns, time included; fitted when it is asked for."""
        fit_rows = self.known.take(np.flatnonzero(self.known.place >= 0))
        return fit_group_effects(fit_rows, design_of(fit_rows, False, 0), self.settings.effects)

    def losses(self) -> Any:
        """Return a pandas data frame of the losses: new groups by known rows, then later rows."""
        pandas = import_optional("pandas", "losses_")
        regimes, rows = self.fitted.regimes, {}
        if "new" in regimes:
            new = regimes["new"]
            rows = {f"{k:.0f}": row for k, row in zip(new.known, new.losses, strict=True)}
        if "later" in regimes:
            rows["later"] = regimes["later"].losses[0]
        index = pandas.Index(list(rows), name="known rows")
        columns = [*self.fitted.names, "mixture"]
        return pandas.DataFrame(list(rows.values()), index=index, columns=columns)

    def summary(self) -> str:
        """Return in words what predicts new groups, and later rows of known ones."""
        losses = self.losses()
        n_groups = int(self.known.group.max()) + 1
        lines = [f"{len(self.known.y)} rows of {n_groups} groups in time."]
        lines.append("Squared error, as a share of the variance of y, of rows held out:")
        for name, row in losses.iterrows():
            of = "later rows of known groups" if name == "later" else f"{name} known rows"
            best = row.drop("mixture").nsmallest(3)
            parts = ", ".join(f"{member} {loss:.3f}" for member, loss in best.items())
            lines.append(f"  {of}: mixture {row['mixture']:.3f}; {parts}")
        return "\n".join(lines)
